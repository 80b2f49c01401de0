import { type FSWatcher, statSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';

interface Watched {
  watcher: FSWatcher;
  /** Which directory it is, whatever is at its path by now. */
  identity: string;
}

/**
 * Reports changes in directories: entries created, moved, written, removed, their modes changed. The kernel watches a directory, not a
 * path: a missing directory is waited for; one that was replaced is reported through its parent and followed once {@link refresh} is
 * called. A directory is reported as changed when its watch begins, because what happened before is unknown. The targets of links in it
 * are not watched.
 */
export class DirectoryWatch {
  readonly #changed: (path: string) => void;
  readonly #watched = new Map<string, Watched>();
  #paths: readonly string[] = [];

  /** `changed` is called with the directory. */
  constructor(changed: (path: string) => void) {
    this.#changed = changed;
  }

  /** Watches these directories, and no others any more. */
  follow(paths: readonly string[]): void {
    this.#paths = paths;
    this.refresh();
  }

  /**
   * Looks which directories are at the paths now. Throws when the kernel gives no more watches (fs.inotify.max_user_watches,
   * max_user_instances).
   */
  refresh(): void {
    const wanted = new Set(this.#paths.flatMap((path) => [existing(path), existing(dirname(path))]));
    for (const [path, { watcher }] of this.#watched) {
      if (wanted.has(path)) continue;
      watcher.close();
      this.#watched.delete(path);
    }
    for (const path of wanted) this.#watch(path);
  }

  close(): void {
    this.follow([]);
  }

  #watch(path: string): void {
    const identity = identityOf(path);
    const before = this.#watched.get(path);
    if (before?.identity === identity) return;
    before?.watcher.close();
    this.#watched.delete(path);
    if (identity === undefined) return;
    const watcher = watch(path, { persistent: false }, (_, name) => {
      // The directory itself was moved or removed; another one in its place may have got its number.
      if (name === basename(path)) this.#forget(path, watcher);
      this.#heard(path, name ?? undefined);
    });
    // What ends a watch is reported as a change of the directory or its parent as well.
    watcher.on('error', () => this.#heard(path, undefined));
    this.#watched.set(path, { watcher, identity });
    if (this.#paths.includes(path)) this.#changed(path);
  }

  #forget(path: string, watcher: FSWatcher): void {
    watcher.close();
    if (this.#watched.get(path)?.watcher === watcher) this.#watched.delete(path);
  }

  #heard(path: string, name: string | undefined): void {
    for (const wanted of this.#paths) {
      const isInside = path === wanted;
      const isOnTheWay = wanted.startsWith(`${path === '/' ? '' : path}/`);
      const next = wanted.slice(path === '/' ? 1 : path.length + 1).split('/')[0];
      if (isInside || (isOnTheWay && (name === undefined || name === next || name === basename(path)))) {
        this.#changed(wanted);
      }
    }
  }
}

/** The path, or the nearest directory above it that is there. */
function existing(path: string): string {
  for (let at = path; at !== '/'; at = dirname(at)) if (identityOf(at) !== undefined) return at;
  return '/';
}

function identityOf(path: string): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat?.isDirectory() ? `${stat.dev}:${stat.ino}` : undefined;
}

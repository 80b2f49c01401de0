import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { unlessMissing } from '../sys/errno.ts';

/** Names of the temporary files of actions (`.portmap.123.tmp`) and of atomic writes, which are renamed once complete. */
const TEMPORARY = /^\.(?:[0-9a-f]{12}|[A-Za-z0-9._-]+\.\d+)\.tmp$/;

/** A file that has not changed for at least so long is abandoned: a plugin is copied in well under a second. Milliseconds. */
const ABANDONED_MS = 60_000;

/** What a killed hostport has left in directories of the node, and since when that has been seen: the times of files tell nothing once a clock was set. */
export class Leftovers {
  #seen = new Map<string, number>();

  /**
   * Removes temporary files that have not changed since a sweep at least a minute ago. Each look at the node sweeps; on a quiet node glances take the place
   * of most looks, and such a file stays some minutes longer. Nothing else reads such files: a runtime uses neither configurations nor plugins
   * with names like these. Returns what it removed; missing directories are skipped. `now`: by a clock that nobody sets, in milliseconds.
   */
  sweep(directories: readonly string[], now: number): string[] {
    const removed: string[] = [];
    const seen = new Map<string, number>();
    for (const directory of directories) {
      for (const name of namesIn(directory)) {
        const path = join(directory, name);
        if (!TEMPORARY.test(name)) continue;
        const stat = statSync(path, { throwIfNoEntry: false });
        if (!stat?.isFile()) continue;
        const file = [path, stat.ino, stat.size, stat.mtimeMs].join(' ');
        const since = this.#seen.get(file) ?? now;
        if (now - since < ABANDONED_MS) seen.set(file, since);
        else {
          rmSync(path, { force: true });
          removed.push(path);
        }
      }
    }
    this.#seen = seen;
    return removed;
  }
}

function namesIn(directory: string): string[] {
  return unlessMissing(() => readdirSync(directory), ['ENOTDIR']) ?? [];
}

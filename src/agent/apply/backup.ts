import { chmodSync, copyFileSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Where copies of what actions replace are kept. */
export const BACKUP_ROOT = '/var/lib/hostport/backup';

/** Keeps copies of what one run of actions replaces or removes, in a directory of that run. */
export class Backups {
  readonly #directory: string;

  /** `at`: when the run began; it names the directory. */
  constructor(at: Date, root: string = BACKUP_ROOT) {
    this.#directory = join(root, at.toISOString().replaceAll(':', '-'));
  }

  /** Copies a file, with its mode, and returns the copy's path; undefined when there is no such file. */
  keepFile(path: string): string | undefined {
    if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return undefined;
    const copy = this.#place(path);
    copyFileSync(path, copy);
    chmodSync(copy, statSync(path).mode & 0o777);
    return copy;
  }

  /** Keeps a text under a name, and returns its path. */
  keepText(name: string, text: string): string {
    const copy = this.#place(name);
    writeFileSync(copy, text, { mode: 0o600 });
    return copy;
  }

  /** A path below the directory that nothing is at yet: the first copy of a run is the state before it. */
  #place(name: string): string {
    const path = join(this.#directory, name);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    for (let n = 1; ; n++) {
      const free = n === 1 ? path : `${path}.${n}`;
      if (statSync(free, { throwIfNoEntry: false }) === undefined) return free;
    }
  }
}

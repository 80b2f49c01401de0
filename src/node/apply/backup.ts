import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { namesIn } from '../../sys/directories.ts';
import { discard } from '../../sys/discard.ts';
import { fileProblem } from '../../sys/file-problem.ts';
import { chunksOf, openLinkedFile, openRegularFile } from '../../sys/regular-file.ts';
import { messageOf } from '../../util/errors.ts';
import { directoryOfRun, runsIn } from './runs.ts';

const { O_CREAT, O_EXCL, O_RDONLY, O_WRONLY } = constants;

/** The largest file that is copied or replaced, in bytes: a plugin has up to a hundred million. */
export const MAX_FILE_BYTES = 512 * 1024 * 1024;

/** Where copies of what actions replace are kept. */
export const BACKUP_ROOT = '/var/lib/hostport/backup';

/** How much is kept: a node that somebody else breaks again and again must not fill its disk. */
export interface BackupLimits {
  /** Runs that have copies. */
  runs: number;
  /** Bytes of all copies. */
  bytes: number;
}

/** A run of an agent copies a rule set or a file of some kilobytes, seldom a plugin of some megabytes. */
const LIMITS: BackupLimits = { runs: 200, bytes: 256 * 1024 * 1024 };

/**
 * Keeps copies of what one run of actions replaces or removes, in a directory of that run. Before the first copy of a run the oldest
 * runs go, as far as there are more than the limits allow; its own copies stay whatever their size.
 */
export class Backups {
  readonly #root: string;
  readonly #directory: string;
  readonly #limits: BackupLimits;
  #isPruned = false;
  /** Called with each copy of a file, before what was copied is changed. */
  onKept: ((path: string, copy: string) => void) | undefined;

  /** `at`: when the run began; it names the directory. */
  constructor(at: Date, root: string = BACKUP_ROOT, limits: BackupLimits = LIMITS) {
    this.#root = root;
    this.#directory = directoryOfRun(root, at);
    this.#limits = limits;
  }

  /** Copies a file, with its mode, and returns the copy's path; undefined when there is no such file. */
  keepFile(path: string): string | undefined {
    if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return undefined;
    const fd = openLinkedFile(path, O_RDONLY);
    try {
      const { size, mode } = fstatSync(fd);
      if (size > MAX_FILE_BYTES) throw new Error(`${path}: longer than ${MAX_FILE_BYTES} bytes`);
      const copy = this.#place(path);
      this.#write(copy, chunksOf(fd, path, MAX_FILE_BYTES));
      chmodSync(copy, mode & 0o777);
      this.onKept?.(path, copy);
      return copy;
    } finally {
      closeSync(fd);
    }
  }

  /** Keeps a text under a name, and returns its path. */
  keepText(name: string, text: string): string {
    const copy = this.#place(name);
    this.#write(copy, [text]);
    return copy;
  }

  /** A part of a copy is none: on a full disk it would only take what is left. */
  #write(copy: string, pieces: Iterable<string | Uint8Array>): void {
    try {
      const fd = openRegularFile(copy, O_WRONLY | O_CREAT | O_EXCL, 0o600);
      try {
        for (const piece of pieces) writeFileSync(fd, piece);
      } finally {
        closeSync(fd);
      }
    } catch (cause) {
      discard(copy);
      throw noCopy(copy, cause);
    }
  }

  /** A path below the directory that nothing is at yet: the first copy of a run is the state before it. */
  #place(name: string): string {
    if (!this.#isPruned) prune(this.#root, this.#directory, this.#limits);
    this.#isPruned = true;
    const path = join(this.#directory, name);
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    } catch (cause) {
      throw noCopy(path, cause);
    }
    for (let n = 1; ; n++) {
      const free = n === 1 ? path : `${path}.${n}`;
      if (statSync(free, { throwIfNoEntry: false }) === undefined) return free;
    }
  }
}

function noCopy(path: string, cause: unknown): Error {
  return new Error(`cannot keep a copy in ${path}: ${fileProblem(cause) ?? messageOf(cause)}`, { cause });
}

/** Removes the oldest runs until one more may come. That one may have begun already: it stays. */
function prune(root: string, current: string, { runs, bytes }: BackupLimits): void {
  const oldest = runsIn(root)
    .map(({ directory }) => directory)
    .filter((path) => path !== current)
    .map((path) => ({ path, size: sizeOf(path) }));
  let size = oldest.reduce((sum, run) => sum + run.size, 0);
  for (let left = oldest.length; left > 0 && (left >= runs || size > bytes); left--) {
    const run = oldest.shift()!;
    rmSync(run.path, { recursive: true, force: true });
    size -= run.size;
  }
}

/** Bytes of a file, or of all files below a directory. What another run removes meanwhile has none. */
function sizeOf(path: string): number {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory() !== true) return stat?.size ?? 0;
  return namesIn(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0);
}

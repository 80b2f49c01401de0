import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { aboutPath } from './errno.ts';
import { tryLockOpenFile } from './flock.ts';
import { openRegularFile } from './regular-file.ts';

/** A lock that is held until {@link release}, or until this process ends in whatever way. */
export interface FileLock {
  /** Removes the lock file and lets the next one in. */
  release(): void;
}

/**
 * Takes the lock of a file, or says who holds it. The kernel holds it for the open file, so a process that is
 * killed releases it; programs that are started do not inherit it. `holder` is one line that others see meanwhile.
 * Anything but a regular file at that path is an error.
 * Source: flock(2).
 */
export function tryFileLock(path: string, holder: string): FileLock | { heldBy: string } {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  for (;;) {
    const fd = openRegularFile(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    if (!tryLockOpenFile(fd)) {
      const heldBy = readFileSync(fd, 'utf8').trim();
      closeSync(fd);
      return { heldBy };
    }
    // The holder before removes the file while it holds the lock: the opened file may no longer have a name.
    if (isSameFile(fd, path)) {
      try {
        ftruncateSync(fd);
        writeSync(fd, `${holder}\n`);
      } catch (cause) {
        release(fd, path);
        throw aboutPath(cause, path);
      }
      return { release: () => release(fd, path) };
    }
    closeSync(fd);
  }
}

function release(fd: number, path: string): void {
  rmSync(path, { force: true });
  closeSync(fd);
}

function isSameFile(fd: number, path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  return found !== undefined && found.ino === fstatSync(fd).ino;
}

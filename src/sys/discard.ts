import { rmSync } from 'node:fs';
import { isErrno } from './errno.ts';

/**
 * Removes what could not be finished, whether or not there is anything of it. On a file system that is read-only there is nothing, and the removal of
 * nothing is refused all the same: the error that counts is the one before.
 */
export function discard(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch (cause) {
    if (!isErrno(cause, 'EROFS')) throw cause;
  }
}

import { join } from 'node:path';
import { type FileLock, tryFileLock } from '../../sys/file-lock.ts';
import { waitFor } from '../../sys/wait.ts';
import { UserError } from '../../util/errors.ts';
import { RUN_ROOT } from './paths.ts';

/** Longer than any deletion takes. */
const DELETION_MS = 60_000;

/**
 * Lets one process at a time make or remove a cluster of this name. While another one creates it this is refused, with
 * that process's ID; a deletion is waited for, until the signal aborts. A process that was killed holds nothing.
 */
export async function lockCluster(
  cluster: string,
  work: 'create' | 'delete',
  signal?: AbortSignal,
): Promise<FileLock> {
  const path = join(RUN_ROOT, 'clusters', `${cluster}.lock`);
  return waitFor(
    `the deletion of cluster "${cluster}" by another process`,
    () => {
      const lock = tryFileLock(path, `${work} ${process.pid}`);
      if (!('heldBy' in lock)) return lock;
      const [theirs, pid] = lock.heldBy.split(' ');
      if (theirs !== 'create') return undefined;
      throw new UserError(
        `${work} cluster "${cluster}": it is being created by process ${pid}; wait for that, or interrupt it (it removes what it made)`,
      );
    },
    { timeoutMs: DELETION_MS, signal },
  );
}

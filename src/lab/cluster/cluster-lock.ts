import { join } from 'node:path';
import { type FileLock, tryFileLock } from '../../sys/file-lock.ts';
import { waitFor } from '../../sys/wait.ts';
import { UserError } from '../../util/errors.ts';
import { RUN_ROOT } from './paths.ts';

/** Longer than any deletion takes. */
const DELETION_MS = 60_000;

/**
 * Lets one process at a time create or delete a cluster of this name. Throws while another process creates it, with that
 * process's ID; waits for a deletion, until the signal aborts. A process that was killed holds no lock.
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
        `cannot ${work} cluster "${cluster}": process ${pid} is creating it; wait until that ends, or interrupt it (it then removes what it created)`,
      );
    },
    { timeoutMs: DELETION_MS, signal },
  );
}

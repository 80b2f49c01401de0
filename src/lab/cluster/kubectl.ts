import { constants } from 'node:fs';
import { access, mkdir, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { ignoring } from '../../sys/errno.ts';
import { fileProblem } from '../../sys/file-problem.ts';
import { releaseCache } from '../engine/kubernetes/release-cache.ts';
import { RELEASE } from '../kubernetes/release.ts';
import { clusterPaths } from './paths.ts';
import type { ClusterRecord } from './record.ts';

/**
 * A directory with the kubectl of the release that a cluster runs, or whose API it serves, and nothing else; undefined where this machine has
 * none, or the directory cannot be made: then it is any kubectl, which says itself when it is too old or too new.
 */
export async function matchingKubectl(
  { name, engine }: Pick<ClusterRecord, 'name' | 'engine'>,
  { env, stateRoot }: { env?: Record<string, string | undefined>; stateRoot?: string } = {},
): Promise<string | undefined> {
  const release = engine?.kind === 'kubernetes' ? engine.directory : releaseCache(RELEASE.version, env);
  const program = join(release, 'kubectl');
  const isThere = await access(program, constants.X_OK).then(
    () => true,
    ignoring('ENOENT', 'ENOTDIR', 'EACCES'),
  );
  if (isThere !== true) return undefined;
  const { bin } = clusterPaths(name, stateRoot);
  const fresh = join(bin, `.kubectl-${process.pid}`);
  try {
    await mkdir(bin, { recursive: true });
    // A process of the same number may have been killed before it gave its link the name.
    await rm(fresh, { force: true });
    await symlink(program, fresh);
    await rename(fresh, join(bin, 'kubectl'));
  } catch (cause) {
    // On a disk that is full or read-only, for instance. It is a convenience: without it the command that needs it works with any other kubectl.
    if (fileProblem(cause) === undefined) throw cause;
    return undefined;
  }
  return bin;
}

import { constants } from 'node:fs';
import { access, mkdir, rename, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { ignoring } from '../../sys/errno.ts';
import { releaseCache } from '../engine/kubernetes/release-cache.ts';
import { RELEASE } from '../kubernetes/release.ts';
import { clusterPaths } from './paths.ts';
import type { ClusterRecord } from './record.ts';

/**
 * A directory with the kubectl of the release that a cluster runs, or whose API it serves, and nothing else; undefined where this machine has
 * none: then it is any kubectl, which says itself when it is too old or too new.
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
  await mkdir(bin, { recursive: true });
  const fresh = join(bin, `.kubectl-${process.pid}`);
  await symlink(program, fresh);
  await rename(fresh, join(bin, 'kubectl'));
  return bin;
}

import type { NodeReport } from '../path/model/node-report.ts';
import { known } from '../path/model/observed.ts';

/**
 * Throws unless the directories of the CNI that the node's runtime uses are the node's, for an agent in a container: what is not mounted there
 * is empty, which is not so on the node. The message names them, and the options by which they are mounted.
 */
export function checkDirectories({ cni, runtime }: Pick<NodeReport, 'cni' | 'runtime'>): void {
  // A runtime that does not answer names none; that is reported by itself.
  if ('unknown' in runtime) return;
  const isOfContainer = (directory: string) =>
    known(cni.mounts)?.find(({ path }) => path === directory)?.point === '/';
  const missing = [cni.confDir, ...cni.binDirs].filter(isOfContainer);
  if (missing.length === 0) return;
  const options = [
    ['--cni-conf-dir', cni.confDir],
    ...cni.binDirs.map((directory) => ['--cni-bin-dir', directory]),
  ];
  throw new Error(
    `the runtime of this node uses ${missing.join(' and ')}, which the agent does not see; install it with ${options.flat().join(' ')}`,
  );
}

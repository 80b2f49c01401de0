import { existsSync } from 'node:fs';
import { loadKubeconfig } from '../../kube/kubeconfig.ts';
import { clusterPaths } from './paths.ts';
import { type ClusterRecord, listClusters, readRecord } from './record.ts';

/**
 * The cluster of the lab whose certificate authority this is: every cluster has one of its own, so whatever a context is called, and by
 * whichever address it is reached, it is that cluster's own. Undefined when it is of no cluster of the lab. For root only.
 */
export async function clusterOfAuthority(ca: string): Promise<ClusterRecord | undefined> {
  for (const name of await listClusters()) {
    const { innerKubeconfig } = clusterPaths(name);
    // One that is being created has none yet.
    if (!existsSync(innerKubeconfig)) continue;
    const own = await loadKubeconfig(innerKubeconfig);
    if (own.ca?.trim() === ca.trim()) return readRecord(name);
  }
  return undefined;
}

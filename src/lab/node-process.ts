import { readFile } from 'node:fs/promises';
import { clusterPaths } from './paths.ts';

/** Host PID of a node's PID 1, as runc wrote it at creation. */
export async function readContainerPid(cluster: string, node: string): Promise<number> {
  return Number(await readFile(clusterPaths(cluster).node(node).pidFile, 'utf8'));
}

import type { Exec } from '../../sys/exec.ts';
import { exists } from '../../sys/files.ts';
import { clusterPaths } from './paths.ts';
import { listClusters, type NodeRecord, readRecord } from './record.ts';
import { Runc } from './runc.ts';

/** A node as `hostport ps` shows it. */
export interface NodeStatus extends NodeRecord {
  cluster: string;
  /** runc's word for the state of its container, or `missing`. */
  status: string;
  /** Host PID of its PID 1; 0 when it does not run. */
  pid: number;
}

/** All nodes of all clusters of this machine with the state of their containers. */
export async function listNodes(exec: Exec): Promise<NodeStatus[]> {
  const nodes: NodeStatus[] = [];
  for (const cluster of await listClusters()) {
    const record = await readRecord(cluster);
    if (record === undefined) continue;
    const { runc } = clusterPaths(cluster);
    const containers = (await exists(runc)) ? await new Runc(exec, runc).list() : [];
    for (const node of record.nodes) {
      const container = containers.find(({ id }) => id === node.name);
      nodes.push({ ...node, cluster, status: container?.status ?? 'missing', pid: container?.pid ?? 0 });
    }
  }
  return nodes;
}

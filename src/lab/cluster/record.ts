import { mkdir } from 'node:fs/promises';
import { calledAs } from '../../sys/called-as.ts';
import { namesIn } from '../../sys/directories.ts';
import { readIfExists, writeFileAtomic } from '../../sys/files.ts';
import { InputError, UserError } from '../../util/errors.ts';
import { unknownName } from '../../util/unknown-name.ts';
import type { ClusterConfig } from './config/types.ts';
import { clusterPaths, STATE_ROOT } from './paths.ts';

/** One node as it was laid out at creation. */
export interface NodeRecord {
  name: string;
  role: 'control-plane' | 'worker';
  /** Address on the node network. */
  address: string;
}

/** What the control plane and the kubelets of a cluster are: the lab's own, or those of a release of Kubernetes from a directory. */
export type EngineRecord = { kind: 'own' } | { kind: 'kubernetes'; version: string; directory: string };

/** What is remembered of a cluster: enough to find everything of it again after a crash. */
export interface ClusterRecord {
  name: string;
  config: ClusterConfig;
  /** Absent in a record of a version that knew the lab's own engine only. */
  engine?: EngineRecord;
  /** The containerd of its nodes; absent where it is the machine's own. */
  containerd?: { version: string; directory: string };
  nodes: NodeRecord[];
  /** Loopback port of the machine that leads to the API server; 0 until one is bound. */
  apiServerPort: number;
  /** Directory of the node image its nodes are made from; unset until that is known. */
  nodeImage?: string;
  /** Absolute path of the kubeconfig file the context was merged into. */
  kubeconfig: string;
}

export async function writeRecord(record: ClusterRecord): Promise<void> {
  const paths = clusterPaths(record.name);
  await mkdir(paths.root, { recursive: true, mode: 0o700 });
  await writeFileAtomic(paths.record, `${JSON.stringify(record, null, 2)}\n`, 0o600);
}

/** The record of a cluster, or undefined when there is no such cluster. */
export async function readRecord(cluster: string): Promise<ClusterRecord | undefined> {
  return recordAt(clusterPaths(cluster).record);
}

/**
 * As {@link readRecord}, by the path of the record. One that is damaged is as good as none: its cluster can be deleted, as one whose creation
 * was interrupted, and is in the way of no other.
 */
export async function recordAt(path: string): Promise<ClusterRecord | undefined> {
  const text = await readIfExists(path);
  if (text === undefined) return undefined;
  try {
    const record = JSON.parse(text) as Partial<ClusterRecord> | null;
    return Array.isArray(record?.nodes) && Array.isArray(record.config?.nodes)
      ? (record as ClusterRecord)
      : undefined;
  } catch (cause) {
    if (cause instanceof SyntaxError) return undefined;
    throw cause;
  }
}

/** The record of a cluster that must exist; otherwise an {@link InputError} names those that do. */
export async function requireRecord(cluster: string): Promise<ClusterRecord> {
  const record = await readRecord(cluster);
  if (record !== undefined) return record;
  const known = await listClusters();
  if (known.includes(cluster)) {
    throw new UserError(
      `cluster "${cluster}" is incomplete: it is still being created, its creation or deletion was interrupted, or its record is damaged; if no command is working on it, delete it with "${calledAs()} delete cluster --name ${cluster}"`,
    );
  }
  throw new InputError(
    `cluster "${cluster}" does not exist; ${
      known.length === 0
        ? `create one with "${calledAs()} create cluster"`
        : `choose one of these with --name: ${known.join(', ')}`
    }`,
  );
}

/** Names of all clusters on this machine, sorted; one whose creation died half way is among them. */
export async function listClusters(): Promise<string[]> {
  // Whoever creates another tries, under a name that no cluster may have, whether it can write here.
  return namesIn(STATE_ROOT).filter((name) => !name.startsWith('.'));
}

/** Node images that clusters of this machine are made from. */
export async function imagesInUse(): Promise<string[]> {
  const records = await Promise.all((await listClusters()).map(readRecord));
  return records.flatMap((record) => (record?.nodeImage === undefined ? [] : [record.nodeImage]));
}

/** Names of the clusters of which a node has `path` of this machine, or something in it, mounted. */
export async function mountedBy(path: string): Promise<string[]> {
  const records = await Promise.all((await listClusters()).map(readRecord));
  return records.flatMap((record) =>
    record !== undefined && mounts(record.config, path) ? [record.name] : [],
  );
}

/** Whether a node of a cluster has `path` of this machine, or something in it, mounted. */
export function mounts(config: ClusterConfig, path: string): boolean {
  return config.nodes.some(({ extraMounts }) =>
    extraMounts.some(({ hostPath }) => hostPath === path || hostPath.startsWith(`${path}/`)),
  );
}

/**
 * Refuses a node that a cluster does not have, whatever is attempted with it: "nothing to do" would read as good news.
 * @throws InputError
 */
export function requireNodes(
  attempt: string,
  { name, nodes }: Pick<ClusterRecord, 'name' | 'nodes'>,
  wanted: readonly string[],
): void {
  const known = nodes.map((node) => node.name);
  const missing = wanted.find((node) => !known.includes(node));
  if (missing !== undefined)
    throw unknownName({ attempt, name: missing, where: `in cluster "${name}"`, known });
}

/** The record of a node by its name, in whatever cluster of this machine it is. */
export async function findNode(name: string): Promise<{ cluster: ClusterRecord; node: NodeRecord }> {
  const names: string[] = [];
  for (const cluster of await listClusters()) {
    const record = await readRecord(cluster);
    for (const node of record?.nodes ?? []) {
      if (node.name === name) return { cluster: record!, node };
      names.push(node.name);
    }
  }
  throw unknownName({
    attempt: 'reach the node',
    name,
    where: 'on this machine',
    known: names,
    ifNone: `there is no cluster; create one with "${calledAs()} create cluster"`,
  });
}

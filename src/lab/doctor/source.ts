import { readClusterObjects } from '../../collect/cluster-objects.ts';
import { ApiClient } from '../../kube/client.ts';
import { loadKubeconfig } from '../../kube/kubeconfig.ts';
import { probeWorld } from '../../node/probe/probing.ts';
import type { World } from '../../path/model/world.ts';
import { standsInLab } from '../cluster/inside.ts';
import { clusterPaths } from '../cluster/paths.ts';
import type { ClusterRecord } from '../cluster/record.ts';
import type { LabPlaces } from './places.ts';

export interface LabWorldOptions {
  /** Whether to send probes. */
  probes: boolean;
  /** Deadline of one probe in milliseconds. Default 1000. */
  probeTimeoutMs?: number;
  /** The nodes that are asked for reports, and whose pods are probed; all when absent or undefined. What it throws ends the collection. */
  choose?: (objects: Pick<World, 'nodes' | 'pods'>) => ReadonlySet<string> | undefined;
  signal?: AbortSignal;
}

/**
 * Observes a lab cluster: its API objects, a report of every node, and probes from every vantage. A node that does not answer is
 * unknown.
 */
export async function collectLabWorld(places: LabPlaces, options: LabWorldOptions): Promise<World> {
  const { signal, choose } = options;
  const { record } = places;
  const reading = readClusterObjects(await labClient(record), signal);
  // A choice needs the objects; without one, nodes are asked meanwhile.
  const chosen = choose?.(await reading);
  const asked = record.nodes.filter(({ name }) => chosen?.has(name) ?? true);
  const [objects, ...reports] = await Promise.all([
    reading,
    ...asked.map(async ({ name }) => [name, await places.report(name, signal)] as const),
  ]);
  const world: World = {
    observedAt: new Date().toISOString(),
    ...objects,
    reports: new Map(reports),
    probes: [],
  };
  if (!options.probes) return world;
  const probed = world.pods.filter(({ spec }) => chosen?.has(spec?.nodeName ?? '') ?? true);
  const door = places.probeDoor(options.probeTimeoutMs);
  return { ...world, probes: await probeWorld({ ...world, pods: probed }, door, signal) };
}

/**
 * A client of a lab's API. The nodes' network is reached from inside the lab only; from anywhere else the API is on the machine's
 * loopback.
 */
export async function labClient(record: ClusterRecord): Promise<ApiClient> {
  const access = await loadKubeconfig(clusterPaths(record.name).innerKubeconfig);
  const server = standsInLab(record) ? access.server : `https://127.0.0.1:${record.apiServerPort}`;
  return new ApiClient({ ...access, server, proxy: false, userAgent: 'hostport' });
}

import { type ApiClient, hasReason } from '../../kube/client.ts';
import { events, nodes, pods, type Resource, services } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import type { NetworkPolicy, World } from '../../path/world.ts';
import { slimEvent, slimNode, slimPod, slimPolicy, slimService } from './objects.ts';

/** The part of a world that the API knows. */
export type ClusterObjects = Pick<World, 'nodes' | 'pods' | 'services' | 'events' | 'policies'>;

const networkPolicies: Resource<NetworkPolicy & KubeObject> = {
  group: 'networking.k8s.io',
  version: 'v1',
  plural: 'networkpolicies',
  kind: 'NetworkPolicy',
  namespaced: true,
};

/** So many objects an answer: what one holds in memory before it is slimmed. */
const PAGE = 500;

/** Reads what the path needs of a cluster's objects. Rejects with the API's error when one kind cannot be listed. */
export async function readClusterObjects(client: ApiClient, signal?: AbortSignal): Promise<ClusterObjects> {
  const [allNodes, allPods, allServices, allEvents, allPolicies] = await Promise.all([
    listAll(client, nodes, slimNode, signal),
    listAll(client, pods, slimPod, signal),
    listAll(client, services, slimService, signal),
    listAll(client, events, slimEvent, signal),
    listAll(
      client,
      networkPolicies,
      (policy) => slimPolicy(policy) as NetworkPolicy & KubeObject,
      signal,
    ).catch((error: unknown) => {
      // An API server that does not serve the kind has none of it.
      if (hasReason(error, 'NotFound')) return [];
      throw error;
    }),
  ]);
  return {
    nodes: allNodes,
    pods: allPods,
    services: allServices,
    events: allEvents,
    policies: allPolicies,
  };
}

async function listAll<T extends KubeObject>(
  client: ApiClient,
  resource: Resource<T>,
  slim: (object: T) => T,
  signal?: AbortSignal,
): Promise<T[]> {
  const found: T[] = [];
  let next: string | undefined;
  do {
    signal?.throwIfAborted();
    const page = await client.list(resource, { limit: PAGE, ...(next ? { continue: next } : {}) });
    for (const object of page.items) found.push(slim(object));
    next = page.metadata.continue;
  } while (next !== undefined && next !== '');
  return found;
}

import { type ApiClient, hasReason } from '../../kube/client.ts';
import { events, nodes, pods, type Resource, services } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import type { NetworkPolicy, World } from '../../path/world.ts';
import { messageOf } from '../../util/errors.ts';
import { slim } from './objects.ts';

/** The part of a world that the API knows. */
export type ClusterObjects = Pick<World, 'nodes' | 'pods' | 'services' | 'events' | 'policies' | 'unread'>;

const networkPolicies: Resource<NetworkPolicy & KubeObject> = {
  group: 'networking.k8s.io',
  version: 'v1',
  plural: 'networkpolicies',
  kind: 'NetworkPolicy',
  namespaced: true,
};

/** So many objects an answer: what one holds in memory before it is slimmed. */
const PAGE = 500;

/**
 * Reads what the path needs of a cluster's objects. Without nodes or pods there is nothing to say, so it rejects with the API's error
 * when these cannot be listed; a kind of the others that whoever asks may not list is unread.
 */
export async function readClusterObjects(client: ApiClient, signal?: AbortSignal): Promise<ClusterObjects> {
  const unread: { what: string; why: string }[] = [];
  const ifAllowed = async <T>(what: string, listed: Promise<T[]>): Promise<T[]> => {
    try {
      return await listed;
    } catch (error) {
      if (!hasReason(error, 'Forbidden')) throw error;
      unread.push({ what, why: messageOf(error) });
      return [];
    }
  };
  const [allNodes, allPods, allServices, allEvents, allPolicies] = await Promise.all([
    listAll(client, nodes, slim.nodes, signal),
    listAll(client, pods, slim.pods, signal),
    ifAllowed('services', listAll(client, services, slim.services, signal)),
    ifAllowed('events', listAll(client, events, slim.events, signal)),
    ifAllowed(
      'network policies',
      listAll(
        client,
        networkPolicies,
        slim.policies as (policy: unknown) => NetworkPolicy & KubeObject,
        signal,
      ).catch((error: unknown) => {
        // An API server that does not serve the kind has none of it.
        if (hasReason(error, 'NotFound')) return [];
        throw error;
      }),
    ),
  ]);
  return {
    nodes: allNodes,
    pods: allPods,
    services: allServices,
    events: allEvents,
    policies: allPolicies,
    ...(unread.length === 0 ? {} : { unread }),
  };
}

async function listAll<T extends KubeObject>(
  client: ApiClient,
  resource: Resource<T>,
  parse: (object: unknown) => T,
  signal?: AbortSignal,
): Promise<T[]> {
  const found: T[] = [];
  let next: string | undefined;
  do {
    signal?.throwIfAborted();
    const page = await client.list(resource, { limit: PAGE, ...(next ? { continue: next } : {}) });
    for (const object of page.items) found.push(parse(object));
    next = page.metadata.continue;
  } while (next !== undefined && next !== '');
  return found;
}

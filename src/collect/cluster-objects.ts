import { type ApiClient, hasReason, type ListOptions } from '../kube/client.ts';
import { listPages } from '../kube/pages.ts';
import { events, nodes, pods, type Resource, services } from '../kube/resources.ts';
import type { KubeObject } from '../kube/types.ts';
import type { NetworkPolicy, World } from '../path/model/world.ts';
import { messageOf } from '../util/errors.ts';
import { ObjectReader } from './objects.ts';

/** The part of a world that the API knows. */
export type ClusterObjects = Pick<World, 'nodes' | 'pods' | 'services' | 'events' | 'policies' | 'unread'>;

const networkPolicies: Resource<NetworkPolicy & KubeObject> = {
  group: 'networking.k8s.io',
  version: 'v1',
  plural: 'networkpolicies',
  kind: 'NetworkPolicy',
  namespaced: true,
};

/** How many objects an answer has, which are in memory at once before they are slimmed. */
const PAGE = 1000;

/**
 * The Events that the path needs: what went wrong, and to which node the scheduler assigned a pod. Each start and end of a container is several others,
 * which are kept for an hour: in a cluster where pods come and go, almost all.
 */
const EVENTS = ['type!=Normal', 'type=Normal,reason=Scheduled'];

/**
 * Reads the objects of a cluster that the path needs. Without pods there is nothing to diagnose, so it rejects with the API's error when
 * these cannot be listed; any other kind that the user may not list is unread. Kubernetes' role `view` is without nodes.
 */
export async function readClusterObjects(
  client: Pick<ApiClient, 'list'>,
  signal?: AbortSignal,
): Promise<ClusterObjects> {
  const unread: NonNullable<World['unread']>[number][] = [];
  const readers = {
    nodes: new ObjectReader('nodes', 'nodes'),
    pods: new ObjectReader('pods', 'pods'),
    services: new ObjectReader('services', 'services'),
    events: new ObjectReader('events', 'events'),
    policies: new ObjectReader('policies', 'network policies'),
  };
  const ifAllowed = async (what: string, listed: Promise<void>): Promise<void> => {
    try {
      await listed;
    } catch (error) {
      if (!hasReason(error, 'Forbidden')) throw error;
      unread.push({ kind: 'objects', what, why: messageOf(error) });
    }
  };
  await Promise.all([
    ifAllowed('nodes', listAll(client, nodes, readers.nodes, signal)),
    listAll(client, pods, readers.pods, signal),
    ifAllowed('services', listAll(client, services, readers.services, signal)),
    ifAllowed('events', listEvents(client, readers.events, signal)),
    ifAllowed(
      'network policies',
      listAll(client, networkPolicies, readers.policies, signal).catch((error: unknown) => {
        // An API server that does not serve the kind has none of it.
        if (!hasReason(error, 'NotFound')) throw error;
      }),
    ),
  ]);
  unread.push(...Object.values(readers).flatMap((reader) => reader.unread));
  return {
    nodes: readers.nodes.objects,
    pods: readers.pods.objects,
    services: readers.services.objects,
    events: readers.events.objects,
    policies: readers.policies.objects,
    ...(unread.length === 0 ? {} : { unread }),
  };
}

/** The nodes of a cluster and, where they are wanted, its pods. */
export async function readNodes(
  client: Pick<ApiClient, 'list'>,
  { withPods, signal }: { withPods: boolean; signal: AbortSignal },
): Promise<Pick<World, 'nodes' | 'pods'>> {
  const readers = { nodes: new ObjectReader('nodes', 'nodes'), pods: new ObjectReader('pods', 'pods') };
  await Promise.all([
    listAll(client, nodes, readers.nodes, signal),
    withPods ? listAll(client, pods, readers.pods, signal) : undefined,
  ]);
  return { nodes: readers.nodes.objects, pods: readers.pods.objects };
}

async function listEvents(
  client: Pick<ApiClient, 'list'>,
  reader: Reader,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const fieldSelector of EVENTS) await listAll(client, events, reader, signal, { fieldSelector });
}

interface Reader {
  add(items: Iterable<unknown>): void;
}

async function listAll<T extends KubeObject>(
  client: Pick<ApiClient, 'list'>,
  resource: Resource<T>,
  reader: Reader,
  signal: AbortSignal | undefined,
  which: Pick<ListOptions, 'fieldSelector'> = {},
): Promise<void> {
  for await (const { items } of listPages(client, resource, { ...which, limit: PAGE }, signal))
    reader.add(items);
}

import { ObjectReader } from '../collect/objects.ts';
import type { ApiClient } from '../kube/client.ts';
import { Informer } from '../kube/informer.ts';
import { nodes, pods, type Resource, services } from '../kube/resources.ts';
import type { KubeObject } from '../kube/types.ts';
import type { NodeObjects } from './node-patient.ts';

/** Keeps a copy of the API objects that concern one node. */
export interface ObjectWatch extends NodeObjects {
  /** Resolves once every kind has been listed. */
  readonly synced: Promise<void>;
  run(signal: AbortSignal): Promise<void>;
}

export interface ObjectWatchOptions {
  client: ApiClient;
  node: string;
  /** Called when a pod of the node, the node, or a Service has changed. */
  changed(): void;
  /** Called for every failed list or watch, which is tried again. */
  onError(error: unknown): void;
}

/**
 * Watches the pods of one node, the node itself and Services: all that healing the node's hostPorts needs, and all that the agent's role
 * allows. Events are only evidence, and failures that a network policy causes are not healed, so neither is read.
 */
export function watchNodeObjects({ client, node, changed, onError }: ObjectWatchOptions): ObjectWatch {
  const inform = <T extends KubeObject>(resource: Resource<T>, fieldSelector?: string) =>
    new Informer(client, resource, { ...(fieldSelector && { fieldSelector }), onError }).handle({
      onAdd: changed,
      onDelete: changed,
      onUpdate: (now, before) => {
        if (JSON.stringify(relevant(now)) !== JSON.stringify(relevant(before))) changed();
      },
    });
  const informers = {
    nodes: inform(nodes, `metadata.name=${node}`),
    pods: inform(pods, `spec.nodeName=${node}`),
    services: inform(services),
  };
  const all = Object.values(informers);
  return {
    client,
    synced: Promise.all(all.map(({ synced }) => synced)).then(() => {}),
    async run(signal) {
      await Promise.all(all.map((informer) => informer.run(signal)));
    },
    read() {
      const nodes = new ObjectReader('nodes', 'nodes');
      const pods = new ObjectReader('pods', 'pods');
      const services = new ObjectReader('services', 'services');
      nodes.add(informers.nodes.list());
      pods.add(informers.pods.list());
      services.add(informers.services.list());
      return {
        nodes: nodes.objects,
        pods: pods.objects,
        services: services.objects,
        policies: [],
        events: [],
        unread: [
          ...['network policies', 'events'].map((what) => ({
            kind: 'objects' as const,
            what,
            why: 'the agent does not read them',
          })),
          ...[nodes, pods, services].flatMap(({ unread }) => unread),
        ],
      };
    },
  };
}

/** Without what changes all the time: the heartbeat of a node is no reason to look at it. */
function relevant({ metadata, ...object }: KubeObject): unknown {
  const { status, ...rest } = object as { status?: { conditions?: unknown } };
  const { conditions, ...state } = status ?? {};
  return [metadata?.labels, metadata?.annotations, metadata?.deletionTimestamp, rest, state];
}

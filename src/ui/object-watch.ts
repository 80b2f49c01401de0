import type { ApiClient } from '../kube/client.ts';
import { Informer } from '../kube/informer.ts';
import { nodes, pods, type Resource, services } from '../kube/resources.ts';
import type { KubeObject, Node, Pod, Service } from '../kube/types.ts';
import { hostPortsOf } from '../path/model/host-ports.ts';
import { messageOf } from '../util/errors.ts';

/** What a watch of objects reports. */
export interface ObjectListener {
  /** An object has changed in a way that can matter. */
  changed(): void;
  /** Called when all objects are watched, with undefined, and when some cannot be, with the reason; not again while that is the same. */
  watching(trouble: string | undefined): void;
}

/**
 * Watches the objects that hostPorts depend on, until the signal aborts: pods that ask for some, nodes and Services. A heartbeat or an ordinary pod
 * is no change. Survives restarts of the API server, and continues to try what is refused.
 */
export async function watchHostPortObjects(
  client: ApiClient,
  listener: ObjectListener,
  signal: AbortSignal,
): Promise<void> {
  // The resources that cannot be watched, the one that has failed for longest first.
  const failing = new Map<string, string>();
  const watched = new Set<string>();
  let said: { trouble: string | undefined } | undefined;
  const report = () => {
    const [trouble] = failing.values();
    if (trouble === undefined && watched.size < informers.length) return;
    if (said !== undefined && said.trouble === trouble) return;
    said = { trouble };
    listener.watching(trouble);
  };
  const inform = <T extends KubeObject>(resource: Resource<T>, concern: (object: T) => unknown) => {
    const textOf = (object: T) => {
      const what = concern(object);
      return what === undefined ? '' : JSON.stringify(what);
    };
    // A large cluster has tens of thousands of pods, of which nothing but this is looked at.
    const slim = (object: T) => {
      const { name, namespace, resourceVersion } = object.metadata ?? {};
      return { metadata: { name, namespace, resourceVersion }, concern: textOf(object) } as unknown as T;
    };
    const kept = (object: T) => (object as unknown as { concern: string }).concern;
    // What is there at first is no change.
    let isListed = false;
    const tell = (is: string, was: string) => {
      if (isListed && is !== was) listener.changed();
    };
    const { plural } = resource;
    const informer = new Informer(client, resource, {
      slim,
      onError(error) {
        watched.delete(plural);
        failing.set(plural, messageOf(error));
        report();
      },
      onWatch() {
        failing.delete(plural);
        watched.add(plural);
        report();
      },
    }).handle({
      onAdd: (object) => tell(kept(object), ''),
      onDelete: (object) => tell('', kept(object)),
      onUpdate: (object, old) => tell(kept(object), kept(old)),
    });
    informer.synced.then(() => {
      isListed = true;
    });
    return informer;
  };
  const informers = [inform(pods, ofPod), inform(nodes, ofNode), inform(services, ofService)];
  await Promise.all(informers.map((informer) => informer.run(signal)));
}

function ofPod(pod: Pod): unknown {
  const ports = hostPortsOf(pod);
  if (ports.length === 0) return undefined;
  const { metadata, spec, status } = pod;
  return [
    metadata?.uid,
    metadata?.deletionTimestamp,
    metadata?.labels,
    spec?.nodeName,
    ports,
    status?.phase,
    status?.podIPs,
    status?.conditions?.map(({ type, status: is }) => [type, is]),
    status?.containerStatuses?.map(({ name, state }) => [name, state]),
  ];
}

function ofNode({ metadata, spec, status }: Node): unknown {
  return [
    metadata?.uid,
    spec,
    status?.addresses,
    status?.conditions?.map(({ type, status: is }) => [type, is]),
  ];
}

function ofService({ metadata, spec, status }: Service): unknown {
  const { type, externalIPs, ports } = spec ?? {};
  // A Service inside the cluster takes no port of a node.
  const isOutside = type === 'NodePort' || type === 'LoadBalancer' || (externalIPs?.length ?? 0) > 0;
  return isOutside ? [metadata?.uid, type, externalIPs, ports, status?.loadBalancer] : undefined;
}

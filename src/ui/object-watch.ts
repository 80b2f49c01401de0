import type { ApiClient } from '../kube/client.ts';
import { Informer } from '../kube/informer.ts';
import { nodes, pods, type Resource, services } from '../kube/resources.ts';
import type { KubeObject, Node, Pod, Service } from '../kube/types.ts';
import { hostPortsOf } from '../path/model/host-ports.ts';

/**
 * Watches the objects that hostPorts depend on, until the signal aborts: pods that ask for some, nodes and Services. Calls `changed` for each change
 * that can matter; a heartbeat or an ordinary pod is none. Survives restarts of the API server.
 */
export async function watchHostPortObjects(
  client: ApiClient,
  changed: () => void,
  onError: (error: unknown) => void,
  signal: AbortSignal,
): Promise<void> {
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
      if (isListed && is !== was) changed();
    };
    const informer = new Informer(client, resource, { onError, slim }).handle({
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

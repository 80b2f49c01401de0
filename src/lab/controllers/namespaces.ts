import { hasReason } from '../../kube/client.ts';
import { events, namespaces, type Resource } from '../../kube/resources.ts';
import { timestamp } from '../../kube/time.ts';
import type { KubeObject, Namespace } from '../../kube/types.ts';
import { type Controller, type ControllerContext, ControllerQueue } from './context.ts';
import { customResources } from './custom-resources.ts';
import { Newest } from './newest.ts';
import { SERVED } from './served.ts';

const FINALIZER = 'kubernetes';
/** When content remains that nobody reports on (a finalizer that is waited for), it is looked at again after this long. */
const LOOK_AGAIN_MS = 5_000;

/**
 * Empties namespaces that are being deleted, and lets them go when nothing is left in them. Asks the API what there is,
 * not a cache: what a cache does not show would be lost in a namespace that is gone.
 */
export function namespaceController(context: ControllerContext): Controller {
  const { client, informers, clock } = context;
  const informer = informers.of(namespaces);
  const newest = new Newest(client, namespaces, informer);
  const queue = new ControllerQueue(context, 'namespace', sync);
  const contents = [...SERVED.filter((resource) => resource.namespaced), events as Resource<KubeObject>];
  informer.handle({
    onAdd: (namespace) => {
      if (isEnding(namespace)) queue.add(namespace.metadata!.name!);
    },
    onUpdate: (namespace) => {
      if (isEnding(namespace)) queue.add(namespace.metadata!.name!);
    },
  });
  // What waits longest is a pod that ends gracefully: its end is when to look again.
  for (const resource of SERVED.filter((candidate) => candidate.namespaced)) {
    informers.of(resource).handle({
      onDelete: (object) => {
        const namespace = informer.get(object.metadata?.namespace ?? '');
        if (namespace !== undefined && isEnding(namespace)) queue.add(namespace.metadata!.name!);
      },
    });
  }

  async function sync(name: string): Promise<void> {
    const namespace = newest.get(name);
    if (namespace === undefined || !isEnding(namespace)) return;
    if (!namespace.spec?.finalizers?.includes(FINALIZER)) return;
    const left: { resource: Resource<KubeObject>; objects: KubeObject[] }[] = [];
    const custom = (await customResources(client)).filter((resource) => resource.namespaced);
    for (const resource of [...contents, ...custom]) {
      const { items } = await client.list(resource, { namespace: name });
      for (const object of items)
        if (object.metadata?.deletionTimestamp === undefined) await remove(resource, object);
      const remaining = items.length === 0 ? [] : (await client.list(resource, { namespace: name })).items;
      if (remaining.length > 0) left.push({ resource, objects: remaining });
    }
    if (left.length > 0) {
      await report(namespace, left);
      return queue.addAfter(name, LOOK_AGAIN_MS);
    }
    const finalizers = namespace.spec.finalizers.filter((finalizer) => finalizer !== FINALIZER);
    try {
      await client.update(namespaces, { ...namespace, spec: { ...namespace.spec, finalizers } }, 'finalize');
      context.log(`namespace ${name} is empty and may go`);
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error;
    }
  }

  async function remove(resource: Resource<KubeObject>, object: KubeObject): Promise<void> {
    const { name, namespace, uid } = object.metadata!;
    const propagationPolicy = 'Background';
    try {
      await client.delete(resource, name!, namespace, { propagationPolicy, preconditions: { uid } });
    } catch (error) {
      if (!hasReason(error, 'NotFound', 'Conflict')) throw error;
    }
  }

  /** Says in the namespace's status what it waits for. */
  async function report(
    namespace: Namespace,
    left: readonly { resource: Resource<KubeObject>; objects: KubeObject[] }[],
  ): Promise<void> {
    const kinds = left.map(({ resource, objects }) => {
      const group = resource.group === '' ? resource.plural : `${resource.plural}.${resource.group}`;
      return `${group} has ${objects.length} resource instances`;
    });
    const message = `Some resources are remaining: ${kinds.join(', ')}`;
    const type = 'NamespaceContentRemaining';
    const before = namespace.status?.conditions ?? [];
    const known = before.find((condition) => condition.type === type);
    if (known?.message === message) return;
    const condition = {
      type,
      status: 'True',
      reason: 'SomeResourcesRemain',
      message,
      lastTransitionTime: known?.lastTransitionTime ?? timestamp(clock.now()),
    };
    const conditions = [...before.filter((other) => other.type !== type), condition];
    await newest.writeStatus({ ...namespace, status: { ...namespace.status, conditions } });
  }

  return { start: () => queue.start() };
}

function isEnding(namespace: Namespace): boolean {
  return namespace.metadata?.deletionTimestamp !== undefined;
}

import { hasReason } from '../../../kube/client.ts';
import { endpointSlices, endpoints, keyOf, pods, services } from '../../../kube/resources.ts';
import { hasLabels } from '../../../kube/selectors/requirement.ts';
import type { EndpointSlice, Pod, Service } from '../../../kube/types.ts';
import { type Controller, type ControllerContext, ControllerQueue } from '../context.ts';
import { Newest } from '../newest.ts';
import { controllerReference, isControlledBy } from '../ownership.ts';
import { readyCondition } from '../pod-state.ts';
import { canonical } from '../template-hash.ts';
import { endpointsSubsets, planSlices, type SliceContent, sliceContents } from './plan.ts';

const SERVICE_NAME = 'kubernetes.io/service-name';
const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by';
const MANAGER = 'endpointslice-controller.k8s.io';

/**
 * Keeps the Endpoints and EndpointSlices of every Service that has a selector. Those of a Service without one (the
 * `kubernetes` Service among them) are somebody else's.
 */
export function endpointsController(context: ControllerContext): Controller {
  const { client, informers } = context;
  const serviceInformer = informers.of(services);
  const podInformer = informers.of(pods);
  const endpointsInformer = informers.of(endpoints);
  const newestEndpoints = new Newest(client, endpoints, endpointsInformer);
  const sliceInformer = informers.of(endpointSlices);
  const newestSlices = new Newest(client, endpointSlices, sliceInformer);
  const queue = new ControllerQueue(context, 'endpoints', sync);
  const enqueueServicesOf = (pod: Pod) => {
    for (const service of serviceInformer.list()) {
      if (service.metadata?.namespace !== pod.metadata?.namespace || !hasSelector(service)) continue;
      if (hasLabels(service.spec!.selector!, pod.metadata?.labels)) queue.add(keyOf(service));
    }
  };
  podInformer.handle({
    onAdd: enqueueServicesOf,
    onUpdate: (pod, old) => {
      if (endpointInputs(pod) === endpointInputs(old)) return;
      enqueueServicesOf(old);
      enqueueServicesOf(pod);
    },
    onDelete: enqueueServicesOf,
  });
  serviceInformer.handle({
    onAdd: (service) => queue.add(keyOf(service)),
    onUpdate: (service) => queue.add(keyOf(service)),
    onDelete: (service) => queue.add(keyOf(service)),
  });
  endpointsInformer.handle({ onDelete: (object) => queue.add(keyOf(object)) });
  const enqueueServiceOf = (slice: EndpointSlice) => {
    const name = slice.metadata?.labels?.[SERVICE_NAME];
    if (name !== undefined) queue.add(`${slice.metadata!.namespace}/${name}`);
  };
  sliceInformer.handle({ onUpdate: enqueueServiceOf, onDelete: enqueueServiceOf });

  async function sync(key: string): Promise<void> {
    const service = serviceInformer.store.get(key);
    if (service === undefined) {
      // The slices go with their owner; Endpoints have none, they only share the name.
      const orphan = endpointsInformer.store.get(key);
      if (orphan !== undefined) await dropEndpoints(orphan.metadata!.name!, orphan.metadata!.namespace!);
      return;
    }
    if (!hasSelector(service) || service.metadata?.deletionTimestamp !== undefined) return;
    const all = podInformer.list();
    await writeEndpoints(key, service, all);
    await writeSlices(service, all);
  }

  async function dropEndpoints(name: string, namespace: string): Promise<void> {
    try {
      // The cache of Services may be behind that of Endpoints.
      await client.get(services, name, namespace);
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error;
      await client.delete(endpoints, name, namespace).catch((failure) => {
        if (!hasReason(failure, 'NotFound')) throw failure;
      });
    }
  }

  async function writeEndpoints(key: string, service: Service, all: readonly Pod[]): Promise<void> {
    const subsets = endpointsSubsets(service, all);
    const { name, namespace, labels } = service.metadata!;
    const current = newestEndpoints.get(key);
    if (current === undefined) {
      await client.create(endpoints, { metadata: { name, namespace, labels }, subsets });
      return;
    }
    if (canonical(current.subsets ?? []) === canonical(subsets)) return;
    await newestEndpoints.update({ ...current, subsets });
  }

  async function writeSlices(service: Service, all: readonly Pod[]): Promise<void> {
    const { name, namespace } = service.metadata!;
    const mine = newestSlices
      .list()
      .filter(
        (slice) =>
          slice.metadata?.namespace === namespace &&
          slice.metadata?.labels?.[SERVICE_NAME] === name &&
          slice.metadata?.labels?.[MANAGED_BY] === MANAGER &&
          isControlledBy(slice, service),
      );
    const plan = planSlices(mine, sliceContents(service, all));
    for (const { slice, content } of plan.update) await newestSlices.update({ ...slice, ...content });
    const names = new Set(mine.map((slice) => slice.metadata!.name!));
    for (const content of plan.create) names.add(await createSlice(service, content, names));
    for (const slice of plan.delete) {
      try {
        await client.delete(endpointSlices, slice.metadata!.name!, namespace);
      } catch (error) {
        if (!hasReason(error, 'NotFound')) throw error;
      }
    }
  }

  /**
   * Slices are numbered, not named at random as Kubernetes does: when the cache is behind, a second try collides with the
   * first instead of doubling it.
   */
  async function createSlice(
    service: Service,
    content: SliceContent,
    taken: ReadonlySet<string>,
  ): Promise<string> {
    const { name: serviceName, namespace, uid } = service.metadata!;
    let index = 0;
    while (taken.has(`${serviceName}-${uid!.slice(0, 5)}${index}`)) index++;
    const name = `${serviceName}-${uid!.slice(0, 5)}${index}`;
    await client.create(endpointSlices, {
      metadata: {
        name,
        namespace,
        labels: { [SERVICE_NAME]: serviceName!, [MANAGED_BY]: MANAGER },
        ownerReferences: [controllerReference(services, service)],
      },
      addressType: 'IPv4',
      ...content,
    });
    return name;
  }

  return { start: () => queue.start() };
}

function hasSelector(service: Service): boolean {
  return Object.keys(service.spec?.selector ?? {}).length > 0 && service.spec?.type !== 'ExternalName';
}

/** What of a pod shows in an endpoint. */
function endpointInputs(pod: Pod): string {
  const { metadata, status, spec } = pod;
  return canonical([
    metadata?.uid,
    metadata?.labels,
    metadata?.deletionTimestamp !== undefined,
    status?.podIP,
    status?.phase,
    readyCondition(pod)?.status,
    spec?.nodeName,
  ]);
}

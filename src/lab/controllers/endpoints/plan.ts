import { isTerminal } from '../../../kube/placement.ts';
import { hasLabels } from '../../../kube/selectors/requirement.ts';
import type { EndpointSlice, Endpoints, Pod, Service, ServicePort } from '../../../kube/types.ts';
import { isReady } from '../pod-state.ts';
import { canonical } from '../template-hash.ts';

type Subset = NonNullable<Endpoints['subsets']>[number];
type SlicePort = NonNullable<EndpointSlice['ports']>[number];
type SliceEndpoint = EndpointSlice['endpoints'][number];

/** As Kubernetes' default (--max-endpoints-per-slice). */
const SLICE_LIMIT = 100;

/** What the addresses of one list of ports are. */
export interface SliceContent {
  ports: SlicePort[];
  endpoints: SliceEndpoint[];
}

/** The pods behind a Service: selected, with an address, and not ended. */
export function podsBehind(service: Service, pods: readonly Pod[]): Pod[] {
  const selector = service.spec?.selector;
  if (!selector || Object.keys(selector).length === 0) return [];
  return pods
    .filter(
      (pod) =>
        pod.metadata?.namespace === service.metadata?.namespace &&
        Boolean(pod.status?.podIP) &&
        !isTerminal(pod) &&
        hasLabels(selector, pod.metadata?.labels),
    )
    .sort((a, b) => (a.metadata!.name! < b.metadata!.name! ? -1 : 1));
}

/** The number of a Service's target port on a pod: given, or the container port of that name and protocol. */
export function targetPort(port: ServicePort, pod: Pod): number | undefined {
  const target = port.targetPort ?? port.port;
  if (typeof target === 'number') return target;
  if (/^\d+$/.test(target)) return Number(target);
  for (const container of pod.spec?.containers ?? []) {
    for (const { name, protocol = 'TCP', containerPort } of container.ports ?? []) {
      if (name === target && protocol === (port.protocol ?? 'TCP')) return containerPort;
    }
  }
  return undefined;
}

function portsFor(service: Service, pod: Pod): SlicePort[] {
  return (service.spec?.ports ?? []).flatMap((port) => {
    const number = targetPort(port, pod);
    if (number === undefined) return [];
    const { name = '', protocol = 'TCP', appProtocol } = port;
    return [{ name, protocol, port: number, ...(appProtocol === undefined ? {} : { appProtocol }) }];
  });
}

function referenceTo(pod: Pod) {
  const { name, namespace, uid } = pod.metadata!;
  return { kind: 'Pod', name, namespace, uid };
}

/** The subsets of a Service's Endpoints: pods with the same ports together, those that are not ready apart. */
export function endpointsSubsets(service: Service, pods: readonly Pod[]): Subset[] {
  const anyway = service.spec?.publishNotReadyAddresses === true;
  const groups = new Map<string, { ports: SlicePort[]; ready: Pod[]; notReady: Pod[] }>();
  for (const pod of podsBehind(service, pods)) {
    if (pod.metadata?.deletionTimestamp !== undefined && !anyway) continue;
    const ports = portsFor(service, pod);
    if (ports.length === 0 && (service.spec?.ports ?? []).length > 0) continue;
    const key = canonical(ports);
    const group = groups.get(key) ?? { ports, ready: [], notReady: [] };
    (anyway || isReady(pod) ? group.ready : group.notReady).push(pod);
    groups.set(key, group);
  }
  const address = (pod: Pod) => ({
    ip: pod.status!.podIP!,
    ...(pod.spec?.hostname && pod.spec.subdomain === service.metadata?.name
      ? { hostname: pod.spec.hostname }
      : {}),
    nodeName: pod.spec?.nodeName,
    targetRef: referenceTo(pod),
  });
  return [...groups.values()].map(({ ports, ready, notReady }) => ({
    ...(ready.length > 0 ? { addresses: ready.map(address) } : {}),
    ...(notReady.length > 0 ? { notReadyAddresses: notReady.map(address) } : {}),
    // In Endpoints an unnamed port has no name.
    ports: ports.map(({ name, ...port }) => ({ ...(name ? { name } : {}), ...port })) as Subset['ports'],
  }));
}

/** What the EndpointSlices of a Service hold, at most 100 endpoints each. Pods that end stay, marked as terminating. */
export function sliceContents(service: Service, pods: readonly Pod[]): SliceContent[] {
  const anyway = service.spec?.publishNotReadyAddresses === true;
  const groups = new Map<string, SliceContent>();
  for (const pod of podsBehind(service, pods)) {
    const ports = portsFor(service, pod);
    const key = canonical(ports);
    const group = groups.get(key) ?? { ports, endpoints: [] };
    const terminating = pod.metadata?.deletionTimestamp !== undefined;
    const serving = isReady(pod);
    group.endpoints.push({
      addresses: [pod.status!.podIP!],
      conditions: { ready: anyway || (serving && !terminating), serving, terminating },
      ...(pod.spec?.hostname && pod.spec.subdomain === service.metadata?.name
        ? { hostname: pod.spec.hostname }
        : {}),
      nodeName: pod.spec?.nodeName,
      targetRef: referenceTo(pod),
    });
    groups.set(key, group);
  }
  return [...groups.values()].flatMap(({ ports, endpoints }) => {
    const chunks: SliceContent[] = [];
    for (let from = 0; from < endpoints.length; from += SLICE_LIMIT) {
      chunks.push({ ports, endpoints: endpoints.slice(from, from + SLICE_LIMIT) });
    }
    return chunks;
  });
}

/**
 * Which slices to write so that together they hold `wanted`: a slice that holds one of them already stays, others
 * get new content, are created, or are deleted.
 */
export function planSlices(
  existing: readonly EndpointSlice[],
  wanted: readonly SliceContent[],
): {
  create: SliceContent[];
  update: { slice: EndpointSlice; content: SliceContent }[];
  delete: EndpointSlice[];
} {
  const free = [...existing];
  const unmet: SliceContent[] = [];
  for (const content of wanted) {
    const index = free.findIndex((slice) => sameContent(slice, content));
    if (index >= 0) free.splice(index, 1);
    else unmet.push(content);
  }
  // A slice of the same ports first: it is the one that changed.
  const update = [];
  const create = [];
  for (const content of unmet) {
    const index = free.findIndex((slice) => canonical(slice.ports ?? []) === canonical(content.ports));
    const [slice] = index >= 0 ? free.splice(index, 1) : free.splice(0, 1);
    if (slice === undefined) create.push(content);
    else update.push({ slice, content });
  }
  return { create, update, delete: free };
}

function sameContent(slice: EndpointSlice, content: SliceContent): boolean {
  return (
    canonical([slice.ports ?? [], slice.endpoints ?? []]) === canonical([content.ports, content.endpoints])
  );
}

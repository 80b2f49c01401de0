import type { Container, Event, Node, ObjectMeta, Pod, Service } from '../../kube/types.ts';
import type { NetworkPolicy } from '../../path/world.ts';

/**
 * API objects as far as the path of a hostPort is concerned. Picked, not stripped: what is not named here (environments, commands,
 * volumes, most annotations) is neither held in memory nor saved, so that a secret in a new field cannot slip through.
 */

/** Annotations that decide something on the path. */
const ANNOTATIONS = [
  'kubernetes.io/config.hash',
  'kubernetes.io/config.source',
  'kubernetes.io/config.mirror',
];

export function slimPod(pod: Pod): Pod {
  const { spec, status } = pod;
  return {
    metadata: slimMeta(pod.metadata),
    spec: {
      ...pick(spec, ['nodeName', 'hostNetwork', 'nodeSelector', 'schedulerName']),
      containers: (spec?.containers ?? []).map(slimContainer),
      ...(spec?.initContainers === undefined
        ? {}
        : { initContainers: spec.initContainers.map(slimContainer) }),
    },
    status: {
      ...pick(status, ['phase', 'reason', 'message', 'podIP', 'podIPs', 'hostIP', 'startTime']),
      ...(status?.conditions === undefined
        ? {}
        : {
            conditions: status.conditions.map(({ type, status, reason, message }) =>
              pick({ type, status, reason, message }, ['type', 'status', 'reason', 'message']),
            ),
          }),
      ...(status?.containerStatuses === undefined
        ? {}
        : {
            containerStatuses: status.containerStatuses.map(
              ({ name, ready, restartCount, state, image, imageID }) => ({
                ...{ name, ready, restartCount, image, imageID },
                ...pick({ state }, ['state']),
              }),
            ),
          }),
    },
  } as Pod;
}

function slimContainer(container: Container): Container {
  return pick(container, ['name', 'image', 'ports', 'restartPolicy']) as Container;
}

export function slimNode(node: Node): Node {
  return {
    metadata: slimMeta(node.metadata),
    spec: pick(node.spec, ['podCIDR', 'podCIDRs', 'taints', 'unschedulable']),
    status: pick(node.status, ['addresses', 'conditions', 'nodeInfo']),
  } as Node;
}

export function slimService(service: Service): Service {
  return {
    metadata: slimMeta(service.metadata),
    spec: pick(service.spec, [
      'type',
      'ports',
      'selector',
      'clusterIP',
      'clusterIPs',
      'externalIPs',
      'externalTrafficPolicy',
      'loadBalancerIP',
    ]),
    status: pick(service.status, ['loadBalancer']),
  } as Service;
}

export function slimEvent(event: Event): Event {
  return pick(event, [
    'involvedObject',
    'reason',
    'message',
    'type',
    'count',
    'firstTimestamp',
    'lastTimestamp',
    'eventTime',
    'source',
  ]) as Event;
}

export function slimPolicy(policy: NetworkPolicy): NetworkPolicy {
  return { metadata: slimMeta(policy.metadata), spec: policy.spec ?? {} } as NetworkPolicy;
}

function slimMeta(metadata: ObjectMeta | undefined): ObjectMeta {
  const annotations = Object.entries(metadata?.annotations ?? {}).filter(([name]) =>
    ANNOTATIONS.includes(name),
  );
  return {
    ...pick(metadata, [
      'name',
      'namespace',
      'uid',
      'labels',
      'creationTimestamp',
      'deletionTimestamp',
      'ownerReferences',
    ]),
    ...(annotations.length === 0 ? {} : { annotations: Object.fromEntries(annotations) }),
  };
}

/** The named fields that are there. */
function pick<T extends object, K extends keyof T>(object: T | undefined, keys: readonly K[]): Pick<T, K> {
  const found: Partial<T> = {};
  for (const key of keys) if (object?.[key] !== undefined) found[key] = object[key];
  return found as Pick<T, K>;
}

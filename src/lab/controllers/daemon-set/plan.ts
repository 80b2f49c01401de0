import { isTerminal, selectsNode, untoleratedTaint } from '../../../kube/placement.ts';
import type { DaemonSet, Node, Pod, PodSpec, Toleration } from '../../../kube/types.ts';
import { milliseconds } from '../context.ts';
import { intOrPercent } from '../deployment/rolling.ts';
import { isAvailable, isReady } from '../pod-state.ts';

/** The label that distinguishes the pods of one template from those of another. */
export const REVISION_LABEL = 'controller-revision-hash';

export type DaemonSetStatus = NonNullable<DaemonSet['status']>;

/** What every pod of a DaemonSet tolerates. Source: AddOrUpdateDaemonPodTolerations in Kubernetes. */
export function daemonTolerations(spec: PodSpec): Toleration[] {
  const own = (key: string, effect: string): Toleration => ({ key, operator: 'Exists', effect });
  const added = [
    own('node.kubernetes.io/not-ready', 'NoExecute'),
    own('node.kubernetes.io/unreachable', 'NoExecute'),
    own('node.kubernetes.io/disk-pressure', 'NoSchedule'),
    own('node.kubernetes.io/memory-pressure', 'NoSchedule'),
    own('node.kubernetes.io/pid-pressure', 'NoSchedule'),
    own('node.kubernetes.io/unschedulable', 'NoSchedule'),
    ...(spec.hostNetwork ? [own('node.kubernetes.io/network-unavailable', 'NoSchedule')] : []),
  ];
  const isAdded = (toleration: Toleration) =>
    added.some(({ key, effect }) => key === toleration.key && effect === toleration.effect);
  return [...(spec.tolerations ?? []).filter((toleration) => !isAdded(toleration)), ...added];
}

/** Makes a pod for one node: the scheduler binds it, and can bind it nowhere else. */
export function podForNode(pod: Pod, node: string, hash: string): Pod {
  const spec = pod.spec!;
  const field = { matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] };
  return {
    metadata: { ...pod.metadata, labels: { ...pod.metadata?.labels, [REVISION_LABEL]: hash } },
    spec: {
      ...spec,
      tolerations: daemonTolerations(spec),
      affinity: {
        ...spec.affinity,
        nodeAffinity: {
          ...spec.affinity?.nodeAffinity,
          requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [field] },
        },
      },
    },
  };
}

/** The node that a daemon pod is on, or made for. */
export function nodeOf(pod: Pod): string | undefined {
  if (pod.spec?.nodeName) return pod.spec.nodeName;
  const terms =
    pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  return terms?.[0]?.matchFields?.find(({ key }) => key === 'metadata.name')?.values?.[0];
}

/** Whether a DaemonSet wants a pod on a node, and whether one that is there may stay. Source: NodeShouldRunDaemonPod. */
export function eligibility(daemonSet: DaemonSet, node: Node): { run: boolean; stay: boolean } {
  const spec = daemonSet.spec!.template.spec!;
  const elsewhere = Boolean(spec.nodeName) && spec.nodeName !== node.metadata?.name;
  if (elsewhere || !selectsNode(spec, node)) return { run: false, stay: false };
  const tolerations = daemonTolerations(spec);
  const taints = node.spec?.taints;
  if (untoleratedTaint(taints, tolerations, ['NoSchedule', 'NoExecute']) === undefined)
    return { run: true, stay: true };
  return { run: false, stay: untoleratedTaint(taints, tolerations, ['NoExecute']) === undefined };
}

export interface DaemonPlan {
  /** Nodes that lack a pod. */
  create: string[];
  /** Pods to be deleted. */
  delete: Pod[];
  /** Of those, pods that ended and are to be replaced: these are retried with back-off. */
  ended: Pod[];
}

/** Pods by the node they are on or made for. */
export function byNode(pods: readonly Pod[]): Map<string, Pod[]> {
  const grouped = new Map<string, Pod[]>();
  for (const pod of pods) {
    const node = nodeOf(pod);
    if (node !== undefined) grouped.set(node, [...(grouped.get(node) ?? []), pod]);
  }
  return grouped;
}

/**
 * What brings one pod onto each eligible node and none onto others, whatever their template: pods on nodes that are gone
 * are the pod garbage collector's. During a rolling update with surge a node may have an old pod and a new one.
 */
export function planPlacement(
  daemonSet: DaemonSet,
  nodes: readonly Node[],
  pods: readonly Pod[],
  hash: string,
): DaemonPlan {
  const plan: DaemonPlan = { create: [], delete: [], ended: [] };
  const grouped = byNode(pods);
  const surge = maxSurge(daemonSet, nodes.length) > 0;
  for (const node of nodes) {
    const name = node.metadata!.name!;
    const here = grouped.get(name) ?? [];
    const { run, stay } = eligibility(daemonSet, node);
    const alive = here.filter((pod) => pod.metadata?.deletionTimestamp === undefined);
    if (!stay) {
      plan.delete.push(...alive);
      continue;
    }
    const ended = alive.filter(isTerminal);
    plan.delete.push(...ended);
    plan.ended.push(...ended);
    const running = alive.filter((pod) => !isTerminal(pod)).sort(oldestFirst);
    // One that is being deleted still has the node's host ports; it counts until it is gone.
    if (run && here.length === 0) plan.create.push(name);
    if (!surge) {
      plan.delete.push(...running.slice(1));
      continue;
    }
    for (const same of [
      running.filter((pod) => hasHash(pod, hash)),
      running.filter((pod) => !hasHash(pod, hash)),
    ]) {
      plan.delete.push(...same.slice(1));
    }
  }
  return plan;
}

function oldestFirst(a: Pod, b: Pod): number {
  // One that is bound has more to lose than one that waits.
  const bound = Number(Boolean(b.spec?.nodeName)) - Number(Boolean(a.spec?.nodeName));
  const created = (pod: Pod) => milliseconds(pod.metadata?.creationTimestamp as string | undefined) ?? 0;
  return bound || created(a) - created(b) || (a.metadata!.name! < b.metadata!.name! ? -1 : 1);
}

export function hasHash(pod: Pod, hash: string): boolean {
  return pod.metadata?.labels?.[REVISION_LABEL] === hash;
}

function maxSurge(daemonSet: DaemonSet, desired: number): number {
  const { type, rollingUpdate } = daemonSet.spec?.updateStrategy ?? {};
  if (type === 'OnDelete') return 0;
  return intOrPercent((rollingUpdate as { maxSurge?: number | string } | undefined)?.maxSurge, desired, 'up');
}

/**
 * The next step of a rolling update: old pods to delete and (with surge) nodes that get their new pod beside the old one.
 * Old pods that are not available go at once, for they have nothing to lose; of the others as many as maxUnavailable
 * allows. Source: rollingUpdate in Kubernetes' daemon controller.
 */
export function planUpdate(
  daemonSet: DaemonSet,
  nodes: readonly Node[],
  pods: readonly Pod[],
  hash: string,
  now: number,
): { create: string[]; delete: Pod[] } {
  const none = { create: [], delete: [] };
  if (daemonSet.spec?.updateStrategy?.type === 'OnDelete') return none;
  const wanted = nodes.filter((node) => eligibility(daemonSet, node).run);
  const surge = maxSurge(daemonSet, wanted.length);
  const rolling = daemonSet.spec?.updateStrategy?.rollingUpdate;
  const given = rolling?.maxUnavailable ?? (surge > 0 ? 0 : 1);
  // Rounded up, as for a DaemonSet (a Deployment rounds down).
  const unavailableLimit = Math.max(intOrPercent(given, wanted.length, 'up'), surge > 0 ? 0 : 1);
  const grouped = byNode(pods.filter((pod) => !isTerminal(pod)));
  const available = (pod: Pod) => isAvailable(pod, daemonSet.spec?.minReadySeconds, now);

  let unavailable = 0;
  let surging = 0;
  const replace: Pod[] = [];
  const candidates: Pod[] = [];
  const create: string[] = [];
  const toSurge: string[] = [];
  for (const node of wanted) {
    const name = node.metadata!.name!;
    const here = grouped.get(name) ?? [];
    const alive = here.filter((pod) => pod.metadata?.deletionTimestamp === undefined);
    const fresh = alive.find((pod) => hasHash(pod, hash));
    const old = alive.find((pod) => !hasHash(pod, hash));
    if (surge > 0) {
      if (old === undefined) {
        if (fresh === undefined || !available(fresh)) unavailable++;
      } else if (fresh === undefined) {
        if (available(old)) toSurge.push(name);
        else create.push(name);
      } else if (available(fresh)) {
        replace.push(old);
      } else {
        surging++;
        if (!available(old)) replace.push(old);
      }
      continue;
    }
    if (old !== undefined && fresh === undefined) {
      if (available(old)) candidates.push(old);
      else {
        replace.push(old);
        unavailable++;
      }
    } else if (fresh === undefined || !available(fresh)) {
      unavailable++;
    }
  }
  if (surge > 0)
    return { create: [...create, ...toSurge.slice(0, Math.max(0, surge - surging))], delete: replace };
  const room = Math.max(0, unavailableLimit - unavailable);
  return { create: [], delete: [...replace, ...candidates.slice(0, room)] };
}

/** The numbers of a DaemonSet's status; `kubectl rollout status` and `kubectl get` read them. */
export function daemonSetStatus(
  daemonSet: DaemonSet,
  nodes: readonly Node[],
  pods: readonly Pod[],
  hash: string,
  now: number,
): DaemonSetStatus {
  const grouped = byNode(pods);
  const status = {
    currentNumberScheduled: 0,
    desiredNumberScheduled: 0,
    numberAvailable: 0,
    numberMisscheduled: 0,
    numberReady: 0,
    numberUnavailable: 0,
    updatedNumberScheduled: 0,
    observedGeneration: daemonSet.metadata?.generation,
  };
  for (const node of nodes) {
    const here = (grouped.get(node.metadata!.name!) ?? []).filter((pod) => !isTerminal(pod));
    const { run } = eligibility(daemonSet, node);
    if (!run) {
      if (here.length > 0) status.numberMisscheduled++;
      continue;
    }
    status.desiredNumberScheduled++;
    if (here.length === 0) continue;
    status.currentNumberScheduled++;
    // With surge there may be two: the better one speaks for the node.
    if (here.some((pod) => isReady(pod))) status.numberReady++;
    if (here.some((pod) => isAvailable(pod, daemonSet.spec?.minReadySeconds, now))) status.numberAvailable++;
    if (here.some((pod) => hasHash(pod, hash))) status.updatedNumberScheduled++;
  }
  status.numberUnavailable = status.desiredNumberScheduled - status.numberAvailable;
  return status;
}

import { conditionOf } from '../../../kube/conditions.ts';
import { timestamp } from '../../../kube/time.ts';
import type { Pod, ReplicaSet, ReplicationController } from '../../../kube/types.ts';
import { milliseconds } from '../context.ts';
import { controllerOf } from '../ownership.ts';
import { isActive, isAvailable, isReady, readyCondition } from '../pod-state.ts';

/** As Kubernetes': no more than this many creations or deletions in one sync. */
const BURST = 500;
const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost';

/** What keeps a number of pods by the same rules; only their selectors differ in form. */
export type Replicated = ReplicaSet | ReplicationController;

export type ReplicaSetStatus = NonNullable<ReplicaSet['status']>;

/** What brings the number of a ReplicaSet's active pods to what it wants. */
export function planReplicas(
  replicaSet: Replicated,
  /** Its active pods. */
  own: readonly Pod[],
  /** Active pods of ReplicaSets with the same owner (old ones of a Deployment), its own among them. */
  related: readonly Pod[],
  now: number,
): { create: number; delete: Pod[] } {
  if (replicaSet.metadata?.deletionTimestamp !== undefined) return { create: 0, delete: [] };
  const missing = (replicaSet.spec?.replicas ?? 1) - own.length;
  if (missing >= 0) return { create: Math.min(missing, BURST), delete: [] };
  return { create: 0, delete: deletionOrder(own, related, now).slice(0, Math.min(-missing, BURST)) };
}

/**
 * Pods in the order in which they are given up: without a node, not running, not ready, cheaper to delete, on a node with
 * more related pods, ready for a shorter time (by powers of two, so that ties are broken at random rather than always the
 * newest), restarted more often, newer. Source: ActivePodsWithRanks in Kubernetes.
 */
export function deletionOrder(own: readonly Pod[], related: readonly Pod[], now: number): Pod[] {
  const onNode = new Map<string, number>();
  for (const pod of related) {
    const node = pod.spec?.nodeName;
    if (node) onNode.set(node, (onNode.get(node) ?? 0) + 1);
  }
  const phaseRank: Record<string, number> = { Pending: 0, Unknown: 1, Running: 2 };
  const ageRank = (time: string | undefined): number => {
    const since = milliseconds(time);
    return since === undefined ? -1 : Math.floor(Math.log2(Math.max(1, now - since)));
  };
  const rank = (pod: Pod): number[] => [
    pod.spec?.nodeName ? 1 : 0,
    phaseRank[pod.status?.phase ?? 'Pending'] ?? 0,
    isReady(pod) ? 1 : 0,
    Number(pod.metadata?.annotations?.[DELETION_COST] ?? 0) || 0,
    -(onNode.get(pod.spec?.nodeName ?? '') ?? 0),
    isReady(pod) ? ageRank(readyCondition(pod)?.lastTransitionTime as string | undefined) : 0,
    -Math.max(0, ...(pod.status?.containerStatuses ?? []).map((container) => container.restartCount)),
    ageRank(pod.metadata?.creationTimestamp as string | undefined),
  ];
  const byUid = (a: Pod, b: Pod) => ((a.metadata?.uid ?? '') < (b.metadata?.uid ?? '') ? -1 : 1);
  return own
    .map((pod) => ({ pod, rank: rank(pod) }))
    .sort((a, b) => {
      for (const [index, value] of a.rank.entries())
        if (value !== b.rank[index]) return value - b.rank[index]!;
      return byUid(a.pod, b.pod);
    })
    .map(({ pod }) => pod);
}

/** Active pods of all ReplicaSets whose controller is `replicaSet`'s: those that it shares nodes with. */
export function relatedPods(
  replicaSet: Replicated,
  replicaSets: readonly Replicated[],
  pods: readonly Pod[],
): Pod[] {
  const owner = controllerOf(replicaSet)?.uid;
  const family = new Set(
    replicaSets
      .filter((other) => owner !== undefined && controllerOf(other)?.uid === owner)
      .map((other) => other.metadata!.uid),
  );
  family.add(replicaSet.metadata!.uid);
  return pods.filter((pod) => isActive(pod) && family.has(controllerOf(pod)?.uid));
}

/** The status that `pods` (active, its own) give a ReplicaSet. `failure` is why pods could not be created or deleted. */
export function replicaSetStatus(
  replicaSet: Replicated,
  pods: readonly Pod[],
  failure: { reason: 'FailedCreate' | 'FailedDelete'; message: string } | undefined,
  now: number,
): ReplicaSetStatus {
  const labels = Object.entries(replicaSet.spec?.template?.metadata?.labels ?? {});
  const old = conditionOf(replicaSet.status, 'ReplicaFailure');
  const others = (replicaSet.status?.conditions ?? []).filter((condition) => condition !== old);
  const condition =
    failure === undefined
      ? undefined
      : old?.reason === failure.reason
        ? old
        : { type: 'ReplicaFailure', status: 'True', ...failure, lastTransitionTime: timestamp(now) };
  const conditions = condition === undefined ? others : [...others, condition];
  return {
    replicas: pods.length,
    fullyLabeledReplicas: pods.filter((pod) =>
      labels.every(([key, value]) => pod.metadata?.labels?.[key] === value),
    ).length,
    readyReplicas: pods.filter(isReady).length,
    availableReplicas: pods.filter((pod) => isAvailable(pod, replicaSet.spec?.minReadySeconds, now)).length,
    observedGeneration: replicaSet.metadata?.generation,
    ...(conditions.length === 0 ? {} : { conditions }),
  };
}

/** Whether a status says the same as the one that is stored (the API leaves zeros out). */
export function sameStatus(a: ReplicaSetStatus | undefined, b: ReplicaSetStatus): boolean {
  const numbers = [
    'replicas',
    'fullyLabeledReplicas',
    'readyReplicas',
    'availableReplicas',
    'observedGeneration',
  ] as const;
  return (
    numbers.every((name) => (a?.[name] ?? 0) === (b[name] ?? 0)) &&
    JSON.stringify(a?.conditions ?? []) === JSON.stringify(b.conditions ?? [])
  );
}

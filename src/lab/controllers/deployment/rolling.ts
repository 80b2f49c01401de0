import type { Deployment, ReplicaSet } from '../../../kube/types.ts';
import { milliseconds } from '../context.ts';
import { DESIRED_REPLICAS, MAX_REPLICAS } from './annotations.ts';

/** A ReplicaSet and the number of replicas it is to have. */
export interface Scaling {
  replicaSet: ReplicaSet;
  replicas: number;
}

export function replicasOf(object: { spec?: { replicas?: number } }): number {
  return object.spec?.replicas ?? 1;
}

export function isRollingUpdate(deployment: Deployment): boolean {
  return deployment.spec?.strategy?.type !== 'Recreate';
}

/** An absolute number, or a percentage of `total`, rounded up or down. */
export function intOrPercent(
  value: number | string | undefined,
  total: number,
  round: 'up' | 'down',
): number {
  if (typeof value === 'number') return value;
  const percent = /^(\d+)%$/.exec(value ?? '');
  if (percent === null) return 0;
  const exact = (Number(percent[1]) * total) / 100;
  return round === 'up' ? Math.ceil(exact) : Math.floor(exact);
}

/**
 * How many pods a rollout may add to, and take from, the wanted number. Surge rounds up and unavailability down; when both
 * come to nothing one pod may be unavailable, because otherwise nothing could ever move. Recreate has neither.
 */
export function rolloutBounds(deployment: Deployment): { maxSurge: number; maxUnavailable: number } {
  const replicas = replicasOf(deployment);
  if (!isRollingUpdate(deployment)) return { maxSurge: 0, maxUnavailable: 0 };
  const { maxSurge = '25%', maxUnavailable = '25%' } = deployment.spec?.strategy?.rollingUpdate ?? {};
  const surge = intOrPercent(maxSurge, replicas, 'up');
  const unavailable = intOrPercent(maxUnavailable, replicas, 'down');
  const bounded = surge === 0 && unavailable === 0 ? 1 : unavailable;
  return { maxSurge: surge, maxUnavailable: Math.min(bounded, replicas) };
}

/** How many replicas the current ReplicaSet may have now, given all that exist. Source: NewRSNewReplicas. */
export function newReplicaSetSize(
  deployment: Deployment,
  all: readonly ReplicaSet[],
  current: ReplicaSet | undefined,
): number {
  const wanted = replicasOf(deployment);
  const has = current === undefined ? 0 : replicasOf(current);
  if (!isRollingUpdate(deployment)) return wanted;
  if (has > wanted) return wanted;
  const room = wanted + rolloutBounds(deployment).maxSurge - sum(all, replicasOf);
  return room <= 0 ? has : has + Math.min(room, wanted - has);
}

/**
 * The next step of a rolling update: the current ReplicaSet grows as far as the surge allows, or the old ones shrink as far
 * as enough pods are available; pods of old ones that are not available anyway go first. Empty when it has to wait.
 * Source: rolling.go of Kubernetes' deployment controller.
 */
export function rollingStep(
  deployment: Deployment,
  current: ReplicaSet,
  old: readonly ReplicaSet[],
): Scaling[] {
  const all = [...old, current];
  const size = newReplicaSetSize(deployment, all, current);
  if (size !== replicasOf(current)) return [{ replicaSet: current, replicas: size }];

  const minAvailable = replicasOf(deployment) - rolloutBounds(deployment).maxUnavailable;
  const currentUnavailable = replicasOf(current) - (current.status?.availableReplicas ?? 0);
  let budget = sum(all, replicasOf) - minAvailable - currentUnavailable;
  if (budget <= 0) return [];
  const sizes = new Map(old.map((replicaSet) => [replicaSet, replicasOf(replicaSet)]));
  const oldestFirst = [...old].sort(byCreation);
  for (const replicaSet of oldestFirst) {
    const unhealthy = sizes.get(replicaSet)! - (replicaSet.status?.availableReplicas ?? 0);
    const down = Math.max(0, Math.min(budget, unhealthy));
    sizes.set(replicaSet, sizes.get(replicaSet)! - down);
    budget -= down;
  }
  let spare = sum(all, (replicaSet) => replicaSet.status?.availableReplicas ?? 0) - minAvailable;
  for (const replicaSet of oldestFirst) {
    const down = Math.max(0, Math.min(spare, sizes.get(replicaSet)!));
    sizes.set(replicaSet, sizes.get(replicaSet)! - down);
    spare -= down;
  }
  return changes(sizes);
}

/** Whether the Deployment was scaled since its ReplicaSets were sized. */
export function wasScaled(deployment: Deployment, all: readonly ReplicaSet[]): boolean {
  return active(all).some((replicaSet) => {
    const desired = replicaSet.metadata?.annotations?.[DESIRED_REPLICAS];
    return desired !== undefined && Number(desired) !== replicasOf(deployment);
  });
}

/**
 * How a changed number of replicas is spread while several ReplicaSets have pods: in proportion to their sizes, so that a
 * scaling in the middle of a rollout (or while it is paused) shares the risk as it was shared. With one ReplicaSet, or a
 * finished rollout, that one takes all. Source: scale() in Kubernetes' deployment controller.
 */
export function scaleInProportion(
  deployment: Deployment,
  current: ReplicaSet | undefined,
  old: readonly ReplicaSet[],
): Scaling[] {
  const wanted = replicasOf(deployment);
  const all = current === undefined ? [...old] : [...old, current];
  const withPods = active(all);
  const only = withPods.length > 1 ? undefined : (withPods[0] ?? current ?? [...old].sort(byCreation).at(-1));
  if (only !== undefined) {
    return replicasOf(only) === wanted ? [] : [{ replicaSet: only, replicas: wanted }];
  }
  if (current !== undefined && isSaturated(deployment, current)) {
    return active(old).map((replicaSet) => ({ replicaSet, replicas: 0 }));
  }
  if (!isRollingUpdate(deployment)) return [];

  const allowed = wanted > 0 ? wanted + rolloutBounds(deployment).maxSurge : 0;
  const toAdd = allowed - sum(withPods, replicasOf);
  if (toAdd === 0) return [];
  const largestFirst = [...withPods].sort(
    (a, b) => replicasOf(b) - replicasOf(a) || (toAdd > 0 ? byCreation(b, a) : byCreation(a, b)),
  );
  const sizes = new Map<ReplicaSet, number>();
  let added = 0;
  for (const replicaSet of largestFirst) {
    const share = proportion(deployment, replicaSet);
    const limit = toAdd - added;
    const change = limit > 0 ? Math.min(share, limit) : Math.max(share, limit);
    sizes.set(replicaSet, replicasOf(replicaSet) + change);
    added += change;
  }
  // Rounding leaves something: the largest takes it.
  const largest = largestFirst[0]!;
  sizes.set(largest, Math.max(0, sizes.get(largest)! + toAdd - added));
  return changes(sizes);
}

function proportion(deployment: Deployment, replicaSet: ReplicaSet): number {
  const wanted = replicasOf(deployment);
  if (wanted === 0) return -replicasOf(replicaSet);
  const annotated = Number(replicaSet.metadata?.annotations?.[MAX_REPLICAS]);
  const before = annotated > 0 ? annotated : (deployment.status?.replicas ?? 0);
  if (before === 0) return 0;
  const after = wanted + rolloutBounds(deployment).maxSurge;
  return Math.round((replicasOf(replicaSet) * after) / before) - replicasOf(replicaSet);
}

/** Whether a ReplicaSet has everything that the Deployment wants, and it works. */
function isSaturated(deployment: Deployment, replicaSet: ReplicaSet): boolean {
  const wanted = replicasOf(deployment);
  const desired = Number(replicaSet.metadata?.annotations?.[DESIRED_REPLICAS]);
  return (
    replicasOf(replicaSet) === wanted &&
    desired === wanted &&
    (replicaSet.status?.availableReplicas ?? 0) === wanted
  );
}

export function active(replicaSets: readonly ReplicaSet[]): ReplicaSet[] {
  return replicaSets.filter((replicaSet) => replicasOf(replicaSet) > 0);
}

export function sum(replicaSets: readonly ReplicaSet[], of: (replicaSet: ReplicaSet) => number): number {
  return replicaSets.reduce((total, replicaSet) => total + of(replicaSet), 0);
}

/** Oldest first; the name decides between those of one second. */
export function byCreation(a: ReplicaSet, b: ReplicaSet): number {
  const created = (object: ReplicaSet) =>
    milliseconds(object.metadata?.creationTimestamp as string | undefined) ?? 0;
  return created(a) - created(b) || (a.metadata!.name! < b.metadata!.name! ? -1 : 1);
}

function changes(sizes: ReadonlyMap<ReplicaSet, number>): Scaling[] {
  return [...sizes]
    .filter(([replicaSet, replicas]) => replicas !== replicasOf(replicaSet))
    .map(([replicaSet, replicas]) => ({ replicaSet, replicas }));
}

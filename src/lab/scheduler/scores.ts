import { selectsNode, tolerates } from '../../kube/placement.ts';
import type { Pod } from '../../kube/types.ts';
import type { NodeState } from './cluster-state.ts';

/**
 * The best of several nodes that could all take the pod. In this order: fewest PreferNoSchedule taints that it does not
 * tolerate, greatest weight of preferred node affinity, fewest pods of the same owner (so that replicas spread), fewest
 * pods, and at last the name, so that the same state always gives the same answer.
 */
export function bestNode(pod: Pod, candidates: readonly NodeState[]): NodeState | undefined {
  let best: { state: NodeState; rank: readonly number[] } | undefined;
  for (const state of candidates) {
    const rank = [repelling(pod, state), -preference(pod, state), siblings(pod, state), state.pods.size];
    const name = state.node.metadata!.name!;
    const order = best === undefined ? -1 : compare(rank, best.rank);
    if (best === undefined || order < 0 || (order === 0 && name < best.state.node.metadata!.name!)) {
      best = { state, rank };
    }
  }
  return best?.state;
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [index, value] of a.entries()) if (value !== b[index]) return value - b[index]!;
  return 0;
}

function repelling(pod: Pod, { node }: NodeState): number {
  return (node.spec?.taints ?? []).filter(
    (taint) =>
      taint.effect === 'PreferNoSchedule' && !pod.spec?.tolerations?.some((t) => tolerates(t, taint)),
  ).length;
}

function preference(pod: Pod, { node }: NodeState): number {
  let sum = 0;
  for (const { weight, preference: term } of pod.spec?.affinity?.nodeAffinity
    ?.preferredDuringSchedulingIgnoredDuringExecution ?? []) {
    const required = { nodeSelectorTerms: [term] };
    const nodeAffinity = { requiredDuringSchedulingIgnoredDuringExecution: required };
    // A preferred term is judged as a required one would be; an empty one prefers every node alike.
    if (selectsNode({ containers: [], affinity: { nodeAffinity } }, node)) sum += weight;
  }
  return sum;
}

function siblings(pod: Pod, { pods }: NodeState): number {
  const owner = controllerUid(pod);
  if (owner === undefined) return 0;
  let count = 0;
  for (const placed of pods.values()) {
    if (placed.pod.metadata?.deletionTimestamp === undefined && controllerUid(placed.pod) === owner) count++;
  }
  return count;
}

function controllerUid(pod: Pod): string | undefined {
  return pod.metadata?.ownerReferences?.find((owner) => owner.controller)?.uid;
}

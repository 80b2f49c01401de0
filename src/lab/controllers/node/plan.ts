import { conditionOf } from '../../../kube/conditions.ts';
import { tolerates } from '../../../kube/placement.ts';
import { timestamp } from '../../../kube/time.ts';
import type { Node, NodeCondition, Pod, Taint } from '../../../kube/types.ts';
import { milliseconds } from '../context.ts';

export const NOT_READY = 'node.kubernetes.io/not-ready';
export const UNREACHABLE = 'node.kubernetes.io/unreachable';
const UNSCHEDULABLE = 'node.kubernetes.io/unschedulable';

/** Conditions that keep new pods away while they hold, and the taints that do so. */
const PRESSURE: Record<string, string> = {
  MemoryPressure: 'node.kubernetes.io/memory-pressure',
  DiskPressure: 'node.kubernetes.io/disk-pressure',
  PIDPressure: 'node.kubernetes.io/pid-pressure',
  NetworkUnavailable: 'node.kubernetes.io/network-unavailable',
};
/** Conditions that only the kubelet can know: unknown when it falls silent. */
const KUBELET_CONDITIONS = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'];
const OWNED = new Set([NOT_READY, UNREACHABLE, UNSCHEDULABLE, ...Object.values(PRESSURE)]);

/**
 * The conditions of a node whose kubelet has not been heard of: everything it alone can know is Unknown. Undefined when
 * that has been said already.
 */
export function silentConditions(node: Node, now: number): NodeCondition[] | undefined {
  const before = node.status?.conditions ?? [];
  if (KUBELET_CONDITIONS.every((type) => conditionOf(node.status, type)?.status === 'Unknown'))
    return undefined;
  const unknown = KUBELET_CONDITIONS.map((type): NodeCondition => {
    const known = conditionOf(node.status, type);
    if (known?.status === 'Unknown') return known;
    return {
      type,
      status: 'Unknown',
      reason: known === undefined ? 'NodeStatusNeverUpdated' : 'NodeStatusUnknown',
      message:
        known === undefined ? 'Kubelet never posted node status.' : 'Kubelet stopped posting node status.',
      lastHeartbeatTime: known?.lastHeartbeatTime ?? node.metadata?.creationTimestamp,
      lastTransitionTime: timestamp(now),
    };
  });
  return [...before.filter(({ type }) => !KUBELET_CONDITIONS.includes(type)), ...unknown];
}

/**
 * The taints that a node must have for what its conditions and spec say, those of others untouched. Undefined when it has
 * them. NoExecute taints carry since when, which eviction counts from. Source: Kubernetes' node lifecycle controller.
 */
export function wantedTaints(node: Node, now: number): Taint[] | undefined {
  const wanted: Taint[] = [];
  const ready = conditionOf(node.status, 'Ready')?.status;
  if (ready !== 'True') {
    // A node without a Ready condition is new: it is not ready, but nobody has lost it.
    const key = ready === 'Unknown' ? UNREACHABLE : NOT_READY;
    wanted.push({ key, effect: 'NoSchedule' });
    if (ready !== undefined) wanted.push({ key, effect: 'NoExecute' });
  }
  for (const [type, key] of Object.entries(PRESSURE)) {
    if (conditionOf(node.status, type)?.status === 'True') wanted.push({ key, effect: 'NoSchedule' });
  }
  if (node.spec?.unschedulable) wanted.push({ key: UNSCHEDULABLE, effect: 'NoSchedule' });

  const before = node.spec?.taints ?? [];
  const same = (a: Taint, b: Taint) => a.key === b.key && a.effect === b.effect;
  const isOurs = (taint: Taint) =>
    OWNED.has(taint.key) && (taint.effect === 'NoSchedule' || taint.effect === 'NoExecute');
  const kept = before.filter((taint) => !isOurs(taint) || wanted.some((other) => same(taint, other)));
  const added = wanted
    .filter((taint) => !before.some((other) => same(taint, other)))
    .map((taint) => (taint.effect === 'NoExecute' ? { ...taint, timeAdded: timestamp(now) } : taint));
  return added.length === 0 && kept.length === before.length ? undefined : [...kept, ...added];
}

/**
 * When a pod must leave a node with these taints, milliseconds since the epoch: now when one of its NoExecute taints is not
 * tolerated, after the shortest tolerationSeconds when all are (the first toleration that matches a taint counts), never (undefined) when
 * they are tolerated without limit.
 */
export function evictionTime(
  pod: Pod,
  taints: readonly Taint[] | undefined,
  now: number,
): number | undefined {
  const evicting = (taints ?? []).filter((taint) => taint.effect === 'NoExecute');
  let earliest: number | undefined;
  for (const taint of evicting) {
    // The first that matches counts, as in Kubernetes.
    const toleration = pod.spec?.tolerations?.find((candidate) => tolerates(candidate, taint));
    if (toleration === undefined) return now;
    if (toleration.tolerationSeconds === undefined) continue;
    const since = milliseconds(taint.timeAdded as string | undefined) ?? now;
    const at = since + Math.max(0, toleration.tolerationSeconds) * 1000;
    earliest = earliest === undefined ? at : Math.min(earliest, at);
  }
  return earliest;
}

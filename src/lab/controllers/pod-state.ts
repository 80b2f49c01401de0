import { conditionOf, isConditionTrue } from '../../kube/conditions.ts';
import { isTerminal } from '../../kube/placement.ts';
import type { Pod, PodCondition } from '../../kube/types.ts';
import { milliseconds } from './context.ts';

/** Whether a pod counts as one of its owner's: neither ended nor being deleted. */
export function isActive(pod: Pod): boolean {
  return !isTerminal(pod) && pod.metadata?.deletionTimestamp === undefined;
}

export function readyCondition(pod: Pod): PodCondition | undefined {
  return conditionOf(pod.status, 'Ready');
}

export function isReady(pod: Pod): boolean {
  return isConditionTrue(pod.status, 'Ready');
}

/**
 * When a ready pod has been ready for `minReadySeconds`, in milliseconds since the epoch: from then on it is available.
 * Undefined when it is not ready.
 */
export function availableAt(pod: Pod, minReadySeconds = 0): number | undefined {
  const ready = readyCondition(pod);
  if (ready?.status !== 'True') return undefined;
  if (minReadySeconds === 0) return 0;
  const since = milliseconds(ready.lastTransitionTime);
  return since === undefined ? undefined : since + minReadySeconds * 1000;
}

export function isAvailable(pod: Pod, minReadySeconds: number | undefined, now: number): boolean {
  const at = availableAt(pod, minReadySeconds);
  return at !== undefined && at <= now;
}

/** How long until the next ready pod becomes available, in milliseconds; undefined when none is on its way. */
export function nextAvailability(
  pods: readonly Pod[],
  minReadySeconds: number | undefined,
  now: number,
): number | undefined {
  const waits = pods
    .map((pod) => availableAt(pod, minReadySeconds))
    .filter((at): at is number => at !== undefined && at > now)
    .map((at) => at - now);
  return waits.length === 0 ? undefined : Math.min(...waits);
}

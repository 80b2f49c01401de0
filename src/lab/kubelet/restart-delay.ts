import type { ObservedContainer } from './observe.ts';

const INITIAL_MS = 10_000;
const MAX_MS = 300_000;
/** A container that ran this long without ending is considered stable. */
const STEADY_MS = 2 * MAX_MS;

/**
 * How long after its end a container is restarted: at once the first time, then after 10 s, 20 s, … 5 min. It follows from
 * the restart count, which the runtime keeps, so a restarted kubelet continues where it was.
 * https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy
 * @param steadySince restart count of the last run that was steady; the count starts again there.
 */
export function restartDelayMs(
  run: Pick<ObservedContainer, 'restartCount' | 'startedAt' | 'finishedAt'>,
  steadySince: number,
): { ms: number; steady: boolean } {
  if (run.startedAt > 0 && run.finishedAt - run.startedAt >= STEADY_MS) return { ms: 0, steady: true };
  const failures = run.restartCount - steadySince;
  return { ms: failures <= 0 ? 0 : Math.min(INITIAL_MS * 2 ** (failures - 1), MAX_MS), steady: false };
}

import type { Diagnosis, Finding, Subject } from '../../path/model/finding.ts';
import { formatPort } from '../../path/model/host-ports.ts';
import { podName } from '../../path/view/pod-name.ts';
import { type Clock, realClock } from '../../sys/clock.ts';
import { waitFor } from '../../sys/wait.ts';
import { faultOf } from '../faults/index.ts';
import type { Injected } from './book.ts';

/** How long the doctor may take to find what was injected, in milliseconds: pods that wait for a plugin are tried again and again. */
const FOUND_MS = 60_000;
const LOOK_MS = 250;

/** What an injected failure is to be found on. */
export function expectedSubjects({ failure, target, memo }: Injected): readonly Subject[] {
  const { node, pod, port } = target;
  return faultOf(failure).subjects?.(target, memo) ?? [{ node, pod, port }];
}

/** Whether a finding is about what was expected. Pods by name: a fault may have recreated them. */
export function isOn({ subject: { node, pod, port } }: Pick<Finding, 'subject'>, expected: Subject): boolean {
  return (
    (node === undefined || expected.node === undefined || node === expected.node) &&
    (pod === undefined || (pod.namespace === expected.pod?.namespace && pod.name === expected.pod.name)) &&
    (port === undefined || expected.port === undefined || formatPort(port) === formatPort(expected.port))
  );
}

/**
 * Waits until the doctor finds an injected failure wherever it is to be found. Returns the codes of what hides it, if that was there `before`: a
 * failure follows from what is broken at an earlier stage, and is not reported beside it.
 * @throws DeadlineError with what was found instead.
 */
export async function untilFound(
  look: () => Promise<Diagnosis>,
  injected: Injected,
  before: ReadonlySet<string>,
  signal: AbortSignal,
  clock: Clock = realClock,
): Promise<string[]> {
  const { failure, target } = injected;
  let seen: Diagnosis | undefined;
  const places = await waitFor(
    `the doctor to find ${failure.code} on ${target.node}`,
    async () => {
      const diagnosis = await look();
      seen = diagnosis;
      const found = expectedSubjects(injected).map((subject) =>
        placeOf(diagnosis, injected, subject, before),
      );
      return found.every((place) => place !== undefined) ? found : undefined;
    },
    { timeoutMs: FOUND_MS, intervalMs: LOOK_MS, signal, clock, describe: () => codesOf(seen) },
  );
  return [...new Set(places.flatMap((place) => place?.hiddenBy ?? []))];
}

/** Where a subject of an injected failure shows in a diagnosis: among the findings, or hidden by another; undefined: nowhere yet. */
function placeOf(
  { findings, paths }: Diagnosis,
  { failure }: Injected,
  subject: Subject,
  before: ReadonlySet<string>,
): { hiddenBy?: string } | undefined {
  if (findings.some((finding) => finding.code === failure.code && isOn(finding, subject))) return {};
  const cell = paths
    .filter((path) => isOn({ subject: path }, subject))
    .map(({ stages }) => stages[failure.stage])
    .find(({ verdict, reason = '' }) => verdict === 'muted' && before.has(reason));
  return cell?.reason === undefined ? undefined : { hiddenBy: cell.reason };
}

function codesOf(diagnosis: Diagnosis | undefined): string {
  const { findings = [], unknowns = [] } = diagnosis ?? {};
  const shown = [
    ...findings.map(({ code, subject: { node, pod } }) => `${code} on ${pod ? podName(pod) : node}`),
    ...unknowns.map(({ what, why }) => `${what}: ${why}`),
  ];
  return shown.length === 0 ? 'no problems' : shown.join(', ');
}

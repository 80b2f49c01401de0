import type { Diagnosis, Finding, StageVerdict } from '../../path/model/finding.ts';
import { stageQuestions, stages } from '../../path/model/stages.ts';
import { podName } from '../../path/view/pod-name.ts';
import type { FaultTarget } from '../inject/fault.ts';

/** How many lines of a piece of evidence a hint has. */
const MAX_LINES = 8;

const VERDICTS: Readonly<Record<StageVerdict['verdict'], string>> = {
  ok: 'it does',
  broken: 'it does not',
  risk: 'it does, but something is wrong there',
  unknown: 'unknown',
  muted: 'nothing can be said of it while an earlier stage is broken',
};

/** The mapping that a question is about, in a diagnosis: by node, pod and port, since the pod may have been recreated. */
export function mappingOf(diagnosis: Diagnosis, target: FaultTarget): Diagnosis['paths'][number] | undefined {
  return diagnosis.paths.find(
    ({ node, pod, port }) =>
      node === target.node &&
      podName(pod) === podName(target.pod) &&
      port.hostPort === target.port.hostPort &&
      port.protocol === target.port.protocol,
  );
}

/**
 * What may be asked for, one after the other: the verdict on each stage of the mapping up to the one where the failure is, and then what the
 * doctor saw there. None of them names the failure.
 */
export function hintsOf(diagnosis: Diagnosis, finding: Finding, target: FaultTarget): string[] {
  const mapping = mappingOf(diagnosis, target);
  const before = stages.slice(0, stages.indexOf(finding.stage));
  const isElsewhere = mapping === undefined || !mapping.stages[finding.stage].codes.includes(finding.code);
  return [
    ...before.map((stage) => {
      const verdict = mapping?.stages[stage].verdict ?? 'unknown';
      return `${stage}: ${stageQuestions[stage]} ${VERDICTS[verdict]}`;
    }),
    `${finding.stage}: ${stageQuestions[finding.stage]} This is where to look${isElsewhere ? ', though not for this pod alone' : ''}`,
    ...finding.evidence.map(({ kind, where, saw }) => {
      const lines = saw.trimEnd().split('\n');
      const more = lines.length > MAX_LINES ? ['…'] : [];
      return [`evidence, ${kind} ${where}:`, ...lines.slice(0, MAX_LINES), ...more].join('\n  ');
    }),
  ];
}

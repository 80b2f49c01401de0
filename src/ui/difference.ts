import { findingKey } from '../path/heal/plan.ts';
import type { Diagnosis, Finding, PathVerdict, StageVerdict, Unknown } from '../path/model/finding.ts';
import { formatPort } from '../path/model/host-ports.ts';
import { type Stage, stages } from '../path/model/stages.ts';
import { podName } from '../path/view/pod-name.ts';

/** How many entries of a kind a difference has; the rest is counted. */
const MAX_ENTRIES = 500;

/** A mapping as people read it. */
export interface Mapping {
  node?: string;
  pod: string;
  port: string;
}

/** A stage whose verdict is another. */
export interface StageChange {
  stage: Stage;
  from: StageVerdict['verdict'];
  to: StageVerdict['verdict'];
}

/** What is different at one moment from an earlier one. */
export interface Difference {
  /** Mappings that are there now. */
  appeared: Mapping[];
  gone: Mapping[];
  changed: (Mapping & { stages: StageChange[] })[];
  /** Findings that are there now, and those that are not any more. */
  found: Pick<Finding, 'code' | 'severity' | 'message'>[];
  solved: Pick<Finding, 'code' | 'severity' | 'message'>[];
  /** What cannot be observed any more, and what can be again. */
  lost: Pick<Unknown, 'node' | 'what' | 'why'>[];
  regained: Pick<Unknown, 'node' | 'what' | 'why'>[];
  /** How many entries were left out of those above. */
  more: number;
}

/** What has changed from one diagnosis to a later one. A pod that was recreated under its name is the same. */
export function differenceOf(before: Diagnosis, after: Diagnosis): Difference {
  const [old, now] = [judgedOf(before), judgedOf(after)];
  const paths = compared(old.paths, now.paths);
  const findings = compared(old.findings, now.findings);
  const unknowns = compared(old.unknowns, now.unknowns);
  let more = 0;
  const some = <T, U>(all: readonly T[], shown: (one: T) => U): U[] => {
    more += Math.max(0, all.length - MAX_ENTRIES);
    return all.slice(0, MAX_ENTRIES).map(shown);
  };
  const changed = paths.both
    .map(([from, to]) => ({ ...mappingOf(to), stages: stageChanges(from, to) }))
    .filter((path) => path.stages.length > 0);
  return {
    appeared: some(paths.added, mappingOf),
    gone: some(paths.removed, mappingOf),
    changed: some(changed, (path) => path),
    found: some(findings.added, sentenceOf),
    solved: some(findings.removed, sentenceOf),
    lost: some(unknowns.added, unknownOf),
    regained: some(unknowns.removed, unknownOf),
    more,
  };
}

/**
 * Is the same for two diagnoses exactly if there is no difference between them: verdicts, findings but for notes, and what is unknown. Evidence may
 * count packets, and be another at each look.
 */
export function verdictsOf(diagnosis: Diagnosis): string {
  const { paths, findings, unknowns } = judgedOf(diagnosis);
  return JSON.stringify([
    [...paths].map(([key, path]) => JSON.stringify([key, verdictRow(path)])).toSorted(),
    [...findings.keys()].toSorted(),
    [...unknowns.keys()].toSorted(),
  ]);
}

function verdictRow({ stages: verdicts }: PathVerdict): string[] {
  return stages.map((stage) => verdicts[stage].verdict);
}

/** What differences are made of, by what makes two of them the same. */
function judgedOf({ paths, findings, unknowns }: Diagnosis) {
  const by = <T>(all: readonly T[], keyOf: (one: T) => string) =>
    new Map(all.map((one) => [keyOf(one), one]));
  return {
    paths: by(paths, pathKey),
    findings: by(
      findings.filter(({ severity }) => severity !== 'note'),
      findingKey,
    ),
    unknowns: by(unknowns, ({ kind, node, what }) => JSON.stringify([kind, node, what])),
  };
}

function compared<T>(
  old: ReadonlyMap<string, T>,
  now: ReadonlyMap<string, T>,
): { added: T[]; removed: T[]; both: [T, T][] } {
  const both: [T, T][] = [];
  for (const [key, to] of now) {
    const from = old.get(key);
    if (from !== undefined) both.push([from, to]);
  }
  return {
    added: [...now].filter(([key]) => !old.has(key)).map(([, one]) => one),
    removed: [...old].filter(([key]) => !now.has(key)).map(([, one]) => one),
    both,
  };
}

function pathKey({ node, pod, port, family }: PathVerdict): string {
  return JSON.stringify([node, pod.namespace, pod.name, port, family]);
}

function mappingOf({ node, pod, port, family }: PathVerdict): Mapping {
  return {
    ...(node !== undefined && { node }),
    pod: podName(pod),
    port: family === undefined ? formatPort(port) : `${formatPort(port)} ${family}`,
  };
}

function stageChanges(before: PathVerdict, after: PathVerdict): StageChange[] {
  return stages.flatMap((stage) => {
    const [from, to] = [before.stages[stage].verdict, after.stages[stage].verdict];
    return from === to ? [] : [{ stage, from, to }];
  });
}

const sentenceOf = ({ code, severity, message }: Finding) => ({ code, severity, message });

const unknownOf = ({ node, what, why }: Unknown) => ({ ...(node !== undefined && { node }), what, why });

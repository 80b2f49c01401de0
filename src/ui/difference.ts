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
  const paths = compared(before.paths, after.paths, pathKey);
  const findings = compared(before.findings, after.findings, findingKey);
  const unknowns = compared(before.unknowns, after.unknowns, ({ kind, node, what }) =>
    JSON.stringify([kind, node, what]),
  );
  let more = 0;
  const some = <T, U>(all: readonly T[], shown: (one: T) => U): U[] => {
    more += Math.max(0, all.length - MAX_ENTRIES);
    return all.slice(0, MAX_ENTRIES).map(shown);
  };
  const changed = paths.both
    .map(([from, to]) => ({ ...mappingOf(to), stages: stageChanges(from, to) }))
    .filter((path) => path.stages.length > 0);
  const isNoted = ({ severity }: Finding) => severity !== 'note';
  return {
    appeared: some(paths.added, mappingOf),
    gone: some(paths.removed, mappingOf),
    changed: some(changed, (path) => path),
    found: some(findings.added.filter(isNoted), sentenceOf),
    solved: some(findings.removed.filter(isNoted), sentenceOf),
    lost: some(unknowns.added, unknownOf),
    regained: some(unknowns.removed, unknownOf),
    more,
  };
}

/**
 * What is the same as long as nothing that a person decides by has changed: verdicts, findings and what is unknown. Evidence may count packets, and
 * be another at each look.
 */
export function verdictsOf({ paths, findings, unknowns }: Diagnosis): string {
  return JSON.stringify([
    paths.map((path) => [path.node, path.pod, path.port, path.family, verdictRow(path)]),
    findings.map((finding) => [findingKey(finding), finding.subject.pod?.uid, finding.severity]),
    unknowns.map(({ kind, node, what }) => [kind, node, what]),
  ]);
}

function verdictRow({ stages: verdicts }: PathVerdict): (string | string[])[] {
  return stages.flatMap((stage) => [verdicts[stage].verdict, verdicts[stage].codes]);
}

function compared<T>(
  before: readonly T[],
  after: readonly T[],
  keyOf: (one: T) => string,
): { added: T[]; removed: T[]; both: [T, T][] } {
  const old = new Map(before.map((one) => [keyOf(one), one]));
  const now = new Map(after.map((one) => [keyOf(one), one]));
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

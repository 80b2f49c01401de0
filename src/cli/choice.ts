import type { Diagnosis } from '../path/model/finding.ts';
import { catalogue } from '../path/stages/index.ts';
import { InputError } from '../util/errors.ts';

/** What of a diagnosis is wanted; an empty list is no choice. */
export interface Choice {
  /** Codes of failures. */
  codes: readonly string[];
  nodes: readonly string[];
}

/**
 * The part of a diagnosis that was chosen. By nodes: their mappings, findings and unknowns, and what is unknown of no node. By codes: their
 * findings, the mappings that these are behind, and those of which it is unknown whether they are.
 */
export function chosen(diagnosis: Diagnosis, { codes, nodes }: Choice): Diagnosis {
  const isOfNode = (node: string | undefined) =>
    nodes.length === 0 || (node !== undefined && nodes.includes(node));
  const stages = catalogue.filter(({ code }) => codes.includes(code)).map(({ stage }) => stage);
  return {
    ...diagnosis,
    paths: diagnosis.paths.filter(
      (path) =>
        isOfNode(path.node) &&
        (codes.length === 0 ||
          stages.some((stage) => path.stages[stage].verdict === 'unknown') ||
          Object.values(path.stages).some((verdict) => verdict.codes.some((code) => codes.includes(code)))),
    ),
    findings: diagnosis.findings.filter(
      ({ code, subject }) => isOfNode(subject.node) && (codes.length === 0 || codes.includes(code)),
    ),
    unknowns: diagnosis.unknowns.filter(({ node }) => node === undefined || isOfNode(node)),
  };
}

/** How many names an error lists. */
const MAX_NAMES = 10;

/** @throws InputError for a node that the cluster does not have: "no problems found" would read as good news. */
export function checkChosenNodes(wanted: readonly string[], known: readonly string[]): void {
  const missing = wanted.find((node) => !known.includes(node));
  if (missing === undefined) return;
  const more = known.length > MAX_NAMES ? ` and ${known.length - MAX_NAMES} more` : '';
  throw new InputError(
    known.length === 0
      ? `cannot examine node ${missing}: the cluster has no nodes`
      : `cannot examine node ${missing}: not found; choose one of ${known.slice(0, MAX_NAMES).join(', ')}${more}`,
  );
}

import type { Diagnosis, PathVerdict } from '../model/finding.ts';
import { causesOf } from './causes.ts';
import { mappingStates, worstOf } from './count-mappings.ts';

/**
 * A diagnosis in the one order that all formats show: the findings cause by cause, as {@link causesOf} has them; the mappings by how bad they are,
 * then by the first cause behind them, so that rows and causes are read from the top down together. What is equal stays as it was.
 */
export function inOrder(diagnosis: Diagnosis): Diagnosis {
  const { findings, paths } = diagnosis;
  const causes = causesOf(findings, paths);
  const ranks = new Map<PathVerdict, number>();
  for (const [rank, { hurt }] of causes.entries()) {
    for (const path of hurt) if (!ranks.has(path)) ranks.set(path, rank);
  }
  const placed = paths.map((path) => ({
    path,
    state: mappingStates.indexOf(worstOf(path)),
    rank: ranks.get(path) ?? causes.length,
  }));
  return {
    ...diagnosis,
    paths: placed.sort((a, b) => a.state - b.state || a.rank - b.rank).map(({ path }) => path),
    findings: causes.flatMap((cause) => cause.findings),
  };
}

import type { Diagnosis, PathVerdict, StageVerdict } from '../model/finding.ts';
import { stages } from '../model/stages.ts';

/** How a mapping is, by the worst of its stages, worst first. */
export const mappingStates = ['broken', 'unknown', 'risk', 'good'] as const;
export type MappingState = (typeof mappingStates)[number];

/** The number of mappings by how good they are. Each counts once, by the worst of its stages. */
export function countMappings({ paths }: Pick<Diagnosis, 'paths'>): Record<MappingState, number> {
  const counts = { good: 0, risk: 0, broken: 0, unknown: 0 };
  for (const path of paths) counts[worstOf(path)]++;
  return counts;
}

/** How good a mapping is, by the worst of its stages. */
export function worstOf({ stages: verdicts }: Pick<PathVerdict, 'stages'>): MappingState {
  return worstVerdict(stages.map((stage) => verdicts[stage]));
}

/** How good a mapping with these verdicts on its stages is. */
export function worstVerdict(verdicts: readonly Pick<StageVerdict, 'verdict'>[]): MappingState {
  const has = (wanted: StageVerdict['verdict']) => verdicts.some(({ verdict }) => verdict === wanted);
  return mappingStates.find((state) => state !== 'good' && has(state)) ?? 'good';
}

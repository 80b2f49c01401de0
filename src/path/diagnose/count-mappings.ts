import type { Diagnosis, PathVerdict, StageVerdict } from '../model/finding.ts';
import { stages } from '../model/stages.ts';

type Goodness = 'good' | 'risk' | 'broken' | 'unknown';

/** The number of mappings by how good they are. Each counts once, by the worst of its stages. */
export function countMappings({ paths }: Pick<Diagnosis, 'paths'>): Record<Goodness, number> {
  const counts = { good: 0, risk: 0, broken: 0, unknown: 0 };
  for (const path of paths) counts[worstOf(path)]++;
  return counts;
}

/** How good a mapping is, by the worst of its stages. */
export function worstOf({ stages: verdicts }: Pick<PathVerdict, 'stages'>): Goodness {
  return worstVerdict(stages.map((stage) => verdicts[stage]));
}

/** How good a mapping with these verdicts on its stages is. */
export function worstVerdict(verdicts: readonly Pick<StageVerdict, 'verdict'>[]): Goodness {
  const has = (wanted: StageVerdict['verdict']) => verdicts.some(({ verdict }) => verdict === wanted);
  return (['broken', 'unknown', 'risk'] as const).find(has) ?? 'good';
}

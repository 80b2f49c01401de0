import type { Diagnosis, PathVerdict, StageVerdict } from '../model/finding.ts';
import { stages } from '../model/stages.ts';

/** How many mappings are how good. Each counts once, by the worst of its stages. */
export function countMappings({
  paths,
}: Pick<Diagnosis, 'paths'>): Record<'good' | 'risk' | 'broken' | 'unknown', number> {
  const counts = { good: 0, risk: 0, broken: 0, unknown: 0 };
  for (const path of paths) counts[worstOf(path)]++;
  return counts;
}

/** How good a mapping is, by the worst of its stages. */
export function worstOf({
  stages: verdicts,
}: Pick<PathVerdict, 'stages'>): keyof ReturnType<typeof countMappings> {
  const has = (verdict: StageVerdict['verdict']) =>
    stages.some((stage) => verdicts[stage].verdict === verdict);
  return (['broken', 'unknown', 'risk'] as const).find(has) ?? 'good';
}

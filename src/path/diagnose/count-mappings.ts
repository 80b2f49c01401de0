import type { Diagnosis, StageVerdict } from '../model/finding.ts';
import { stages } from '../model/stages.ts';

/** How many mappings are how good. Each counts once, by the worst of its stages. */
export function countMappings({
  paths,
}: Pick<Diagnosis, 'paths'>): Record<'good' | 'risk' | 'broken' | 'unknown', number> {
  const counts = { good: 0, risk: 0, broken: 0, unknown: 0 };
  for (const { stages: verdicts } of paths) {
    const has = (verdict: StageVerdict['verdict']) =>
      stages.some((stage) => verdicts[stage].verdict === verdict);
    const worst = (['broken', 'unknown', 'risk'] as const).find(has);
    counts[worst ?? 'good']++;
  }
  return counts;
}

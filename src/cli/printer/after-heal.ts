import type { Diagnosis } from '../../path/model/finding.ts';
import type { World } from '../../path/model/world.ts';
import { chosen } from '../choice.ts';
import { renderDiagnosis } from './diagnosis.ts';
import type { Layout } from './layout.ts';
import { othersLeft } from './nothing-to-fix.ts';

/** How a cluster is after a heal: all of it, or what concerns the codes that were chosen, and how much else there is. */
export function renderAfterHeal(
  diagnosis: Diagnosis,
  world: World,
  codes: readonly string[],
  { program, flags, layout }: { program: string; flags: string; layout: Layout },
): string {
  const render = (of: Diagnosis) => renderDiagnosis(of, program, flags, layout);
  if (codes.length === 0) return render(diagnosis);
  const own = chosen(diagnosis, { codes, nodes: [] }, world);
  const others = diagnosis.findings.filter(({ code }) => !codes.includes(code));
  const isClear = own.paths.length + own.findings.length === 0;
  return [
    isClear ? 'Nothing of this choice is left to fix.\n' : render(own),
    ...(others.length === 0 ? [] : [`${isClear ? '' : '\n'}${othersLeft(others)}.\n`]),
  ].join('');
}

import type { Diagnosis, Finding } from '../../path/model/finding.ts';
import { exitStatusOf } from './diagnosis.ts';
import { type Layout, WIDE } from './layout.ts';
import { paragraph } from './wrap.ts';

/** What an empty plan means: no problem at all, or none of the kinds and nodes that were chosen, with the codes of those left. */
export function nothingToFix(diagnosis: Diagnosis, layout: Layout = WIDE): string {
  const { findings: left, unknowns } = diagnosis;
  if (left.length === 0) {
    if (exitStatusOf(diagnosis) !== 2) return 'Nothing to fix.\n';
    const why = unknowns[0] === undefined ? '' : ` (${unknowns[0].what}: ${unknowns[0].why})`;
    return paragraph(`Nothing to fix was found, but not everything could be examined${why}.`, layout);
  }
  return paragraph(`Nothing of this choice to fix; ${othersLeft(left)}.`, layout);
}

/** How many other findings there are, and of which kinds. */
export function othersLeft(findings: readonly Pick<Finding, 'code'>[]): string {
  const codes = [...new Set(findings.map(({ code }) => code))].join(', ');
  const others = findings.length === 1 ? '1 other problem is' : `${findings.length} other problems are`;
  return `${others} left (${codes})`;
}

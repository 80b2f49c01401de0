import type { Diagnosis, Finding } from '../../path/model/finding.ts';
import { exitStatusOf } from './diagnosis.ts';
import { type Layout, WIDE } from './layout.ts';
import { paragraph } from './wrap.ts';

/**
 * What an empty plan means: no problem at all, or none of the kinds and nodes that were chosen, or none that can be fixed from here, with the codes of
 * those left. `isChoice`: some were chosen.
 */
export function nothingToFix(diagnosis: Diagnosis, isChoice: boolean, layout: Layout = WIDE): string {
  const { findings, unknowns } = diagnosis;
  // A note is of something that harms nobody.
  const left = findings.filter(({ severity }) => severity !== 'note');
  if (left.length === 0) {
    if (exitStatusOf(diagnosis) !== 2) return 'Nothing to fix.\n';
    const why = unknowns[0] === undefined ? '' : ` (${unknowns[0].what}: ${unknowns[0].why})`;
    return paragraph(`Nothing to fix was found, but not everything could be examined${why}.`, layout);
  }
  const what = isChoice ? 'Nothing of this choice to fix' : 'Nothing that heal can fix';
  return paragraph(`${what}; ${othersLeft(left)}.`, layout);
}

/** How many other findings there are, and of which kinds. */
export function othersLeft(findings: readonly Pick<Finding, 'code'>[]): string {
  const codes = [...new Set(findings.map(({ code }) => code))].join(', ');
  const others = findings.length === 1 ? '1 other problem is' : `${findings.length} other problems are`;
  return `${others} left (${codes})`;
}

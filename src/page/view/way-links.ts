import type { CellData } from '../data.ts';

type Verdict = CellData['verdict'];

/**
 * How the links between the stations of a way are drawn, one for each station but the first: by the verdict on the station that a link leads to.
 * After the first that is broken nothing has come through, so that a station which holds all the same has no good link before it.
 */
export function linksOf(verdicts: readonly Verdict[]): Verdict[] {
  const first = verdicts.indexOf('broken');
  return verdicts
    .slice(1)
    .map((verdict, i) => (first >= 0 && i >= first && verdict !== 'broken' ? 'muted' : verdict));
}

/** Whether the answer is seen to get back: nothing is broken, and the stages that every packet passes, from `start` on, hold. */
export function isReplied(verdicts: readonly Verdict[], start: number): boolean {
  return (
    !verdicts.includes('broken') &&
    verdicts.slice(start).every((verdict) => verdict === 'ok' || verdict === 'risk')
  );
}

import { compareStages } from '../../path/model/stages.ts';
import type { Failure } from '../../path/stages/failure.ts';
import { catalogue } from '../../path/stages/index.ts';
import { shuffled } from '../../util/seeded.ts';
import { canInject } from '../faults/index.ts';

/** How hard a question is. */
export const levels = [1, 2, 3] as const;
export type Level = (typeof levels)[number];

/** How many causes there are to choose from. */
const CANDIDATES: Readonly<Record<Level, number>> = { 1: 4, 2: 6, 3: 9 };

/**
 * The failures of a level, of those that a lab can have: first what breaks a hostPort by a file or a plugin of the node, as the how-to's two
 * workers; then whatever breaks one; then also what is only a risk.
 */
export function failuresOf(level: Level): readonly Failure[] {
  return catalogue.filter(
    (failure) =>
      canInject(failure) &&
      (level === 3 || failure.severity === 'broken') &&
      (level > 1 || failure.stage === 'configured' || failure.stage === 'installed'),
  );
}

/** The causes that one may choose from, the right one among them, in the order of the stages and then of their codes. */
export function candidatesFor(failure: Failure, level: Level, random: () => number): Failure[] {
  const others = shuffled(
    failuresOf(level).filter((other) => other !== failure),
    random,
  );
  return [failure, ...others.slice(0, CANDIDATES[level] - 1)].sort(
    (a, b) => compareStages(a.stage, b.stage) || (a.code < b.code ? -1 : 1),
  );
}

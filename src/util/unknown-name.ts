import { andMore } from './and-more.ts';
import { editDistance } from './edit-distance.ts';
import { InputError } from './errors.ts';

/** How many names an error lists. */
const LISTED = 10;

/** The names that may have been meant by what was typed: the nearest by their letters, or those of which it is the end (`worker2`). */
export function namesLike(typed: string, known: readonly string[]): string[] {
  const ends = known.filter((name) => name.endsWith(`-${typed}`));
  if (ends.length > 0) return ends;
  const far = known.map((name) => ({ name, distance: editDistance(name, typed) }));
  const least = Math.min(...far.map(({ distance }) => distance));
  // A typo or two, more in a long word; something of it must be as it is.
  if (least > Math.max(2, Math.floor(typed.length / 4)) || least >= typed.length) return [];
  return far.filter(({ distance }) => distance === least).map(({ name }) => name);
}

/** What was looked for by its name, and not found. */
export interface UnknownName {
  /** What could not be done, in the words after "cannot". */
  attempt: string;
  /** What kind of thing has such a name. By default, a node. */
  kind?: string;
  name: string;
  /** Where it was looked for: `in cluster "kind"`. */
  where: string;
  /** The names that there are. */
  known: readonly string[];
  /** What to do where there are none. */
  ifNone?: string;
}

/** The error for a name that there is not: what may have been meant, and what there is. One wording for all commands. */
export function unknownName(unknown: UnknownName): InputError {
  const { attempt, kind = 'node', name, where, known, ifNone = 'there are no nodes' } = unknown;
  return new InputError(
    `cannot ${attempt}: ${kind} "${name}" not found ${where}; ${known.length === 0 ? ifNone : adviceFor(name, known)}`,
  );
}

function adviceFor(name: string, known: readonly string[]): string {
  const like = namesLike(name, known).slice(0, LISTED);
  const nodes = `nodes are ${andMore(known, LISTED)}`;
  return like.length === 0 ? `the ${nodes}` : `did you mean ${like.join(' or ')}? The ${nodes}`;
}

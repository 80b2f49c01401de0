/** How much room a text has, and whether it is to use as little as possible. */
export interface Layout {
  /** Columns of the terminal; infinite where lines are not broken. */
  width: number;
  /** Show each node, pod and mapping, whatever their number. */
  isUnfolded: boolean;
}

/** What `-o wide` prints: everything, in lines as long as they are. */
export const WIDE: Layout = { width: Number.POSITIVE_INFINITY, isUnfolded: true };

/** The least that a table fits in; on a narrower terminal it is broken by that. */
const MIN_WIDTH = 60;
/** What is assumed of a reader that is not a terminal. */
const USUAL_WIDTH = 80;

/** The layout for a stream that is read by people: as wide as their terminal. */
export function layoutOf({ columns }: { columns?: number }): Layout {
  return { width: Math.max(columns || USUAL_WIDTH, MIN_WIDTH), isUnfolded: false };
}

import { type Environment, type Paint, paintOf, plain } from './colour.ts';

/** How much room a text has, whether it is to use as little as possible, and its colours. */
export interface Layout {
  /** Columns of the terminal; infinite where lines are not broken. */
  width: number;
  /** Show each node, pod and mapping, whatever their number. */
  isUnfolded: boolean;
  paint: Paint;
}

/** What `-o wide` prints: everything, in lines as long as they are. */
export const WIDE: Layout = { width: Number.POSITIVE_INFINITY, isUnfolded: true, paint: plain };

/** The least that a table fits in; on a narrower terminal it is broken by that. */
const MIN_WIDTH = 60;
/** What is assumed of a terminal that does not know its width. */
const USUAL_WIDTH = 80;

/** A stream that texts are printed to. */
export interface TextStream {
  isTTY?: boolean;
  columns?: number;
}

/**
 * The layout for a stream: as wide as its terminal, or as COLUMNS says where that is exported. What is not a terminal (a pipe, a file) gets
 * whole lines, so that nothing that is searched for is broken in two.
 */
export function layoutOf(stream: TextStream, env: Environment = process.env): Layout {
  return { width: widthOf(stream, env), isUnfolded: false, paint: paintOf(stream, env) };
}

/** As {@link layoutOf} with lines as long as they are. */
export function wideLayoutOf(stream: TextStream, env: Environment = process.env): Layout {
  return { ...WIDE, paint: paintOf(stream, env) };
}

function widthOf({ isTTY, columns }: TextStream, env: Environment): number {
  if (isTTY !== true) return Number.POSITIVE_INFINITY;
  const asked = /^[1-9]\d{0,4}$/.test(env.COLUMNS ?? '') ? Number(env.COLUMNS) : undefined;
  return Math.max(asked ?? (columns || USUAL_WIDTH), MIN_WIDTH);
}

import type { Moment } from '../history.ts';

/**
 * The moments with the newest one, which has just come; undefined where others may have come before it, so that all have to be read again. Those that
 * the server forgets stay until then.
 */
export function withNewest(moments: readonly Moment[], newest: Moment): Moment[] | undefined {
  const last = moments.at(-1);
  if (last?.id === newest.id) return [...moments.slice(0, -1), newest];
  return last !== undefined && last.id + 1 === newest.id ? [...moments, newest] : undefined;
}

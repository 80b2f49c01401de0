import type { Restored } from '../../agent/faults/faults.ts';
import { messageOf } from '../../util/errors.ts';
import { safeText } from './safe-text.ts';

/** What was undone and what was not, a line each. */
export function renderRestored({ undone, failed }: Restored): string {
  if (undone.length + failed.length === 0) return 'Nothing to undo.\n';
  return [
    ...undone.map(({ failure: { code }, target: { node } }) => `undone: ${code} on ${safeText(node)}\n`),
    ...failed.map(
      ({ entry: { failure, target }, cause }) =>
        `not undone: ${failure.code} on ${safeText(target.node)}: ${safeText(messageOf(cause))}\n`,
    ),
  ].join('');
}

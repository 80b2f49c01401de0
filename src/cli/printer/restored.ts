import type { Injected, Restored } from '../../lab/inject/book.ts';
import { messageOf } from '../../util/errors.ts';
import { safeText } from '../../util/safe-text.ts';

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

/** The same as a document. */
export function restoredDocument({ undone, failed }: Restored): Record<string, unknown> {
  const entry = ({ failure: { code }, target: { node, pod } }: Injected) => ({
    code,
    node,
    pod: { namespace: pod.namespace, name: pod.name, uid: pod.uid },
  });
  return {
    apiVersion: 'hostport/v1',
    kind: 'UnbreakReport',
    undone: undone.map(entry),
    failed: failed.map(({ entry: left, cause }) => ({ ...entry(left), reason: messageOf(cause) })),
  };
}

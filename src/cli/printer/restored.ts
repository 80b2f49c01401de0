import type { Aftermath } from '../../lab/inject/aftermath.ts';
import type { Injected, Restored } from '../../lab/inject/book.ts';
import { messageOf } from '../../util/errors.ts';
import { type Layout, WIDE } from './layout.ts';
import { paragraph } from './wrap.ts';

/** What was undone and what was not, a line each. */
export function renderRestored({ undone, failed }: Restored, layout: Layout = WIDE): string {
  if (undone.length + failed.length === 0) return 'Nothing to undo.\n';
  return [
    ...undone.map(({ failure: { code }, target: { node } }) =>
      paragraph(`undone: ${code} on ${node}`, layout),
    ),
    ...failed.map(({ entry: { failure, target }, cause }) =>
      paragraph(`not undone: ${failure.code} on ${target.node}: ${messageOf(cause)}`, layout),
    ),
  ].join('');
}

/** The same as a document. */
export function restoredDocument(
  { undone, failed }: Restored,
  { notBack, left }: Aftermath,
): Record<string, unknown> {
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
    notBack: notBack.map(({ why, ...place }) => ({ ...place, reason: why })),
    left: left.map(({ code, message, subject }) => ({ code, ...subject, message })),
  };
}

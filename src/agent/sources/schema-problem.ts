import { z } from 'zod';
import { messageOf } from '../../util/errors.ts';

/** Longest message, in characters: it may be of a path in somebody's document. */
const MAX_LENGTH = 500;

/** Where a document is not as its schema wants it, and how: the first of what may be many. The document is not quoted. */
export function schemaProblem(cause: unknown): string {
  if (!(cause instanceof z.ZodError)) return messageOf(cause);
  const issue = cause.issues[0]!;
  const path = issue.path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`))
    .join('');
  return `${path}: ${issue.message}`.replace(/^[.:] ?/, '').slice(0, MAX_LENGTH);
}

import { z } from 'zod';
import { messageOf } from '../util/errors.ts';

/** Longest message, in characters: it may be of a path in somebody's document. */
const MAX_LENGTH = 500;

/**
 * The first place where a document does not match its schema, and how. The document is not quoted. `offset`: how many items came before those of the
 * document, when it is a part of a list.
 */
export function schemaProblem(cause: unknown, offset = 0): string {
  if (!(cause instanceof z.ZodError)) return messageOf(cause);
  const { path, message } = deepest(cause.issues[0]!);
  const place = path
    .map((step, i) => (typeof step === 'number' ? `[${i === 0 ? step + offset : step}]` : `.${String(step)}`))
    .join('');
  return `${place}: ${message}`.replace(/^[.:] ?/, '').slice(0, MAX_LENGTH);
}

type Issue = Pick<z.core.$ZodIssue, 'path' | 'message'>;

/** For a value with several possible forms, the problem in the form that fits best. */
function deepest(issue: z.core.$ZodIssue): Issue {
  if (issue.code !== 'invalid_union') return issue;
  const [inner] = issue.errors
    .flatMap(([first]) => (first === undefined ? [] : [deepest(first)]))
    .sort((a, b) => b.path.length - a.path.length);
  if (inner === undefined || inner.path.length === 0) return issue;
  return { path: [...issue.path, ...inner.path], message: inner.message };
}

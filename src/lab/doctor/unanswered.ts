import { ExecError } from '../../sys/exec.ts';
import { messageOf } from '../../util/errors.ts';

/** The exit status of a program that does not know its words; docs/exit-status.md. */
const WRONG_WORDS = 2;

/**
 * Why a node of a lab has not answered. The program in a node is that of the version that created the cluster: one that does not know what it is asked is
 * an older one, which only that version can ask.
 */
export function whyUnanswered(node: string, cluster: string, cause: unknown): string {
  if (!(cause instanceof ExecError) || cause.result.code !== WRONG_WORDS) return messageOf(cause);
  return `cannot ask node ${node}: another version of this program has created cluster "${cluster}"; create it again, or use that version`;
}

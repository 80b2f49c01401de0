import { cniErrorCode } from '../../src/cni/index.ts';
import { STATE_DIRECTORY } from '../../src/portmap/state.ts';
import type { ExecResult } from '../../src/sys/exec.ts';

export type Verb = 'ADD' | 'DEL' | 'CHECK' | 'GC';

/**
 * What an answer of portmap has that the documents do not allow; undefined for nothing. A result or an error is one JSON document on standard output;
 * DEL, CHECK and GC have no result. An error may be that the lock was held too long (11); where the state cannot be written, only ADD has an error for
 * that (5, which names the directory), and DEL and GC work without it.
 */
export function answerProblem(
  verb: Verb,
  { code, stdout, stderr }: ExecResult,
  isUnwritable: boolean,
): string | undefined {
  const seen = `status ${code}: ${stdout}${stderr}`;
  if (code === 0 && verb !== 'ADD') return stdout === '' ? undefined : `has a result: ${seen}`;
  const document = documentOf(stdout);
  if (document === undefined) return `not one JSON document: ${seen}`;
  if (code === 0) return 'code' in document ? `succeeds with an error: ${seen}` : undefined;
  const { code: error, msg } = document;
  if (isUnwritable && (verb === 'DEL' || verb === 'GC')) return `needs the state: ${seen}`;
  if (error === cniErrorCode.tryAgainLater) return undefined;
  const isAboutState = error === cniErrorCode.ioFailure && String(msg).includes(`${STATE_DIRECTORY}/`);
  return isUnwritable && verb === 'ADD' && isAboutState ? undefined : seen;
}

/** The one JSON object that a text is; undefined where it is something else. */
function documentOf(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

import { PROBLEMS } from '../util/system-error.ts';

/**
 * What the system reports about a file, in words and without its name: `no such file or directory`. Undefined for an error that is not
 * a system error. Source: errno(3), open(2).
 */
export function fileProblem(cause: unknown): string | undefined {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code;
  if (code === undefined) return undefined;
  if (Object.hasOwn(PROBLEMS, code)) return PROBLEMS[code];
  return /^E[A-Z0-9]+$/.test(code) ? `the system reports ${code}` : undefined;
}

import { statSync } from 'node:fs';
import type { Exec, ExecOptions, ExecResult } from '../../sys/exec.ts';

/**
 * An exec that caches what a program says about itself: a plugin's VERSION, a tool's `--version`. An answer is valid as long as the file
 * is the same and unchanged; asking starts a process each time, the most expensive part of observing a node. Only successful answers are
 * cached, and every other command runs every time.
 */
export function rememberingExec(exec: Exec): Exec {
  const answers = new Map<string, { identity: string; result: ExecResult }>();
  return {
    async run(argv, options = {}) {
      const question = questionOf(argv, options);
      const identity = question === undefined ? undefined : identityOf(argv[0]!);
      if (question === undefined || identity === undefined) return exec.run(argv, options);
      const known = answers.get(question);
      if (known?.identity === identity) return known.result;
      const result = await exec.run(argv, options);
      if (result.code === 0) answers.set(question, { identity, result });
      else answers.delete(question);
      return result;
    },
  };
}

/** What is asked, when it is a question whose answer lies in the program alone. */
function questionOf(argv: readonly string[], { env, stdin }: ExecOptions): string | undefined {
  if (!argv[0]?.startsWith('/')) return undefined;
  const isVersion =
    (argv.length === 1 && env?.CNI_COMMAND === 'VERSION' && typeof stdin === 'string') ||
    (argv.length === 2 && argv[1] === '--version');
  return isVersion ? JSON.stringify([argv, stdin ?? '']) : undefined;
}

function identityOf(program: string): string | undefined {
  const stat = statSync(program, { throwIfNoEntry: false, bigint: true });
  return stat && [stat.dev, stat.ino, stat.size, stat.mode, stat.mtimeNs, stat.ctimeNs].join(':');
}

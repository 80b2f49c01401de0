/** In the place of sys/bun-exec.ts. */
import { DEFAULT_MAX_BYTES, type Exec, ExecError, type ExecResult, printedTooMuch } from '../../sys/exec.ts';
import { searchPath } from '../../sys/search-path.ts';
import { port, type Ran } from './port.ts';

const SIGKILL = 9;
const DEFAULT_TIMEOUT_MS = 30_000;

export function findProgram(name: string): string | undefined {
  if (name === '') return undefined;
  if (name.includes('/')) return port.isProgram(name) ? name : undefined;
  for (const directory of searchPath().split(':')) {
    const path = `${directory}/${name}`;
    if (directory !== '' && port.isProgram(path)) return path;
  }
  return undefined;
}

export const bunExec: Exec = {
  async run(argv, options = {}) {
    const { cwd, signal: abort, binary, stdinFile, outputFile } = options;
    if (
      cwd ??
      abort ??
      binary ??
      stdinFile ??
      outputFile ??
      (options.stdin instanceof Uint8Array || undefined)
    ) {
      throw new TypeError(`cannot run ${argv[0]}: an option that plugins do not have`);
    }
    const file = findProgram(argv[0] ?? '');
    if (file === undefined) {
      throw new ExecError(argv, { code: 127, stdout: '', stderr: '' }, `not found in ${searchPath()}`);
    }
    const { timeoutMs = DEFAULT_TIMEOUT_MS, maxBytes = DEFAULT_MAX_BYTES, inherit = -1 } = options;
    const words = [file, ...argv.slice(1)];
    const stdin = options.stdin as string | undefined;
    const env = environment(options.env ?? process.env);
    return resultOf(
      argv,
      port.run(file, words, env, stdin, inherit, timeoutMs, maxBytes),
      timeoutMs,
      maxBytes,
    );
  },

  start(argv, { stdin, inherit = -1 }) {
    const file = findProgram(argv[0] ?? '');
    if (file === undefined) return undefined;
    const words = [file, ...argv.slice(1)];
    const program = port.start(file, words, environment(process.env), stdin, inherit);
    return {
      end: async (rest, { timeoutMs = DEFAULT_TIMEOUT_MS } = {}) => {
        const ran = port.end(program, rest, timeoutMs, DEFAULT_MAX_BYTES);
        return resultOf(argv, ran, timeoutMs, DEFAULT_MAX_BYTES);
      },
    };
  },
};

function environment(variables: Readonly<Record<string, string | undefined>>): string[] {
  return Object.entries({ ...variables, PATH: searchPath() }).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${value}`],
  );
}

function resultOf(argv: readonly string[], ran: Ran, timeoutMs: number, maxBytes: number): ExecResult {
  const { code, signal, stdout, stderr, stopped } = ran;
  if (stopped === 'printed')
    throw new ExecError(argv, { code, stdout: '', stderr }, printedTooMuch(maxBytes));
  if (stopped === 'deadline') {
    throw new ExecError(argv, { code, stdout, stderr }, `killed; its deadline was ${timeoutMs} ms`);
  }
  // By the kernel, when memory is short, or by somebody: what it printed is not all of it.
  if (signal === SIGKILL) throw new ExecError(argv, { code, stdout, stderr }, 'killed by another process');
  return { code, stdout, stderr };
}

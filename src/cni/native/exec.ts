/** In the place of sys/bun-exec.ts. */
import { DEFAULT_MAX_BYTES, type Exec, ExecError, printedTooMuch } from '../../sys/exec.ts';
import { searchPath } from '../../sys/search-path.ts';
import { port } from './port.ts';

const SIGKILL = 9;

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
    const path = searchPath();
    const file = findProgram(argv[0] ?? '');
    if (file === undefined) {
      throw new ExecError(argv, { code: 127, stdout: '', stderr: '' }, `not found in ${path}`);
    }
    const { timeoutMs = 30_000, maxBytes = DEFAULT_MAX_BYTES, inherit = -1 } = options;
    const env = Object.entries({ ...(options.env ?? process.env), PATH: path }).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}=${value}`],
    );
    const stdin = options.stdin as string | undefined;
    const ran = port.run(file, [file, ...argv.slice(1)], env, stdin, inherit, timeoutMs, maxBytes);
    const { code, signal, stdout, stderr, stopped } = ran;
    if (stopped === 'printed')
      throw new ExecError(argv, { code, stdout: '', stderr }, printedTooMuch(maxBytes));
    if (stopped === 'deadline') {
      throw new ExecError(argv, { code, stdout, stderr }, `killed; its deadline was ${timeoutMs} ms`);
    }
    // By the kernel, when memory is short, or by somebody: what it printed is not all of it.
    if (signal === SIGKILL) throw new ExecError(argv, { code, stdout, stderr }, 'killed by another process');
    return { code, stdout, stderr };
  },
};

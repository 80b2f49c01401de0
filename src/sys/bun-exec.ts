import { DEFAULT_MAX_BYTES, type Exec, ExecError, printedTooMuch } from './exec.ts';
import { searchPath } from './search-path.ts';

/** The path of the program that {@link bunExec} would run; undefined when no program has that name. */
export function findProgram(name: string): string | undefined {
  return Bun.which(name, { PATH: searchPath() }) ?? undefined;
}

/**
 * {@link Exec} by Bun.spawn. A plugin is a process per call and node:child_process costs it milliseconds to load.
 * Supports what plugins use: standard input as text, a deadline, a bound of what is printed, a descriptor to inherit.
 */
export const bunExec: Exec = {
  async run(argv, options = {}) {
    const [program, ...args] = argv;
    const path = searchPath();
    const file = findProgram(program ?? '');
    if (file === undefined) {
      throw new ExecError(argv, { code: 127, stdout: '', stderr: '' }, `not found in ${path}`);
    }
    const timeoutMs = options.timeoutMs ?? 30_000;
    const child = Bun.spawn([file, ...args], {
      cwd: options.cwd,
      env: { ...(options.env ?? process.env), PATH: path },
      stdio: [
        // A Blob goes into a file in memory before the process starts: it reads all of it even if we are killed.
        options.stdin === undefined ? 'ignore' : new Blob([options.stdin as string]),
        'pipe',
        'pipe',
        ...(options.inherit === undefined ? [] : [options.inherit]),
      ],
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    });
    const maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
    let printed = 0;
    const isTooMuch = () => printed > maxBytes;
    const read = async (stream: ReadableStream<Uint8Array>) => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of stream) {
        printed += chunk.length;
        if (isTooMuch()) {
          child.kill('SIGKILL');
          return '';
        }
        chunks.push(chunk);
      }
      return Buffer.concat(chunks).toString('utf8');
    };
    const [stdout, stderr, code] = await Promise.all([read(child.stdout), read(child.stderr), child.exited]);
    const result = { code, stdout, stderr };
    if (isTooMuch()) throw new ExecError(argv, { ...result, stdout: '' }, printedTooMuch(maxBytes));
    if (child.signalCode === 'SIGKILL') {
      throw new ExecError(argv, result, `killed; its deadline was ${timeoutMs} ms`);
    }
    return result;
  },
};

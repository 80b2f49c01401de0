import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { constants } from 'node:os';

export interface ForegroundOptions {
  env?: Record<string, string | undefined>;
  cwd?: string;
  /** What the command reads: this process's standard input, or nothing. Default 'inherit'. */
  stdin?: 'inherit' | 'ignore';
}

/**
 * Runs a command on this process's own terminal and returns its exit status, 128 + n when signal n ended it.
 * SIGINT and SIGQUIT reach it from the terminal by themselves, so this process ignores them meanwhile; SIGTERM and SIGHUP
 * are passed on.
 */
export async function foreground(argv: readonly string[], options: ForegroundOptions = {}): Promise<number> {
  const [file, ...args] = argv;
  if (file === undefined) throw new Error('foreground: empty argv');
  const { child, release } = spawnSharingSignals(file, args, {
    stdio: [options.stdin ?? 'inherit', 'inherit', 'inherit'],
    env: (options.env ?? process.env) as NodeJS.ProcessEnv,
    cwd: options.cwd,
  });
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', (cause: NodeJS.ErrnoException) => {
        // What a shell answers for a command that is not there, or not executable.
        if (cause.code === 'ENOENT' || cause.code === 'EACCES') {
          process.stderr.write(
            `${file}: ${cause.code === 'ENOENT' ? 'command not found' : 'permission denied'}\n`,
          );
          resolve(cause.code === 'ENOENT' ? 127 : 126);
        } else reject(cause);
      });
      child.once('close', (code, signal) => resolve(code ?? 128 + constants.signals[signal!]));
    });
  } finally {
    release();
  }
}

/**
 * Starts a child and, until it is released, ignores SIGINT and SIGQUIT, which it gets from the terminal by itself, and passes SIGTERM and
 * SIGHUP on.
 */
function spawnSharingSignals(
  file: string,
  args: readonly string[],
  options: SpawnOptions,
): { child: ChildProcess; release(): void } {
  let child: ChildProcess | undefined;
  const ignore = () => {};
  const pass = (signal: NodeJS.Signals) => child?.kill(signal);
  // Before it starts: it may be known to run, and be signalled, before spawn returns.
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) process.on(signal, ignore);
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, pass);
  const release = () => {
    for (const signal of ['SIGINT', 'SIGQUIT'] as const) process.off(signal, ignore);
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.off(signal, pass);
  };
  try {
    child = spawn(file, args, options);
    return { child, release };
  } catch (cause) {
    release();
    throw cause;
  }
}

/** What a command left behind whose standard output was read. */
export interface Captured {
  /** Exit status; 128 + n when signal n ended it. */
  status: number;
  stdout: string;
}

/** How much is read of a command's standard output: a credential has some kilobytes. */
const MAX_BYTES = 4 * 1024 * 1024;

/**
 * Runs a command as this process's own, with its standard error and, where it may ask, its terminal, and returns its standard output.
 * It has all the time it needs: somebody may have to log in. Signals reach it as by {@link foreground}; an abort ends it with SIGTERM.
 * Rejects with the error of the system when it cannot be started, and when it prints more than 4 MiB.
 */
export async function captureForeground(
  argv: readonly string[],
  options: { env: Record<string, string | undefined>; stdin: 'inherit' | 'ignore'; signal?: AbortSignal },
): Promise<Captured> {
  const [file, ...args] = argv;
  if (file === undefined) throw new Error('captureForeground: empty argv');
  options.signal?.throwIfAborted();
  const { child, release } = spawnSharingSignals(file, args, {
    stdio: [options.stdin, 'pipe', 'inherit'],
    env: options.env as NodeJS.ProcessEnv,
  });
  const captured = new Promise<Captured>((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    child.stdout!.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      size += chunk.length;
      if (size > MAX_BYTES) {
        child.kill('SIGKILL');
        reject(new Error(`printed more than ${MAX_BYTES} bytes, killed`));
      }
    });
    child.once('error', reject);
    child.once('close', (code, signal) =>
      resolve({
        status: code ?? 128 + constants.signals[signal!],
        stdout: Buffer.concat(chunks).toString('utf8'),
      }),
    );
  });
  const end = () => child.kill();
  const { signal } = options;
  signal?.addEventListener('abort', end, { once: true });
  return captured.finally(() => {
    signal?.removeEventListener('abort', end);
    release();
  });
}

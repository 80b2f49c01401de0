import { spawn } from 'node:child_process';
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
  const child = spawn(file, args, {
    stdio: [options.stdin ?? 'inherit', 'inherit', 'inherit'],
    env: (options.env ?? process.env) as NodeJS.ProcessEnv,
    cwd: options.cwd,
  });
  const ignore = () => {};
  const pass = (signal: NodeJS.Signals) => child.kill(signal);
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) process.on(signal, ignore);
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, pass);
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
    for (const signal of ['SIGINT', 'SIGQUIT'] as const) process.off(signal, ignore);
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.off(signal, pass);
  }
}

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { constants } from 'node:os';
import { isErrno } from './errno.ts';

/** What a finished process left behind. */
export interface ExecResult {
  /** Exit status; 128 + signal number when a signal ended it, as shells say. */
  code: number;
  stdout: string;
  stderr: string;
  /** Standard output as it was, when {@link ExecOptions.binary} asked for it; `stdout` is empty then. */
  stdoutBytes?: Uint8Array;
}

export interface ExecOptions {
  /** Written to standard input, which is then closed. Without it standard input is empty. */
  stdin?: string | Uint8Array;
  /** A file the process reads as its standard input. */
  stdinFile?: string;
  /** The whole environment of the process. Default: this process's own. */
  env?: Record<string, string | undefined>;
  cwd?: string;
  /** Return standard output as bytes. */
  binary?: boolean;
  /** Deadline in milliseconds; the process is killed when it passes. Default 30 000. */
  timeoutMs?: number;
  /** How many bytes the process may print, on both streams together; it is killed when it prints more. Default 64 MiB. */
  maxBytes?: number;
  signal?: AbortSignal;
  /**
   * Appends both output streams to this file instead of returning them. For a command that leaves a daemon behind: a pipe
   * would stay open as long as the daemon.
   */
  outputFile?: string;
  /**
   * A descriptor that the process gets as its 3. For a lock that must last as long as the process, whatever becomes of the one
   * that started it: flock(2) holds until the last copy of the descriptor is closed.
   */
  inherit?: number;
}

/** How much a process may print unless its caller says otherwise: rules of a large node are some megabytes. */
export const DEFAULT_MAX_BYTES = 64 * 1024 * 1024;

/**
 * The door to other programs: one method, an argv array, never a shell.
 * `run` resolves with whatever exit code the process had, and rejects with {@link ExecError} only when there is none
 * (the program could not be started, passed its deadline, or printed too much).
 */
export interface Exec {
  run(argv: readonly string[], options?: ExecOptions): Promise<ExecResult>;
  /**
   * Starts a program whose standard input is not all known yet: `stdin` is its beginning, 4 KiB at most. Undefined when it is not found. Where this is
   * missing, and where it returns undefined, `run` does the same later.
   */
  start?(
    argv: readonly string[],
    options: Pick<ExecOptions, 'inherit'> & { stdin: string },
  ): StartedProgram | undefined;
}

/** A program that runs. */
export interface StartedProgram {
  /**
   * Gives it the rest of its standard input; it ends as in {@link Exec.run}. To be called once. Its deadline counts from here: until then it waits for
   * its caller, who may have other things to do.
   */
  end(stdin: string, options?: Pick<ExecOptions, 'timeoutMs'>): Promise<ExecResult>;
}

/**
 * A command that failed: says what was run, how it ended and what it printed. One that could not be started has the error of
 * the system, with its `code` (ENOEXEC, say), as its cause.
 */
export class ExecError extends Error {
  readonly argv: readonly string[];
  readonly result: ExecResult;
  /** How it ended, without a word that the program printed. */
  readonly end: string;

  constructor(argv: readonly string[], result: ExecResult, what?: string, options?: { cause?: unknown }) {
    const said = (result.stderr.trim() || result.stdout.trim()).slice(0, 4000);
    const end = what ?? `exit status ${result.code}`;
    super(`${argv.join(' ')}: ${end}${said === '' ? '' : `: ${said}`}`, options);
    this.name = 'ExecError';
    this.argv = argv;
    this.result = result;
    this.end = end;
  }
}

/** A command that was killed at its deadline. */
export class DeadlineError extends ExecError {
  override name = 'DeadlineError';
}

/** Runs a command and returns its standard output; a non-zero exit is an {@link ExecError}. */
export async function output(
  exec: Exec,
  argv: readonly string[],
  options: ExecOptions = {},
): Promise<string> {
  const result = await exec.run(argv, options);
  if (result.code !== 0) throw new ExecError(argv, result);
  return result.stdout;
}

/** How a process ended that printed more than it may. */
export function printedTooMuch(maxBytes: number): string {
  return `printed more than ${maxBytes} bytes, killed`;
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch (cause) {
    if (!isErrno(cause, 'ESRCH')) throw cause;
  }
}

/** The real {@link Exec}: `posix_spawn` by way of node:child_process. */
export const realExec: Exec = {
  run(argv, options = {}) {
    const [file, ...args] = argv;
    if (file === undefined) return Promise.reject(new Error('exec: empty argv'));
    return new Promise((resolve, reject) => {
      const sink = options.outputFile === undefined ? 'pipe' : openSync(options.outputFile, 'a', 0o600);
      const source = options.stdinFile === undefined ? undefined : openSync(options.stdinFile, 'r');
      const couldNotStart = (cause: Error) =>
        new ExecError(argv, { code: 127, stdout: '', stderr: '' }, `could not start: ${cause.message}`, {
          cause,
        });
      let child: ChildProcess;
      try {
        child = spawn(file, args, {
          // Ctrl-C in a terminal goes to a whole process group. Commands have one of their own: their caller ends them.
          detached: true,
          cwd: options.cwd,
          env: (options.env ?? process.env) as NodeJS.ProcessEnv,
          stdio: [
            source ?? (options.stdin === undefined ? 'ignore' : 'pipe'),
            sink,
            sink,
            ...(options.inherit === undefined ? [] : [options.inherit]),
          ],
        });
      } catch (cause) {
        // Some failures are thrown (ENOEXEC, ETXTBSY), others are events (ENOENT, EACCES).
        reject(couldNotStart(cause as Error));
        return;
      } finally {
        for (const fd of [source, sink]) if (typeof fd === 'number') closeSync(fd);
      }
      const out: Buffer[] = [];
      const err: Buffer[] = [];
      let failure: { why: string; Kind: typeof ExecError } | undefined;
      const finished = (code: number): ExecResult => ({
        code,
        ...(options.binary
          ? { stdout: '', stdoutBytes: Buffer.concat(out) }
          : { stdout: Buffer.concat(out).toString('utf8') }),
        stderr: Buffer.concat(err).toString('utf8'),
      });
      const stop = (why: string, Kind: typeof ExecError) => {
        failure = { why, Kind };
        // Ends the whole group, and stops waiting for other processes that hold the pipes: a grandchild must not be able
        // to extend a deadline.
        if (child.pid !== undefined) killGroup(child.pid);
        child.stdout?.destroy();
        child.stderr?.destroy();
      };
      const timeoutMs = options.timeoutMs ?? 30_000;
      const timer = setTimeout(
        () => stop(`no answer within ${timeoutMs} ms, killed`, DeadlineError),
        timeoutMs,
      );
      const onAbort = () => stop('cancelled, killed', ExecError);
      options.signal?.addEventListener('abort', onAbort, { once: true });
      if (options.signal?.aborted) onAbort();
      const done = () => {
        clearTimeout(timer);
        options.signal?.removeEventListener('abort', onAbort);
      };
      const maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
      let printed = 0;
      const take = (into: Buffer[]) => (chunk: Buffer) => {
        if (failure !== undefined) return;
        printed += chunk.length;
        if (printed <= maxBytes) into.push(chunk);
        else {
          // The beginning of it is of no use to anybody.
          out.length = 0;
          err.length = 0;
          stop(printedTooMuch(maxBytes), ExecError);
        }
      };
      child.stdout?.on('data', take(out));
      child.stderr?.on('data', take(err));
      child.on('error', (cause) => {
        done();
        reject(couldNotStart(cause));
      });
      child.on('close', (code, signalName) => {
        done();
        try {
          // One of the two is there: a process ends by itself or by a signal.
          const result = finished(code ?? 128 + constants.signals[signalName!]);
          if (failure !== undefined) reject(new failure.Kind(argv, result, failure.why));
          else resolve(result);
        } catch (cause) {
          // Thrown here it would end this program: a text can be longer than a string may be.
          reject(cause);
        }
      });
      if (options.stdin !== undefined && child.stdin) {
        // A child that exits without reading its input is judged by its exit code, not by our EPIPE.
        child.stdin.on('error', () => {});
        child.stdin.end(options.stdin);
      }
    });
  },
};

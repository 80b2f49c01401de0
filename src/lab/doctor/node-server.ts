import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { answerLineSchema, type NodeRequest } from '../../node/serve/request.ts';
import { isErrno } from '../../sys/errno.ts';
import { DeadlineError, ExecError } from '../../sys/exec.ts';
import { linesOf } from '../../sys/lines.ts';
import { parseJson } from '../../util/parse-json.ts';

/** As large as an answer may be: a report. A node may print anything. */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;
/** How much is kept of what the process says on its standard error. */
const MAX_SAID = 4000;
/** How long it may take to end when it is asked nothing more, in milliseconds. */
const END_MS = 2000;

export interface AskOptions {
  /** Deadline of the answer in milliseconds. When it passes, the process is asked nothing more, and is killed when nobody else waits for it. */
  timeoutMs: number;
  signal?: AbortSignal | undefined;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(cause: unknown): void;
}

/**
 * A `hostport node-serve` somewhere, which is started by the first request and answers until it is closed. Starting a process in a node takes
 * longer than most answers. One that has ended is started again by the next request.
 */
export class NodeServer {
  readonly #argv: () => Promise<readonly string[]>;
  /** The one that is asked. */
  #running: Promise<Running> | undefined;
  /** All that have not ended. */
  readonly #processes = new Set<Running>();

  /** @param argv how it is started. */
  constructor(argv: () => Promise<readonly string[]>) {
    this.#argv = argv;
  }

  /** The answer to a request; rejects with why there is none, with a {@link DeadlineError} when it does not come in time. */
  async ask(request: NodeRequest, { timeoutMs, signal }: AskOptions): Promise<unknown> {
    const running = await this.#start();
    signal?.throwIfAborted();
    return running.ask(request, timeoutMs, signal);
  }

  /** Ends the process, and waits until it has ended. */
  async close(): Promise<void> {
    // Whoever asked has been answered why it could not be started.
    await this.#running?.catch(() => {});
    await Promise.all([...this.#processes].map((running) => running.end()));
  }

  #start(): Promise<Running> {
    if (this.#running !== undefined) return this.#running;
    const forget = () => {
      if (this.#running === running) this.#running = undefined;
    };
    const running = this.#argv().then((argv) => {
      const started = new Running(argv, forget);
      this.#processes.add(started);
      void started.ended.then(() => this.#processes.delete(started));
      return started;
    });
    this.#running = running;
    running.catch(forget);
    return running;
  }
}

class Running {
  readonly #argv: readonly string[];
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #waiting = new Map<number, Waiting>();
  readonly #end = Promise.withResolvers<void>();
  /** Called when it can be asked nothing more. */
  readonly #over: () => void;
  #next = 1;
  #said = '';
  /** Why it was killed. */
  #failure: ExecError | undefined;
  #hasEnded = false;
  /** Set when it has missed a deadline. */
  #late: DeadlineError | undefined;

  constructor(argv: readonly string[], over: () => void) {
    this.#argv = argv;
    this.#over = over;
    const [file, ...args] = argv as [string, ...string[]];
    // Ctrl-C in a terminal goes to a whole process group; this one is ended by its caller.
    this.#child = spawn(file, args, { detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child.stderr.on('data', (chunk: Buffer) => {
      this.#said = `${this.#said}${chunk.toString('utf8')}`.slice(0, MAX_SAID);
    });
    // What is written to a process that has ended: its end says why.
    this.#child.stdin.on('error', () => {});
    this.#child.on('error', (cause) => this.#close(this.#error(127, `could not start: ${cause.message}`)));
    this.#child.on('close', (code, signal) => {
      const status = code ?? 128 + constants.signals[signal!];
      this.#close(this.#failure ?? this.#error(status, `ended with exit status ${status}`));
    });
    void this.#read();
  }

  get ended(): Promise<void> {
    return this.#end.promise;
  }

  ask(request: NodeRequest, timeoutMs: number, signal: AbortSignal | undefined): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const id = this.#next++;
    this.#waiting.set(id, { resolve, reject });
    const timer = setTimeout(() => {
      this.#over();
      this.#late = new DeadlineError(this.#argv, this.#result(137), `no answer within ${timeoutMs} ms`);
      reject(this.#late);
    }, timeoutMs);
    const abort = () => reject(signal!.reason);
    signal?.addEventListener('abort', abort, { once: true });
    this.#child.stdin.write(`${JSON.stringify({ id, request })}\n`);
    return promise.finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      this.#waiting.delete(id);
      // It may still answer others: one thing that hangs must not fail them.
      if (this.#late !== undefined && this.#waiting.size === 0) this.#kill(this.#late);
    });
  }

  async end(): Promise<void> {
    this.#over();
    this.#child.stdin.end();
    const timer = setTimeout(() => this.#kill(this.#error(137, 'did not end, killed')), END_MS);
    await this.ended;
    clearTimeout(timer);
  }

  async #read(): Promise<void> {
    try {
      for await (const line of linesOf(this.#child.stdout, MAX_ANSWER_BYTES)) {
        const answer = answerLineSchema.parse(parseJson(line, 'answer'));
        // One whose asker was cancelled is no longer waited for.
        const waiting = this.#waiting.get(answer.id);
        if ('error' in answer) waiting?.reject(new Error(answer.error));
        else if ('gzip' in answer) throw new Error('a compressed answer, which was not asked for');
        else waiting?.resolve(answer.value);
      }
    } catch (cause) {
      this.#kill(this.#error(137, `answered what is no answer, killed: ${(cause as Error).message}`));
    }
  }

  #result(code: number) {
    return { code, stdout: '', stderr: this.#said };
  }

  #error(code: number, end: string): ExecError {
    return new ExecError(this.#argv, this.#result(code), end);
  }

  #kill(failure: ExecError): void {
    this.#failure ??= failure;
    this.#over();
    const { pid } = this.#child;
    if (pid === undefined || this.#hasEnded) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch (cause) {
      if (!isErrno(cause, 'ESRCH')) throw cause;
    }
    // A process that it has started may hold the pipes.
    this.#child.stdout.destroy();
    this.#child.stderr.destroy();
  }

  #close(error: ExecError): void {
    this.#hasEnded = true;
    this.#over();
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#end.resolve();
  }
}

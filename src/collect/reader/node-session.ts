import { gunzipSync } from 'node:zlib';
import type { ApiClient } from '../../kube/client.ts';
import { type ExecTarget, PodExec } from '../../kube/streaming/pod-exec.ts';
import { answerLineSchema, type NodeRequest } from '../../node/serve/request.ts';
import { DeadlineError, ExecError } from '../../sys/exec.ts';
import { linesOf } from '../../sys/lines.ts';
import { messageOf } from '../../util/errors.ts';
import { parseJson } from '../../util/parse-json.ts';

/** As large as an answer may be, compressed or not: a report. A node may print anything. */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;

export interface AskOptions {
  /** Deadline of the answer in milliseconds. */
  timeoutMs: number;
  signal: AbortSignal;
}

/** Where requests about one node are answered: a program in a pod on it. */
export interface NodeSession {
  /** The answer; rejects with why there is none, with a {@link DeadlineError} when it does not come in time. */
  ask(request: NodeRequest, options: AskOptions): Promise<unknown>;
  /** Whether it can be asked nothing more. */
  readonly isOver: boolean;
  close(): Promise<void>;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(cause: unknown): void;
}

/** A `hostport node-serve` that runs in a container of a pod. */
export class ExecSession implements NodeSession {
  readonly #exec: PodExec;
  readonly #argv: readonly string[];
  readonly #waiting = new Map<number, Waiting>();
  readonly #over: Promise<void>;
  #next = 1;
  #failure: Error | undefined;

  private constructor(exec: PodExec, argv: readonly string[]) {
    this.#exec = exec;
    this.#argv = argv;
    this.#over = this.#read();
  }

  /** Starts the program. `signal` ends the session as well as its start. */
  static async start(client: ApiClient, target: ExecTarget, signal: AbortSignal): Promise<ExecSession> {
    const session = new ExecSession(await PodExec.start(client, target, signal), target.argv);
    const abort = () => session.#fail(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    void session.#over.then(() => signal.removeEventListener('abort', abort));
    return session;
  }

  get isOver(): boolean {
    return this.#failure !== undefined;
  }

  ask(request: NodeRequest, { timeoutMs, signal }: AskOptions): Promise<unknown> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const id = this.#next++;
    this.#waiting.set(id, { resolve, reject });
    const timer = setTimeout(() => {
      const seen = { code: 137, stdout: '', stderr: '' };
      reject(new DeadlineError(this.#argv, seen, `no answer within ${timeoutMs} ms`));
    }, timeoutMs);
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    const line = Buffer.from(`${JSON.stringify({ id, request, gzip: true })}\n`);
    // What cannot be written: the end of the session says why.
    this.#exec.write(line).catch(() => {});
    return promise.finally(() => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      this.#waiting.delete(id);
    });
  }

  async close(): Promise<void> {
    await this.#exec.close();
    await this.#over;
  }

  async #read(): Promise<void> {
    try {
      for await (const line of linesOf(this.#exec.output(), MAX_ANSWER_BYTES)) this.#take(line);
      const { code, message } = this.#exec.end;
      this.#fail(new ExecError(this.#argv, { code: code ?? 1, stdout: '', stderr: '' }, message));
    } catch (cause) {
      this.#fail(new Error(`${this.#argv[0]}: ${messageOf(cause)}`, { cause }));
    }
  }

  #take(line: string): void {
    const answer = answerLineSchema.parse(parseJson(line, 'answer'));
    // One whose asker was cancelled is no longer waited for.
    const waiting = this.#waiting.get(answer.id);
    if (waiting === undefined) return;
    try {
      if ('error' in answer) waiting.reject(new Error(answer.error));
      else if ('gzip' in answer) waiting.resolve(uncompressed(answer.gzip));
      else waiting.resolve(answer.value);
    } catch (cause) {
      waiting.reject(cause);
    }
  }

  #fail(cause: Error): void {
    this.#failure ??= cause;
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#exec.destroy();
  }
}

function uncompressed(base64: string): unknown {
  const options = { maxOutputLength: MAX_ANSWER_BYTES };
  return parseJson(gunzipSync(Buffer.from(base64, 'base64'), options).toString('utf8'), 'answer');
}

import type { ApiClient } from '../client.ts';
import { pathOf, pods } from '../resources.ts';
import type { Status } from '../types.ts';
import { WebSocketClient } from './websocket-client.ts';

/** Best first. Only v5 can end standard input, and so nothing here relies on its end. */
const PROTOCOLS = ['v5.channel.k8s.io', 'v4.channel.k8s.io'] as const;
/** First byte of every message. */
const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, error: 3 } as const;
/** Standard input is sent in pieces of this size: some proxies take no larger messages. */
const PIECE = 32 * 1024;
/** How much is kept of what the program says on its standard error. */
const MAX_SAID = 4000;

/** Which container, and what to run in it. */
export interface ExecTarget {
  namespace: string;
  pod: string;
  container: string;
  argv: readonly string[];
}

/** How a program in a container ended. `code` is undefined where the server did not say: the program could not be started, or nobody knows. */
export interface ExecEnd {
  code?: number;
  message: string;
}

/** A program under way in a container of a pod, as with `kubectl exec -i`. */
export class PodExec {
  readonly #socket: WebSocketClient;
  #said = '';
  #end: ExecEnd | undefined;

  private constructor(socket: WebSocketClient) {
    this.#socket = socket;
  }

  /** Starts a program. Rejects as {@link ApiClient.openSocket} does; a program that cannot be started ends at once, with a message. */
  static async start(client: ApiClient, target: ExecTarget, signal: AbortSignal): Promise<PodExec> {
    const { namespace, pod, container, argv } = target;
    const query = new URLSearchParams({ container, stdin: 'true', stdout: 'true', stderr: 'true' });
    for (const word of argv) query.append('command', word);
    const path = `${pathOf(pods, namespace, pod)}/exec?${query}`;
    return new PodExec(await WebSocketClient.open(client, path, PROTOCOLS, signal));
  }

  /** Writes to its standard input; resolves when the server keeps up. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += PIECE) {
      await this.#socket.send(Buffer.from([CHANNEL.stdin]), bytes.subarray(at, at + PIECE));
    }
  }

  /** Its standard output, until it ends or the connection does. */
  async *output(): AsyncGenerator<Uint8Array, void, void> {
    for await (const message of this.#socket.messages()) {
      const data = message.subarray(1);
      if (message[0] === CHANNEL.stdout && data.length > 0) yield data;
      else if (message[0] === CHANNEL.stderr)
        this.#said = `${this.#said}${data.toString('utf8')}`.slice(0, MAX_SAID);
      else if (message[0] === CHANNEL.error) this.#end = endOf(data.toString('utf8'));
    }
  }

  /** How it ended, once {@link output} has. */
  get end(): ExecEnd {
    const { code, message } = this.#end ?? { message: 'the connection ended before the program did' };
    const said = this.#said.trim();
    return { ...(code !== undefined && { code }), message: said === '' ? message : `${message}: ${said}` };
  }

  /** Runs until its end what needs no more input, and returns its output. */
  async rest(maxBytes: number): Promise<string> {
    const parts: Uint8Array[] = [];
    let size = 0;
    for await (const part of this.output()) {
      size += part.length;
      if (size > maxBytes) throw new Error(`the output has more than ${maxBytes} bytes`);
      parts.push(part);
    }
    return Buffer.concat(parts).toString('utf8');
  }

  /** Cuts the connection, upon which the runtime ends the streams of the program. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** Says that the session is over. */
  async close(): Promise<void> {
    await this.#socket.close();
    this.#socket.destroy();
  }
}

/** What the error channel says: a Status. Source: k8s.io/apimachinery, remotecommand. */
function endOf(text: string): ExecEnd {
  let status: Status;
  try {
    status = JSON.parse(text) as Status;
  } catch {
    return { message: text.slice(0, 500) };
  }
  if (status.status === 'Success') return { code: 0, message: 'ended with exit status 0' };
  const cause = status.details?.causes?.find(({ reason }) => reason === 'ExitCode');
  if (status.reason === 'NonZeroExitCode' && cause?.message !== undefined && /^\d+$/.test(cause.message)) {
    return { code: Number(cause.message), message: `ended with exit status ${cause.message}` };
  }
  return { message: status.message ?? 'failed without a message' };
}

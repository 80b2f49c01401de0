import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { Receiver, Sender } from 'ws-of-npm';
import type { ApiClient } from '../client.ts';
import { write } from './write.ts';

/** RFC 6455, 5.2. */
const OPCODE = { binary: 2, close: 8, pong: 10 } as const;
/** RFC 6455, 1.3: by this a server shows that it understood the handshake. */
const ACCEPT_SUFFIX = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** API servers send pieces of 32 KiB. */
const MAX_MESSAGE = 4 << 20;

/**
 * The client's end of one WebSocket that carries binary messages. The library's own client cannot be given a socket, and ours may lead through
 * a proxy; so only its framing is used.
 */
export class WebSocketClient {
  /** The subprotocol that the server chose. */
  readonly protocol: string;
  readonly #socket: Duplex;
  readonly #head: Buffer;

  private constructor(socket: Duplex, head: Buffer, protocol: string) {
    this.#socket = socket;
    this.#head = head;
    this.protocol = protocol;
    // Reads and writes report errors; without a listener an error between them would end the process.
    socket.on('error', () => {});
  }

  /** Asks an API server for a WebSocket of one of these subprotocols, best first. Rejects as {@link ApiClient.openSocket} does. */
  static async open(
    client: ApiClient,
    path: string,
    protocols: readonly string[],
    signal: AbortSignal,
  ): Promise<WebSocketClient> {
    const key = randomBytes(16).toString('base64');
    const handshake = {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Key': key,
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Protocol': protocols.join(', '),
    };
    const { socket, headers, head } = await client.openSocket(path, handshake, signal);
    const protocol = headers['sec-websocket-protocol'] ?? '';
    const accept = createHash('sha1').update(`${key}${ACCEPT_SUFFIX}`).digest('base64');
    if (headers['sec-websocket-accept'] === accept && protocols.includes(protocol))
      return new WebSocketClient(socket, head, protocol);
    socket.destroy();
    throw new Error(
      `${path}: the server does not speak ${protocols.join(' or ')} over WebSocket (it chose ${JSON.stringify(protocol)})`,
    );
  }

  /** Sends one binary message of the parts put together; resolves when the server keeps up. */
  send(...parts: Uint8Array[]): Promise<void> {
    return this.#frame(OPCODE.binary, Buffer.concat(parts));
  }

  /** The binary messages of the server, until it closes or its connection ends. Pings are answered. */
  async *messages(): AsyncGenerator<Buffer, void, void> {
    const receiver = new Receiver({ isServer: false, maxPayload: MAX_MESSAGE });
    let waiting: Buffer[] = [];
    let isOver = false;
    let failure: unknown;
    receiver.on('message', (data: Buffer) => waiting.push(data));
    receiver.on('ping', (data: Buffer) => void this.#frame(OPCODE.pong, data).catch(() => {}));
    receiver.on('conclude', () => {
      isOver = true;
    });
    receiver.on('error', (cause) => {
      failure ??= cause;
    });
    for await (const chunk of this.#chunks()) {
      if (!receiver.write(chunk)) await Promise.race([once(receiver, 'drain'), once(receiver, 'close')]);
      const taken = waiting;
      waiting = [];
      yield* taken;
      if (failure !== undefined) throw failure;
      if (isOver) return;
    }
  }

  /** Says that nothing more will be sent; the server ends the connection. */
  async close(): Promise<void> {
    // 1000: the purpose of the connection has been fulfilled (RFC 6455, 7.4.1).
    await this.#frame(OPCODE.close, Buffer.from([0x03, 0xe8])).catch(() => {});
  }

  destroy(reason?: Error): void {
    this.#socket.destroy(reason);
  }

  async *#chunks(): AsyncGenerator<Uint8Array> {
    if (this.#head.length > 0) yield this.#head;
    yield* this.#socket.iterator({ destroyOnReturn: false });
  }

  #frame(opcode: number, data: Uint8Array): Promise<void> {
    const options = { fin: true, rsv1: false, opcode, mask: true, readOnly: true };
    return write(this.#socket, Buffer.concat(Sender.frame(data, options)));
  }
}

import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { createWebSocketStream, type WebSocket, WebSocketServer } from 'ws-of-npm';

/** Status codes of RFC 6455, 7.4.1, as far as they are used here; the library adds those of broken frames. */
const CLOSE = { normal: 1000, unsupported: 1003 } as const;
/** Clients send pieces of 32 KiB; one that sends more than this in a message is not one of them. */
const MAX_MESSAGE = 4 << 20;
/** Messages that wait to be taken before the client is made to wait. */
const MAX_WAITING = 4;
/** How long a client has to answer a close before its connection is cut. Milliseconds. */
const CLOSE_TIMEOUT_MS = 5000;

/** The server's end of one WebSocket that carries binary messages. */
export class WebSocketConnection {
  readonly #socket: WebSocket;
  readonly #stream: Duplex;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    this.#stream = createWebSocketStream(socket, {
      readableObjectMode: true,
      readableHighWaterMark: MAX_WAITING,
    });
    // Reads and writes report errors; without a listener an error between them would end the process.
    this.#stream.on('error', () => {});
  }

  /** Answers a valid handshake with `protocol` ('' for none). Throws when the connection has ended meanwhile. */
  static accept(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    protocol: string,
  ): WebSocketConnection {
    const server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: MAX_MESSAGE,
      closeTimeout: CLOSE_TIMEOUT_MS,
      handleProtocols: () => protocol,
    });
    let accepted: WebSocketConnection | undefined;
    server.handleUpgrade(request, socket, head, (client) => {
      accepted = new WebSocketConnection(client);
    });
    if (accepted === undefined) throw new Error('WebSocket handshake: the connection has ended');
    return accepted;
  }

  /**
   * Sends one binary message of the parts put together; resolves when the system has taken it, so that a slow client slows the
   * sender.
   */
  send(...parts: Uint8Array[]): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#socket.send(Buffer.concat(parts), (error) => (error ? reject(error) : resolve()));
    return promise;
  }

  /** Sends one text message; resolves as {@link send} does. */
  sendText(text: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#socket.send(text, (error) => (error ? reject(error) : resolve()));
    return promise;
  }

  /**
   * The binary messages of the client, until it closes or its connection ends. Pings are answered. A client that breaks the
   * protocol gets a close frame with the reason, and the error is thrown.
   */
  async *messages(): AsyncGenerator<Buffer> {
    for await (const message of this.#stream.iterator({ destroyOnReturn: false })) {
      if (typeof message === 'string') {
        this.close(CLOSE.unsupported, 'only binary messages are taken');
        throw new Error('WebSocket: a text message');
      }
      yield message as Buffer;
    }
  }

  /** Sends a close frame, once; the connection is cut if the client has not ended it soon after. */
  close(code: number = CLOSE.normal, reason?: string): void {
    this.#socket.close(code, reason);
  }

  destroy(): void {
    this.#socket.terminate();
  }
}

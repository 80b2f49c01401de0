import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import {
  CLOSE,
  encodeClose,
  encodeFrame,
  MessageDecoder,
  OPCODE,
  WebSocketError,
} from './websocket-frames.ts';
import { write } from './write.ts';

/** The value that RFC 6455, 1.3 has a server append to the client's key. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** Clients send pieces of 32 KiB; one that sends more than this in a message is not one of them. */
const MAX_MESSAGE = 4 << 20;
/** How long a client has to answer a close before its connection is cut. Milliseconds. */
const CLOSE_TIMEOUT_MS = 5000;

/** The key of a WebSocket handshake; undefined when the request is not a handshake (RFC 6455, 4.2.1). */
export function handshakeKey(request: IncomingMessage): string | undefined {
  const { upgrade, 'sec-websocket-key': key, 'sec-websocket-version': version } = request.headers;
  const valid = request.method === 'GET' && upgrade?.toLowerCase() === 'websocket' && version === '13';
  return valid && key !== undefined && /^[+/0-9A-Za-z]{22}==$/.test(key) ? key : undefined;
}

/** The server's end of one WebSocket, on a socket whose upgrade was asked for with a valid handshake. */
export class WebSocketConnection {
  readonly #socket: Duplex;
  readonly #head: Buffer;
  #closing = false;

  private constructor(socket: Duplex, head: Buffer) {
    this.#socket = socket;
    this.#head = head;
    // Reads and writes report errors; without a listener an error between them would end the process.
    socket.on('error', () => socket.destroy());
  }

  /** Answers the handshake. */
  static accept(socket: Duplex, head: Buffer, key: string, protocol: string): WebSocketConnection {
    const accept = createHash('sha1')
      .update(key + GUID)
      .digest('base64');
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        `Sec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: ${protocol}\r\n\r\n`,
    );
    return new WebSocketConnection(socket, head);
  }

  /** Sends one binary message of the parts put together; resolves when the client keeps up. */
  send(...parts: Uint8Array[]): Promise<void> {
    return write(this.#socket, encodeFrame(OPCODE.binary, ...parts));
  }

  /**
   * The binary messages of the client, until it closes or its connection ends. Pings are answered. A client that breaks
   * the protocol gets a close frame with the reason, and {@link WebSocketError} is thrown.
   */
  async *messages(): AsyncGenerator<Buffer> {
    const decoder = new MessageDecoder(MAX_MESSAGE);
    try {
      for await (const chunk of this.#chunks()) {
        for (const { opcode, payload } of decoder.push(chunk)) {
          if (opcode === OPCODE.ping) await write(this.#socket, encodeFrame(OPCODE.pong, payload));
          else if (opcode === OPCODE.binary) yield payload;
          else if (opcode === OPCODE.text)
            throw new WebSocketError(CLOSE.unsupported, 'only binary messages are taken');
          else if (opcode === OPCODE.close) {
            // An echo of the client's code ends the handshake, if it was the client who began it.
            this.close(payload.length >= 2 ? payload.readUInt16BE() : CLOSE.normal);
            return;
          }
        }
      }
    } catch (error) {
      if (error instanceof WebSocketError) this.close(error.code, error.message);
      throw error;
    }
  }

  async *#chunks(): AsyncGenerator<Uint8Array> {
    if (this.#head.length > 0) yield this.#head;
    // Not destroyed when reading stops: a close frame may still have to go out.
    yield* this.#socket.iterator({ destroyOnReturn: false });
  }

  /** Sends a close frame, once; the connection is cut if the client has not ended it soon after. */
  close(code: number, reason?: string): void {
    if (this.#closing || this.#socket.destroyed) return;
    this.#closing = true;
    this.#socket.write(encodeClose(code, reason));
    const timer = setTimeout(() => this.#socket.destroy(), CLOSE_TIMEOUT_MS);
    this.#socket.once('close', () => clearTimeout(timer));
  }

  /** Ends our side of the connection, once the client has ended its own. */
  end(): void {
    if (!this.#socket.destroyed) this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

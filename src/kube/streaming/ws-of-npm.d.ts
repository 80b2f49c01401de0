/** The part of the package `ws` that is used here; its own types are a package of their own and lack some of it. */
declare module 'ws-of-npm' {
  import type { EventEmitter } from 'node:events';
  import type { IncomingMessage } from 'node:http';
  import type { Duplex, DuplexOptions, Writable } from 'node:stream';

  export class WebSocket extends EventEmitter {
    send(data: Uint8Array | string, done: (error?: Error) => void): void;
    close(code: number, reason?: string): void;
    terminate(): void;
  }

  export class WebSocketServer extends EventEmitter {
    constructor(options: {
      noServer: true;
      clientTracking: boolean;
      perMessageDeflate: boolean;
      /** Bytes of a message. */
      maxPayload: number;
      /** Milliseconds. */
      closeTimeout: number;
      handleProtocols: (offered: Set<string>, request: IncomingMessage) => string | false;
    });
    handleUpgrade(
      request: IncomingMessage,
      socket: Duplex,
      head: Buffer,
      done: (client: WebSocket) => void,
    ): void;
  }

  export const Sender: {
    frame(
      data: Uint8Array,
      options: { fin: boolean; rsv1: boolean; opcode: number; mask: boolean; readOnly: boolean },
    ): Buffer[];
  };

  /** Takes what a peer sends; emits 'message' (data, isBinary), 'ping' and 'conclude'. */
  export class Receiver extends Writable {
    constructor(options: {
      /** Whether the peer is a client, whose messages are masked. */
      isServer: boolean;
      /** Bytes of a message. */
      maxPayload: number;
    });
  }

  /** With objects to read, each chunk is a message: a Buffer, or a string for a text message. */
  export function createWebSocketStream(socket: WebSocket, options: DuplexOptions): Duplex;
}

import type { Duplex } from 'node:stream';
import { encodeData, encodePing, SpdyDecoder, type SpdyFrame, SynStreamEncoder } from './spdy-frames.ts';
import { write } from './write.ts';

/**
 * The client's end of a SPDY/3.1 connection that has been upgraded to. There is no flow control a stream: the servers that
 * this is for have none either, TCP's is all there is.
 */
export class SpdyClient {
  readonly #socket: Duplex;
  readonly #head: Buffer;
  readonly #encoder = new SynStreamEncoder();
  #nextStream = 1;

  constructor(socket: Duplex, head: Buffer) {
    this.#socket = socket;
    this.#head = head;
  }

  /** Opens a stream and returns its number. Data may follow without waiting for the reply. */
  open(headers: Record<string, string>): number {
    const stream = this.#nextStream;
    this.#nextStream += 2;
    this.#socket.write(this.#encoder.encode(stream, headers));
    return stream;
  }

  /** Resolves when the server keeps up. */
  send(stream: number, data: Uint8Array): Promise<void> {
    return write(this.#socket, encodeData(stream, data));
  }

  /** Says that nothing more will be sent on a stream; it can still be read. */
  finish(stream: number): Promise<void> {
    return write(this.#socket, encodeData(stream, new Uint8Array(0), true));
  }

  /** Frames of the server until the connection ends; pings of the server are answered and not shown. */
  async *frames(): AsyncGenerator<SpdyFrame> {
    const decoder = new SpdyDecoder();
    for await (const chunk of this.#chunks()) {
      for (const frame of decoder.push(chunk)) {
        // Pings with odd numbers are a client's own, come back; those of servers are even.
        if (frame.type !== 'ping') yield frame;
        else if (frame.id % 2 === 0) await write(this.#socket, encodePing(frame.id));
      }
    }
  }

  async *#chunks(): AsyncGenerator<Uint8Array> {
    if (this.#head.length > 0) yield this.#head;
    yield* this.#socket;
  }

  /** Cuts the connection; with a reason, {@link frames} throws it. */
  destroy(reason?: Error): void {
    this.#socket.destroy(reason);
  }
}

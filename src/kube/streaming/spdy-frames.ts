/**
 * SPDY/3.1 framing, as far as a client needs it that opens streams and reads their data. Source: the SPDY protocol draft
 * 3.1, section 2, and what is observable of servers that speak it.
 */

/** Control frame types. */
const TYPE = { synStream: 1, synReply: 2, rstStream: 3, ping: 6, goAway: 7 } as const;
const VERSION = 3;
const FLAG_FIN = 1;
const HEADER = 8;
/** Servers send pieces of 32 KiB; a length this far off means that framing was lost. */
const MAX_FRAME = 1 << 20;

/** The beginning of a zlib stream with a preset dictionary, whose Adler-32 is the one of SPDY/3's dictionary. */
const ZLIB_START = Buffer.from([0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2]);
const MAX_STORED = 0xffff;
/** An empty stored block, as a compressor's sync flush writes it: a reader hands out what is before it. */
const SYNC_FLUSH = Buffer.from([0, 0, 0, 0xff, 0xff]);

export type SpdyFrame =
  | { type: 'data'; stream: number; fin: boolean; data: Buffer }
  | { type: 'reply'; stream: number; fin: boolean }
  | { type: 'reset'; stream: number; status: number }
  | { type: 'ping'; id: number }
  | { type: 'goAway'; status: number }
  /** A frame that a client of this kind may ignore: settings, window updates, headers. */
  | { type: 'other'; control: number };

export function encodeData(stream: number, data: Uint8Array, fin = false): Buffer {
  const frame = Buffer.allocUnsafe(HEADER + data.length);
  frame.writeUInt32BE(stream, 0);
  frame.writeUInt32BE(data.length, 4);
  frame[4] = fin ? FLAG_FIN : 0;
  frame.set(data, HEADER);
  return frame;
}

export function encodePing(id: number): Buffer {
  const body = Buffer.alloc(4);
  body.writeUInt32BE(id);
  return control(TYPE.ping, 0, body);
}

/**
 * Writes SYN_STREAM frames of one connection. The header blocks of a connection are one zlib stream; they are put into it
 * uncompressed (deflate's stored blocks): five headers a session need no compressor with a state of its own.
 */
export class SynStreamEncoder {
  #started = false;

  /** Opens `stream` (odd, ascending) with these headers, whose names must be lower case. */
  encode(stream: number, headers: Record<string, string>): Buffer {
    const names = Object.entries(headers);
    const count = Buffer.alloc(4);
    count.writeUInt32BE(names.length);
    const block = Buffer.concat([
      count,
      ...names.flatMap(([name, value]) => [counted(name), counted(value)]),
    ]);
    if (block.length > MAX_STORED) throw new Error(`spdy: ${block.length} bytes of headers are too many`);
    const stored = Buffer.alloc(5);
    stored.writeUInt16LE(block.length, 1);
    stored.writeUInt16LE(~block.length & 0xffff, 3);
    const start = this.#started ? [] : [ZLIB_START];
    this.#started = true;
    // Stream, no associated stream, highest priority, no slot.
    const fixed = Buffer.alloc(10);
    fixed.writeUInt32BE(stream);
    return control(TYPE.synStream, 0, Buffer.concat([fixed, ...start, stored, block, SYNC_FLUSH]));
  }
}

function counted(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function control(type: number, flags: number, body: Buffer): Buffer {
  const header = Buffer.alloc(HEADER);
  header.writeUInt16BE(0x8000 | VERSION, 0);
  header.writeUInt16BE(type, 2);
  header.writeUInt32BE(body.length, 4);
  header[4] = flags;
  return Buffer.concat([header, body]);
}

/** Takes what a server sends in any pieces and gives whole frames. Throws when it is not SPDY/3. */
export class SpdyDecoder {
  #pending: Buffer = Buffer.alloc(0);

  push(chunk: Uint8Array): SpdyFrame[] {
    this.#pending = this.#pending.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#pending, chunk]);
    const frames: SpdyFrame[] = [];
    let at = 0;
    while (this.#pending.length - at >= HEADER) {
      const header = this.#pending.subarray(at, at + HEADER);
      const length = header.readUInt32BE(4) & 0xffffff;
      if (length > MAX_FRAME) throw new Error(`spdy: a frame of ${length} bytes`);
      if (this.#pending.length - at < HEADER + length) break;
      frames.push(decode(header, this.#pending.subarray(at + HEADER, at + HEADER + length)));
      at += HEADER + length;
    }
    this.#pending = this.#pending.subarray(at);
    return frames;
  }
}

function decode(header: Buffer, body: Buffer): SpdyFrame {
  const fin = (header[4]! & FLAG_FIN) !== 0;
  const first = header.readUInt32BE(0);
  if (first < 0x80000000) return { type: 'data', stream: first, fin, data: body };
  const version = header.readUInt16BE(0) & 0x7fff;
  const type = header.readUInt16BE(2);
  if (version !== VERSION) throw new Error(`spdy: a frame of version ${version}, expected ${VERSION}`);
  const number = (offset: number) => {
    if (body.length < offset + 4) throw new Error(`spdy: a control frame of type ${type} is too short`);
    return body.readUInt32BE(offset);
  };
  switch (type) {
    case TYPE.synReply:
      return { type: 'reply', stream: number(0) & 0x7fffffff, fin };
    case TYPE.rstStream:
      return { type: 'reset', stream: number(0) & 0x7fffffff, status: number(4) };
    case TYPE.ping:
      return { type: 'ping', id: number(0) };
    case TYPE.goAway:
      return { type: 'goAway', status: number(4) };
    default:
      return { type: 'other', control: type };
  }
}

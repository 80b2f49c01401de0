/** Opcodes of RFC 6455, 5.2. */
export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** Status codes of RFC 6455, 7.4.1, as far as they are used here. */
export const CLOSE = { normal: 1000, protocolError: 1002, unsupported: 1003, tooLarge: 1009 } as const;

/** A peer that does not keep to RFC 6455, or to a limit; `code` is what to close with. */
export class WebSocketError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.name = 'WebSocketError';
    this.code = code;
  }
}

/** A whole message (its fragments put together), or a control frame. */
export interface Message {
  opcode: number;
  payload: Buffer;
}

const MAX_CONTROL = 125;

/** One unfragmented, unmasked frame, as servers send it, of the parts put together. */
export function encodeFrame(opcode: number, ...parts: Uint8Array[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const header = Buffer.alloc(length <= MAX_CONTROL ? 2 : length <= 0xffff ? 4 : 10);
  header[0] = 0x80 | opcode;
  if (length <= MAX_CONTROL) header[1] = length;
  else if (length <= 0xffff) {
    header[1] = 126;
    header.writeUInt16BE(length, 2);
  } else {
    header[1] = 127;
    header.writeBigUInt64BE(BigInt(length), 2);
  }
  return Buffer.concat([header, ...parts], header.length + length);
}

export function encodeClose(code: number, reason = ''): Buffer {
  const body = Buffer.alloc(2);
  body.writeUInt16BE(code);
  // A control frame holds 125 bytes, two of which are the code; a reason is cut between characters.
  let text = Buffer.from(reason);
  while (text.length > MAX_CONTROL - 2) {
    reason = reason.slice(0, -1);
    text = Buffer.from(reason);
  }
  return encodeFrame(OPCODE.close, body, text);
}

/** Takes what a client sends in any pieces and gives whole messages. Throws {@link WebSocketError}. */
export class MessageDecoder {
  readonly #maxMessage: number;
  #pending: Buffer = Buffer.alloc(0);
  #fragments: Buffer[] = [];
  #fragmentedOpcode = 0;

  constructor(maxMessageBytes: number) {
    this.#maxMessage = maxMessageBytes;
  }

  push(chunk: Uint8Array): Message[] {
    this.#pending = this.#pending.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#pending, chunk]);
    const messages: Message[] = [];
    for (;;) {
      const frame = this.#frame();
      if (frame === undefined) return messages;
      const message = this.#assemble(frame.fin, frame.opcode, frame.payload);
      if (message !== undefined) messages.push(message);
    }
  }

  /** The next whole frame of what is pending, unmasked. */
  #frame(): { fin: boolean; opcode: number; payload: Buffer } | undefined {
    const bytes = this.#pending;
    if (bytes.length < 2) return undefined;
    const fin = (bytes[0]! & 0x80) !== 0;
    const opcode = bytes[0]! & 0x0f;
    if ((bytes[0]! & 0x70) !== 0) throw new WebSocketError(CLOSE.protocolError, 'reserved bits are set');
    if ((bytes[1]! & 0x80) === 0) throw new WebSocketError(CLOSE.protocolError, 'a frame is not masked');
    const short = bytes[1]! & 0x7f;
    const control = opcode >= OPCODE.close;
    if (control && (!fin || short > MAX_CONTROL)) {
      throw new WebSocketError(CLOSE.protocolError, 'a control frame is fragmented or too long');
    }
    const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
    const maskAt = 2 + lengthBytes;
    if (bytes.length < maskAt + 4) return undefined;
    let length = short;
    if (lengthBytes === 2) length = bytes.readUInt16BE(2);
    if (lengthBytes === 8) length = Number(bytes.readBigUInt64BE(2));
    if (length > this.#maxMessage) {
      throw new WebSocketError(
        CLOSE.tooLarge,
        `a frame of ${length} bytes; the limit is ${this.#maxMessage}`,
      );
    }
    const start = maskAt + 4;
    if (bytes.length < start + length) return undefined;
    const payload = Buffer.from(bytes.subarray(start, start + length));
    for (let i = 0; i < length; i++) payload[i]! ^= bytes[maskAt + (i & 3)]!;
    this.#pending = bytes.subarray(start + length);
    return { fin, opcode, payload };
  }

  #assemble(fin: boolean, opcode: number, payload: Buffer): Message | undefined {
    if (opcode >= OPCODE.close) {
      if (opcode > OPCODE.pong)
        throw new WebSocketError(CLOSE.protocolError, `opcode ${opcode} is not known`);
      return { opcode, payload };
    }
    if (opcode > OPCODE.binary)
      throw new WebSocketError(CLOSE.protocolError, `opcode ${opcode} is not known`);
    const continues = opcode === OPCODE.continuation;
    if (continues !== this.#fragments.length > 0) {
      throw new WebSocketError(CLOSE.protocolError, 'a continuation without a beginning, or the reverse');
    }
    if (!continues) this.#fragmentedOpcode = opcode;
    this.#fragments.push(payload);
    const size = this.#fragments.reduce((sum, fragment) => sum + fragment.length, 0);
    if (size > this.#maxMessage) {
      throw new WebSocketError(
        CLOSE.tooLarge,
        `a message of ${size} bytes; the limit is ${this.#maxMessage}`,
      );
    }
    if (!fin) return undefined;
    const whole = Buffer.concat(this.#fragments);
    this.#fragments = [];
    return { opcode: this.#fragmentedOpcode, payload: whole };
  }
}

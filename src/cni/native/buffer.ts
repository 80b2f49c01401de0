import { port } from './port.ts';

type Encoding = 'utf8' | 'latin1' | 'hex';

/** What the plugin uses of Node's Buffer. */
export class Bytes extends Uint8Array {
  #view: DataView | undefined;

  static alloc(size: number): Bytes {
    return new Bytes(size);
  }

  static allocUnsafe(size: number): Bytes {
    return new Bytes(size);
  }

  /** A copy of the bytes, or the bytes of a text. */
  static override from(
    content: string | ArrayLike<unknown> | Iterable<unknown>,
    encoding: unknown = 'utf8',
  ): Bytes {
    if (typeof content !== 'string') {
      const bytes = content as ArrayLike<number>;
      const copy = new Bytes(bytes.length);
      copy.set(bytes);
      return copy;
    }
    if (encoding !== 'utf8' && encoding !== 'latin1')
      throw new TypeError(`no Buffer.from of ${encoding} here`);
    const { buffer, byteLength } = encoding === 'utf8' ? port.encode(content) : port.encodeLatin1(content);
    return new Bytes(buffer as ArrayBuffer, 0, byteLength);
  }

  static concat(parts: readonly Uint8Array[]): Bytes {
    const whole = new Bytes(parts.reduce((size, { length }) => size + length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  override toString(encoding: Encoding = 'utf8', start = 0, end = this.length): string {
    if (encoding === 'utf8') return port.decode(this, start, end - start);
    if (encoding === 'latin1') return port.decodeLatin1(this, start, end - start);
    return (this.subarray(start, end) as unknown as { toHex(): string }).toHex();
  }

  /** Where a byte, or a text of one character a byte, first occurs. */
  override indexOf(sought: number | string, from = 0): number {
    if (typeof sought === 'number') return super.indexOf(sought, from);
    if (from !== 0) throw new RangeError('a text is sought from the beginning only');
    return port.find(this, Bytes.from(sought, 'latin1'), this.length);
  }

  /** Writes a text of one character a byte. */
  write(text: string, at: number): number {
    this.#needs(at, text.length);
    this.set(port.encodeLatin1(text), at);
    return text.length;
  }

  copy(target: Uint8Array, at: number, start: number, end: number): number {
    target.set(this.subarray(start, end), at);
    return end - start;
  }

  readUInt16LE(at = 0): number {
    return this.#dataView().getUint16(at, true);
  }

  readUInt32LE(at = 0): number {
    return this.#dataView().getUint32(at, true);
  }

  readInt32LE(at = 0): number {
    return this.#dataView().getInt32(at, true);
  }

  writeUInt16LE(value: number, at = 0): number {
    this.#needs16(value, at);
    this[at] = value;
    this[at + 1] = value >>> 8;
    return at + 2;
  }

  writeUInt16BE(value: number, at = 0): number {
    this.#needs16(value, at);
    this[at] = value >>> 8;
    this[at + 1] = value;
    return at + 2;
  }

  writeUInt32LE(value: number, at = 0): number {
    this.#needs32(value, at);
    this[at] = value;
    this[at + 1] = value >>> 8;
    this[at + 2] = value >>> 16;
    this[at + 3] = value >>> 24;
    return at + 4;
  }

  writeInt32LE(value: number, at = 0): number {
    return this.writeUInt32LE(value, at);
  }

  writeInt32BE(value: number, at = 0): number {
    this.#needs32(value, at);
    this[at] = value >>> 24;
    this[at + 1] = value >>> 16;
    this[at + 2] = value >>> 8;
    this[at + 3] = value;
    return at + 4;
  }

  writeBigUInt64BE(value: bigint, at = 0): number {
    this.writeInt32BE(Number(value >> 32n), at);
    return this.writeInt32BE(Number(value & 0xffffffffn), at + 4);
  }

  /** Reads numbers faster than a loop over the bytes, and refuses an offset that is not in them. */
  #dataView(): DataView {
    this.#view ??= new DataView(this.buffer, this.byteOffset, this.byteLength);
    return this.#view;
  }

  #needs16(value: number, at: number): void {
    if (value > 0xffff || value < -0x8000) throw new RangeError(`${value} is out of range`);
    this.#needs(at, 2);
  }

  #needs32(value: number, at: number): void {
    if (value > 0xffffffff || value < -0x80000000) throw new RangeError(`${value} is out of range`);
    this.#needs(at, 4);
  }

  /** An offset that is not in the bytes would be read as 0 and written nowhere. */
  #needs(at: number, size: number): void {
    if (at < 0 || at + size > this.length) throw new RangeError(`offset ${at} is out of range`);
  }
}

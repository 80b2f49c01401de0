import { port } from './port.ts';

type Encoding = 'utf8' | 'latin1' | 'hex';

const HEX = '0123456789abcdef';

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
    if (encoding === 'utf8') {
      const { buffer, byteLength } = port.encode(content);
      return new Bytes(buffer as ArrayBuffer, 0, byteLength);
    }
    if (encoding !== 'latin1') throw new TypeError(`no Buffer.from of ${encoding} here`);
    const bytes = new Bytes(content.length);
    for (let i = 0; i < content.length; i++) bytes[i] = content.charCodeAt(i);
    return bytes;
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
    let text = '';
    for (let i = start; i < end; i++) text += HEX[this[i]! >> 4]! + HEX[this[i]! & 15]!;
    return text;
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
    for (let i = 0; i < text.length; i++) this[at + i] = text.charCodeAt(i);
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
    return this.#write(value, at, 2, true);
  }

  writeUInt16BE(value: number, at = 0): number {
    return this.#write(value, at, 2, false);
  }

  writeUInt32LE(value: number, at = 0): number {
    return this.#write(value, at, 4, true);
  }

  writeInt32LE(value: number, at = 0): number {
    return this.#write(value, at, 4, true);
  }

  writeInt32BE(value: number, at = 0): number {
    return this.#write(value, at, 4, false);
  }

  writeBigUInt64BE(value: bigint, at = 0): number {
    this.#write(Number(value >> 32n), at, 4, false);
    return this.#write(Number(value & 0xffffffffn), at + 4, 4, false);
  }

  /** Reads numbers faster than a loop over the bytes, and refuses an offset that is not in them. */
  #dataView(): DataView {
    this.#view ??= new DataView(this.buffer, this.byteOffset, this.byteLength);
    return this.#view;
  }

  #write(value: number, at: number, size: number, isLittle: boolean): number {
    this.#needs(at, size);
    if (value >= 2 ** (8 * size) || value < -(2 ** (8 * size - 1)))
      throw new RangeError(`${value} is out of range`);
    for (let i = 0; i < size; i++) this[at + (isLittle ? i : size - 1 - i)] = value >>> (8 * i);
    return at + size;
  }

  /** An offset that is not in the bytes would be read as 0 and written nowhere. */
  #needs(at: number, size: number): void {
    if (at < 0 || at + size > this.length) throw new RangeError(`offset ${at} is out of range`);
  }
}

/**
 * The wire format of protocol buffers (proto3) for messages declared as TypeScript values, so that a field's number, its
 * encoding and its static type are said once. Only what CRI and containerd's events need: no groups, no floats.
 * Encoding: https://protobuf.dev/programming-guides/encoding/
 */

/** One field: `I` is what a writer may pass, `O` what a reader gets. */
export interface Field<I, O> {
  readonly number: number;
  /** Encodings that a reader accepts. */
  readonly wireTypes: readonly number[];
  /** What a reader sees when the field is not on the wire. */
  initial(): O;
  write(writer: Writer, value: I): void;
  /** Reads one occurrence; `seen` is what earlier occurrences gave. */
  read(reader: Reader, wireType: number, seen: O): O;
}

/** Makes and reads the bytes of one message type. */
export interface Codec<I, O> {
  encode(value: I): Buffer;
  decode(bytes: Uint8Array): O;
}

// biome-ignore lint/suspicious/noExplicitAny: the type parameters of a field in a table are its own business.
type Fields = Record<string, Field<any, any>>;
type Input<F> = F extends Field<infer I, infer _O> ? I : never;
type Output<F> = F extends Field<infer _I, infer O> ? O : never;

/** A message with these fields; unknown fields are skipped when read, as proto3 asks. */
export type Message<F extends Fields> = Codec<
  { [K in keyof F]?: Input<F[K]> | undefined },
  { [K in keyof F]: Output<F[K]> }
>;
/** What may be passed to encode a message. */
export type InputOf<C> = C extends Codec<infer I, infer _O> ? I : never;
/** What decoding a message gives: scalars have their defaults, absent messages are undefined. */
export type OutputOf<C> = C extends Codec<infer _I, infer O> ? O : never;

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

export class Writer {
  #bytes = Buffer.alloc(256);
  #length = 0;

  /** An unsigned or two's-complement 64-bit varint. */
  varint(value: number): void {
    if (!Number.isSafeInteger(value))
      throw new RangeError(`not an integer that a varint can carry: ${value}`);
    if (value >= 0) {
      let rest = value;
      while (rest > 127) {
        this.#byte((rest % 128) | 128);
        rest = Math.floor(rest / 128);
      }
      this.#byte(rest);
      return;
    }
    let rest = BigInt.asUintN(64, BigInt(value));
    while (rest > 127n) {
      this.#byte(Number(rest & 127n) | 128);
      rest >>= 7n;
    }
    this.#byte(Number(rest));
  }

  tag(number: number, wireType: number): void {
    this.varint(number * 8 + wireType);
  }

  chunk(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  finish(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  #byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const larger = Buffer.alloc(Math.max(this.#bytes.length * 2, this.#length + more));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}

export class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** A varint as a signed 64-bit number. Beyond 2^53 (nanosecond times) the last bits are rounded. */
  varint(): number {
    let low = 0;
    let scale = 1;
    for (let count = 0; count < 7; count++) {
      const byte = this.#byte();
      low += (byte & 127) * scale;
      if (byte < 128) return low;
      scale *= 128;
    }
    let high = 0n;
    for (let shift = 0n; shift < 21n; shift += 7n) {
      const byte = this.#byte();
      high |= BigInt(byte & 127) << shift;
      if (byte < 128) return Number(BigInt.asIntN(64, BigInt(low) | (high << 49n)));
    }
    throw new Error('protobuf: varint longer than ten bytes');
  }

  chunk(): Uint8Array {
    const length = this.varint();
    const end = this.#at + length;
    if (length < 0 || end > this.#bytes.length) throw new Error('protobuf: message ends within a field');
    const chunk = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return chunk;
  }

  skip(wireType: number): void {
    if (wireType === VARINT) this.varint();
    else if (wireType === BYTES) this.chunk();
    else if (wireType === FIXED64) this.#at += 8;
    else if (wireType === FIXED32) this.#at += 4;
    else throw new Error(`protobuf: wire type ${wireType} is not known`);
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw new Error('protobuf: message ends within a varint');
    return byte;
  }
}

/** A message type of these fields. */
export function message<F extends Fields>(fields: F): Message<F> {
  const byNumber = new Map(Object.entries(fields).map(([name, field]) => [field.number, { name, field }]));
  return {
    encode(value) {
      const writer = new Writer();
      for (const [name, field] of Object.entries(fields)) {
        const given = value[name];
        if (given !== undefined) field.write(writer, given);
      }
      return writer.finish();
    },
    decode(bytes) {
      const result: Record<string, unknown> = {};
      for (const [name, field] of Object.entries(fields)) result[name] = field.initial();
      const reader = new Reader(bytes);
      while (!reader.done) {
        const tag = reader.varint();
        const wireType = tag % 8;
        const known = byNumber.get(Math.floor(tag / 8));
        // A field with another wire type belongs to another message that uses the same number: unknown here.
        if (known === undefined || !known.field.wireTypes.includes(wireType)) reader.skip(wireType);
        else result[known.name] = known.field.read(reader, wireType, result[known.name]);
      }
      return result as { [K in keyof F]: Output<F[K]> };
    },
  };
}

/** A scalar: how its value lies in a varint or in bytes. Defaults are not written, as proto3 asks. */
function scalar<T>(
  number: number,
  initial: T,
  wireType: typeof VARINT | typeof BYTES,
  put: (writer: Writer, value: T) => void,
  take: (reader: Reader) => T,
): Field<T, T> {
  return {
    number,
    wireTypes: [wireType],
    initial: () => initial,
    write(writer, value) {
      if (value === initial) return;
      writer.tag(number, wireType);
      put(writer, value);
    },
    read: (reader) => take(reader),
  };
}

/** int32, int64, uint32, uint64 and open enums: one encoding on the wire. */
export const int = (number: number): Field<number, number> =>
  scalar(
    number,
    0,
    VARINT,
    (writer, value) => writer.varint(value),
    (reader) => reader.varint(),
  );

export const bool = (number: number): Field<boolean, boolean> =>
  scalar(
    number,
    false,
    VARINT,
    (writer, value) => writer.varint(value ? 1 : 0),
    (reader) => reader.varint() !== 0,
  );

export const string = (number: number): Field<string, string> =>
  scalar(
    number,
    '',
    BYTES,
    (writer, value) => writer.chunk(Buffer.from(value, 'utf8')),
    (reader) => Buffer.from(reader.chunk()).toString('utf8'),
  );

export const bytes = (number: number): Field<Uint8Array, Uint8Array> =>
  scalar<Uint8Array>(
    number,
    new Uint8Array(),
    BYTES,
    (writer, value) => writer.chunk(value),
    (reader) => reader.chunk().slice(),
  );

/** An enum by the names of its values, in the order of their numbers. A number that has no name reads as the first. */
export function choice<const N extends readonly string[]>(
  number: number,
  names: N,
): Field<N[number], N[number]> {
  return scalar<N[number]>(
    number,
    names[0]!,
    VARINT,
    (writer, value) => writer.varint(names.indexOf(value)),
    (reader) => names[reader.varint()] ?? names[0]!,
  );
}

/** A nested message; an absent one is distinguished from an empty one. */
export const nested = <I, O>(number: number, codec: Codec<I, O>): Field<I, O | undefined> => ({
  number,
  wireTypes: [BYTES],
  initial: () => undefined,
  write(writer, value) {
    writer.tag(number, BYTES);
    writer.chunk(codec.encode(value));
  },
  read: (reader) => codec.decode(reader.chunk()),
});

export const repeatedString = (number: number): Field<readonly string[], string[]> => ({
  number,
  wireTypes: [BYTES],
  initial: () => [],
  write(writer, values) {
    for (const value of values) {
      writer.tag(number, BYTES);
      writer.chunk(Buffer.from(value, 'utf8'));
    }
  },
  read: (reader, _wireType, seen) => [...seen, Buffer.from(reader.chunk()).toString('utf8')],
});

/** Repeated integers, packed as proto3 writes them; both forms are read. */
export const repeatedInt = (number: number): Field<readonly number[], number[]> => ({
  number,
  wireTypes: [VARINT, BYTES],
  initial: () => [],
  write(writer, values) {
    if (values.length === 0) return;
    const packed = new Writer();
    for (const value of values) packed.varint(value);
    writer.tag(number, BYTES);
    writer.chunk(packed.finish());
  },
  read(reader, wireType, seen) {
    if (wireType === VARINT) return [...seen, reader.varint()];
    const packed = new Reader(reader.chunk());
    const values = [...seen];
    while (!packed.done) values.push(packed.varint());
    return values;
  },
});

export const repeated = <I, O>(number: number, codec: Codec<I, O>): Field<readonly I[], O[]> => ({
  number,
  wireTypes: [BYTES],
  initial: () => [],
  write(writer, values) {
    for (const value of values) {
      writer.tag(number, BYTES);
      writer.chunk(codec.encode(value));
    }
  },
  read(reader, _wireType, seen) {
    seen.push(codec.decode(reader.chunk()));
    return seen;
  },
});

const entry = message({ key: string(1), value: string(2) });

/** map<string, string>. */
export const stringMap = (
  number: number,
): Field<Readonly<Record<string, string>>, Record<string, string>> => ({
  number,
  wireTypes: [BYTES],
  initial: () => ({}),
  write(writer, values) {
    for (const [key, value] of Object.entries(values)) {
      writer.tag(number, BYTES);
      writer.chunk(entry.encode({ key, value }));
    }
  },
  read(reader, _wireType, seen) {
    const { key, value } = entry.decode(reader.chunk());
    seen[key] = value;
    return seen;
  },
});

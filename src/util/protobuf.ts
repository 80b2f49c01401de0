import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { messageOf } from './errors.ts';

/**
 * Messages of protocol buffers (proto3) declared as TypeScript values, so that a field's number, its encoding and its static
 * type are said once, and nothing is generated. No groups, no floats. The wire format is the library's.
 * Encoding: https://protobuf.dev/programming-guides/encoding/
 */

/** One field: `I` is what a writer may pass, `O` what a reader gets. */
export interface Field<I, O> {
  readonly number: number;
  /** Encodings that a reader accepts. */
  readonly wireTypes: readonly WireType[];
  /** What a reader sees when the field is not on the wire. */
  initial(): O;
  write(writer: BinaryWriter, value: I): void;
  /** Reads one occurrence; `seen` is what earlier occurrences gave. */
  read(reader: BinaryReader, seen: O, wireType: WireType): O;
}

/** Bytes that are not a message. */
class DecodeError extends Error {}

/** Makes and reads the bytes of one message type. Decoding throws on bytes that are not a message. */
export interface Codec<I, O> {
  encode(value: I): Uint8Array;
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

/** A message type of these fields. */
export function message<F extends Fields>(fields: F): Message<F> {
  const byNumber = new Map(Object.entries(fields).map(([name, field]) => [field.number, { name, field }]));
  return {
    encode(value) {
      const writer = new BinaryWriter();
      for (const [name, field] of Object.entries(fields)) {
        const given = value[name];
        if (given !== undefined) field.write(writer, given);
      }
      return writer.finish();
    },
    decode(bytes) {
      const result: Record<string, unknown> = {};
      for (const [name, field] of Object.entries(fields)) result[name] = field.initial();
      try {
        const reader = new BinaryReader(bytes);
        while (reader.pos < reader.len) {
          const [number, wireType] = reader.tag();
          const known = byNumber.get(number);
          // A field with another wire type belongs to another message that uses the same number: unknown here.
          if (!known?.field.wireTypes.includes(wireType)) reader.skip(wireType, number);
          else result[known.name] = known.field.read(reader, result[known.name], wireType);
        }
      } catch (cause) {
        if (cause instanceof DecodeError) throw cause;
        throw new DecodeError(`protobuf: ${messageOf(cause)}`, { cause });
      }
      return result as { [K in keyof F]: Output<F[K]> };
    },
  };
}

/** A scalar: how its value lies in a varint or in bytes. Defaults are not written, as proto3 asks. */
function scalar<T>(
  number: number,
  initial: T,
  wireType: WireType,
  put: (writer: BinaryWriter, value: T) => void,
  take: (reader: BinaryReader) => T,
): Field<T, T> {
  return {
    number,
    wireTypes: [wireType],
    initial: () => initial,
    write(writer, value) {
      if (value !== initial) put(writer.tag(number, wireType), value);
    },
    read: take,
  };
}

/** int32, int64, uint32, uint64 and open enums: one encoding on the wire. Beyond 2^53 the last bits are rounded. */
export const int = (number: number): Field<number, number> =>
  scalar(number, 0, WireType.Varint, (writer, value) => writer.int64(value), integer);

const integer = (reader: BinaryReader): number => Number(reader.int64());

export const bool = (number: number): Field<boolean, boolean> =>
  scalar(
    number,
    false,
    WireType.Varint,
    (writer, value) => writer.bool(value),
    (reader) => reader.bool(),
  );

export const string = (number: number): Field<string, string> =>
  scalar(
    number,
    '',
    WireType.LengthDelimited,
    (writer, value) => writer.string(value),
    (reader) => reader.string(),
  );

/** What is read shares its memory with the bytes that were decoded. */
export const bytes = (number: number): Field<Uint8Array, Uint8Array> =>
  scalar<Uint8Array>(
    number,
    new Uint8Array(),
    WireType.LengthDelimited,
    (writer, value) => writer.bytes(value),
    (reader) => reader.bytes(),
  );

/** An enum by the names of its values, in the order of their numbers. A number that has no name reads as the first. */
export function choice<const N extends readonly string[]>(
  number: number,
  names: N,
): Field<N[number], N[number]> {
  return scalar<N[number]>(
    number,
    names[0]!,
    WireType.Varint,
    (writer, value) => writer.int32(names.indexOf(value)),
    (reader) => names[integer(reader)] ?? names[0]!,
  );
}

/** A nested message; an absent one is distinguished from an empty one. */
export const nested = <I, O>(number: number, codec: Codec<I, O>): Field<I, O | undefined> => ({
  number,
  wireTypes: [WireType.LengthDelimited],
  initial: () => undefined,
  write: (writer, value) => writer.tag(number, WireType.LengthDelimited).bytes(codec.encode(value)),
  read: (reader) => codec.decode(reader.bytes()),
});

/** Length-delimited values, one after the other. */
function list<I, O>(
  number: number,
  put: (writer: BinaryWriter, value: I) => void,
  take: (reader: BinaryReader) => O,
): Field<readonly I[], O[]> {
  return {
    number,
    wireTypes: [WireType.LengthDelimited],
    initial: () => [],
    write(writer, values) {
      for (const value of values) put(writer.tag(number, WireType.LengthDelimited), value);
    },
    read(reader, seen) {
      seen.push(take(reader));
      return seen;
    },
  };
}

export const repeatedString = (number: number): Field<readonly string[], string[]> =>
  list(
    number,
    (writer, value: string) => writer.string(value),
    (reader) => reader.string(),
  );

export const repeated = <I, O>(number: number, codec: Codec<I, O>): Field<readonly I[], O[]> =>
  list(
    number,
    (writer, value: I) => writer.bytes(codec.encode(value)),
    (reader) => codec.decode(reader.bytes()),
  );

/** Repeated integers, packed as proto3 writes them; both forms are read. */
export const repeatedInt = (number: number): Field<readonly number[], number[]> => ({
  number,
  wireTypes: [WireType.Varint, WireType.LengthDelimited],
  initial: () => [],
  write(writer, values) {
    if (values.length === 0) return;
    writer.tag(number, WireType.LengthDelimited).fork();
    for (const value of values) writer.int64(value);
    writer.join();
  },
  read(reader, seen, wireType) {
    const packed = wireType === WireType.Varint ? undefined : new BinaryReader(reader.bytes());
    if (packed === undefined) seen.push(integer(reader));
    else while (packed.pos < packed.len) seen.push(integer(packed));
    return seen;
  },
});

const entry = message({ key: string(1), value: string(2) });

/** map<string, string>. */
export const stringMap = (
  number: number,
): Field<Readonly<Record<string, string>>, Record<string, string>> => ({
  number,
  wireTypes: [WireType.LengthDelimited],
  initial: () => ({}),
  write(writer, values) {
    for (const [key, value] of Object.entries(values)) {
      writer.tag(number, WireType.LengthDelimited).bytes(entry.encode({ key, value }));
    }
  },
  read(reader, seen) {
    const { key, value } = entry.decode(reader.bytes());
    seen[key] = value;
    return seen;
  },
});

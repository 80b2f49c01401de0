/**
 * Just enough protocol buffers for etcd's API: varints, booleans, bytes, strings, nested and repeated messages, described
 * by a table per message. Source of the encoding: protobuf.dev/programming-guides/encoding.
 *
 * Integers are JavaScript numbers: revisions, versions and the lease IDs chosen here stay below 2^53. Fields that can
 * exceed it (cluster and member IDs) are not described, and a decoder skips what is not described.
 */
type Scalar = 'int' | 'bool' | 'bytes' | 'string';
type Single = Scalar | AnyMessage;
type FieldType = Single | readonly [Single];
type Field = readonly [number: number, type: FieldType];
/** The fields of a message by name. */
export type Fields = { readonly [name: string]: Field };

interface AnyMessage {
  readonly fields: Fields;
}

type ValueOf<T> = T extends 'int'
  ? number
  : T extends 'bool'
    ? boolean
    : T extends 'bytes'
      ? Uint8Array
      : T extends 'string'
        ? string
        : T extends { readonly fields: infer F extends Fields }
          ? Encoded<F>
          : never;

/** A message to encode: fields left out have their default. */
export type Encoded<F extends Fields> = {
  [K in keyof F]?: F[K][1] extends readonly [infer E] ? ValueOf<E>[] : ValueOf<F[K][1]>;
};

/** A decoded message: scalars and lists always have a value, nested messages are undefined when absent. */
export type Decoded<F extends Fields> = {
  [K in keyof F]: F[K][1] extends readonly [infer E]
    ? (E extends { readonly fields: infer G extends Fields } ? Decoded<G> : ValueOf<E>)[]
    : F[K][1] extends { readonly fields: infer G extends Fields }
      ? Decoded<G> | undefined
      : ValueOf<F[K][1]>;
};

/** A message type: its table of fields. */
export interface Message<F extends Fields> extends AnyMessage {
  readonly fields: F;
}

export function message<const F extends Fields>(fields: F): Message<F> {
  return { fields };
}

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder();

export function encode<F extends Fields>(type: Message<F>, value: Encoded<F>): Uint8Array {
  const out: Uint8Array[] = [];
  encodeInto(out, type, value);
  return Buffer.concat(out);
}

function encodeInto(out: Uint8Array[], type: AnyMessage, value: Record<string, unknown>): void {
  for (const [name, [number, declared]] of Object.entries(type.fields)) {
    const field = value[name];
    if (field === undefined) continue;
    if (Array.isArray(declared)) {
      for (const item of field as unknown[]) encodeField(out, number, declared[0], item);
    } else {
      encodeField(out, number, declared as Single, field);
    }
  }
}

function encodeField(out: Uint8Array[], number: number, type: Single, value: unknown): void {
  if (type === 'int' || type === 'bool') {
    out.push(varint(number * 8), varint(Number(value)));
    return;
  }
  let body: Uint8Array;
  if (type === 'bytes') body = value as Uint8Array;
  else if (type === 'string') body = utf8.encode(value as string);
  else body = encode(type, value as Encoded<Fields>);
  out.push(varint(number * 8 + 2), varint(body.length), body);
}

function varint(value: number): Uint8Array {
  if (value < 0) throw new RangeError(`protobuf: negative integers are not supported: ${value}`);
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

export function decode<F extends Fields>(type: Message<F>, bytes: Uint8Array): Decoded<F> {
  const result: Record<string, unknown> = {};
  const byNumber = new Map<number, [string, FieldType]>();
  for (const [name, [number, declared]] of Object.entries(type.fields)) {
    byNumber.set(number, [name, declared]);
    if (Array.isArray(declared)) result[name] = [];
    else if (declared === 'int') result[name] = 0;
    else if (declared === 'bool') result[name] = false;
    else if (declared === 'bytes') result[name] = new Uint8Array(0);
    else if (declared === 'string') result[name] = '';
  }
  let at = 0;
  const readVarint = (): number => {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = bytes[at++];
      if (byte === undefined) throw new RangeError('protobuf: message ends inside a varint');
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
  };
  while (at < bytes.length) {
    const tag = readVarint();
    const wire = tag % 8;
    const known = byNumber.get(Math.floor(tag / 8));
    let raw: number | Uint8Array;
    if (wire === 0) raw = readVarint();
    else if (wire === 2) {
      const length = readVarint();
      if (at + length > bytes.length) throw new RangeError('protobuf: message ends inside a field');
      raw = bytes.subarray(at, at + length);
      at += length;
    } else if (wire === 1 || wire === 5) {
      at += wire === 1 ? 8 : 4;
      continue;
    } else throw new RangeError(`protobuf: wire type ${wire} is not known`);
    if (known === undefined) continue;
    const [name, declared] = known;
    if (Array.isArray(declared)) (result[name] as unknown[]).push(decodeField(declared[0], raw));
    else result[name] = decodeField(declared as Single, raw);
  }
  return result as Decoded<F>;
}

function decodeField(type: Single, raw: number | Uint8Array): unknown {
  if (type === 'int') return raw;
  if (type === 'bool') return raw !== 0;
  if (type === 'bytes') return raw;
  if (type === 'string') return fromUtf8.decode(raw as Uint8Array);
  return decode(type, raw as Uint8Array);
}

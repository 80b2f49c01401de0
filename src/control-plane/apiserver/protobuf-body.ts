import { kindByName } from '../../kube/schema/kinds.ts';
import { definitionOf, type FieldSchema, type FieldType, type Scalar } from '../../kube/schema/schema.ts';
import numbers from './field-numbers.gen.json' with { type: 'json' };

/**
 * Objects in Kubernetes' protocol-buffer encoding, which Go programs send by default since client-go 1.31 and do not
 * exchange for JSON when it is refused. Only reading: answers are JSON, which those programs accept as well.
 * Sources: Kubernetes' documentation, "Kubernetes Protobuf encoding"; protobuf.dev/programming-guides/encoding.
 */

/** What such a body begins with: `k8s` and a zero byte. */
const MAGIC = [0x6b, 0x38, 0x73, 0x00];

/** How one field number is read: a field, or an embedded struct whose fields are the parent's. */
type Entry = { name: string; keepsZero: boolean } | { embedded: string };

const tables = new Map<string, Map<number, Entry>>();

function tableOf(definition: string): Map<number, Entry> {
  const known = tables.get(definition);
  if (known !== undefined) return known;
  const table = new Map<number, Entry>();
  const source = (numbers as Record<string, Record<string, string>>)[definition] ?? {};
  for (const [name, text] of Object.entries(source)) {
    const number = Number.parseInt(text, 10);
    if (name.startsWith('<')) table.set(number, { embedded: name.slice(1) });
    else table.set(number, { name, keepsZero: text.endsWith('!') });
  }
  tables.set(definition, table);
  return table;
}

/** Decodes a body into the object that its JSON form would parse to. Throws an Error that says what is wrong with it. */
export function decodeProtobufBody(body: Uint8Array): Record<string, unknown> {
  if (!MAGIC.every((byte, at) => body[at] === byte)) throw new Error('the body does not begin with k8s\\0');
  let apiVersion = '';
  let kind = '';
  let raw: Uint8Array = new Uint8Array(0);
  for (const { number, value } of fieldsOf(body.subarray(MAGIC.length))) {
    if (number === 1) {
      for (const field of fieldsOf(asBytes(value))) {
        if (field.number === 1) apiVersion = asText(field.value);
        if (field.number === 2) kind = asText(field.value);
      }
    } else if (number === 2) raw = asBytes(value);
  }
  // DeleteOptions are sent in the version of whatever is deleted.
  const definition =
    kind === 'DeleteOptions' ? 'meta.v1.DeleteOptions' : kindByName(apiVersion, kind)?.definition;
  if (definition === undefined)
    throw new Error(`no kind ${JSON.stringify(kind)} is known in version ${JSON.stringify(apiVersion)}`);
  const object: Record<string, unknown> = { apiVersion, kind };
  decodeInto(object, definition, definition, raw);
  return object;
}

/** `numbered` says what the numbers mean; `typed` is the definition whose fields they are. */
function decodeInto(
  object: Record<string, unknown>,
  numbered: string,
  typed: string,
  bytes: Uint8Array,
): void {
  const table = tableOf(numbered);
  const schema = definitionOf(typed);
  for (const { number, value } of fieldsOf(bytes)) {
    const entry = table.get(number);
    if (entry === undefined) continue;
    if ('embedded' in entry) {
      decodeInto(object, entry.embedded, typed, asBytes(value));
      continue;
    }
    const field: FieldSchema | undefined = schema.get(entry.name);
    if (field !== undefined) decodeField(object, entry.name, field.type, entry.keepsZero, value);
  }
}

function decodeField(
  object: Record<string, unknown>,
  name: string,
  type: FieldType,
  keepsZero: boolean,
  value: Value,
): void {
  if (type.form === 'list') {
    const list = (object[name] as unknown[] | undefined) ?? [];
    list.push(...decodeItems(type.of, value));
    object[name] = list;
  } else if (type.form === 'map') {
    const map = (object[name] as Record<string, unknown> | undefined) ?? {};
    let key = '';
    let item: unknown = zeroOf(type.of);
    for (const field of fieldsOf(asBytes(value))) {
      if (field.number === 1) key = asText(field.value);
      if (field.number === 2) item = decodeMapValue(type.of, field.value);
    }
    map[key] = item;
    object[name] = map;
  } else {
    const decoded =
      type.form === 'struct' ? decodeStruct(type.definition, value) : decodeScalar(type.scalar, value);
    const isZero = decoded === '' || decoded === 0 || decoded === false;
    if (decoded !== undefined && (keepsZero || !isZero)) object[name] = decoded;
  }
}

function decodeStruct(definition: string, value: Value): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  decodeInto(object, definition, definition, asBytes(value));
  return object;
}

/** One item of a list, or several numbers packed into one field. */
function decodeItems(type: FieldType, value: Value): unknown[] {
  if (type.form === 'struct') return [decodeStruct(type.definition, value)];
  if (type.form !== 'scalar') throw new Error('a list of lists is not a Kubernetes type');
  const isNumber = ['int32', 'int64', 'bool'].includes(type.scalar);
  if (!isNumber || typeof value === 'bigint') return [decodeScalar(type.scalar, value)];
  const items: unknown[] = [];
  const reader = new Reader(asBytes(value));
  while (!reader.done) items.push(decodeScalar(type.scalar, reader.varint()));
  return items;
}

function decodeMapValue(type: FieldType, value: Value): unknown {
  if (type.form === 'struct') return decodeStruct(type.definition, value);
  if (type.form === 'scalar') return decodeScalar(type.scalar, value);
  // A map of lists: the list is a message with its items in field 1.
  return fieldsOf(asBytes(value)).flatMap((field) =>
    field.number === 1 ? decodeItems(type.of, field.value) : [],
  );
}

function zeroOf(type: FieldType): unknown {
  return type.form === 'list' ? [] : '';
}

function decodeScalar(scalar: Scalar, value: Value): unknown {
  switch (scalar) {
    case 'bool':
      return asInteger(value) !== 0n;
    case 'int32':
    case 'int64':
      return Number(BigInt.asIntN(64, asInteger(value)));
    case 'double':
      return new DataView(Uint8Array.from(asBytes(value)).buffer).getFloat64(0, true);
    case 'string':
      return asText(value);
    case 'bytes':
      return Buffer.from(asBytes(value)).toString('base64');
    case 'time':
      return timeOf(asBytes(value), false);
    case 'microTime':
      return timeOf(asBytes(value), true);
    case 'quantity':
      return fieldsOf(asBytes(value)).map((field) => (field.number === 1 ? asText(field.value) : ''))[0];
    case 'intOrString':
      return intOrString(asBytes(value));
    case 'object':
      return undefined;
  }
}

/** RFC 3339 from seconds and nanoseconds; no bytes are Go's zero time, which JSON writes as null. */
function timeOf(bytes: Uint8Array, micro: boolean): string | undefined {
  if (bytes.length === 0) return undefined;
  let seconds = 0;
  let nanos = 0;
  for (const { number, value } of fieldsOf(bytes)) {
    const integer = Number(BigInt.asIntN(64, asInteger(value)));
    if (number === 1) seconds = integer;
    if (number === 2) nanos = integer;
  }
  const whole = new Date(seconds * 1000).toISOString().slice(0, 19);
  return micro ? `${whole}.${String(Math.floor(nanos / 1000)).padStart(6, '0')}Z` : `${whole}Z`;
}

function intOrString(bytes: Uint8Array): number | string {
  let isText = false;
  let integer = 0;
  let text = '';
  for (const { number, value } of fieldsOf(bytes)) {
    if (number === 1) isText = asInteger(value) === 1n;
    if (number === 2) integer = Number(BigInt.asIntN(64, asInteger(value)));
    if (number === 3) text = asText(value);
  }
  return isText ? text : integer;
}

/** A field's value as it is on the wire: a varint, or bytes. */
type Value = bigint | Uint8Array;

function asBytes(value: Value): Uint8Array {
  if (typeof value === 'bigint') throw new Error('a number is where a message or text should be');
  return value;
}

function asInteger(value: Value): bigint {
  if (typeof value !== 'bigint') throw new Error('bytes are where a number should be');
  return value;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function asText(value: Value): string {
  return utf8.decode(asBytes(value));
}

function fieldsOf(bytes: Uint8Array): { number: number; value: Value }[] {
  const reader = new Reader(bytes);
  const fields: { number: number; value: Value }[] = [];
  while (!reader.done) {
    const tag = Number(reader.varint());
    const wire = tag % 8;
    const number = Math.floor(tag / 8);
    if (wire === 0) fields.push({ number, value: reader.varint() });
    else if (wire === 1) fields.push({ number, value: reader.bytes(8) });
    else if (wire === 2) fields.push({ number, value: reader.bytes(Number(reader.varint())) });
    else if (wire === 5) fields.push({ number, value: reader.bytes(4) });
    else throw new Error(`wire type ${wire} is not known`);
  }
  return fields;
}

class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) break;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new Error('a number does not end');
  }

  bytes(length: number): Uint8Array {
    if (this.#at + length > this.#bytes.length) throw new Error('a field is longer than its message');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}

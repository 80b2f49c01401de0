import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { KINDS } from '../../../kube/kinds.ts';
import { messageOf } from '../../../util/errors.ts';
import { definitionOf, type FieldSchema, type FieldType, type Scalar } from './schema.ts';
import { WIRE_NUMBERS } from './wire-numbers.ts';

type Json = Record<string, unknown>;

/** A body that is not an object in Kubernetes' protobuf encoding; the message says why. */
export class ProtobufError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ProtobufError';
  }
}

/** What every encoded object begins with. */
const PREFIX = Uint8Array.of(0x6b, 0x38, 0x73, 0x00);

interface WireField {
  readonly number: number;
  readonly bytes: Uint8Array;
  /** The value of a varint or fixed-width field; 0 for bytes. */
  readonly integer: bigint;
}

/** Reads the fields of a message. */
function* fieldsOf(message: Uint8Array): Generator<WireField> {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) yield reading(() => fieldOf(reader));
}

function fieldOf(reader: BinaryReader): WireField {
  const [number, wireType] = reader.tag();
  const none = { number, bytes: new Uint8Array(), integer: 0n };
  switch (wireType) {
    case WireType.Varint:
      return { ...none, integer: BigInt(reader.int64()) };
    case WireType.LengthDelimited:
      return { ...none, bytes: reader.bytes() };
    case WireType.Bit64:
    case WireType.Bit32:
      return { ...none, bytes: reader.skip(wireType) };
    default:
      throw new ProtobufError(`proto: illegal wireType ${wireType}`);
  }
}

/** Does what reads bytes, and reports what is wrong with them in the words of Go's decoder where it has some. */
function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof ProtobufError) throw cause;
    throw new ProtobufError(cause instanceof RangeError ? 'unexpected EOF' : `proto: ${messageOf(cause)}`);
  }
}

const textDecoder = new TextDecoder('utf-8', { fatal: true });

function textOf(bytes: Uint8Array): string {
  try {
    return textDecoder.decode(bytes);
  } catch {
    throw new ProtobufError('proto: a string is not valid UTF-8');
  }
}

/** The last value of each field of a small message without a definition. */
function partsOf(message: Uint8Array): Map<number, WireField> {
  return new Map([...fieldsOf(message)].map((field) => [field.number, field]));
}

/** `{ seconds = 1, nanos = 2 }` as RFC 3339; undefined for Go's zero time, which is an empty message. */
function timeOf(message: Uint8Array, digits: number): string | undefined {
  const parts = partsOf(message);
  if (!parts.has(1)) return undefined;
  const seconds = Number(parts.get(1)!.integer);
  const whole = new Date(seconds * 1000);
  if (Number.isNaN(whole.getTime())) throw new ProtobufError(`proto: a time of ${seconds} seconds`);
  const nanos = String(Number(parts.get(2)?.integer ?? 0n)).padStart(9, '0');
  const fraction = digits === 0 ? '' : `.${nanos.slice(0, digits)}`;
  return `${whole.toISOString().slice(0, 19)}${fraction}Z`;
}

function intOrStringOf(message: Uint8Array): number | string {
  const parts = partsOf(message);
  return parts.get(1)?.integer === 1n
    ? textOf(parts.get(3)?.bytes ?? PREFIX.subarray(0, 0))
    : Number(parts.get(2)?.integer ?? 0n);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ProtobufError(`proto: embedded JSON cannot be read: ${(cause as Error).message}`);
  }
}

function doubleOf(bytes: Uint8Array): number {
  if (bytes.length !== 8) throw new ProtobufError(`proto: a double of ${bytes.length} bytes`);
  return new BinaryReader(bytes).double();
}

/** The JSON value of a scalar; undefined for one that is encoded though it is not set. */
function scalarOf(field: WireField, scalar: Scalar): unknown {
  switch (scalar) {
    case 'string':
      return textOf(field.bytes);
    case 'bool':
      return field.integer !== 0n;
    case 'int32':
    case 'int64':
      return Number(field.integer);
    case 'double':
      return doubleOf(field.bytes);
    case 'bytes':
      return Buffer.from(field.bytes).toString('base64');
    case 'time':
      return timeOf(field.bytes, 0);
    case 'microTime':
      return timeOf(field.bytes, 6);
    case 'quantity':
      return textOf(partsOf(field.bytes).get(1)?.bytes ?? new Uint8Array());
    case 'intOrString':
      return intOrStringOf(field.bytes);
    case 'any':
    case 'object': {
      const raw = textOf(partsOf(field.bytes).get(1)?.bytes ?? new Uint8Array());
      return raw === '' ? undefined : jsonOf(raw);
    }
  }
}

interface Member {
  readonly name: string;
  readonly schema: FieldSchema;
  /** Its zero is a value of its own. */
  readonly keepsZero: boolean;
}

/** Number -> member, or the members of a message that JSON has inlined. */
type Layout = Map<number, Member | Layout>;

const layouts = new Map<string, Layout>();

function parseLayout(definition: string, numbers: string): Layout {
  const fields = definitionOf(definition);
  const layout: Layout = new Map();
  for (const [, inlined, name, number, mark] of numbers.matchAll(/(?:\(([^)]*)\)|(\w+))=(\d+)(\??)/g)) {
    if (inlined !== undefined) {
      layout.set(Number(number), parseLayout(definition, inlined));
      continue;
    }
    const schema = fields.get(name!);
    if (schema === undefined) throw new Error(`wire number of ${definition}.${name}: no such field`);
    layout.set(Number(number), { name: name!, schema, keepsZero: mark === '?' || schema.required });
  }
  return layout;
}

/** The layout of a definition on the wire. Throws on a definition that has none. */
export function layoutOf(definition: string): Layout {
  // extensions/v1beta1 numbers the fields of its Deployment as apps/v1 does.
  const published = definition.replace(/^extensions\.v1beta1\./, 'apps.v1.');
  const known = layouts.get(published);
  if (known !== undefined) return known;
  const numbers = WIRE_NUMBERS[published];
  if (numbers === undefined) throw new Error(`wire numbers of ${published}: not there`);
  const layout = parseLayout(published, numbers);
  layouts.set(published, layout);
  return layout;
}

function jsonValue(field: WireField, type: FieldType): unknown {
  switch (type.form) {
    case 'scalar':
      return scalarOf(field, type.scalar);
    case 'struct':
      return decode(field.bytes, layoutOf(type.definition), {});
    case 'list':
      // A list as a map's value is a message with the items in its first field.
      return [...fieldsOf(field.bytes)]
        .filter(({ number }) => number === 1)
        .map((item) => jsonValue(item, type.of));
    case 'map':
      throw new Error('a map of maps has no protobuf encoding');
  }
}

/** The numbers of a list of integers, packed into one field or one by field. */
function* integersOf(field: WireField): Generator<WireField> {
  if (field.bytes.length === 0) {
    yield field;
    return;
  }
  const packed = new BinaryReader(field.bytes);
  while (packed.pos < packed.len) {
    yield { ...field, integer: reading(() => BigInt(packed.int64())) };
  }
}

const isInteger = (type: FieldType): boolean =>
  type.form === 'scalar' && (type.scalar === 'int32' || type.scalar === 'int64');

/** Fields that nobody but Go's encoder has set are left out; what is not known is skipped, as from a newer client. */
function decode(message: Uint8Array, layout: Layout, into: Json): Json {
  for (const field of fieldsOf(message)) {
    const member = layout.get(field.number);
    if (member === undefined) continue;
    if (member instanceof Map) {
      decode(field.bytes, member, into);
      continue;
    }
    const { name, schema, keepsZero } = member;
    const { type } = schema;
    if (type.form === 'list') {
      into[name] ??= [];
      const list = into[name] as unknown[];
      const items = isInteger(type.of) ? integersOf(field) : [field];
      for (const item of items) list.push(jsonValue(item, type.of));
    } else if (type.form === 'map') {
      into[name] ??= {};
      const map = into[name] as Json;
      const parts = partsOf(field.bytes);
      const key = textOf(parts.get(1)?.bytes ?? new Uint8Array());
      const value = parts.get(2) ?? { number: 2, bytes: new Uint8Array(), integer: 0n };
      Object.defineProperty(map, key, {
        value: jsonValue(value, type.of),
        writable: true,
        enumerable: true,
        configurable: true,
      });
    } else {
      const value = jsonValue(field, type);
      const isZero = value === '' || value === 0 || value === false;
      if (value !== undefined && (keepsZero || !isZero)) into[name] = value;
    }
  }
  return into;
}

/** The definition of an object by its `apiVersion` and `kind`; options of a deletion are of every group. */
function definitionFor(apiVersion: string, kind: string): string | undefined {
  if (kind === 'DeleteOptions') return 'meta.v1.DeleteOptions';
  const slash = apiVersion.indexOf('/');
  const group = slash < 0 ? '' : apiVersion.slice(0, slash);
  const version = apiVersion.slice(slash + 1);
  const info = KINDS.find((item) => item.kind === kind && item.group === group && item.version === version);
  // The schemas in a CustomResourceDefinition are unions that have no fields in protobuf: JSON and YAML are read.
  return info?.definition.startsWith('apiextensions.') ? undefined : info?.definition;
}

/**
 * Decodes an object of a served kind from `application/vnd.kubernetes.protobuf`, which newer kubectl and every client with typed
 * clients sends, into what the same object would be in JSON. Throws {@link ProtobufError}.
 */
export function decodeProtobuf(body: Uint8Array): Json {
  if (Buffer.compare(body.subarray(0, PREFIX.length), PREFIX) !== 0) {
    throw new ProtobufError(
      `provided data does not appear to be a protobuf message, expected prefix [${PREFIX.join(' ')}]`,
    );
  }
  // runtime.Unknown: typeMeta = 1 { apiVersion = 1, kind = 2 }, raw = 2, contentEncoding = 3.
  const envelope = partsOf(body.subarray(PREFIX.length));
  const empty = new Uint8Array();
  const typeMeta = partsOf(envelope.get(1)?.bytes ?? empty);
  const apiVersion = textOf(typeMeta.get(1)?.bytes ?? empty);
  const kind = textOf(typeMeta.get(2)?.bytes ?? empty);
  const encoding = textOf(envelope.get(3)?.bytes ?? empty);
  if (encoding !== '')
    throw new ProtobufError(`content encoding ${JSON.stringify(encoding)} is not supported`);
  const definition = definitionFor(apiVersion, kind);
  if (definition === undefined) {
    throw new ProtobufError(
      `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)}`,
    );
  }
  return decode(envelope.get(2)?.bytes ?? empty, layoutOf(definition), { kind, apiVersion });
}

/**
 * JSON as the CNI world reads it. libcni and the reference plugins are Go programs, and Go's decoder differs from `JSON.parse` where it
 * matters for safety: a key stands for a field also when its case differs, and of several keys for one field the last one wins. A reader
 * that is stricter than the runtime ignores a condition that the runtime applies.
 * Source: Go's encoding/json, Unmarshal: https://pkg.go.dev/encoding/json#Unmarshal
 */
import { isObject, MAX_JSON_DEPTH } from '../util/json.ts';
import { CniError, cniErrorCode } from './errors.ts';

/** A document that is larger than this reader takes: nothing is known of what is in it. Code 6. */
export class TooLargeError extends CniError {
  constructor(message: string) {
    super(cniErrorCode.decodingFailure, message);
    this.name = 'TooLargeError';
  }
}

/** UTF-16 units of a document. The largest real one, a GC of a node with thousands of attachments, has some hundred thousand. */
const MAX_LENGTH = 8 * 1024 * 1024;

/** A value as it is written: of an object every key in order, also one that occurs twice. */
export type JsonNode = null | boolean | number | string | JsonNode[] | JsonMembers;

/** An object as it is written. */
export class JsonMembers {
  readonly entries: [string, JsonNode][] = [];
}

/**
 * How Go's decoder fills a field:
 * - `scalar`: a bool, number or string; null leaves what an earlier key set
 * - `nullable`: a pointer or an `interface{}`; null removes what an earlier key set, an object replaces it
 * - `map`: keys as they are written; a second object adds to the first
 * - `list`: a slice, each entry of one shape
 * - `struct`: fields by name; a second object adds to the first. With `nullable` it is a pointer to a struct
 */
export type Shape = 'scalar' | 'nullable' | 'map' | { list: Shape } | { struct: Fields; nullable?: boolean };

/** The fields of a struct by their names in JSON, which are ASCII. */
export type Fields = Readonly<Record<string, Shape>>;

/**
 * Reads a document; `what` names it in errors. What is not JSON is error 6 with the place, and never quotes the text, which may hold a
 * secret. What is too long or nested too deeply is a {@link TooLargeError}.
 */
export function parseDocument(text: string, what: string): JsonNode {
  if (text.length > MAX_LENGTH) {
    throw new TooLargeError(`${what}: larger than ${MAX_LENGTH / 1024 / 1024} Mi characters`);
  }
  return new Parser(text, what).document();
}

/** A document as Go decodes it into an `interface{}`: keys as they are written, the last of equal ones wins. */
export function plain(node: JsonNode): unknown {
  if (Array.isArray(node)) return node.map(plain);
  if (!(node instanceof JsonMembers)) return node;
  return Object.fromEntries(node.entries.map(([key, value]) => [key, plain(value)]));
}

/** A decoded document as Go writes it again: keys sorted. Which of several spellings of a key comes last follows from it. */
export function marshalled(value: unknown): JsonNode {
  if (Array.isArray(value)) return value.map(marshalled);
  if (typeof value !== 'object' || value === null) return (value ?? null) as JsonNode;
  const members = new JsonMembers();
  for (const key of Object.keys(value).sort()) {
    const field = (value as Record<string, unknown>)[key];
    if (field !== undefined) members.entries.push([key, marshalled(field)]);
  }
  return members;
}

/**
 * An object as Go decodes it into a struct with `fields`: the keys are the fields' names, whatever the spelling in the document. Keys
 * that are no field's stay as they are, and `unknown` is called for each, with the fields that lead to it. A value of another kind than its
 * field is returned unchanged: its user validates it. Undefined when `node` is not an object.
 */
export function decodeStruct(
  node: JsonNode,
  fields: Fields,
  unknown: (path: readonly string[]) => void = () => {},
): Record<string, unknown> | undefined {
  return node instanceof JsonMembers ? fillStruct({}, node, fields, unknown, []) : undefined;
}

type Unknown = (path: readonly string[]) => void;

function fillStruct(
  target: Record<string, unknown>,
  { entries }: JsonMembers,
  fields: Fields,
  unknown: Unknown,
  path: readonly string[],
): Record<string, unknown> {
  for (const [key, value] of entries) {
    const name = fieldNamed(key, fields);
    if (name === undefined) {
      unknown([...path, key]);
      put(target, key, plain(value));
      continue;
    }
    const decoded = decode(ownValue(target, name), value, fields[name]!, unknown, [...path, name]);
    if (decoded === undefined) delete target[name];
    else put(target, name, decoded);
  }
  return target;
}

/** What a field holds after a key for it; undefined for nothing. */
function decode(
  before: unknown,
  value: JsonNode,
  shape: Shape,
  unknown: Unknown,
  path: readonly string[],
): unknown {
  if (value === null) {
    const stays = shape === 'scalar' || (typeof shape === 'object' && 'struct' in shape && !shape.nullable);
    return stays ? before : undefined;
  }
  if (typeof shape === 'object' && 'list' in shape) {
    if (!Array.isArray(value)) return plain(value);
    // Go decodes into the slice that an earlier key filled: what an entry does not say stays.
    const earlier = Array.isArray(before) ? before : [];
    return value.map((entry, i) => decode(earlier[i], entry, shape.list, unknown, path) ?? null);
  }
  if (!(value instanceof JsonMembers) || shape === 'scalar' || shape === 'nullable') return plain(value);
  const into = isObject(before) ? before : {};
  if (shape !== 'map') return fillStruct(into, value, shape.struct, unknown, path);
  for (const [key, member] of value.entries) put(into, key, plain(member));
  return into;
}

/** The field that a key stands for: the one of that name, else the one whose name differs in case only. */
function fieldNamed(key: string, fields: Fields): string | undefined {
  if (Object.hasOwn(fields, key)) return key;
  const folded = fold(key);
  return Object.keys(fields).find((name) => fold(name) === folded);
}

/** Two letters outside ASCII fold to letters in it, the long s and the Kelvin sign; Go knows them. */
function fold(key: string): string {
  return key.replaceAll('\u017f', 's').replaceAll('\u212a', 'k').toLowerCase();
}

/** Assigned as JSON.parse does: a key `__proto__` is a key. */
function put(target: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
}

function ownValue(target: Record<string, unknown>, key: string): unknown {
  return Object.hasOwn(target, key) ? target[key] : undefined;
}

const SPACE = /[ \t\n\r]*/y;
const UNESCAPED = /[^"\\\u0000-\u001f]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const LITERAL = /true|false|null/y;

/** Reads RFC 8259, no more: as Go's decoder does. */
class Parser {
  readonly #text: string;
  readonly #what: string;
  #at = 0;

  constructor(text: string, what: string) {
    this.#text = text;
    this.#what = what;
  }

  document(): JsonNode {
    const node = this.#value(0);
    this.#match(SPACE);
    if (this.#at < this.#text.length) throw this.#unexpected('the end of the document');
    return node;
  }

  #value(depth: number): JsonNode {
    this.#match(SPACE);
    const first = this.#text[this.#at];
    if ((first === '{' || first === '[') && depth === MAX_JSON_DEPTH) {
      throw new TooLargeError(`${this.#what}: nested deeper than ${MAX_JSON_DEPTH} levels`);
    }
    if (first === '{') return this.#object(depth);
    if (first === '[') return this.#list(depth);
    if (first === '"') return this.#string();
    const scalar = this.#match(NUMBER) ?? this.#match(LITERAL);
    if (scalar === undefined) throw this.#unexpected('a value');
    return JSON.parse(scalar) as JsonNode;
  }

  #object(depth: number): JsonMembers {
    const members = new JsonMembers();
    this.#at++;
    if (this.#takes('}')) return members;
    do {
      this.#match(SPACE);
      const key = this.#string();
      if (!this.#takes(':')) throw this.#unexpected('":"');
      members.entries.push([key, this.#value(depth + 1)]);
    } while (this.#takes(','));
    if (!this.#takes('}')) throw this.#unexpected('"," or "}"');
    return members;
  }

  #list(depth: number): JsonNode[] {
    const list: JsonNode[] = [];
    this.#at++;
    if (this.#takes(']')) return list;
    do list.push(this.#value(depth + 1));
    while (this.#takes(','));
    if (!this.#takes(']')) throw this.#unexpected('"," or "]"');
    return list;
  }

  #string(): string {
    const start = this.#at;
    if (this.#text[start] !== '"') throw this.#unexpected('a string');
    this.#at++;
    // One pattern for all of it would need a stack as deep as the string is long.
    do this.#match(UNESCAPED);
    while (this.#match(ESCAPE) !== undefined);
    if (this.#text[this.#at] !== '"') throw this.#unexpected('the rest of a string');
    this.#at++;
    return JSON.parse(this.#text.slice(start, this.#at)) as string;
  }

  #takes(character: string): boolean {
    this.#match(SPACE);
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #unexpected(wanted: string): CniError {
    const before = this.#text.slice(0, this.#at);
    const line = before.split('\n').length;
    const column = this.#at - (before.lastIndexOf('\n') + 1) + 1;
    return new CniError(
      cniErrorCode.decodingFailure,
      `${this.#what}: not JSON: line ${line}, column ${column}: expected ${wanted}`,
    );
  }
}

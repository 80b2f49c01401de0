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
/** Values of a document, keys apart. That GC of ten thousand attachments has thirty thousand. */
const MAX_VALUES = 256 * 1024;

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
  let names = foldedNames.get(fields);
  if (names === undefined) {
    names = new Map(Object.keys(fields).map((name) => [fold(name), name]));
    foldedNames.set(fields, names);
  }
  return names.get(fold(key));
}

/** The names of fields by what they fold to: a document may have a million keys. */
const foldedNames = new WeakMap<Fields, ReadonlyMap<string, string>>();

/** Two letters outside ASCII fold to letters in it, the long s and the Kelvin sign; Go knows them. */
function fold(key: string): string {
  return key.replaceAll('\u017f', 's').replaceAll('\u212a', 'k').toLowerCase();
}

/** Assigned as JSON.parse does: a key `__proto__` is a key. */
function put(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== '__proto__') target[key] = value;
  else Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
}

function ownValue(target: Record<string, unknown>, key: string): unknown {
  return Object.hasOwn(target, key) ? target[key] : undefined;
}

const TAB = 0x09;
const LINE_FEED = 0x0a;
const RETURN = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const UPPER_E = 0x45;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const LOWER_E = 0x65;
const LOWER_F = 0x66;
const LOWER_N = 0x6e;
const LOWER_T = 0x74;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

const UNESCAPED = /[^"\\\u0000-\u001f]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
/** Digits of a whole number that is exact whatever they are. */
const EXACT_DIGITS = 15;

/**
 * Reads RFC 8259, no more: as Go's decoder does. It looks at one character after another: in an engine that interprets, a regular expression
 * costs more than the ten characters of most values.
 */
class Parser {
  readonly #text: string;
  readonly #what: string;
  #at = 0;
  #values = 0;

  constructor(text: string, what: string) {
    this.#text = text;
    this.#what = what;
  }

  document(): JsonNode {
    const node = this.#value(0);
    this.#next();
    if (this.#at < this.#text.length) throw this.#unexpected('the end of the document');
    return node;
  }

  #value(depth: number): JsonNode {
    if (++this.#values > MAX_VALUES) {
      throw new TooLargeError(`${this.#what}: more than ${MAX_VALUES / 1024} Ki values`);
    }
    const first = this.#next();
    if (first === QUOTE) return this.#string();
    if (first === OPEN_OBJECT || first === OPEN_LIST) {
      if (depth === MAX_JSON_DEPTH) {
        throw new TooLargeError(`${this.#what}: nested deeper than ${MAX_JSON_DEPTH} levels`);
      }
      this.#at++;
      return first === OPEN_OBJECT ? this.#object(depth) : this.#list(depth);
    }
    if (first === MINUS || (first >= ZERO && first <= NINE)) return this.#number();
    if (first === LOWER_T) return this.#word('true', true);
    if (first === LOWER_F) return this.#word('false', false);
    if (first === LOWER_N) return this.#word('null', null);
    throw this.#unexpected('a value');
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) throw this.#unexpected('a value');
    this.#at += word.length;
    return value;
  }

  #object(depth: number): JsonMembers {
    const members = new JsonMembers();
    if (this.#takes(CLOSE_OBJECT)) return members;
    do {
      if (this.#next() !== QUOTE) throw this.#unexpected('a string');
      const key = this.#string();
      if (!this.#takes(COLON)) throw this.#unexpected('":"');
      members.entries.push([key, this.#value(depth + 1)]);
    } while (this.#takes(COMMA));
    if (!this.#takes(CLOSE_OBJECT)) throw this.#unexpected('"," or "}"');
    return members;
  }

  #list(depth: number): JsonNode[] {
    const list: JsonNode[] = [];
    if (this.#takes(CLOSE_LIST)) return list;
    do list.push(this.#value(depth + 1));
    while (this.#takes(COMMA));
    if (!this.#takes(CLOSE_LIST)) throw this.#unexpected('"," or "]"');
    return list;
  }

  #number(): number {
    const isNegative = this.#text.charCodeAt(this.#at) === MINUS;
    const first = isNegative ? this.#at + 1 : this.#at;
    let at = first;
    let code = this.#text.charCodeAt(at);
    let value = 0;
    // A whole number, as most are, is read on the way.
    if (code === ZERO) code = this.#text.charCodeAt(++at);
    else {
      for (; code >= ZERO && code <= NINE; code = this.#text.charCodeAt(++at))
        value = value * 10 + code - ZERO;
    }
    const isWhole = code !== DOT && code !== LOWER_E && code !== UPPER_E;
    if (isWhole && at > first && at - first <= EXACT_DIGITS) {
      this.#at = at;
      return isNegative ? -value : value;
    }
    const written = this.#match(NUMBER);
    if (written === undefined) throw this.#unexpected('a value');
    return Number(written);
  }

  /** From its quote on. */
  #string(): string {
    const start = this.#at;
    let end = this.#text.indexOf('"', start + 1);
    while (end > 0 && this.#isEscaped(end)) end = this.#text.indexOf('"', end + 1);
    const text = end < 0 ? undefined : unquoted(this.#text.slice(start, end + 1));
    if (text === undefined) throw this.#incomplete();
    this.#at = end + 1;
    return text;
  }

  /** Whether an odd number of backslashes is before a character. A string begins with a quote, so none of them is outside of it. */
  #isEscaped(at: number): boolean {
    let first = at;
    while (this.#text.charCodeAt(first - 1) === BACKSLASH) first--;
    return (at - first) % 2 === 1;
  }

  /** The error of a string that begins here, with the place where it ends. */
  #incomplete(): CniError {
    this.#at++;
    // One pattern for all of it would need a stack as deep as the string is long.
    do this.#match(UNESCAPED);
    while (this.#match(ESCAPE) !== undefined);
    return this.#unexpected('the rest of a string');
  }

  /** The code of the next character that is not white space; NaN at the end. */
  #next(): number {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== SPACE && code !== LINE_FEED && code !== RETURN && code !== TAB) return code;
      this.#at++;
    }
  }

  #takes(code: number): boolean {
    if (this.#next() !== code) return false;
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

/** What a string of JSON says; undefined for anything else. */
function unquoted(quoted: string): string | undefined {
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return undefined;
  }
}

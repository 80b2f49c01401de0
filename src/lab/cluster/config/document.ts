import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  type Scalar,
  type YAMLMap,
} from 'yaml';
import type { Json, JsonObject } from '../../../util/json.ts';

/** Something said about one place of a file. Lines and columns count from 1. */
interface Remark {
  line: number;
  column: number;
  text: string;
}

/**
 * Collects everything that is wrong with a file, so that its author fixes it all at once and not error by error.
 * Errors and warnings come out in the order of the file, as `FILE:LINE:COL: text`.
 */
export class Remarks {
  readonly #file: string;
  readonly #errors: Remark[] = [];
  readonly #warnings: Remark[] = [];

  constructor(file: string) {
    this.#file = file;
  }

  error(at: Place, text: string): void {
    this.#errors.push({ ...at, text });
  }

  warn(at: Place, text: string): void {
    this.#warnings.push({ ...at, text });
  }

  get errors(): string[] {
    return this.#print(this.#errors);
  }

  get warnings(): string[] {
    return this.#print(this.#warnings);
  }

  #print(remarks: Remark[]): string[] {
    const ordered = remarks.toSorted((a, b) => a.line - b.line || a.column - b.column);
    return [...new Set(ordered.map((r) => `${this.#file}:${r.line}:${r.column}: ${r.text}`))];
  }
}

export interface Place {
  line: number;
  column: number;
}

/** Where a text that is itself a document (a patch in a block scalar) starts in the file around it. */
interface Origin {
  /** Added to every line. */
  lines: number;
  /** Added to every column. */
  columns: number;
  /** What comes before every path: `kubeadmConfigPatches[0].`. */
  path: string;
  /** Where everything of it stands, when it is not a part of the file but was made of one. */
  place?: Place;
}

const FILE_ORIGIN: Origin = { lines: 0, columns: 0, path: '' };

interface Source {
  text: string;
  document: Document;
  lines: LineCounter;
  origin: Origin;
  remarks: Remarks;
}

/**
 * Parses `text`, which must hold exactly one YAML document whose root is a mapping, and reports syntax errors and
 * duplicate keys. Undefined when there is nothing to read on with.
 */
export function parseMapping(text: string, remarks: Remarks, origin = FILE_ORIGIN): Field | undefined {
  const lines = new LineCounter();
  // Duplicate keys are reported by us, with their path in the document.
  const parsed = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false });
  const place = (offset: number): Place => placeOf(lines, offset, origin);
  const what = origin.path === '' ? '' : `${origin.path.slice(0, -1)}: `;

  const documents = Array.isArray(parsed) ? (parsed as Document[]) : [];
  // The first says where it stops being YAML; most of the others come of it.
  const errors = documents.flatMap((document) => document.errors);
  const first = errors.toSorted((a, b) => a.pos[0] - b.pos[0])[0];
  if (first !== undefined) {
    const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
    remarks.error(place(first.pos[0]), `${what}not valid YAML: ${first.message}${more}`);
    return undefined;
  }

  const filled = documents.filter((document) => !isEmpty(document.contents));
  const [document, second] = filled;
  if (document === undefined) {
    remarks.error(place(0), `${what}is empty: want one YAML document`);
    return undefined;
  }
  if (second !== undefined) {
    remarks.error(
      place(second.contents?.range?.[0] ?? 0),
      `${what}a second YAML document: want exactly one, remove what follows the first`,
    );
  }
  const root = new Field({ text, document, lines, origin, remarks }, '', document.contents, undefined);
  if (!isMap(document.contents)) {
    root.error(`want a mapping, not ${root.describe()}`);
    return undefined;
  }
  reportMisuse(root);
  return root;
}

function isEmpty(contents: Node | null | undefined): boolean {
  return contents === null || contents === undefined || (isScalar(contents) && contents.value === null);
}

function placeOf(lines: LineCounter, offset: number, origin: Origin): Place {
  if (origin.place !== undefined) return origin.place;
  // An empty text has no lines at all: say its first.
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(line, 1) + origin.lines, column: Math.max(col, 1) + origin.columns };
}

/** A value of a document, with its path and place, and readers that report a value of the wrong type. */
export class Field {
  readonly #source: Source;
  readonly #path: string;
  readonly #node: Node | null;
  readonly #key: Node | undefined;

  constructor(source: Source, path: string, node: Node | null, key: Node | undefined) {
    this.#source = source;
    this.#path = path;
    this.#node = node;
    this.#key = key;
  }

  /** `nodes[1].extraMounts[0].hostPath`; empty for the document itself. */
  get path(): string {
    return this.#source.origin.path + this.#path;
  }

  /** An error at the value. */
  error(text: string): void {
    this.#source.remarks.error(this.#place(this.#node ?? this.#key), this.#say(text));
  }

  /** An error at the key: for a field that should not be there at all. */
  errorAtKey(text: string): void {
    this.#source.remarks.error(this.#place(this.#key ?? this.#node), this.#say(text));
  }

  /** A warning, at the key. */
  warn(text: string): void {
    this.#source.remarks.warn(this.#place(this.#key ?? this.#node), this.#say(text));
  }

  /** The line of this value, for a message about another one. */
  get line(): number {
    return this.#place(this.#key ?? this.#node).line;
  }

  /** Whether there is a value: a key without one, or with `null`, counts as absent, as it does for kind. */
  get isPresent(): boolean {
    return !isEmpty(this.#value());
  }

  /** The value as a person would name it in an error. */
  describe(): string {
    const value = this.#value();
    if (isMap(value)) return 'a mapping';
    if (isSeq(value)) return 'a list';
    if (!isScalar(value) || value.value === null) return 'nothing';
    if (typeof value.value === 'string') return JSON.stringify(value.value);
    return sourceOf(value);
  }

  /** A string. Numbers and booleans are taken as they are written, as Go's YAML decoder does for kind. */
  string(): string | undefined {
    const value = this.#value();
    if (!this.isPresent) return undefined;
    if (isScalar(value)) return typeof value.value === 'string' ? value.value : sourceOf(value);
    this.error(`want a string, not ${this.describe()}`);
    return undefined;
  }

  integer(): number | undefined {
    const value = this.#value();
    if (!this.isPresent) return undefined;
    if (isScalar(value) && typeof value.value === 'number' && Number.isSafeInteger(value.value)) {
      return value.value;
    }
    this.error(`want a whole number, not ${this.describe()}`);
    return undefined;
  }

  /** A boolean, in YAML 1.1's spellings too: Go's YAML decoder takes them where a boolean is wanted, so kind does. */
  boolean(): boolean | undefined {
    const value = this.#value();
    if (!this.isPresent) return undefined;
    if (isScalar(value)) {
      if (typeof value.value === 'boolean') return value.value;
      if (value.type === 'PLAIN') {
        if (/^(y|yes|on)$/i.test(sourceOf(value))) return true;
        if (/^(n|no|off)$/i.test(sourceOf(value))) return false;
      }
    }
    this.error(`want true or false, not ${this.describe()}`);
    return undefined;
  }

  /** One of `choices`. */
  oneOf<T extends string>(choices: readonly T[]): T | undefined {
    const text = this.string();
    if (text === undefined) return undefined;
    const choice = choices.find((candidate) => candidate === text);
    if (choice === undefined) this.error(`${JSON.stringify(text)} is not one of ${choices.join(', ')}`);
    return choice;
  }

  /** The value as JSON has it, aliases and merges resolved; null when there is none. */
  plain(): Json {
    const value = this.#value();
    return isNode(value) ? (value.toJS(this.#source.document) as Json) : null;
  }

  list(): Field[] {
    const value = this.#value();
    if (!this.isPresent) return [];
    if (!isSeq(value)) {
      this.error(`want a list, not ${this.describe()}`);
      return [];
    }
    return value.items.map((item, index) => {
      const node = item as Node | null;
      return new Field(this.#source, `${this.#path}[${index}]`, node, node ?? this.#key);
    });
  }

  /** The fields of a mapping, by key, in order; merged (`<<`) ones after the mapping's own. Absent is empty. */
  entries(): Map<string, Field> {
    const value = this.#value();
    if (!this.isPresent) return new Map();
    if (!isMap(value)) {
      this.error(`want a mapping, not ${this.describe()}`);
      return new Map();
    }
    const fields = new Map<string, Field>();
    this.#collect(pairsOf(value), fields, new Set());
    return fields;
  }

  /**
   * The fields of a mapping whose keys are known. A key that is in neither list is an error; one in `ignored` is a
   * warning that says the field has no effect here.
   */
  fields(known: readonly string[], ignored: readonly string[] = []): Map<string, Field> {
    const all = this.entries();
    for (const [name, field] of all) {
      if (ignored.includes(name)) {
        if (field.isPresent) field.warn('known to kind but not honoured here: it has no effect');
      } else if (!known.includes(name)) {
        field.errorAtKey(`unknown field: want one of ${known.join(', ')}`);
      }
    }
    return all;
  }

  /** Reads a string that is a YAML document of its own; places and paths stay those of the file around it. */
  embedded(): Field | undefined {
    const text = this.string();
    const node = this.#value();
    if (text === undefined || !isScalar(node)) return undefined;
    const place = this.#place(node);
    const path = `${this.path}.`;
    // In a literal block each line of the file is a line of the text, less the indentation. In any other style lines
    // are folded, and the best that can be said is where the text starts.
    const origin =
      node.type === 'BLOCK_LITERAL'
        ? { lines: place.line, columns: this.#indentationOfBlock(node), path }
        : { lines: place.line - 1, columns: place.column - 1, path };
    return parseMapping(text, this.#source.remarks, origin);
  }

  /** A document that was made of this value: all that is said about it stands here. */
  derived(document: JsonObject): Field | undefined {
    const origin = {
      lines: 0,
      columns: 0,
      path: `${this.path}.`,
      place: this.#place(this.#node ?? this.#key),
    };
    return parseMapping(JSON.stringify(document), this.#source.remarks, origin);
  }

  /** What is directly inside a mapping or list, as written: duplicate keys twice, aliases unresolved. */
  children(): Field[] {
    if (isMap(this.#node)) return pairsOf(this.#node).map((pair) => this.#child(pair));
    return isSeq(this.#node) ? this.list() : [];
  }

  /** The name that this alias refers to, when no anchor has that name. */
  get danglingAlias(): string | undefined {
    return isAlias(this.#node) && this.#value() === undefined ? this.#node.source : undefined;
  }

  #child(pair: Pair<Node, Node | null>): Field {
    const name = keyText(pair.key);
    const path = /^[\w-]+$/.test(name) ? name : `[${JSON.stringify(name)}]`;
    const joint = this.#path === '' || path.startsWith('[') ? '' : '.';
    return new Field(this.#source, `${this.#path}${joint}${path}`, pair.value, pair.key);
  }

  #collect(pairs: Pair<Node, Node | null>[], into: Map<string, Field>, seen: Set<unknown>): void {
    const merged: Node[] = [];
    for (const pair of pairs) {
      const name = keyText(pair.key);
      if (name === '<<' && pair.value !== null) merged.push(pair.value);
      else if (!into.has(name)) into.set(name, this.#child(pair));
    }
    for (const node of merged) {
      const target = isAlias(node) ? node.resolve(this.#source.document) : node;
      // An anchor may contain a merge of itself.
      if (seen.has(target)) continue;
      seen.add(target);
      if (isMap(target)) this.#collect(pairsOf(target), into, seen);
      else this.error('the merge key << wants a mapping');
    }
  }

  #value(): Node | null | undefined {
    return isAlias(this.#node) ? this.#node.resolve(this.#source.document) : this.#node;
  }

  #place(node: Node | null | undefined): Place {
    return placeOf(this.#source.lines, node?.range?.[0] ?? 0, this.#source.origin);
  }

  #say(text: string): string {
    return this.path === '' ? text : `${this.path}: ${text}`;
  }

  #indentationOfBlock(block: Scalar): number {
    const lines = this.#source.text.slice(block.range?.[0] ?? 0).split('\n');
    const first = lines.slice(1).find((line) => line.trim() !== '');
    return first === undefined ? 0 : first.length - first.trimStart().length;
  }
}

function sourceOf(scalar: Scalar): string {
  return scalar.source ?? String(scalar.value);
}

function keyText(key: Node): string {
  // Written out, a key within a key within a key would have twice as many quotes each time.
  if (isMap(key) || isSeq(key))
    return `${isMap(key) ? 'mapping' : 'list'} at character ${key.range?.[0] ?? 0}`;
  return isScalar(key) ? (typeof key.value === 'string' ? key.value : sourceOf(key)) : String(key);
}

function pairsOf(map: YAMLMap): Pair<Node, Node | null>[] {
  return map.items as Pair<Node, Node | null>[];
}

/** Reports what YAML forbids anywhere in the file, even in the parts that are not read further. */
function reportMisuse(field: Field): void {
  if (field.danglingAlias !== undefined) field.error(`*${field.danglingAlias} refers to no anchor before it`);
  const firstLines = new Map<string, number>();
  for (const child of field.children()) {
    const line = firstLines.get(child.path);
    if (line === undefined) firstLines.set(child.path, child.line);
    else child.errorAtKey(`given twice, first on line ${line}: remove one`);
    reportMisuse(child);
  }
}

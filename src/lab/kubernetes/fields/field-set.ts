import { isObject, type Json, type JsonObject } from '../../../util/json.ts';
import { compareElements, elementText, type PathElement, parseElement } from './path-element.ts';

/** A field's way from the root of its object. */
export type Path = readonly PathElement[];

/** Members are in the set themselves; children only lead to what is in it. */
type Node = {
  readonly members: ReadonlySet<PathElement>;
  readonly children: ReadonlyMap<PathElement, FieldSet>;
};

const MEMBER_TOO = '.';

/**
 * A set of fields of an object: what a manager owns, what a write changed. A parent is not in it only because something below
 * is. The operations are those of sigs.k8s.io/structured-merge-diff's `fieldpath.Set`; none changes its operands.
 */
export class FieldSet implements Node {
  readonly members: Set<PathElement>;
  readonly children: Map<PathElement, FieldSet>;

  constructor(members = new Set<PathElement>(), children = new Map<PathElement, FieldSet>()) {
    this.members = members;
    this.children = children;
  }

  static of(...paths: Path[]): FieldSet {
    const set = new FieldSet();
    for (const path of paths) set.insert(path);
    return set;
  }

  /** Adds one field to this set. Nobody owns a whole object: the empty path adds nothing. */
  insert(path: Path): void {
    let node: FieldSet = this;
    for (let at = 0; at < path.length - 1; at++) node = node.#descend(path[at]!);
    if (path.length > 0) node.members.add(path.at(-1)!);
  }

  #descend(element: PathElement): FieldSet {
    let child = this.children.get(element);
    if (child === undefined) {
      child = new FieldSet();
      this.children.set(element, child);
    }
    return child;
  }

  get isEmpty(): boolean {
    if (this.members.size > 0) return false;
    for (const child of this.children.values()) if (!child.isEmpty) return false;
    return true;
  }

  has(path: Path): boolean {
    let node: FieldSet | undefined = this;
    for (let at = 0; at < path.length - 1; at++) {
      node = node.children.get(path[at]!);
      if (node === undefined) return false;
    }
    return path.length > 0 && node.members.has(path.at(-1)!);
  }

  equals(other: FieldSet): boolean {
    if (this.members.size !== other.members.size || this.children.size !== other.children.size) return false;
    for (const member of this.members) if (!other.members.has(member)) return false;
    for (const [element, child] of this.children) {
      const match = other.children.get(element);
      if (match === undefined || !child.equals(match)) return false;
    }
    return true;
  }

  union(other: FieldSet): FieldSet {
    const children = new Map(this.children);
    for (const [element, child] of other.children) {
      const mine = children.get(element);
      children.set(element, mine === undefined ? child : mine.union(child));
    }
    return new FieldSet(this.members.union(other.members), children);
  }

  intersection(other: FieldSet): FieldSet {
    const children = new Map<PathElement, FieldSet>();
    for (const [element, child] of this.children) {
      const match = other.children.get(element);
      const both = match === undefined ? undefined : child.intersection(match);
      if (both !== undefined && !both.isEmpty) children.set(element, both);
    }
    return new FieldSet(this.members.intersection(other.members), children);
  }

  /** Without the members of `other`; what is below one of those stays. */
  difference(other: FieldSet): FieldSet {
    return this.#without(other, (child, rest) => child.difference(rest), false);
  }

  /** Without the members of `other` and all that is below them. */
  recursiveDifference(other: FieldSet): FieldSet {
    return this.#without(other, (child, rest) => child.recursiveDifference(rest), true);
  }

  #without(
    other: FieldSet,
    subtract: (child: FieldSet, rest: FieldSet) => FieldSet,
    recursive: boolean,
  ): FieldSet {
    const children = new Map<PathElement, FieldSet>();
    for (const [element, child] of this.children) {
      if (recursive && other.members.has(element)) continue;
      const rest = other.children.get(element);
      const left = rest === undefined ? child : subtract(child, rest);
      if (!left.isEmpty) children.set(element, left);
    }
    return new FieldSet(this.members.difference(other.members), children);
  }

  /** Every field of the set, in the order in which sets are written. */
  paths(prefix: Path = []): Path[] {
    return [
      ...[...this.members].sort(compareElements).map((element) => [...prefix, element]),
      ...[...this.children.keys()]
        .sort(compareElements)
        .flatMap((element) => this.children.get(element)!.paths([...prefix, element])),
    ];
  }

  /** `fieldsV1`. */
  toJson(): JsonObject {
    return this.#toJson(false);
  }

  #toJson(isMember: boolean): JsonObject {
    const json: JsonObject = {};
    if (isMember && (this.members.size > 0 || this.children.size > 0)) json[MEMBER_TOO] = {};
    for (const element of [...this.members.union(new Set(this.children.keys()))].sort(compareElements)) {
      const child = this.children.get(element);
      json[element] = child === undefined ? {} : child.#toJson(this.members.has(element));
    }
    return json;
  }

  /** Reads `fieldsV1`. Elements of a kind that is not known are dropped. Throws for what is not of that form. */
  static fromJson(json: unknown): FieldSet {
    return read(json).set ?? new FieldSet();
  }
}

/** What one object of `fieldsV1` says: what is below it, and whether it is a member itself. */
function read(json: unknown): { set: FieldSet | undefined; isMember: boolean } {
  if (!isObject(json)) throw new Error(`not an object of fields: ${JSON.stringify(json)}`);
  let set: FieldSet | undefined;
  let isMember = false;
  for (const [text, value] of Object.entries(json)) {
    if (text === MEMBER_TOO) {
      isMember = true;
      continue;
    }
    const element = parseElement(text);
    if (element === undefined) continue;
    const below = read(value as Json);
    set ??= new FieldSet();
    if (below.isMember) set.members.add(element);
    if (below.set !== undefined) set.children.set(element, below.set);
  }
  return { set, isMember: isMember || set === undefined };
}

/** Whether what `fieldsV1` has for an element (undefined: nothing) says that it is a member itself. */
export function isMemberJson(json: Json | undefined): boolean {
  if (json === undefined) return false;
  for (const element in json as JsonObject)
    if (element !== MEMBER_TOO) return MEMBER_TOO in (json as JsonObject);
  return true;
}

/** A path as errors show it: `.spec.containers[name="x"].image`. */
export function pathText(path: Path): string {
  return path.map(elementText).join('');
}

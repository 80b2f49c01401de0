import { jsonEqual } from '../../../kube/patch/json.ts';
import { isObject, type Json } from '../../../util/json.ts';
import { type Atom, DEDUCED, fieldType, type ListAtom, type MapAtom, type Shape, shapeOf } from './atoms.ts';
import { FieldSet } from './field-set.ts';
import { itemElement } from './list-items.ts';
import { fieldElement, type PathElement } from './path-element.ts';

/** What differs between two objects of a type. */
export interface Comparison {
  readonly removed: FieldSet;
  readonly modified: FieldSet;
  readonly added: FieldSet;
}

type Value = Json | undefined;

/** The fields in which `after` differs from `before`. Throws `ListItemError` where items of a list have no keys. */
export function compare(atom: Atom, before: Value, after: Value): Comparison {
  const walk = new Walk();
  walk.visit(atom, before, after, []);
  return walk;
}

class Walk implements Comparison {
  readonly removed = new FieldSet();
  readonly modified = new FieldSet();
  readonly added = new FieldSet();

  visit(atom: Atom, left: Value, right: Value, path: PathElement[]): void {
    if (left === undefined && right === undefined) return;
    // The same text or number in both is most of what is compared.
    if (left === right) return;
    const leftShape = shapeOf(atom, left);
    const rightShape = shapeOf(atom, right);
    let isLeaf: boolean;
    if (right === undefined) isLeaf = this.#as(leftShape, atom, left, right, path);
    else {
      if (left !== undefined && leftShape !== rightShape) this.#as(leftShape, atom, left, right, path);
      isLeaf = this.#as(rightShape, atom, left, right, path);
    }
    if (isLeaf) return;
    if (left === undefined) this.added.insert(path);
    else if (right === undefined) this.removed.insert(path);
  }

  /** Whether the value was compared as a whole. */
  #as(shape: Shape, atom: Atom, left: Value, right: Value, path: PathElement[]): boolean {
    if (shape === 'map') return this.#map(atom.map!, left, right, path);
    if (shape === 'list') return this.#list(atom.list!, left, right, path);
    return this.#leaf(left, right, path);
  }

  #leaf(left: Value, right: Value, path: PathElement[]): true {
    if (left === undefined) this.added.insert(path);
    else if (right === undefined) this.removed.insert(path);
    else if (!jsonEqual(left, right)) this.modified.insert(path);
    return true;
  }

  #map(map: MapAtom, left: Value, right: Value, path: PathElement[]): boolean {
    const before = isObject(left) ? left : {};
    const after = isObject(right) ? right : {};
    if (map.atomic || (isEmpty(before) && isEmpty(after))) return this.#leaf(left, right, path);
    for (const name of Object.keys(before)) {
      this.#field(map, name, before[name], Object.hasOwn(after, name) ? after[name] : undefined, path);
    }
    for (const name of Object.keys(after)) {
      if (!Object.hasOwn(before, name)) this.#field(map, name, undefined, after[name], path);
    }
    return false;
  }

  #field(map: MapAtom, name: string, left: Value, right: Value, path: PathElement[]): void {
    path.push(fieldElement(name));
    this.visit((fieldType(map, name) ?? DEDUCED)(), left, right, path);
    path.pop();
  }

  #list(list: ListAtom, left: Value, right: Value, path: PathElement[]): boolean {
    const before = Array.isArray(left) ? left : [];
    const after = Array.isArray(right) ? right : [];
    if (!list.associative || (before.length === 0 && after.length === 0))
      return this.#leaf(left, right, path);
    // Most lists stay as they are: that is found sooner than the keys of their items.
    if (jsonEqual(before, after)) return false;
    const mine = byElement(list, before);
    const theirs = byElement(list, after);
    const atom = list.element();
    for (const element of mine.keys()) {
      this.#item(atom, element, mine.get(element)!, theirs.get(element) ?? [], path);
    }
    for (const [element, items] of theirs) {
      if (!mine.has(element)) this.#item(atom, element, [], items, path);
    }
    return false;
  }

  /** Items that are in a list twice, which updates may do, are one value. */
  #item(atom: Atom, element: PathElement, left: Json[], right: Json[], path: PathElement[]): void {
    path.push(element);
    if (left.length <= 1 && right.length <= 1) this.visit(atom, left[0], right[0], path);
    else if (left.length >= 2 && right.length >= 2) {
      if (!jsonEqual(left, right)) this.modified.insert(path);
    } else if (left.length >= 2) {
      if (right.length > 0) this.visit(atom, undefined, right[0], path);
      this.removed.insert(path);
    } else {
      if (left.length > 0) this.visit(atom, left[0], undefined, path);
      this.added.insert(path);
    }
    path.pop();
  }
}

/** Items of an associative list by their path elements. */
function byElement(list: ListAtom, items: Json[]): Map<PathElement, Json[]> {
  const found = new Map<PathElement, Json[]>();
  for (const item of items) {
    const element = itemElement(list, item);
    const known = found.get(element);
    if (known === undefined) found.set(element, [item]);
    else known.push(item);
  }
  return found;
}

/** Fields that are undefined are not there. */
export function isEmpty(object: Record<string, unknown>): boolean {
  for (const key in object) if (object[key] !== undefined) return false;
  return true;
}

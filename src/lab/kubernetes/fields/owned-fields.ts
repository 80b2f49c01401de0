import { isObject, type Json } from '../../../util/json.ts';
import { type Atom, DEDUCED, fieldType, type ListAtom, type MapAtom, shapeOf } from './atoms.ts';
import { isEmpty } from './compare.ts';
import { FieldSet } from './field-set.ts';
import { itemElement } from './list-items.ts';
import { fieldElement, fieldName, type PathElement } from './path-element.ts';

/** The fields that an object sets: its leaves, items of lists, entries of maps and what is empty or null. */
export function fieldsOf(atom: Atom, value: Json): FieldSet {
  const set = new FieldSet();
  collect(atom, value, [], set);
  return set;
}

function collect(atom: Atom, value: Json, path: PathElement[], set: FieldSet): void {
  const shape = shapeOf(atom, value);
  if (shape === 'map' && !atom.map!.atomic) collectFields(atom.map!, value, path, set);
  else if (shape === 'list' && atom.list!.associative) collectItems(atom.list!, value, path, set);
  else set.insert(path);
}

function collectFields(map: MapAtom, value: Json, path: PathElement[], set: FieldSet): void {
  if (!isObject(value)) return;
  for (const [name, item] of Object.entries(value)) {
    if (item === undefined) continue;
    path.push(fieldElement(name));
    collect((fieldType(map, name) ?? DEDUCED)(), item as Json, path, set);
    if (item === null || (isObject(item) && isEmpty(item)) || !map.fields.has(name)) set.insert(path);
    path.pop();
  }
}

function collectItems(list: ListAtom, value: Json, path: PathElement[], set: FieldSet): void {
  if (!Array.isArray(value)) return;
  const count = new Map<PathElement, number>();
  const elements = value.map((item) => itemElement(list, item));
  for (const element of elements) count.set(element, (count.get(element) ?? 0) + 1);
  for (const [at, element] of elements.entries()) {
    path.push(element);
    // An item that is there twice is one value.
    if (count.get(element) === 1) collect(list.element(), value[at]!, path, set);
    set.insert(path);
    path.pop();
  }
}

/** The set with every named field that only leads to a member as a member; fields of maps are left as they are. */
export function withNamedFields(set: FieldSet, atom: Atom): FieldSet {
  const members = new Set(set.members);
  const children = new Map<PathElement, FieldSet>();
  for (const [element, child] of set.children) {
    const name = fieldName(element);
    let below: Atom = {};
    if (name !== undefined && atom.map !== undefined) {
      if (atom.map.fields.has(name)) members.add(element);
      below = fieldType(atom.map, name)?.() ?? {};
    } else if (element.startsWith('k:') && atom.list !== undefined) below = atom.list.element();
    children.set(element, withNamedFields(child, below));
  }
  return new FieldSet(members, children);
}

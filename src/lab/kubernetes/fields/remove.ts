import { setOwn } from '../../../kube/patch/json.ts';
import { isObject, type Json, type JsonObject } from '../../../util/json.ts';
import { type Atom, DEDUCED, fieldType, type ListAtom, type MapAtom, shapeOf } from './atoms.ts';
import type { FieldSet } from './field-set.ts';
import { itemElement } from './list-items.ts';
import { fieldElement } from './path-element.ts';

/**
 * `value` without the fields of a set. What is emptied by it stays, empty; undefined when nothing at all is left.
 */
export function removeFields(atom: Atom, value: Json, fields: FieldSet): Json | undefined {
  const shape = shapeOf(atom, value);
  if (shape === 'map') return isObject(value) ? fromMap(atom.map!, value as JsonObject, fields) : undefined;
  if (shape === 'list') return Array.isArray(value) ? fromList(atom.list!, value, fields) : undefined;
  return value;
}

/** As {@link removeFields}, for what is within an object or a list. */
function within(atom: Atom, value: Json, fields: FieldSet): Json {
  const left = removeFields(atom, value, fields);
  if (left !== undefined) return left;
  if (Array.isArray(value)) return [];
  return isObject(value) ? {} : null;
}

function fromMap(map: MapAtom, value: JsonObject, fields: FieldSet): Json | undefined {
  const names = Object.keys(value).filter((name) => value[name] !== undefined);
  if (names.length === 0 || map.atomic) return undefined;
  const left: JsonObject = {};
  let reached = false;
  for (const name of names) {
    const element = fieldElement(name);
    if (fields.members.has(element)) continue;
    const below = fields.children.get(element);
    if (below === undefined || below.isEmpty) setOwn(left, name, value[name]!);
    else {
      reached = true;
      setOwn(left, name, within((fieldType(map, name) ?? DEDUCED)(), value[name]!, below));
    }
  }
  return Object.keys(left).length > 0 || reached ? left : undefined;
}

function fromList(list: ListAtom, value: Json[], fields: FieldSet): Json | undefined {
  if (value.length === 0 || !list.associative) return undefined;
  const left: Json[] = [];
  let reached = false;
  for (const item of value) {
    const element = itemElement(list, item);
    if (fields.members.has(element)) continue;
    const below = fields.children.get(element);
    if (below === undefined || below.isEmpty) left.push(item);
    else {
      reached = true;
      left.push(within(list.element(), item, below));
    }
  }
  return left.length > 0 || reached ? left : undefined;
}

import { setOwn } from '../../../kube/patch/json.ts';
import { isObject, type Json, type JsonObject } from '../../../util/json.ts';
import { type Atom, DEDUCED, fieldType, type ListAtom, type MapAtom, shapeOf } from './atoms.ts';
import { isEmpty } from './compare.ts';
import { itemElement, ListItemError } from './list-items.ts';
import type { PathElement } from './path-element.ts';

type Value = Json | undefined;

/**
 * `live` with everything that `config` sets. Items of associative lists keep the order of `config` where both have them.
 * Undefined when nothing is left. Throws `ListItemError`, also for an item that `config` has twice.
 */
export function merge(atom: Atom, live: Value, config: Value): Value {
  if (live === undefined && config === undefined) return undefined;
  const shape = config === undefined ? shapeOf(atom, live) : shapeOf(atom, config);
  if (shape === 'map') return mergeMaps(atom.map!, live, config);
  if (shape === 'list') return mergeLists(atom.list!, live, config);
  return config === undefined ? live : config;
}

function mergeMaps(map: MapAtom, live: Value, config: Value): Value {
  const left = isObject(live) ? (live as JsonObject) : {};
  const right = isObject(config) ? (config as JsonObject) : {};
  if (map.atomic || (isEmpty(left) && isEmpty(right))) return config === undefined ? live : config;
  const merged: JsonObject = {};
  const add = (name: string) => {
    const own = (object: JsonObject) => (Object.hasOwn(object, name) ? object[name] : undefined);
    const value = merge((fieldType(map, name) ?? DEDUCED)(), own(left), own(right));
    if (value !== undefined) setOwn(merged, name, value);
  };
  for (const name of Object.keys(left)) add(name);
  for (const name of Object.keys(right)) if (!Object.hasOwn(left, name)) add(name);
  return Object.keys(merged).length === 0 ? undefined : merged;
}

/** Items of a list in order, and by path element; an item that is there twice is merged with nothing. */
function indexed(list: ListAtom, items: Json[], allowDuplicates: boolean) {
  const byElement = new Map<PathElement, Json | null>();
  const elements = items.map((item, at) => {
    let element: PathElement;
    try {
      element = itemElement(list, item);
    } catch (error) {
      if (!(error instanceof ListItemError)) throw error;
      throw new ListItemError(`element ${at}: ${error.message}`);
    }
    if (byElement.has(element)) {
      if (!allowDuplicates) throw new ListItemError(`duplicate entries for key ${element}`);
      byElement.set(element, null);
    } else byElement.set(element, item);
    return element;
  });
  return { elements, byElement };
}

function mergeLists(list: ListAtom, live: Value, config: Value): Value {
  const left = Array.isArray(live) ? live : [];
  const right = Array.isArray(config) ? config : [];
  if (!list.associative || (left.length === 0 && right.length === 0))
    return config === undefined ? live : config;
  const theirs = indexed(list, right, false);
  const mine = indexed(list, left, true);
  const atom = list.element();
  const merged: Json[] = [];
  const add = (item: Value) => {
    if (item !== undefined) merged.push(item);
  };
  const addConfigured = (element: PathElement) => {
    done.add(element);
    add(merge(atom, mine.byElement.get(element), theirs.byElement.get(element)));
  };
  const done = new Set<PathElement>();
  // Items of both in the order of the configuration: a live one waits until its turn comes.
  const shared = theirs.elements.filter((element) => mine.byElement.has(element));
  let next = shared.shift();
  let l = 0;
  let r = 0;
  while (l < mine.elements.length || r < theirs.elements.length) {
    if (l < mine.elements.length && r < theirs.elements.length) {
      const element = mine.elements[l]!;
      if (element === theirs.elements[r]) {
        addConfigured(element);
        l++;
        r++;
        next = shared.shift();
        continue;
      }
      if (theirs.byElement.has(element) && next !== undefined && next !== element) {
        l++;
        continue;
      }
    }
    if (l < mine.elements.length) {
      const element = mine.elements[l]!;
      if (!theirs.byElement.has(element)) {
        add(merge(atom, left[l], undefined));
        l++;
        continue;
      }
      if (done.has(element)) l++;
    }
    if (r < theirs.elements.length) {
      const element = theirs.elements[r]!;
      addConfigured(element);
      r++;
      if (next === element) next = shared.shift();
    }
  }
  return merged.length === 0 ? undefined : merged;
}

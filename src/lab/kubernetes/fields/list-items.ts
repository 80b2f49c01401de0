import { isObject, type Json } from '../../../util/json.ts';
import type { ListAtom } from './atoms.ts';
import { keyElement, type PathElement, valueElement } from './path-element.ts';

/** What keeps a list from being merged item by item. */
export class ListItemError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ListItemError';
  }
}

/** The path element of an item of an associative list. Throws {@link ListItemError}. */
export function itemElement(list: ListAtom, item: Json): PathElement {
  if (list.keys.length === 0) return setItem(item);
  if (item === null) throw new ListItemError('associative list with keys may not have a null element');
  if (!isObject(item)) {
    throw new ListItemError('associative list with keys may not have non-map elements');
  }
  const fields = list.element().map?.fields;
  const keys = list.keys.flatMap((name): [string, Json][] => {
    const value = Object.hasOwn(item, name) ? item[name] : undefined;
    const found = value ?? fields?.get(name)?.default;
    // An item without this key is another one than any that has it.
    return found === undefined ? [] : [[name, found as Json]];
  });
  if (keys.length === 0) {
    const names = list.keys.map((name) => JSON.stringify(name)).join(' ');
    throw new ListItemError(
      `associative list with keys has an element that omits all key fields [${names}] (and doesn't have default values for any key fields)`,
    );
  }
  return keyElement(keys);
}

function setItem(item: Json): PathElement {
  if (item === null) {
    throw new ListItemError("associative list without keys has an element that's an explicit null");
  }
  if (Array.isArray(item)) {
    throw new ListItemError('not supported: associative list with lists as elements');
  }
  if (isObject(item)) {
    throw new ListItemError("associative list without keys has an element that's a map type");
  }
  return valueElement(item);
}

import type { Json } from '../../../util/json.ts';

/**
 * One step of a field's path in the form that `fieldsV1` writes: `f:NAME` a field, `k:{"name":"x"}` the item of a list by its
 * keys, `v:"x"` the item of a set, `i:0` the item at an index. Keys are sorted and JSON is compact, so that equal elements
 * are equal texts.
 */
export type PathElement = string;

/** Kinds of path elements in the order in which they are written. */
const KINDS = 'fkvi';

export function fieldElement(name: string): PathElement {
  return `f:${name}`;
}

export function keyElement(keys: readonly (readonly [name: string, value: Json])[]): PathElement {
  const sorted = [...keys].sort(([a], [b]) => compareText(a, b));
  return `k:{${sorted.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`;
}

export function valueElement(value: Json): PathElement {
  return `v:${JSON.stringify(value)}`;
}

/** The name of a field element; undefined for an item of a list. */
export function fieldName(element: PathElement): string | undefined {
  return element.startsWith('f:') ? element.slice(2) : undefined;
}

/**
 * A path element of a client in its one form. Undefined for a kind that is not known, which is skipped; throws for text that
 * is no path element.
 */
export function parseElement(text: string): PathElement | undefined {
  if (text.length < 2) throw new Error('key must be 2 characters long:');
  if (text[1] !== ':') throw new Error(`missing colon: ${text}`);
  const rest = text.slice(2);
  switch (text[0]) {
    case 'f':
      return text;
    case 'k': {
      const keys: unknown = JSON.parse(rest);
      if (typeof keys !== 'object' || keys === null) throw new Error(`not the keys of an item: ${text}`);
      return keyElement(Object.entries(keys) as [string, Json][]);
    }
    case 'v':
      return valueElement(JSON.parse(rest) as Json);
    case 'i':
      if (!/^-?\d+$/.test(rest)) throw new Error(`not an index: ${text}`);
      return `i:${Number(rest)}`;
    default:
      return undefined;
  }
}

/** The element as errors show it: `.spec`, `[name="x"]`, `[="x"]`, `[0]`. */
export function elementText(element: PathElement): string {
  const rest = element.slice(2);
  switch (element[0]) {
    case 'f':
      return `.${rest}`;
    case 'k': {
      const keys = Object.entries(JSON.parse(rest) as Record<string, Json>);
      return `[${keys.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(',')}]`;
    }
    case 'v':
      return `[=${rest}]`;
    default:
      return `[${rest}]`;
  }
}

/** The order in which Kubernetes writes the elements of a set: fields, then items by keys, by value and by index. */
export function compareElements(a: PathElement, b: PathElement): number {
  if (a === b) return 0;
  const byKind = KINDS.indexOf(a[0]!) - KINDS.indexOf(b[0]!);
  if (byKind !== 0) return byKind;
  if (a[0] === 'f') return compareText(a, b);
  return compareValues(JSON.parse(a.slice(2)) as Json, JSON.parse(b.slice(2)) as Json);
}

/** Go compares bytes of UTF-8, JavaScript units of UTF-16: the orders differ only beyond the basic plane. */
function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Numbers before strings before booleans before objects (keys of items); anything else is as it comes. */
function compareValues(a: Json, b: Json): number {
  const rank = (value: Json) => ['number', 'string', 'boolean', 'object'].indexOf(typeof value);
  const byType = rank(a) - rank(b);
  if (byType !== 0) return byType;
  if (typeof a === 'number') return a - (b as number);
  if (typeof a === 'string') return compareText(a, b as string);
  if (typeof a === 'boolean') return Number(a) - Number(b);
  const left = Object.entries(a as Record<string, Json>);
  const right = Object.entries(b as Record<string, Json>);
  for (const [at, [name, value]] of left.entries()) {
    const other = right[at];
    if (other === undefined) return 1;
    const order = compareText(name, other[0]) || compareValues(value, other[1]);
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

import { type AddressValue, isLoopback, isMulticast } from '../../util/address.ts';
import type {
  AnyOfMatch,
  Element,
  ElementSet,
  Field,
  FieldMatch,
  Match,
  Operand,
  Pattern,
} from '../read/model.ts';

/** Whether a condition holds; undefined when that is not known. */
export type Truth = boolean | undefined;

/** A field's value: one, several that hold at once (conntrack's states), none (the rule ends), or not known. */
export type FieldValue = AddressValue | string | readonly string[] | typeof ABSENT | undefined;
/** The packet has no such field: no comparison with it holds, negated or not. */
export const ABSENT = Symbol('absent');

/** Gives the fields of a packet. */
export type FieldReader = (field: Field) => FieldValue;

/** Evaluates a condition for a packet. */
export function evaluateMatch(match: Match, read: FieldReader): Truth {
  switch (match.kind) {
    case 'match':
      return evaluateField(match, read);
    case 'any-of':
      return evaluateAnyOf(match, read);
    case 'opaque-match':
      return undefined;
  }
}

function evaluateAnyOf(match: AnyOfMatch, read: FieldReader): Truth {
  let result: Truth = false;
  for (const each of match.matches) {
    const truth = evaluateField(each, read);
    if (truth === true) return !match.negated;
    if (truth === undefined) result = undefined;
  }
  return result === undefined ? undefined : result !== match.negated;
}

function evaluateField(match: FieldMatch, read: FieldReader): Truth {
  const { key, set, negated } = match;
  // Nearly all comparisons are between one field and one value, and need none of the lists of a lookup.
  if (key.length === 1 && set.elements.length === 1 && set.opaque === undefined) {
    const value = readOperand(key[0]!, read);
    if (value === ABSENT) return false;
    const truth = patternMatches(set.elements[0]!.key[0]!, value);
    return truth === undefined ? undefined : truth !== negated;
  }
  const found = lookUp(key, set, read);
  if (found === ABSENT) return false;
  if (found.certain !== undefined) return !negated;
  return found.possible.length > 0 || set.opaque !== undefined ? undefined : negated;
}

/** What a lookup finds: the element for certain, or those it may be (none: nothing is found). */
export interface Found {
  certain: Element | undefined;
  possible: readonly Element[];
}

const NOTHING: Found = { certain: undefined, possible: [] };

/** Looks a key up in a set or map. `ABSENT` when the packet lacks a field of the key. */
export function lookUp(key: readonly Operand[], set: ElementSet, read: FieldReader): Found | typeof ABSENT {
  const values: (Exclude<FieldValue, symbol> | undefined)[] = [];
  let unknown = false;
  for (const operand of key) {
    const value = readOperand(operand, read);
    if (value === ABSENT) return ABSENT;
    if (value === undefined) unknown = true;
    values.push(value);
  }
  const { elements } = set;
  if (elements.length <= INDEX_FROM) return among(elements, values);
  const index = indexOf(set);
  return index.remembered(values, () =>
    among(unknown ? elements : index.candidates(values, elements), values),
  );
}

function among(candidates: readonly Element[], values: readonly FieldValue[]): Found {
  const possible: Element[] = [];
  for (const element of candidates) {
    const truth = elementMatches(element, values);
    if (truth === true) return { certain: element, possible: [] };
    if (truth === undefined) possible.push(element);
  }
  return possible.length === 0 ? NOTHING : { certain: undefined, possible };
}

function elementMatches(element: Element, values: readonly FieldValue[]): Truth {
  let result: Truth = true;
  for (let i = 0; i < values.length; i++) {
    const pattern = element.key[i];
    if (pattern === undefined) return false;
    const truth = patternMatches(pattern, values[i]);
    if (truth === false) return false;
    if (truth === undefined) result = undefined;
  }
  return result;
}

function patternMatches(pattern: Pattern, value: FieldValue): Truth {
  if (pattern.kind === 'any') return true;
  if (value === undefined) return undefined;
  if (typeof value === 'object') {
    return pattern.kind === 'exact' && value.includes(pattern.value as string);
  }
  switch (pattern.kind) {
    case 'exact':
      return pattern.value === value;
    case 'range':
      // Numbers and bigints compare with each other; the types distinguish the families.
      return (
        typeof value === typeof pattern.from &&
        (value as AddressValue) >= pattern.from &&
        (value as AddressValue) <= pattern.to
      );
    case 'prefix':
      return typeof value === 'string' && value.startsWith(pattern.text);
  }
}

function readOperand(operand: Operand, read: FieldReader): FieldValue {
  if (operand.family !== undefined && read('family') !== operand.family) return ABSENT;
  if (operand.protocol !== undefined && read('protocol') !== operand.protocol) return ABSENT;
  const value = read(operand.field);
  if (operand.mask === undefined) return value;
  if (typeof value === 'number') return (value & operand.mask) >>> 0;
  return typeof value === 'bigint' ? undefined : value;
}

/** Answers of one set that are kept. */
const MAX_REMEMBERED = 10_000;
/** Sets of more elements than this are indexed when they are first looked at. */
const INDEX_FROM = 16;
const indexes = new WeakMap<ElementSet, ElementIndex>();

function indexOf(set: ElementSet): ElementIndex {
  let index = indexes.get(set);
  if (index === undefined) {
    index = new ElementIndex(set.elements);
    indexes.set(set, index);
  }
  return index;
}

/** Finds elements whose every component is one value without looking at all; the others are kept aside. */
class ElementIndex {
  readonly #exact = new Map<string, Element>();
  readonly #others: Element[] = [];
  /** What was found before. Many rules ask one set for the same packet, and ranges are looked at one by one. */
  readonly #found = new Map<string, Found>();

  constructor(elements: readonly Element[]) {
    for (const element of elements) {
      const values = element.key.flatMap((pattern) => (pattern.kind === 'exact' ? [pattern.value] : []));
      if (values.length < element.key.length) this.#others.push(element);
      else {
        const key = values.join(' ');
        // The first wins, as it would in a walk.
        if (!this.#exact.has(key)) this.#exact.set(key, element);
      }
    }
  }

  remembered(values: readonly FieldValue[], find: () => Found): Found {
    // Numbers and bigints are addresses of different families.
    const key = values.map((value) => `${typeof value} ${String(value)}`).join(' ');
    let found = this.#found.get(key);
    if (found === undefined) {
      found = find();
      if (this.#found.size < MAX_REMEMBERED) this.#found.set(key, found);
    }
    return found;
  }

  candidates(values: readonly FieldValue[], all: readonly Element[]): readonly Element[] {
    if (values.some((value) => typeof value === 'object')) return all;
    const found = this.#exact.get(values.join(' '));
    return found === undefined ? this.#others : [found, ...this.#others];
  }
}

/** The type of an address in the routing table, as far as it follows from the address and from what is local. */
export function addressType(value: AddressValue, local: boolean): string {
  if (local || isLoopback(value)) return 'local';
  if (isMulticast(value)) return 'multicast';
  return value === 0xffffffff ? 'broadcast' : 'unicast';
}

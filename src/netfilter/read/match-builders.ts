import { type AddressValue, parseAddress } from '../../util/address.ts';
import { networkRange } from '../../util/cidr.ts';
import type { Element, ElementSet, FieldMatch, Operand, Pattern } from './model.ts';

export const ANY: Pattern = { kind: 'any' };

/** An anonymous set of single-component patterns. */
export function anonymousSet(patterns: readonly Pattern[], texts?: readonly string[]): ElementSet {
  return {
    elements: patterns.map((pattern, i): Element => ({ key: [pattern], text: texts?.[i] ?? '' })),
  };
}

/** A comparison of one operand with some patterns, any of which may hold. */
export function fieldMatch(operand: Operand, patterns: readonly Pattern[], negated = false): FieldMatch {
  return { kind: 'match', key: [operand], negated, set: anonymousSet(patterns) };
}

export function exact(value: AddressValue | string): Pattern {
  return { kind: 'exact', value };
}

export function range(from: AddressValue, to: AddressValue): Pattern {
  return from === to ? { kind: 'exact', value: from } : { kind: 'range', from, to };
}

/** A network as a pattern; undefined when the prefix length is not valid for the address's family. */
export function network(address: AddressValue, prefix: number): Pattern | undefined {
  const bounds = networkRange(address, prefix);
  return bounds === undefined ? undefined : range(bounds.from, bounds.to);
}

/** `address`, `address/len` or `address/mask` (leading ones only); undefined for anything else. */
export function parseNetwork(text: string): Pattern | undefined {
  const slash = text.indexOf('/');
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  if (slash < 0) return exact(address);
  const suffix = text.slice(slash + 1);
  if (/^\d{1,3}$/.test(suffix)) return network(address, Number(suffix));
  const mask = parseAddress(suffix);
  if (typeof mask !== 'number' || typeof address !== 'number') return undefined;
  const prefix = Math.clz32(~mask);
  return (mask << prefix) >>> 0 === 0 || prefix === 32 ? network(address, prefix) : undefined;
}

/** An interface name, with the wildcard that the tool writes at its end. */
export function interfacePattern(text: string, wildcard: '+' | '*'): Pattern {
  if (text === wildcard) return ANY;
  return text.endsWith(wildcard) ? { kind: 'prefix', text: text.slice(0, -1) } : exact(text);
}

import type { NftFamily } from '../../util/family.ts';
import { entryOf, isObject, type Json, type JsonObject } from '../../util/json.ts';
import { exact, fieldMatch } from './match-builders.ts';
import {
  type Element,
  type Expression,
  type Field,
  type FieldMatch,
  type Operand,
  protocolNumber,
} from './model.ts';
import { MAX_DEPTH } from './nft-text.ts';

// What nft's expressions read of a packet, and of its connection.

const META: Record<string, Field> = {
  l4proto: 'protocol',
  nfproto: 'family',
  protocol: 'family',
  iifname: 'input-interface',
  iif: 'input-interface',
  oifname: 'output-interface',
  oif: 'output-interface',
  mark: 'mark',
};

const CONNECTION: Record<string, Field> = {
  state: 'ct-state',
  status: 'ct-status',
  mark: 'ct-mark',
  direction: 'ct-direction',
};

const ORIGINAL: Record<string, Field> = {
  saddr: 'ct-original-source',
  'ip saddr': 'ct-original-source',
  'ip6 saddr': 'ct-original-source',
  daddr: 'ct-original-destination',
  'ip daddr': 'ct-original-destination',
  'ip6 daddr': 'ct-original-destination',
  'proto-dst': 'ct-original-destination-port',
};

const TRANSPORTS: ReadonlySet<string> = new Set(['tcp', 'udp', 'sctp', 'dccp', 'udplite']);

/** `fib saddr . iif oif missing`, or `exists`: whether a route back to the source leads out by the interface that the packet came in by. */
export function reversePath(left: Json, right: Json, op: Json | undefined): FieldMatch | undefined {
  if (!isObject(left) || !isObject(left.fib) || typeof right !== 'boolean' || op !== '==') return undefined;
  const { result, flags } = left.fib;
  const names = new Set(Array.isArray(flags) ? flags : []);
  const isKnown = [...names].every((name) => name === 'saddr' || name === 'iif' || name === 'mark');
  if (result !== 'oif' || !isKnown || !names.has('saddr') || !names.has('iif')) return undefined;
  const operand: Operand = { field: names.has('mark') ? 'reverse-path-by-mark' : 'reverse-path' };
  return fieldMatch(operand, [exact('kept')], !right);
}

/** What an expression reads of the packet; undefined when it is not modelled. */
export function readOperand(json: Json): Operand | undefined {
  if (!isObject(json)) return undefined;
  if (isObject(json.meta)) {
    const field = entryOf(META, json.meta.key);
    return field && { field };
  }
  if (isObject(json.payload)) return payloadOperand(json.payload);
  if (isObject(json.fib)) {
    const { result, flags } = json.fib;
    // With an interface among the flags it asks for less than "any address of the node".
    if (result !== 'type' || !Array.isArray(flags) || flags.length !== 1) return undefined;
    if (flags[0] === 'daddr') return { field: 'destination-type' };
    return flags[0] === 'saddr' ? { field: 'source-type' } : undefined;
  }
  if (isObject(json.ct)) {
    const { key, dir } = json.ct;
    const field =
      dir === 'original' ? entryOf(ORIGINAL, key) : dir === undefined ? entryOf(CONNECTION, key) : undefined;
    if (field === undefined) return undefined;
    const family = /^(ip6?) /.exec(key as string)?.[1] as NftFamily | undefined;
    return family === undefined ? { field } : { field, family };
  }
  if (Array.isArray(json['&']) && json['&'].length === 2) {
    const [inner, mask] = json['&'];
    const operand = readOperand(inner!);
    if (operand === undefined || operand.mask !== undefined || typeof mask !== 'number') return undefined;
    return { ...operand, mask };
  }
  return undefined;
}

function payloadOperand({ protocol, field }: JsonObject): Operand | undefined {
  if (protocol === 'ip' || protocol === 'ip6') {
    if (field === 'saddr') return { field: 'source', family: protocol };
    if (field === 'daddr') return { field: 'destination', family: protocol };
    const transport = field === (protocol === 'ip' ? 'protocol' : 'nexthdr');
    return transport ? { field: 'protocol', family: protocol } : undefined;
  }
  const name = field === 'dport' ? 'destination-port' : field === 'sport' ? 'source-port' : undefined;
  if (name === undefined) return undefined;
  if (protocol === 'th') return { field: name };
  if (typeof protocol !== 'string' || !TRANSPORTS.has(protocol)) return undefined;
  return { field: name, protocol: protocolNumber(protocol) };
}

/** The operands of a key, which may be a concatenation; undefined when one is not modelled. */
export function readKey(json: Json): Operand[] | undefined {
  const parts = isObject(json) && Array.isArray(json.concat) ? json.concat : [json];
  const key: Operand[] = [];
  for (const part of parts) {
    const operand = readOperand(part);
    if (operand === undefined) return undefined;
    key.push(operand);
  }
  return key;
}

/** Whether a key is chosen by lot or turn. */
export function isRandom(json: Json): boolean {
  return (
    isObject(json) && (json.numgen !== undefined || json.jhash !== undefined || json.symhash !== undefined)
  );
}

/** `ct status & dnat == dnat`, `!= 0`: a flag that is asked for by masking. */
export function flagComparison(left: Json, right: Json, op: Json | undefined): Expression | undefined {
  if (!isObject(left) || !Array.isArray(left['&']) || left['&'].length !== 2) return undefined;
  const [inner, mask] = left['&'];
  const operand = readOperand(inner!);
  if (typeof mask !== 'string' || (operand?.field !== 'ct-status' && operand?.field !== 'ct-state')) {
    return undefined;
  }
  if (operand.field === 'ct-status' && mask !== 'dnat' && mask !== 'snat') return undefined;
  const set = right === mask ? true : right === 0 ? false : undefined;
  if (set === undefined || (op !== '==' && op !== '!=')) return undefined;
  const elements: Element[] = [{ key: [exact(mask)], text: mask }];
  return { kind: 'match', key: [operand], negated: (op === '==') !== set, set: { elements } };
}

/** A value as `(mark & keep) ^ flip`; undefined when it is of another form. */
export function linearBits(
  json: Json,
  field: Field,
  depth: number,
): { keep: number; flip: number } | undefined {
  if (typeof json === 'number') return { keep: 0, flip: json >>> 0 };
  if (!isObject(json) || depth > MAX_DEPTH) return undefined;
  const operand = readOperand(json);
  if (operand !== undefined) {
    return operand.field === field ? { keep: operand.mask ?? 0xffffffff, flip: 0 } : undefined;
  }
  for (const op of ['&', '|', '^']) {
    const sides = json[op];
    if (!Array.isArray(sides) || sides.length !== 2 || typeof sides[1] !== 'number') continue;
    const inner = linearBits(sides[0]!, field, depth + 1);
    if (inner === undefined) return undefined;
    const value = sides[1];
    if (op === '&') return { keep: (inner.keep & value) >>> 0, flip: (inner.flip & value) >>> 0 };
    if (op === '^') return { keep: inner.keep, flip: (inner.flip ^ value) >>> 0 };
    return { keep: (inner.keep & ~value) >>> 0, flip: ((inner.flip & ~value) | value) >>> 0 };
  }
  return undefined;
}

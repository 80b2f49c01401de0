import { entryOf, isObject, type Json, type JsonObject } from '../../util/json.ts';
import { ANY, exact } from './match-builders.ts';
import {
  type Counters,
  type Element,
  type ElementSet,
  type Expression,
  type Field,
  type FieldMatch,
  type Lookup,
  type Match,
  type NatSource,
  type NatTarget,
  type Operand,
  protocolNumber,
  type Statement,
} from './model.ts';
import { readAddresses, readCounters, readElements, readPorts, readVerdict } from './nft-elements.ts';
import { flagComparison, isRandom, linearBits, readKey, readOperand, reversePath } from './nft-operands.ts';
import { expressionText, MAX_DEPTH } from './nft-text.ts';

/** Makes the expressions of a rule from what nft prints of it, one after the other; what is not understood becomes opaque. */
export class RuleBuilder {
  readonly expressions: Expression[] = [];
  /** The numbers of its last counter; undefined when it has none. */
  counters: Counters | undefined;
  readonly #sets: ReadonlyMap<string, ElementSet>;

  /** `sets`: the named sets and maps of the rule's table. */
  constructor(sets: ReadonlyMap<string, ElementSet>) {
    this.#sets = sets;
  }

  /** Adds what the rule's next statement, as nft prints it, is made of. */
  add(json: Json): void {
    if (!isObject(json)) {
      this.expressions.push({ kind: 'opaque-statement', text: expressionText(json) });
      return;
    }
    const verdict = readVerdict(json);
    if (verdict !== undefined) {
      this.expressions.push(verdict);
      return;
    }
    const kind = Object.keys(json)[0] ?? '';
    const body = json[kind];
    if (kind === 'counter') this.counters = readCounters(body) ?? this.counters;
    else if (kind === 'mangle')
      this.expressions.push(...this.#mangle(isObject(body) ? body : {}, expressionText(json)));
    else {
      if (kind === 'reject') this.expressions.push(...impliedByReject(isObject(body) ? body : {}));
      this.expressions.push(this.#expression(kind, body ?? null, json));
    }
  }

  #expression(kind: string, body: Json, whole: JsonObject): Expression {
    const written = expressionText(whole);
    const members = isObject(body) ? body : {};
    switch (kind) {
      case 'match':
        return this.#match(members, written);
      case 'vmap': {
        const lookup = this.#lookup(members, written);
        return lookup === undefined
          ? { kind: 'opaque-statement', text: written }
          : { kind: 'verdict-map', lookup };
      }
      case 'dnat':
      case 'snat': {
        const to = this.#natSource(members, written);
        const { family } = members;
        return family === 'ip' || family === 'ip6' ? { kind, family, to } : { kind, to };
      }
      case 'redirect':
      case 'masquerade':
        return { kind, to: this.#natSource(members, written) };
      case 'reject': {
        const reason = [members.type, members.expr].filter((part) => typeof part === 'string').join(' ');
        return reason === '' ? { kind: 'reject' } : { kind: 'reject', with: reason };
      }
      case 'queue': {
        // With the bypass it accepts when no program listens, which the rules do not show.
        const flags = Array.isArray(members.flags) ? members.flags : [members.flags];
        return flags.includes('bypass') ? { kind: 'opaque-statement', text: written } : { kind: 'queue' };
      }
      case 'notrack':
        return { kind: 'notrack' };
      case 'tproxy':
        return { kind: 'tproxy', text: written };
      case 'limit':
      case 'quota':
      case 'ct count':
      // These change nothing for the packet, but end the rule when a set is full, an element's own limit does not match, a flow
      // cannot be offloaded (nft_dynset_eval, nft_flow_offload_eval, nft_ct_expect_obj_eval).
      case 'set':
      case 'map':
      case 'meter':
      case 'flow':
      case 'ct expectation':
        return { kind: 'opaque-match', text: written };
      case 'log':
      case 'last':
      case 'ct helper':
      case 'ct timeout':
      case 'dup':
      case 'comment':
        return { kind: 'neutral', text: written };
      case 'xt':
        // A match of iptables-nft narrows what the rest of the rule is for; a target may be anything.
        return members.type === 'match'
          ? { kind: 'opaque-match', text: written }
          : { kind: 'opaque-statement', text: written };
      default:
        return { kind: 'opaque-statement', text: written };
    }
  }

  #match(body: JsonObject, written: string): Expression {
    const opaque: Expression = { kind: 'opaque-match', text: written, random: isRandom(body.left ?? null) };
    const { op, left, right } = body;
    if (left === undefined || right === undefined) return opaque;
    const flagged = flagComparison(left, right, op) ?? reversePath(left, right, op);
    if (flagged !== undefined) return flagged;
    if (op !== '==' && op !== '!=' && op !== 'in') return this.#ordered(op, left, right) ?? opaque;
    const key = readKey(left);
    if (key === undefined) return opaque;
    const isFlags = key.length === 1 && (key[0]!.field === 'ct-state' || key[0]!.field === 'ct-status');
    // Of other bit fields, `in` asks for any bit; of a status, equality asks for all.
    if (op === 'in' ? !isFlags : key[0]!.field === 'ct-status') return opaque;
    const set = this.#set(right, key);
    return set === undefined ? opaque : { kind: 'match', key, negated: op === '!=', set };
  }

  /** `<`, `<=`, `>`, `>=` of numbers. */
  #ordered(op: Json | undefined, left: Json, right: Json): Expression | undefined {
    const operand = readOperand(left);
    if (operand === undefined || operand.mask !== undefined || typeof right !== 'number') return undefined;
    const bounds: Record<string, [number, number]> = {
      '<': [0, right - 1],
      '<=': [0, right],
      '>': [right + 1, 0xffffffff],
      '>=': [right, 0xffffffff],
    };
    const found = entryOf(bounds, op);
    if (found === undefined) return undefined;
    const element: Element = { key: [{ kind: 'range', from: found[0], to: found[1] }], text: '' };
    return { kind: 'match', key: [operand], negated: false, set: { elements: [element] } };
  }

  /** A set by name, written out, or of a single value. */
  #set(json: Json, key: readonly Operand[]): ElementSet | undefined {
    if (typeof json === 'string' && json.startsWith('@')) return this.#named(json);
    let list: Json[] = [json];
    if (isObject(json) && Array.isArray(json.set)) list = json.set;
    else if (isObject(json) && json.set !== undefined) list = [json.set];
    else if (Array.isArray(json)) list = json;
    const set = readElements(
      list,
      key.map(({ field }) => field),
      'the rule',
    );
    return set.elements.length === 0 && set.opaque !== undefined ? undefined : set;
  }

  #named(reference: string): ElementSet {
    return (
      this.#sets.get(reference.slice(1)) ?? {
        name: reference.slice(1),
        elements: [],
        opaque: `${reference} is not listed`,
      }
    );
  }

  #lookup(body: JsonObject, written: string): Lookup | undefined {
    const { key: keyJson, data } = body;
    if (keyJson === undefined || data === undefined) return undefined;
    const random = isRandom(keyJson);
    const key = readKey(keyJson);
    let map: ElementSet;
    if (typeof data === 'string' && data.startsWith('@')) map = this.#named(data);
    else if (isObject(data) && Array.isArray(data.set)) {
      const fields = key?.map(({ field }) => field) ?? [random ? ('mark' as const) : undefined];
      map = readElements(data.set, fields, 'the rule');
    } else return undefined;
    return { key, random, map, text: written };
  }

  #natSource(body: JsonObject, written: string): NatSource {
    const source: NatSource = {};
    const literal: NatTarget = {};
    const { addr, port } = body;
    if (addr !== undefined) {
      const lookup = isObject(addr) && isObject(addr.map) ? this.#lookup(addr.map, written) : undefined;
      if (lookup !== undefined) source.address = lookup;
      else {
        const address = readAddresses(addr);
        if (address === undefined) return { opaque: written };
        literal.address = address;
      }
    }
    if (port !== undefined) {
      const lookup = isObject(port) && isObject(port.map) ? this.#lookup(port.map, written) : undefined;
      if (lookup !== undefined) source.port = lookup;
      else {
        const ports = readPorts(port);
        if (ports === undefined) return { opaque: written };
        literal.port = ports;
      }
    }
    if (literal.address !== undefined || literal.port !== undefined) source.literal = literal;
    return source;
  }

  #mangle(body: JsonObject, written: string): Expression[] {
    const target = readOperand(body.key ?? null);
    if (target?.field !== 'mark' && target?.field !== 'ct-mark') {
      const key = body.key ?? null;
      if (isZone(key)) {
        // A value that the packet lacks ends the rule (NFT_BREAK).
        const condition: Match[] = MAY_LACK.some((kind) => isRead(body.value ?? null, kind))
          ? [{ kind: 'opaque-match', text: written }]
          : [];
        return [...condition, { kind: 'set-zone', text: written, retracks: true }];
      }
      const rewritten: Statement = { kind: isHarmless(key) ? 'neutral' : 'opaque-statement', text: written };
      return [...impliedByRewrite(key), rewritten];
    }
    const of = target.field === 'mark' ? 'packet' : 'connection';
    const value = body.value ?? null;
    const lookup = isObject(value) && isObject(value.map) ? this.#lookup(value.map, written) : undefined;
    if (lookup !== undefined) return [{ kind: 'set-mark-from-map', of, lookup }];
    // A value that the packet lacks ends the rule (NFT_BREAK).
    const condition = isRead(value, 'ct') ? [HAS_CONNECTION] : [];
    const bits = linearBits(value, target.field, 0);
    if (bits !== undefined) {
      return [...condition, { kind: 'set-mark', of, clear: ~bits.keep >>> 0, flip: bits.flip }];
    }
    const from = readOperand(value);
    if (from?.field === (of === 'packet' ? 'ct-mark' : 'mark')) {
      const copy: Statement = { kind: 'copy-mark', to: of, mask: from.mask ?? 0xffffffff };
      // What the mask leaves out becomes 0.
      const rest: Statement[] =
        from.mask === undefined ? [] : [{ kind: 'set-mark', of, clear: 0xffffffff, flip: 0 }];
      return [...condition, ...rest, copy];
    }
    if (MAY_LACK.some((kind) => isRead(value, kind))) condition.push({ kind: 'opaque-match', text: written });
    return [...condition, { kind: 'opaque-mark', of, text: written }];
  }
}

/** nft leaves out of its listing what a statement implies: `meta l4proto tcp` of `reject with tcp reset`. */
function impliedByReject({ type }: JsonObject): FieldMatch[] {
  switch (type) {
    case 'tcp reset':
      return [equals('protocol', 6)];
    case 'icmp':
      return [equals('family', 'ip')];
    case 'icmpv6':
      return [equals('family', 'ip6')];
    default:
      return [];
  }
}

/** As {@link impliedByReject}: `meta nfproto ipv6` of `ip6 hoplimit set 1`. */
function impliedByRewrite(key: Json): FieldMatch[] {
  if (!isObject(key)) return [];
  const protocol = isObject(key.payload) ? key.payload.protocol : key['tcp option'] && 'tcp';
  if (protocol === 'ip' || protocol === 'ip6') return [equals('family', protocol)];
  const number = typeof protocol === 'string' ? protocolNumber(protocol) : undefined;
  return number === undefined ? [] : [equals('protocol', number)];
}

function equals(field: Field, value: number | string): FieldMatch {
  return {
    kind: 'match',
    key: [{ field }],
    negated: false,
    set: { elements: [{ key: [exact(value)], text: '' }] },
  };
}

/** Holds for a packet with a connection. */
const HAS_CONNECTION: Match = {
  kind: 'match',
  key: [{ field: 'ct-mark' }],
  negated: false,
  set: { elements: [{ key: [ANY], text: '' }] },
};

/** Expressions that read what a packet may not have, besides `ct`. */
const MAY_LACK = ['payload', 'exthdr', 'tcp option', 'fib', 'rt', 'socket', 'osf', 'ipsec', 'map'];

/** Whether a value is made of an expression of this kind, at any depth. */
function isRead(json: Json, kind: string, depth = 0): boolean {
  if (typeof json !== 'object' || json === null || depth > MAX_DEPTH) return false;
  if (Array.isArray(json)) return json.some((each) => isRead(each, kind, depth + 1));
  return Object.entries(json).some(([key, value]) => key === kind || isRead(value ?? null, kind, depth + 1));
}

/** What a packet may have rewritten and still goes where it went. Anything else may change its addresses, ports or kind. */
const HARMLESS: Readonly<Record<string, ReadonlySet<string>>> = {
  ip: new Set(['ttl', 'dscp', 'ecn', 'id', 'checksum']),
  ip6: new Set(['hoplimit', 'dscp', 'ecn', 'flowlabel']),
  meta: new Set(['priority', 'nftrace', 'secmark']),
  ct: new Set(['event', 'label', 'secmark', 'helper']),
};

function isZone(key: Json): boolean {
  return isObject(key) && isObject(key.ct) && key.ct.key === 'zone';
}

/** Whether what a rule writes is modelled by nobody because nothing depends on it. */
function isHarmless(key: Json): boolean {
  if (!isObject(key)) return false;
  if (isObject(key.payload)) {
    return entryOf(HARMLESS, key.payload.protocol)?.has(key.payload.field as string) === true;
  }
  if (isObject(key['tcp option'])) return true;
  return ['meta', 'ct'].some((kind) => {
    const body = key[kind];
    return isObject(body) && HARMLESS[kind]!.has(body.key as string);
  });
}

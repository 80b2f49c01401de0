/**
 * What a node's netfilter rules say, in one form for iptables (both variants) and native nftables. Pure data: parsed from
 * what `iptables-save -c` and `nft -j list ruleset` print, never written back.
 */

import type { AddressValue } from '../../util/address.ts';
import type { NftFamily } from '../../util/family.ts';

/** Whose rule it is. `nft` is a table that iptables-nft does not manage. */
export type Backend = 'iptables-nft' | 'iptables-legacy' | 'nft';
/** Family of a table; a chain of an `inet` table sees both. */
export type TableFamily = NftFamily | 'inet';
export type Hook = 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';
export const HOOKS: readonly Hook[] = ['prerouting', 'input', 'forward', 'output', 'postrouting'];
export type ChainType = 'nat' | 'filter' | 'route';

/**
 * Rules looked at for one question or packet. A set of chains can be walked in more ways than there is time for; the largest
 * real node needs some ten thousand.
 */
export const MAX_RULES = 200_000;

/** Chains within chains, as many as are followed for a packet. nftables allows 16; iptables any number, of which real rule sets use less than ten. */
export const MAX_CHAIN_DEPTH = 64;

/** Where a rule stands. */
export interface RuleLocation {
  backend: Backend;
  family: TableFamily;
  table: string;
  chain: string;
  /** Zero-based position in its chain. */
  index: number;
}

export interface Counters {
  packets: number;
  bytes: number;
}

/**
 * What a packet is looked at for.
 * - `protocol`: number of the transport protocol; `family`: `ip` or `ip6`
 * - `source-type`, `destination-type`: what the routing table takes the address for (`local`, `unicast`, `broadcast`, …)
 * - `reverse-path`: where the route back to the source leads: `kept`, out by the interface that the packet came in by; `other`, by another
 *   one; `none`, nowhere. `reverse-path-by-mark`: the same for the packet's mark
 * - `ct-state`: `new`, `established`, `related`, `invalid` or `untracked`, and for iptables also `dnat`, `snat` where they hold;
 *   `ct-status`: those of `dnat`, `snat` that hold
 */
export type Field =
  | 'family'
  | 'protocol'
  | 'source'
  | 'destination'
  | 'source-port'
  | 'destination-port'
  | 'input-interface'
  | 'output-interface'
  | 'mark'
  | 'source-type'
  | 'destination-type'
  | 'reverse-path'
  | 'reverse-path-by-mark'
  | 'ct-state'
  | 'ct-status'
  | 'ct-mark'
  | 'ct-direction'
  | 'ct-original-source'
  | 'ct-original-destination'
  | 'ct-original-destination-port';

/** A field as a rule reads it. A packet without what it requires does not match, negated or not. */
export interface Operand {
  field: Field;
  /** Bits that are kept before the comparison. */
  mask?: number;
  /** The packet has to be of this family: `ip saddr` in an `inet` table. */
  family?: NftFamily;
  /** The packet has to be of this protocol: `tcp dport`. */
  protocol?: number;
}

/** What one component of a key may be. Interfaces and names are text, all else numbers. */
export type Pattern =
  | { kind: 'exact'; value: AddressValue | string }
  | { kind: 'range'; from: AddressValue; to: AddressValue }
  /** Text that begins so: `eth+`, `eth*`. */
  | { kind: 'prefix'; text: string }
  | { kind: 'any' };

/** One element of a set or map: a pattern for each component of the key, and what the map gives for it. */
export interface Element {
  key: readonly Pattern[];
  /** Of a verdict map. */
  verdict?: Verdict;
  /** Of a map of addresses, ports or both. */
  target?: NatTarget;
  /** Of a map of numbers (marks). */
  value?: number;
  comment?: string;
  counters?: Counters;
  /** As the tool would write it. */
  text: string;
}

/** A set or map, anonymous or named. */
export interface ElementSet {
  /** Name in its table; undefined for an anonymous one. */
  name?: string;
  elements: readonly Element[];
  /** Why the contents are not known; elements are then only some. */
  opaque?: string;
}

/** A comparison of a key (one operand, or several for a concatenation) with the elements of a set. */
export interface FieldMatch {
  kind: 'match';
  key: readonly Operand[];
  negated: boolean;
  set: ElementSet;
}

/** Matches when one of them does. */
export interface AnyOfMatch {
  kind: 'any-of';
  negated: boolean;
  matches: readonly FieldMatch[];
}

/** A condition that is not modelled: whether it holds is unknown. */
export interface OpaqueMatch {
  kind: 'opaque-match';
  text: string;
  /** It picks packets at random or by turns: both happen, to one connection or another. */
  random?: boolean;
}

export type Match = FieldMatch | AnyOfMatch | OpaqueMatch;

export type Verdict =
  | { kind: 'accept' }
  | { kind: 'drop' }
  | { kind: 'return' }
  | { kind: 'continue' }
  | { kind: 'queue' }
  | { kind: 'reject'; with?: string }
  | { kind: 'jump'; chain: string }
  | { kind: 'goto'; chain: string };

/** What an address translation writes. A range is a choice that the kernel makes. */
export interface NatTarget {
  address?: { from: AddressValue; to: AddressValue };
  port?: { from: number; to: number };
}

/** A map lookup that gives part of what is written. */
export interface Lookup {
  /** Undefined when it is not modelled (`numgen`, `jhash`): any element may be found. */
  key: readonly Operand[] | undefined;
  /** The key is random, or as good as. */
  random?: boolean;
  text: string;
  map: ElementSet;
}

/** Where a translation takes address and port from: written in the rule, or looked up; undefined lookups are not modelled. */
export interface NatSource {
  literal?: NatTarget;
  /** Looked-up address (with port, when the map has both). */
  address?: Lookup;
  /** Looked-up port. */
  port?: Lookup;
  /** Text of what could not be modelled. */
  opaque?: string;
}

export type Statement =
  | Verdict
  | { kind: 'verdict-map'; lookup: Lookup }
  | { kind: 'dnat' | 'snat'; family?: NftFamily; to: NatSource }
  | { kind: 'redirect' | 'masquerade'; to: NatSource }
  /** mark = (mark & ~clear) ^ flip, as iptables' `--set-xmark flip/clear`. Of the packet or of its connection. */
  | { kind: 'set-mark'; of: 'packet' | 'connection'; clear: number; flip: number }
  | { kind: 'set-mark-from-map'; of: 'packet' | 'connection'; lookup: Lookup }
  /** Copies the bits of `mask`. */
  | { kind: 'copy-mark'; to: 'packet' | 'connection'; mask: number }
  /** The mark becomes something that is not modelled. */
  | { kind: 'opaque-mark'; of: 'packet' | 'connection'; text: string }
  | { kind: 'notrack' }
  /** Has the packet's connection looked up in a zone, where it is another one. `retracks`: also that of an untracked packet. */
  | { kind: 'set-zone'; text: string; retracks: boolean }
  /** Hands the packet to a local transparent socket. */
  | { kind: 'tproxy'; text: string }
  /** Changes nothing that is modelled: a log, a set update, a header option. */
  | { kind: 'neutral'; text: string }
  /** What it does is not known; it may end the packet. */
  | { kind: 'opaque-statement'; text: string };

export type Expression = Match | Statement;

export interface Rule {
  location: RuleLocation;
  /** In order: a match that fails ends the rule; nftables may have statements before matches. */
  expressions: readonly Expression[];
  comment?: string;
  counters?: Counters;
  /** Its number in its table, by which it is deleted; only of native nft. */
  handle?: number;
  /** The rule as its tool writes it. */
  text: string;
}

/** What makes a chain a base chain. */
export interface BaseHook {
  type: ChainType;
  hook: Hook;
  /** As declared. A `nat` chain runs at the kernel's own NAT priority; among `nat` chains this one orders. */
  priority: number;
  policy: 'accept' | 'drop';
}

export interface Chain {
  backend: Backend;
  family: TableFamily;
  table: string;
  name: string;
  base?: BaseHook;
  /** Of the policy, where it has one. */
  counters?: Counters;
  rules: readonly Rule[];
}

export interface Table {
  backend: Backend;
  family: TableFamily;
  name: string;
  chains: ReadonlyMap<string, Chain>;
  sets: ReadonlyMap<string, ElementSet>;
  /** Its number in the kernel, in order of creation; undefined for iptables-legacy. */
  handle?: number;
}

/** A base chain at devices, which their packets pass before all hooks of the IP layer (ingress), whatever family its table is of. */
export interface DeviceChain {
  devices: readonly string[];
  /** Its table, in which it is the only base chain and comes before all others of prerouting. */
  table: Table;
}

/** Rules of a node that are there but not modelled: of another family (bridge, arp) or hook (egress). */
export interface Beyond {
  family: string;
  table: string;
  chain: string;
  hook: string;
  rules: number;
}

export interface Ruleset {
  tables: readonly Table[];
  /** In the kernel's order. */
  atDevices: readonly DeviceChain[];
  beyond: readonly Beyond[];
}

/** A chain's base form; throws nothing: narrow with `chain.base !== undefined`. */
export type BaseChain = Chain & { base: BaseHook };

/** Numbers of the transport protocols by the names that both tools print (/etc/protocols, and theirs for ICMPv6). */
export const PROTOCOLS: ReadonlyMap<string, number> = new Map([
  ['icmp', 1],
  ['igmp', 2],
  ['ipencap', 4],
  ['ipip', 4],
  ['tcp', 6],
  ['udp', 17],
  ['dccp', 33],
  ['ipv6', 41],
  ['gre', 47],
  ['esp', 50],
  ['ah', 51],
  ['ipv6-icmp', 58],
  ['icmpv6', 58],
  ['ospf', 89],
  ['vrrp', 112],
  ['sctp', 132],
  ['udplite', 136],
]);

/** Number of a protocol by name or number; undefined when it is not known. */
export function protocolNumber(name: string | number): number | undefined {
  if (typeof name === 'number') return name;
  const known = PROTOCOLS.get(name);
  if (known !== undefined) return known;
  return /^\d{1,3}$/.test(name) ? Number(name) : PROTOCOLS.get(name.toLowerCase());
}

/** What a document of rules is wrong about, and where. */
export class RulesetParseError extends Error {
  /** Document and line, or path in a JSON document. */
  readonly place: string;

  constructor(place: string, problem: string, options?: { cause?: unknown }) {
    super(`${place}: ${problem}`, options);
    this.name = 'RulesetParseError';
    this.place = place;
  }
}

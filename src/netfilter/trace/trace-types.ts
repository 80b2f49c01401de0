import type { NftFamily } from '../../util/family.ts';
import type { BaseChain, Element, Hook, NatTarget, Rule } from '../read/model.ts';

/** Where a packet goes once its addresses are as they stand. `unknown` ends the trace with an unknown verdict. */
export type Route =
  | { kind: 'local' }
  | { kind: 'forward'; outputInterface: string }
  | { kind: 'unroutable'; reason: string }
  | { kind: 'unknown'; reason: string };

/** What the routing function is asked. */
export interface RouteQuery {
  family: NftFamily;
  source: string;
  destination: string;
  /** Undefined for a packet of this machine. */
  inputInterface: string | undefined;
  /** Undefined when rules made it unknown. */
  mark: number | undefined;
}

/** What is known of the connection that an answer belongs to. */
export interface Answered {
  /** Its first packet, as that came to the node. */
  source: string;
  destination: string;
  destinationPort: number;
  /** Which ends of it were translated: of an answer the kernel translates them back. */
  translated: readonly ('dnat' | 'snat')[];
  /** The connection's mark; undefined when rules made it unknown. */
  mark: number | undefined;
}

/** The first packet of a connection, as it comes to the node; or, with {@link Packet.answers}, one that comes back. */
export interface Packet {
  /** `prerouting`: it came in by an interface, from outside or from a pod. `output`: a process of the node sends it. */
  entry: 'prerouting' | 'output';
  family: NftFamily;
  protocol: 'tcp' | 'udp' | 'sctp' | 'icmp' | 'icmpv6' | number;
  source: string;
  destination: string;
  /** Undefined: any; what depends on it is unknown. */
  sourcePort?: number;
  destinationPort: number;
  /** Required with `prerouting`. */
  inputInterface?: string;
  /** With `output`: where the first routing decision sends it. Default: what {@link Environment.route} says. */
  outputInterface?: string;
  /** Default 0. */
  mark?: number;
  /** Default `new`. Of any other state NAT is decided already: its rules are not looked at. */
  ctState?: 'new' | 'established' | 'related' | 'invalid';
  /** The packet is an answer, which came in (`prerouting`); its {@link ctState} is `established`. */
  answers?: Answered;
}

/** What the rules need to know of the node. */
export interface Environment {
  /** Whether the address is one of the node's own (the routing table's type `local`). Loopback need not be answered for. */
  isLocal(address: string): boolean;
  /** The routing decision. */
  route(query: RouteQuery): Route;
  /** First address of an interface: what `redirect` and `masquerade` write. For `lo` it is the first of global scope of any
   * interface (inet_select_addr). Without it they write something unknown. */
  primaryAddress?(interfaceName: string, family: NftFamily): string | undefined;
}

/** How many rules may still be looked at, for all questions about one node together: packets times rules may be more than there is time for. */
export interface RuleBudget {
  rules: number;
}

/** Something that was not known while the packet was followed. */
export type Unknown =
  /** A condition that is not modelled, or that asks for what the packet description leaves out. */
  | { kind: 'match'; rule: Rule; text: string; random: boolean }
  /** A statement that is not modelled. */
  | { kind: 'statement'; rule: Rule; text: string }
  /** Chains of equal priority in different tables: the kernel runs them in the order of registration, newest first. */
  | { kind: 'order'; hook: Hook; chains: readonly BaseChain[] }
  | { kind: 'route'; reason: string }
  /** Too many branches, steps or nested chains: given up. */
  | { kind: 'bound'; reason: string };

/** A rule (or an element that it looked up) that took the packet. */
export interface Step {
  hook: Hook;
  chain: BaseChain;
  rule: Rule;
  element?: Element;
}

/** What decided: a rule, or the policy of a base chain. */
export type Decision = { kind: 'rule'; rule: Rule; element?: Element } | { kind: 'policy'; chain: BaseChain };

/** A translation and the rule that made it. */
export interface Translation {
  kind: 'dnat' | 'redirect' | 'snat' | 'masquerade';
  /** What it writes; no address for a masquerade to an interface whose address is not known. */
  to: NatTarget;
  rule: Rule;
  element?: Element;
  hook: Hook;
}

/** One thing that may happen to the packet. */
export interface Outcome {
  verdict: 'accept' | 'drop' | 'reject' | 'queue' | 'unroutable' | 'unknown';
  /** What dropped, rejected or queued it. */
  decision?: Decision;
  /** Of the destination. */
  translation?: Translation;
  /** Of the source. */
  sourceTranslation?: Translation;
  /** Where it was delivered: to the node itself, or on through an interface. Undefined when it did not get so far. */
  delivery?: { kind: 'local' } | { kind: 'forward'; outputInterface: string };
  /** Addresses, port and mark as they are at the end; undefined when the kernel chooses or rules made it unknown. */
  source: string | undefined;
  destination: string | undefined;
  destinationPort: number | undefined;
  mark: number | undefined;
  connectionMark: number | undefined;
  /** The rule that keeps connection tracking, and with it every translation, away from it. */
  notrack?: Rule;
  /** The rules that took it, in order. */
  steps: readonly Step[];
  /** Several ways lead to this outcome, by what is not known; the steps are those that they share. */
  several: boolean;
  /** What had to be assumed for this outcome, with what was assumed of matches. */
  assumed: readonly { unknown: Unknown; holds: boolean }[];
}

/** What is to be said about a packet: the same for every outcome, or not known. */
export type Known<T> = { known: true; value: T } | { known: false; because: readonly Unknown[] };

/** What happens to a packet. */
export interface Trace {
  /** At least one; several when something unknown makes a difference. */
  outcomes: readonly Outcome[];
  verdict: Known<Outcome['verdict']>;
  /** Where its destination is rewritten to; `undefined` when it is not. */
  translation: Known<Translation | undefined>;
  /** How its source is rewritten; `undefined` when it is not. */
  sourceTranslation: Known<Translation | undefined>;
}

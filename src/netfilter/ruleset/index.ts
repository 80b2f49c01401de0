/**
 * A pure model of a node's netfilter rules, and what they do to a packet. Parse what the node's tools printed with
 * {@link readRuleset}; follow a packet with {@link tracePacket}; ask about the rules themselves with {@link translationsFor},
 * {@link markClashes} and {@link hookUses}.
 */
export { formatAddress } from './address.ts';
export { comparesBit, type MarkClash, markClashes, markField, markFields } from './mark-bit.ts';
export type { BaseChain, NatTarget, Rule, Ruleset, Table } from './model.ts';
export {
  hookUses,
  type Owner,
  parseOwner,
  type TranslationCandidate,
  translationsFor,
} from './queries.ts';
export { readRuleset } from './read-ruleset.ts';
export { tracePacket } from './trace.ts';
export type {
  Decision,
  Environment,
  Packet,
  Route,
  RouteQuery,
  RuleBudget,
  Trace,
  Translation,
} from './trace-types.ts';

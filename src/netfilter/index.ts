/**
 * A pure model of a node's netfilter rules, and what they do to a packet. Parse what the node's tools printed with
 * {@link readRuleset}; follow a packet with {@link tracePacket}; ask about the rules themselves with {@link translationsFor},
 * {@link markClashes} and {@link hookUses}.
 */

export { formatAddress } from '../util/address.ts';
export { conditionText } from './read/condition-text.ts';
export { comparesBit, type MarkClash, markClashes, markField, markFields } from './read/mark-bit.ts';
export type { BaseChain, NatTarget, Rule, Ruleset, Table } from './read/model.ts';
export { rulesForPort } from './read/port-index.ts';
export {
  type Condition,
  choosyRules,
  type Destination,
  hookUses,
  openConditions,
  type Reached,
  refusing,
  type TranslationCandidate,
  translationsFor,
} from './read/queries.ts';
export { readRuleset } from './read/read-ruleset.ts';
export { traceAtDevices, tracePacket } from './trace/trace.ts';
export type {
  Environment,
  Outcome,
  Packet,
  Route,
  RouteQuery,
  RuleBudget,
  Step,
  Trace,
  Translation,
} from './trace/trace-types.ts';

/**
 * A pure model of a node's netfilter rules, and what they do to a packet. Parse what the node's tools printed with
 * {@link readRuleset}; follow a packet with {@link tracePacket}; ask about the rules themselves with {@link translationsFor},
 * {@link jumpsTo}, {@link sourceTranslations}, {@link markUses} and {@link hookUses}.
 */
export { formatAddress, parseAddress } from './address.ts';
export { parseIptablesSave } from './iptables-save.ts';
export type {
  Backend,
  BaseChain,
  Chain,
  Counters,
  Element,
  Family,
  Hook,
  NatTarget,
  Rule,
  RuleLocation,
  Ruleset,
} from './model.ts';
export { RulesetParseError } from './model.ts';
export { parseNftRuleset } from './nft-json.ts';
export {
  type Destination,
  type HookUse,
  hookUses,
  jumpsTo,
  type MarkUse,
  markUses,
  type Owner,
  parseOwner,
  type Reached,
  reachableRules,
  sourceTranslations,
  type TranslationCandidate,
  translationsFor,
} from './queries.ts';
export { type RulesetDocuments, readRuleset } from './read-ruleset.ts';
export { tracePacket } from './trace.ts';
export type {
  Decision,
  Environment,
  Known,
  Outcome,
  Packet,
  Route,
  RouteQuery,
  Step,
  Trace,
  Translation,
  Unknown,
} from './trace-types.ts';

/**
 * A pure model of a node's netfilter rules, and what they do to a packet. Parse what the node printed with {@link readRuleset},
 * follow a packet with {@link tracePacket}.
 */
export { type IptablesDocument, parseIptablesSave } from './iptables-save.ts';
export type {
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

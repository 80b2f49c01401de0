import { networkRange, parseAddress } from '../netfilter/ruleset/address.ts';
import type { RouteQuery } from '../netfilter/ruleset/index.ts';
import type { NodeReport, PolicyRule } from './node-report.ts';
import { known } from './observed.ts';

/** What is known of a packet that a route is sought for; what is absent is not known. */
export type RoutedPacket = Pick<RouteQuery, 'destination'> & Partial<RouteQuery>;

/** The rules that a kernel starts with; ip-rule(8). */
const STANDARD: readonly Omit<PolicyRule, 'family'>[] = [
  { priority: 0, table: 'local' },
  { priority: 32766, table: 'main' },
  { priority: 32767, table: 'default' },
];

/** The policy rules of a family in the kernel's order. Of a report that does not tell them, those that every node starts with. */
export function policyRules(report: NodeReport, family: PolicyRule['family']): readonly PolicyRule[] {
  const rules = known(report.network.rules)?.filter((rule) => rule.family === family) ?? [];
  return rules.length === 0 ? STANDARD.map((rule) => ({ ...rule, family })) : rules;
}

/** Whether a rule applies to a packet; undefined when that cannot be told. Source: net/core/fib_rules.c, fib_rule_match. */
export function appliesTo(rule: PolicyRule, packet: RoutedPacket): boolean | undefined {
  const matches = [
    within(rule.source, packet.source),
    within(rule.destination, packet.destination),
    inputMatches(rule, packet),
    // Only a socket that is bound to a device asks for one before there is a route.
    rule.outputInterface === undefined,
    markMatches(rule, packet),
    (rule.others ?? []).length === 0 ? true : undefined,
  ];
  const all = matches.includes(false) ? false : matches.includes(undefined) ? undefined : true;
  return all === undefined || !rule.inverted ? all : !all;
}

/** A rule as `ip rule` prints it, as far as it was read. */
export function describeRule(rule: PolicyRule): string {
  const { priority, source, destination, mark, inputInterface, outputInterface, others, action, table } =
    rule;
  return [
    `${priority}:`,
    ...(rule.inverted ? ['not'] : []),
    `from ${source ?? 'all'}`,
    ...(destination === undefined ? [] : [`to ${destination}`]),
    ...(mark === undefined ? [] : [`fwmark 0x${mark.value.toString(16)}/0x${mark.mask.toString(16)}`]),
    ...(inputInterface === undefined ? [] : [`iif ${inputInterface}`]),
    ...(outputInterface === undefined ? [] : [`oif ${outputInterface}`]),
    ...(others ?? []),
    action ?? `lookup ${table}`,
  ].join(' ');
}

function within(network: string | undefined, address: string | undefined): boolean | undefined {
  if (network === undefined) return true;
  if (address === undefined) return undefined;
  const [base, length] = network.split('/');
  const [from, value] = [parseAddress(base!), parseAddress(address)];
  if (from === undefined || value === undefined) return undefined;
  const range = networkRange(from, Number(length));
  return (
    range !== undefined && typeof range.from === typeof value && value >= range.from && value <= range.to
  );
}

/** A packet of the machine itself comes in by `lo`. */
function inputMatches({ inputInterface }: PolicyRule, packet: RoutedPacket): boolean | undefined {
  if (inputInterface === undefined) return true;
  if (!('inputInterface' in packet)) return undefined;
  return inputInterface === (packet.inputInterface ?? 'lo');
}

function markMatches({ mark }: PolicyRule, packet: RoutedPacket): boolean | undefined {
  if (mark === undefined) return true;
  if (packet.mark === undefined) return undefined;
  return ((packet.mark ^ mark.value) & mark.mask) === 0;
}

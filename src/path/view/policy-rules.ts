import type { RouteQuery } from '../../netfilter/index.ts';
import { parseAddress } from '../../util/address.ts';
import { parseRange } from '../../util/cidr.ts';
import type { Family } from '../../util/family.ts';
import type { NodeReport, PolicyRule } from '../model/node-report.ts';
import { known, type Observed } from '../model/observed.ts';

/** What is known of a packet that a route is sought for; what is absent is not known. */
export type RoutedPacket = Pick<RouteQuery, 'destination'> & Partial<RouteQuery>;

/** The rules that a kernel starts with; ip-rule(8). */
export const STANDARD_RULES: readonly PolicyRule[] = [
  { priority: 0, table: 'local' },
  { priority: 32766, table: 'main' },
  { priority: 32767, table: 'default' },
];

/**
 * The policy rules of a family in the kernel's order. For a report without any, those that every node starts with: either the report is older than
 * this field, or the node's kernel has no rules of that family.
 */
export function policyRules(
  { network: { rules } }: NodeReport,
  family: Family,
): Observed<readonly PolicyRule[]> {
  if (rules === undefined || known(rules[family])?.length === 0) return { value: STANDARD_RULES };
  return rules[family];
}

/** Whether a rule of a node applies to a packet; undefined when that is unknown. Source: net/core/fib_rules.c, fib_rule_match. */
export function appliesTo(
  rule: PolicyRule,
  packet: RoutedPacket,
  { network }: NodeReport,
): boolean | undefined {
  const matches = [
    within(rule.source, packet.source),
    within(rule.destination, packet.destination),
    inputMatches(rule, packet),
    // Only a socket that is bound to a device asks for one before there is a route.
    rule.outputInterface === undefined,
    markMatches(rule, packet),
    ...(rule.others ?? []).map((other) => (other === 'l3mdev' ? isOfVrf(packet, network) : undefined)),
  ];
  const all = matches.includes(false) ? false : matches.includes(undefined) ? undefined : true;
  return all === undefined || !rule.inverted ? all : !all;
}

/** Whether a rule looks in a table for every packet, as those that a kernel starts with. */
export function isForAll({ priority: _, table, suppressPrefixLength, ...conditions }: PolicyRule): boolean {
  return Object.values(conditions).every((condition) => condition === undefined);
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
  const [range, value] = [parseRange(network), parseAddress(address)];
  if (range === undefined || value === undefined) return undefined;
  return typeof range.from === typeof value && value >= range.from && value <= range.to;
}

/** A packet of the machine itself comes in by `lo`. */
function inputMatches({ inputInterface }: PolicyRule, packet: RoutedPacket): boolean | undefined {
  if (inputInterface === undefined) return true;
  if (!('inputInterface' in packet)) return undefined;
  return inputInterface === (packet.inputInterface ?? 'lo');
}

/**
 * Whether a packet came in by a device of a VRF, or one that is a VRF itself; the kernel asks every packet once there is a VRF on the node. One
 * of the machine itself is of a VRF only where its socket is bound to one. Source: net/l3mdev/l3mdev.c, l3mdev_update_flow.
 */
function isOfVrf(packet: RoutedPacket, network: NodeReport['network']): boolean | undefined {
  const links = known(network.links);
  if (links === undefined) return undefined;
  const vrfs = new Set(links.flatMap(({ name, kind }) => (kind === 'vrf' ? [name] : [])));
  if (vrfs.size === 0) return false;
  if (!('inputInterface' in packet)) return undefined;
  if (packet.inputInterface === undefined) return false;
  const device = links.find(({ name }) => name === packet.inputInterface);
  if (device === undefined) return undefined;
  return vrfs.has(device.name) || vrfs.has(device.master ?? '');
}

/** The table of the VRF that a packet came in by; undefined where it came in by none, or the table is not known. */
export function vrfTableOf(packet: RoutedPacket, { links }: NodeReport['network']): string | undefined {
  const all = known(links) ?? [];
  const device = all.find(({ name }) => name === packet.inputInterface);
  const vrf = [device, all.find(({ name }) => name === device?.master)].find((link) => link?.kind === 'vrf');
  return vrf?.vrfTable === undefined ? undefined : String(vrf.vrfTable);
}

function markMatches({ mark }: PolicyRule, packet: RoutedPacket): boolean | undefined {
  if (mark === undefined) return true;
  if (packet.mark === undefined) return undefined;
  return ((packet.mark ^ mark.value) & mark.mask) === 0;
}

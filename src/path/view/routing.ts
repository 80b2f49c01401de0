import type { Route as Decision } from '../../netfilter/index.ts';
import { type AddressValue, parseAddress } from '../../util/address.ts';
import { networkRange, parseRange } from '../../util/cidr.ts';
import type { NodeReport, PolicyRule } from '../model/node-report.ts';
import { known } from '../model/observed.ts';
import { memoKey, remembered } from './memory.ts';
import type { NodeView } from './node-view.ts';
import {
  appliesTo,
  describeRule,
  isForAll,
  policyRules,
  type RoutedPacket,
  STANDARD_RULES,
  vrfTableOf,
} from './policy-rules.ts';

export type RouteEntry = Extract<NodeReport['network']['routes'], { value: unknown }>['value'][number];

/** The routes of one table and family, by prefix length and network: a lookup costs one step for each length there is. */
interface RouteTable {
  /** Longest first. */
  prefixes: { prefix: number; networks: Map<AddressValue, RouteEntry> }[];
}

/** The tables of each family, by name. */
type RouteTables = Record<RouteEntry['family'], Map<string, RouteTable>>;

const ROUTES = memoKey<RouteTables>();

/** The route, when there is one, and the rule that led to it or that ended the search. */
interface Way {
  route: RouteEntry | undefined;
  rule?: PolicyRule;
}

/** What a node's rules and tables say of a packet, or why it is unknown. */
type Found = Way | { doubt: string };

/**
 * The route of a node for an address, whatever packet is sent there: by its policy rules, the longest prefix of a table first, then the lowest
 * metric, as the kernel does. A rule that applies or not depending on the packet is skipped, and unknown rules are
 * assumed to be those that every node starts with; {@link findRoute} reports such doubts. Undefined when there is none, or the routes are not known.
 */
export function routeTo(node: NodeView, address: string): RouteEntry | undefined {
  const found = lookUp(node, { destination: address }, true);
  return 'route' in found ? found.route : undefined;
}

/**
 * As {@link routeTo}, of a neighbour from whom packets come in: the tables of VRFs may have the more specific route to it. One that leads nowhere there
 * is none.
 */
export function routeToNeighbour(node: NodeView, address: string): RouteEntry | undefined {
  const found = [routeTo(node, address)];
  for (const { name } of remembered(node, VRFS, () => vrfsOf(node))) {
    const ofVrf = lookUp(node, { destination: address, inputInterface: name }, true);
    if ('route' in ofVrf && ofVrf.route?.type === 'unicast') found.push(ofVrf.route);
  }
  return found
    .filter((route) => route !== undefined)
    .reduce<RouteEntry | undefined>(
      (best, route) => (best === undefined || prefixOf(route) > prefixOf(best) ? route : best),
      undefined,
    );
}

const VRFS = memoKey<readonly { name: string }[]>();

/** The links of a node that are VRFs: most nodes have none, and a link for each pod. */
function vrfsOf(node: NodeView): { name: string }[] {
  return (known(node.seen?.network.links) ?? []).filter(({ vrfTable }) => vrfTable !== undefined);
}

function prefixOf({ destination }: RouteEntry): number {
  return parseRange(destination)?.prefix ?? 0;
}

/** The route of a node for a packet, or why it is unknown. The node's routes are known. */
export function findRoute(node: NodeView, packet: RoutedPacket): Found {
  return lookUp(node, packet, false);
}

/** A route as `ip route` prints it, as far as it was read. */
export function describeRoute(route: RouteEntry | undefined): string {
  if (route === undefined) return '(none)';
  const { type, destination, gateway, device, table } = route;
  return [
    ...(type === 'unicast' ? [] : [type]),
    destination,
    ...(gateway === undefined ? [] : ['via', gateway]),
    ...(device === undefined ? [] : ['dev', device]),
    ...(table === 'main' ? [] : ['table', table]),
  ].join(' ');
}

const LOCAL: Decision = Object.freeze({ kind: 'local' });

/** The routing decision for a packet that is followed. */
export function decideRoute(node: NodeView, query: RoutedPacket): Decision {
  const { destination } = query;
  if (known(node.seen?.network.routes) === undefined) {
    return { kind: 'unknown', reason: `the routes of ${node.name} are not known` };
  }
  const found = findRoute(node, query);
  if ('doubt' in found) return { kind: 'unknown', reason: found.doubt };
  const { route, rule } = found;
  if (route === undefined) {
    const by = rule === undefined ? '' : `: policy rule "${describeRule(rule)}"`;
    return { kind: 'unroutable', reason: `no route to ${destination}${by}` };
  }
  if (route.type === 'local' || node.isLocal(destination)) return LOCAL;
  if (route.type === 'unicast' && route.device === undefined) {
    return { kind: 'unknown', reason: `the route to ${destination} has several next hops` };
  }
  if (route.type !== 'unicast' || route.device === undefined) {
    return { kind: 'unroutable', reason: `route to ${destination} is ${route.type}` };
  }
  return { kind: 'forward', outputInterface: route.device };
}

/** By destination, of a node whose rules apply to every packet: then nothing else of a packet matters. */
const FOUND = memoKey<Map<string, Found>>();

/** `passOver`: whether rules that may or may not apply are left out. */
function lookUp(node: NodeView, packet: RoutedPacket, passOver: boolean): Found {
  const { destination } = packet;
  const before = remembered(node, FOUND, () => new Map());
  const same = before.get(destination);
  if (same !== undefined) return same;
  const report = node.seen;
  const value = parseAddress(destination);
  if (report === undefined || value === undefined) return { route: undefined };
  const family = typeof value === 'number' ? 'ipv4' : 'ipv6';
  const rules = policyRules(report, family);
  if ('unknown' in rules && !passOver) {
    return { doubt: `the policy rules of ${node.name} are not known` };
  }
  const found = search(node, packet, value, report, known(rules) ?? STANDARD_RULES, passOver);
  if ('value' in rules && rules.value.every(isForAll)) before.set(destination, found);
  return found;
}

function search(
  node: NodeView,
  packet: RoutedPacket,
  value: AddressValue,
  report: NodeReport,
  rules: readonly PolicyRule[],
  passOver: boolean,
): Found {
  const family = typeof value === 'number' ? 'ipv4' : 'ipv6';
  const tables = remembered(node, ROUTES, () => index(known(report.network.routes) ?? []))[family];
  const inTable = ({ table, suppressPrefixLength = -1 }: PolicyRule): RouteEntry | undefined => {
    for (const { prefix, networks } of tables.get(table ?? '')?.prefixes ?? []) {
      const route = networks.get(networkRange(value, prefix)!.from);
      if (route !== undefined)
        return prefix <= suppressPrefixLength || route.type === 'throw' ? undefined : route;
    }
    return undefined;
  };
  /** What a rule that applies makes of the packet; undefined when it leaves it to the rules behind it. */
  const byRule = (rule: PolicyRule, targets: ReadonlyMap<number, Found>): Found | undefined => {
    const { action } = rule;
    if (action === undefined) {
      const route = inTable(rule);
      return route && { route, rule };
    }
    if (action === 'nop') return undefined;
    if (ENDING.has(action)) return { route: undefined, rule };
    // The rule of VRFs, which has no table of its own: that of the packet's.
    const ofVrf = rule.others?.includes('l3mdev') ? vrfTableOf(packet, report.network) : undefined;
    if (ofVrf !== undefined) {
      const route = inTable({ ...rule, table: ofVrf });
      return route && { route, rule };
    }
    const target = /^goto (\w+)$/.exec(action)?.[1];
    // Where nothing is at its target, a rule is as if it were not there.
    if (target !== undefined) return targets.get(Number(target));
    return { doubt: `policy rule "${describeRule(rule)}" of ${node.name} is not followed` };
  };
  // From the last rule to the first: what is found from each on, and so where a goto, which only leads forwards, ends up. net/core/fib_rules.c,
  // fib_rules_lookup.
  let found: Found = { route: undefined };
  const targets = new Map<number, Found>();
  for (const rule of rules.toReversed()) {
    const applies = appliesTo(rule, packet, report);
    const own = applies === false || (applies === undefined && passOver) ? undefined : byRule(rule, targets);
    if (own !== undefined) {
      if (applies === true) found = own;
      // What may apply makes no difference where it leads the same way.
      else if (!('doubt' in found) && !isSameWay(own, found)) {
        found = {
          doubt: `whether policy rule "${describeRule(rule)}" of ${node.name} applies is not known`,
        };
      }
    }
    targets.set(rule.priority, found);
  }
  return found;
}

/** What rules answer in place of a table. */
const ENDING: ReadonlySet<string> = new Set(['blackhole', 'unreachable', 'prohibit']);

function isSameWay(found: Found, { route: other }: Way): boolean {
  if ('doubt' in found) return false;
  const { route: one } = found;
  return one?.type === other?.type && one?.device === other?.device && one?.gateway === other?.gateway;
}

function index(routes: readonly RouteEntry[]): RouteTables {
  const tables: RouteTables = { ipv4: new Map(), ipv6: new Map() };
  for (const entry of routes) {
    const range = parseRange(entry.destination);
    if (range === undefined) continue;
    const { prefix } = range;
    const named = tables[entry.family];
    const table = named.get(entry.table) ?? { prefixes: [] };
    named.set(entry.table, table);
    let length = table.prefixes.find((other) => other.prefix === prefix);
    if (length === undefined) {
      length = { prefix, networks: new Map() };
      table.prefixes.push(length);
    }
    const rival = length.networks.get(range.from);
    if (rival === undefined || (entry.metric ?? 0) < (rival.metric ?? 0))
      length.networks.set(range.from, entry);
  }
  for (const table of [...tables.ipv4.values(), ...tables.ipv6.values()]) {
    table.prefixes.sort((a, b) => b.prefix - a.prefix);
  }
  return tables;
}

import { type AddressValue, networkRange, parseAddress } from '../netfilter/ruleset/address.ts';
import type { Route as Decision, RouteQuery } from '../netfilter/ruleset/index.ts';
import { remembered } from './memory.ts';
import type { NodeReport, PolicyRule } from './node-report.ts';
import type { NodeView } from './node-view.ts';
import { known } from './observed.ts';
import { appliesTo, describeRule, policyRules, type RoutedPacket } from './policy-rules.ts';

type RouteEntry = Extract<NodeReport['network']['routes'], { value: unknown }>['value'][number];

/** The routes of one table and family, by prefix length and network: a lookup costs one step for each length there is. */
interface RouteTable {
  /** Longest first. */
  prefixes: { prefix: number; networks: Map<AddressValue, RouteEntry> }[];
}

/** The tables of each family, by name. */
type RouteTables = Record<RouteEntry['family'], Map<string, RouteTable>>;

/** What a node's rules and tables say of a packet. */
type Found =
  | { route: RouteEntry }
  | { route: undefined; ended?: string }
  /** Of a rule it cannot be told whether it applies, and it would make a difference. */
  | { doubt: string };

/**
 * The route of a node for an address, whatever packet is sent there: by its policy rules, the longest prefix of a table first, then the lowest
 * metric, as the kernel does. A rule of which only the packet would tell whether it applies is passed over ({@link routeDoubt}). Undefined
 * when there is none, or the routes are not known.
 */
export function routeTo(node: NodeView, address: string): RouteEntry | undefined {
  const found = lookUp(node, { destination: address }, true);
  return found !== undefined && 'route' in found ? found.route : undefined;
}

/** Why the route to an address depends on the packet, in words; undefined when it is the same for all. */
export function routeDoubt(node: NodeView, address: string): string | undefined {
  const found = lookUp(node, { destination: address }, false);
  return found !== undefined && 'doubt' in found ? found.doubt : undefined;
}

/** The routing decision for a packet that is followed. */
export function decideRoute(node: NodeView, query: RouteQuery): Decision {
  const { destination } = query;
  if (known(node.seen?.network.routes) === undefined) {
    return { kind: 'unknown', reason: `the routes of ${node.name} are not known` };
  }
  const { rules } = node.seen!.network;
  if (rules !== undefined && 'unknown' in rules) {
    return { kind: 'unknown', reason: `the policy rules of ${node.name} are not known` };
  }
  const found = lookUp(node, query, false);
  if (found !== undefined && 'doubt' in found) return { kind: 'unknown', reason: found.doubt };
  const route = found?.route;
  if (route === undefined) {
    const by = found !== undefined && 'ended' in found ? `: policy rule "${found.ended}"` : '';
    return { kind: 'unroutable', reason: `no route to ${destination}${by}` };
  }
  if (route.type === 'local' || node.isLocal(destination)) return { kind: 'local' };
  if (route.type !== 'unicast' || route.device === undefined) {
    return { kind: 'unroutable', reason: `route to ${destination} is ${route.type}` };
  }
  return { kind: 'forward', outputInterface: route.device };
}

/** `passOver`: whether rules that may or may not apply are left out. Undefined when the node was not seen. */
function lookUp(node: NodeView, packet: RoutedPacket, passOver: boolean): Found | undefined {
  const report = node.seen;
  const value = parseAddress(packet.destination);
  if (report === undefined || value === undefined) return undefined;
  const family = typeof value === 'number' ? 'ipv4' : 'ipv6';
  const rules = remembered(node, 'policy rules', () => ({
    ipv4: policyRules(report, 'ipv4'),
    ipv6: policyRules(report, 'ipv6'),
  }));
  const tables = remembered(node, 'routes', () => index(known(report.network.routes) ?? []))[family];
  const inTable = ({ table, suppressPrefixLength = -1 }: PolicyRule): RouteEntry | undefined => {
    for (const { prefix, networks } of tables.get(table ?? '')?.prefixes ?? []) {
      const route = networks.get(networkRange(value, prefix)!.from);
      if (route !== undefined)
        return prefix <= suppressPrefixLength || route.type === 'throw' ? undefined : route;
    }
    return undefined;
  };
  const doubtful: { rule: PolicyRule; route: RouteEntry | undefined }[] = [];
  /** Rules that may apply make no difference where they lead the same way. */
  const settled = (found: Exclude<Found, { doubt: string }>): Found => {
    const other = doubtful.find(({ route }) => route === undefined || !isSameWay(route, found.route));
    if (other === undefined) return found;
    return {
      doubt: `whether policy rule "${describeRule(other.rule)}" of ${node.name} applies is not known`,
    };
  };
  for (const rule of rules[family]) {
    const applies = appliesTo(rule, packet);
    if (applies === false || rule.action === 'nop' || (applies === undefined && passOver)) continue;
    const route = rule.action === undefined ? inTable(rule) : undefined;
    if (rule.action === undefined && route === undefined) continue;
    if (applies === undefined) doubtful.push({ rule, route });
    else if (route !== undefined) return settled({ route });
    else if (ENDING.has(rule.action!)) return settled({ route: undefined, ended: describeRule(rule) });
    else return { doubt: `policy rule "${describeRule(rule)}" of ${node.name} is not followed` };
  }
  return settled({ route: undefined });
}

/** What rules answer in place of a table. */
const ENDING: ReadonlySet<string> = new Set(['blackhole', 'unreachable', 'prohibit']);

function isSameWay(a: RouteEntry, b: RouteEntry | undefined): boolean {
  return a.type === b?.type && a.device === b.device && a.gateway === b.gateway;
}

function index(routes: readonly RouteEntry[]): RouteTables {
  const tables: RouteTables = { ipv4: new Map(), ipv6: new Map() };
  for (const entry of routes) {
    const slash = entry.destination.lastIndexOf('/');
    const address = parseAddress(entry.destination.slice(0, slash));
    const prefix = Number(entry.destination.slice(slash + 1));
    const range = address === undefined ? undefined : networkRange(address, prefix);
    if (slash < 0 || range === undefined) continue;
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

import { type AddressValue, networkRange, parseAddress } from '../netfilter/ruleset/address.ts';
import type { Route as Decision, RouteQuery } from '../netfilter/ruleset/index.ts';
import type { NodeReport } from './node-report.ts';
import type { NodeView } from './node-view.ts';
import { known } from './observed.ts';

type RouteEntry = Extract<NodeReport['network']['routes'], { value: unknown }>['value'][number];

/** The routes of one table and family, by prefix length and network: a lookup costs one step for each length there is. */
interface RouteTable {
  /** Longest first. */
  prefixes: { prefix: number; networks: Map<AddressValue, RouteEntry> }[];
}

const routeTables = new WeakMap<NodeReport, ReadonlyMap<string, RouteTable>>();

/**
 * The routing decision of a node for an address, by its tables `local`, `main` and `default` in that order, the longest prefix
 * first, then the lowest metric: the kernel's, as long as nobody adds policy rules. Undefined when there is none, or the routes are
 * not known.
 */
export function routeTo(node: NodeView, address: string): RouteEntry | undefined {
  const report = node.seen;
  const value = parseAddress(address);
  if (report === undefined || value === undefined) return undefined;
  const tables = tablesOf(report);
  const family = typeof value === 'number' ? 'ipv4' : 'ipv6';
  for (const name of ['local', 'main', 'default']) {
    for (const { prefix, networks } of tables.get(`${name} ${family}`)?.prefixes ?? []) {
      const route = networks.get(networkRange(value, prefix)!.from);
      if (route !== undefined) return route;
    }
  }
  return undefined;
}

/** The same as the answer to the question that following a packet asks. */
export function decideRoute(node: NodeView, { destination }: RouteQuery): Decision {
  if (known(node.seen?.network.routes) === undefined) {
    return { kind: 'unknown', reason: `the routes of ${node.name} are not known` };
  }
  const route = routeTo(node, destination);
  if (route === undefined) return { kind: 'unroutable', reason: `no route to ${destination}` };
  if (route.type === 'local' || node.isLocal(destination)) return { kind: 'local' };
  if (route.type !== 'unicast' || route.device === undefined) {
    return { kind: 'unroutable', reason: `route to ${destination} is ${route.type}` };
  }
  return { kind: 'forward', outputInterface: route.device };
}

function tablesOf(report: NodeReport): ReadonlyMap<string, RouteTable> {
  let tables = routeTables.get(report);
  if (tables === undefined) {
    tables = index(known(report.network.routes) ?? []);
    routeTables.set(report, tables);
  }
  return tables;
}

function index(routes: readonly RouteEntry[]): Map<string, RouteTable> {
  const tables = new Map<string, RouteTable>();
  for (const entry of routes) {
    const slash = entry.destination.lastIndexOf('/');
    const address = parseAddress(entry.destination.slice(0, slash));
    const prefix = Number(entry.destination.slice(slash + 1));
    const range = address === undefined ? undefined : networkRange(address, prefix);
    if (slash < 0 || range === undefined) continue;
    const key = `${entry.table} ${entry.family}`;
    const table = tables.get(key) ?? { prefixes: [] };
    tables.set(key, table);
    let length = table.prefixes.find((other) => other.prefix === prefix);
    if (length === undefined) {
      length = { prefix, networks: new Map() };
      table.prefixes.push(length);
    }
    const rival = length.networks.get(range.from);
    if (rival === undefined || (entry.metric ?? 0) < (rival.metric ?? 0))
      length.networks.set(range.from, entry);
  }
  for (const table of tables.values()) table.prefixes.sort((a, b) => b.prefix - a.prefix);
  return tables;
}

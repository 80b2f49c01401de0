import { formatIp, type IpAddress, parseCidr, parseIp } from '../net/ip.ts';
import type { Route as Decision, RouteQuery } from '../netfilter/ruleset/index.ts';
import type { NodeReport } from './node-report.ts';
import type { NodeView } from './node-view.ts';
import { known } from './observed.ts';

type RouteEntry = Extract<NodeReport['network']['routes'], { value: unknown }>['value'][number];

/** A route with its destination parsed; made once a node. */
interface ParsedRoute {
  entry: RouteEntry;
  ip: IpAddress;
  prefix: number;
}

const parsedRoutes = new WeakMap<NodeView, readonly ParsedRoute[]>();

/**
 * The routing decision of a node for an address, by its tables `local`, `main` and `default` in that order, the longest prefix
 * first, then the lowest metric: the kernel's, as long as nobody adds policy rules. Undefined when the routes are not known.
 */
export function routeTo(node: NodeView, address: string): RouteEntry | undefined {
  const ip = parseIp(address);
  if (ip === undefined) return undefined;
  for (const table of ['local', 'main', 'default']) {
    const [best] = routesOf(node)
      .filter(({ entry, ip: network, prefix }) => entry.table === table && contains(network, prefix, ip))
      .sort((a, b) => b.prefix - a.prefix || (a.entry.metric ?? 0) - (b.entry.metric ?? 0));
    if (best !== undefined) return best.entry;
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

function routesOf(node: NodeView): readonly ParsedRoute[] {
  let routes = parsedRoutes.get(node);
  if (routes === undefined) {
    routes = (known(node.seen?.network.routes) ?? []).flatMap((entry) => {
      const destination = parseCidr(entry.destination);
      return destination === undefined ? [] : [{ entry, ...destination }];
    });
    parsedRoutes.set(node, routes);
  }
  return routes;
}

function contains(network: IpAddress, prefix: number, ip: IpAddress): boolean {
  if (network.family !== ip.family) return false;
  for (let bit = 0; bit < prefix; bit += 8) {
    const mask = 0xff << Math.max(0, 8 - (prefix - bit));
    if (((network.bytes[bit / 8]! ^ ip.bytes[bit / 8]!) & mask & 0xff) !== 0) return false;
  }
  return true;
}

/** One spelling of an address. */
export function canonicalAddress(address: string): string {
  const ip = parseIp(address);
  return ip === undefined ? address : formatIp(ip);
}

import { isDeepStrictEqual } from 'node:util';
import {
  type Environment,
  formatAddress,
  type Packet,
  type RouteQuery,
  type Trace,
  type TranslationCandidate,
  tracePacket,
  translationsFor,
} from '../../netfilter/index.ts';
import { FAMILY_NAME, FAMILY_OF_NFT, familyOf, NFT_FAMILY } from '../../util/family.ts';
import { canonicalAddress, parseIp } from '../../util/ip.ts';
import { known, type Observed } from '../model/observed.ts';
import { type MemoKey, memoKey, remembered } from './memory.ts';
import type { NodeView } from './node-view.ts';
import { mappingOwner } from './owned-mappings.ts';
import { addressesOfPod } from './pod-addresses.ts';
import type { RoutedPacket } from './policy-rules.ts';
import { decideRoute, routeTo } from './routing.ts';
import type { PathView, Scene } from './scene.ts';

/** Where an imagined connection to a mapping comes from; as the probes of the same names. */
export type Origin = 'outside' | 'node' | 'loopback' | 'pod';

const TRACES: Readonly<Record<Origin, MemoKey<Observed<Followed>>>> = {
  outside: memoKey(),
  node: memoKey(),
  loopback: memoKey(),
  pod: memoKey(),
};
const TAKERS = memoKey<readonly TranslationCandidate[] | undefined>();

/** The origins that a mapping must serve: only loopback when it is for loopback, otherwise everything outside and the node. */
export function originsOf({ port }: PathView): readonly [Origin, ...Origin[]] {
  if (port.hostIP?.startsWith('127.')) return ['loopback'];
  return ['outside', 'node'];
}

/**
 * What the node's rules do to the first packet of a connection to a mapping. Unknown when what it takes to say was not seen.
 * The trace itself may again say that something in the rules is not known.
 */
export function traceFrom(origin: Origin, path: PathView, scene: Scene): Observed<Trace> {
  const followed = followedFrom(origin, path, scene);
  return 'unknown' in followed ? followed : { value: followed.value.trace };
}

/**
 * The first packets of connections to a mapping, for each origin that it must serve, as they are when their route to the pod is looked up: several
 * for an origin where something unknown makes a difference. For an origin whose packets may not get that far, the packet as it would be.
 */
export function routedToPod(path: PathView, scene: Scene): readonly (readonly RoutedPacket[])[] {
  const destination = podAddress(path);
  if (destination === undefined) return [];
  return originsOf(path).map((origin) => {
    const followed = known(followedFrom(origin, path, scene));
    const asked =
      followed?.asked.filter((query) => query.destination === canonicalAddress(destination)) ?? [];
    if (asked.length > 0) return asked;
    const packet = path.node && known(packetFrom(origin, path, path.node, scene));
    if (packet === undefined) return [{ destination }];
    const { family, source, inputInterface } = packet;
    return [{ family, source, destination, inputInterface, mark: 0 }];
  });
}

/** The pod's address of the family in which the mapping is asked for; undefined while it has none. */
export function podAddress(path: PathView): string | undefined {
  const { family, sandbox, pod } = path;
  return addressesOfPod(pod, sandbox).find(
    (ip) => family === undefined || FAMILY_NAME[familyOf(ip)] === family,
  );
}

/** Whether a translation leads to the pod: address and port both. */
export function leadsToPod(trace: Trace, path: PathView): boolean {
  const address = podAddress(path);
  if (!trace.translation.known || address === undefined) return false;
  const to = trace.translation.value?.to;
  return (
    to !== undefined &&
    translatesTo(to, address) &&
    (to.port?.from ?? path.port.hostPort) === path.port.containerPort
  );
}

/**
 * The translations that packets to a mapping from outside come by, in the kernel's order; the first that is not conditional takes
 * those that come so far. Undefined when the rules are not known, or too many.
 */
export function takersOf(path: PathView, scene: Scene): readonly TranslationCandidate[] | undefined {
  return remembered(path, TAKERS, () => findTakers(path, scene));
}

/**
 * The one of {@link takersOf} that takes a connection to a mapping, by following its first packet: what comes before it, other tables
 * and their order included, lets the packet through. Undefined when none does for certain. Whoever changes rules asks this.
 */
export function takerOf(path: PathView, scene: Scene): TranslationCandidate | undefined {
  const trace = traceFrom(originsOf(path)[0], path, scene);
  const made = 'value' in trace && trace.value.translation.known ? trace.value.translation.value : undefined;
  if (made === undefined) return undefined;
  return takersOf(path, scene)?.find(
    ({ rule, element, to }) =>
      rule === made.rule && (element === made.element || isDeepStrictEqual(to, made.to)),
  );
}

function findTakers(path: PathView, scene: Scene): TranslationCandidate[] | undefined {
  const { node } = path;
  const ruleset = known(node?.ruleset);
  if (node === undefined || ruleset === undefined) return undefined;
  const packet = known(packetFrom(originsOf(path)[0], path, node, scene));
  if (packet === undefined) return undefined;
  const { family, protocol, destination, destinationPort, entry } = packet;
  const local = node.isLocal(destination) ?? false;
  const asked = { family, protocol, address: destination, port: destinationPort, local };
  const { candidates, complete } = translationsFor(ruleset, entry, asked, node.budget);
  return complete ? candidates : undefined;
}

/** The container whose mapping takes the packets to a mapping that is another's; undefined when none does. */
export function hiddenBy(path: PathView, scene: Scene): string | undefined {
  const taker = takerOf(path, scene);
  const containerId = taker === undefined ? undefined : mappingOwner(taker)?.containerId;
  return path.sandbox?.id === containerId ? undefined : containerId;
}

/** Whether a translation writes this address. */
export function translatesTo(to: TranslationCandidate['to'], address: string): boolean {
  if (to.address === undefined) return false;
  const written = formatAddress(to.address.from);
  return written === address || written === canonicalAddress(address);
}

/** A packet's way, and of which packets the route was sought on it. */
interface Followed {
  trace: Trace;
  asked: readonly RouteQuery[];
}

function followedFrom(origin: Origin, path: PathView, scene: Scene): Observed<Followed> {
  return remembered(path, TRACES[origin], () => follow(origin, path, scene));
}

function follow(origin: Origin, path: PathView, scene: Scene): Observed<Followed> {
  const { node } = path;
  if (node === undefined) return { unknown: 'the pod has no node yet' };
  if ('unknown' in node.report) return node.report;
  const ruleset = node.ruleset;
  if ('unknown' in ruleset) return ruleset;
  const packet = packetFrom(origin, path, node, scene);
  if ('unknown' in packet) return packet;
  const addresses = known(node.report.value.network.addresses);
  const asked: RouteQuery[] = [];
  const environment: Environment = {
    isLocal: (address) => node.isLocal(address) ?? false,
    route: (query) => {
      asked.push(query);
      return decideRoute(node, query);
    },
    primaryAddress: (device, family) => {
      const wanted = FAMILY_OF_NFT[family];
      // Masquerading towards the node itself takes the first global address of any interface, not loopback's.
      return addresses?.find(
        (entry) =>
          entry.family === wanted && (device === 'lo' ? entry.scope === 'global' : entry.device === device),
      )?.address;
    },
  };
  const trace = tracePacket(ruleset.value, packet.value, environment, node.budget);
  return { value: { trace, asked } };
}

function packetFrom(origin: Origin, path: PathView, node: NodeView, scene: Scene): Observed<Packet> {
  const { port, address: wanted, family } = path;
  if (wanted === undefined) return { unknown: scene.whyNoAddress(path, node) };
  const own = wanted === '::' ? scene.addressOf(node.name, family) : wanted;
  const destination = origin === 'loopback' ? '127.0.0.1' : own;
  if (destination === undefined) return { unknown: `the address of ${node.name} is not known` };
  const common = {
    family: NFT_FAMILY[familyOf(destination)],
    protocol: port.protocol.toLowerCase() as 'tcp' | 'udp' | 'sctp',
    destination,
    destinationPort: port.hostPort,
  };
  if (origin === 'node' || origin === 'loopback') {
    return { value: { ...common, entry: 'output', source: destination } };
  }
  const source = origin === 'pod' ? podAddress(path) : neighbourOf(path, scene);
  if (source === undefined) {
    return {
      unknown: origin === 'pod' ? 'the pod has no address' : `no address outside of ${node.name} is known`,
    };
  }
  const device = routeTo(node, source)?.device;
  if (device === undefined) return { unknown: `no route to ${source}` };
  return { value: { ...common, entry: 'prerouting', source, inputInterface: device } };
}

/** An address that is not on the node but reaches it: another node's, or the gateway of its default route. */
export function neighbourOf(path: PathView, scene: Scene): string | undefined {
  const { node, family = 'IPv4' } = path;
  // Of the whole cluster: a scene may be of one node.
  for (const { metadata } of scene.world.nodes) {
    const name = metadata?.name ?? '';
    const address = name === node?.name ? undefined : scene.addressOf(name, family);
    if (address !== undefined) return address;
  }
  return known(node?.seen?.network.routes)?.find(
    ({ gateway, table }) =>
      table === 'main' &&
      gateway !== undefined &&
      FAMILY_NAME[familyOf(gateway)] === family &&
      parseIp(gateway) !== undefined,
  )?.gateway;
}

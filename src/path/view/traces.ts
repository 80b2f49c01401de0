import { isDeepStrictEqual } from 'node:util';
import {
  type Condition,
  type Destination,
  type Environment,
  formatAddress,
  type Outcome,
  openConditions,
  type Packet,
  type Route,
  type RouteQuery,
  type Rule,
  type Ruleset,
  type Trace,
  type TranslationCandidate,
  traceAtDevices,
  tracePacket,
  translationsFor,
} from '../../netfilter/index.ts';
import {
  FAMILY_NAME,
  FAMILY_OF_NFT,
  type FamilyName,
  familyOf,
  NFT_FAMILY,
  type NftFamily,
} from '../../util/family.ts';
import { canonicalAddress, parseIp } from '../../util/ip.ts';
import { known, type Observed } from '../model/observed.ts';
import { type MemoKey, memoKey, remembered } from './memory.ts';
import type { NodeView } from './node-view.ts';
import { mappingOwner } from './owned-mappings.ts';
import { addressesOfPod } from './pod-addresses.ts';
import { entryDevices } from './pod-devices.ts';
import type { RoutedPacket } from './policy-rules.ts';
import { decideRoute, routeToNeighbour } from './routing.ts';
import type { PathView, Scene } from './scene.ts';
import { endOf } from './trace-end.ts';

/** Where an imagined connection to a mapping comes from; as the probes of the same names. */
export type Origin = ServedOrigin | 'pod';
/** Those that a mapping must serve. */
export type ServedOrigin = 'outside' | 'node' | 'loopback';

const TRACES: Readonly<Record<Origin, MemoKey<Observed<Followed>>>> = {
  outside: memoKey(),
  node: memoKey(),
  loopback: memoKey(),
  pod: memoKey(),
};
const ANSWERS: Readonly<Record<Origin, MemoKey<Observed<Answer>>>> = {
  outside: memoKey(),
  node: memoKey(),
  loopback: memoKey(),
  pod: memoKey(),
};
const PACKETS: Readonly<Record<Origin, MemoKey<Observed<Packet>>>> = {
  outside: memoKey(),
  node: memoKey(),
  loopback: memoKey(),
  pod: memoKey(),
};
const TAKERS = memoKey<readonly TranslationCandidate[] | undefined>();

/** The origins that a mapping must serve: only loopback when it is for loopback, otherwise everything outside and the node. */
export function originsOf({ port }: PathView): readonly [ServedOrigin, ...ServedOrigin[]] {
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

/** The way back of a connection to a mapping. */
export interface Answer {
  trace: Trace;
  /** The device by which it enters the node. */
  device: string;
  /** Where the answer goes in the end. */
  client: string;
  /** The device by which the connection came in; undefined for one of the node itself. */
  cameBy: string | undefined;
  /** The packet as its route is looked up; undefined when it does not get that far. */
  routed: RoutedPacket | undefined;
}

/**
 * What the node's rules and routes do to the pod's answer to a connection. Unknown where the connection itself does not get to the pod for certain, or
 * where it is not seen by which device its answers enter the node.
 */
export function answerTo(origin: Origin, path: PathView, scene: Scene): Observed<Answer> {
  return remembered(path, ANSWERS[origin], () => followBack(origin, path, scene));
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

const POD_ADDRESS = memoKey<string | undefined>();

/** The pod's address of the family in which the mapping is asked for; undefined while it has none. */
export function podAddress(path: PathView): string | undefined {
  return remembered(path, POD_ADDRESS, () => {
    const { family, sandbox, pod } = path;
    return addressesOfPod(pod, sandbox).find(
      (ip) => family === undefined || FAMILY_NAME[familyOf(ip)] === family,
    );
  });
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
  const aim = aimOf(path, scene);
  if (node === undefined || ruleset === undefined || aim === undefined) return undefined;
  const { candidates, complete } = translationsFor(ruleset, aim.entry, aim.destination, node.budget);
  return complete ? candidates : undefined;
}

/**
 * The conditions of rules that tell the clients of a mapping apart: their source, interface or mark, and all that is not modelled. None: the
 * rules take every connection to the mapping that comes to them.
 */
export function conditionsOnClients(rules: readonly Rule[], path: PathView, scene: Scene): Condition[] {
  const aim = aimOf(path, scene);
  return aim === undefined ? [] : openConditions(rules, aim.destination);
}

/** Where packets to a mapping go to, and where they enter; undefined when that is not known. */
function aimOf(
  path: PathView,
  scene: Scene,
): { entry: Packet['entry']; destination: Destination } | undefined {
  const { node, port } = path;
  const packet = node && known(packetFrom(originsOf(path)[0], path, node, scene));
  if (node === undefined || packet === undefined) return undefined;
  const { family, protocol, destination: address, entry } = packet;
  const local = node.isLocal(address) ?? false;
  return { entry, destination: { family, protocol, address, port: port.hostPort, local } };
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
  return { value: followPacket(packet.value, ruleset.value, node) };
}

function followPacket(packet: Packet, ruleset: Ruleset, node: NodeView): Followed {
  const environment = new NodeEnvironment(node);
  const { asked } = environment;
  const arrival =
    ruleset.atDevices.length === 0
      ? undefined
      : traceAtDevices(ruleset, devicesBelow(packet.inputInterface, node), packet, environment, node.budget);
  // What is not known of such a chain is left to the probes: its conditions are often rates and sets of addresses.
  if (arrival !== undefined && endOf(arrival) !== undefined) return { trace: arrival, asked };
  return { trace: tracePacket(ruleset, packet, environment, node.budget), asked };
}

/** A node as rules need to know it, for one packet. */
class NodeEnvironment implements Environment {
  /** Of which packets the route was sought. */
  readonly asked: RouteQuery[] = [];
  readonly #node: NodeView;

  constructor(node: NodeView) {
    this.#node = node;
  }

  isLocal(address: string): boolean {
    return this.#node.isLocal(address) ?? false;
  }

  route(query: RouteQuery): Route {
    this.asked.push(query);
    return decideRoute(this.#node, query);
  }

  primaryAddress(device: string, family: NftFamily): string | undefined {
    const wanted = FAMILY_OF_NFT[family];
    // Masquerading towards the node itself takes the first global address of any interface, not loopback's.
    return known(this.#node.seen?.network.addresses)?.find(
      (entry) =>
        entry.family === wanted && (device === 'lo' ? entry.scope === 'global' : entry.device === device),
    )?.address;
  }
}

/** A device and those that are part of it: what comes in by a bond or a bridge came in by one of them. */
function devicesBelow(device: string | undefined, node: NodeView): string[] {
  if (device === undefined) return [];
  const links = known(node.seen?.network.links) ?? [];
  const found = new Set([device]);
  for (const name of found) {
    for (const link of links) if (link.master === name) found.add(link.name);
  }
  return [...found];
}

/** A client's port: any of those that systems give out, which rules do not name one by one (net.ipv4.ip_local_port_range). */
const CLIENT_PORT = 50_000;

function followBack(origin: Origin, path: PathView, scene: Scene): Observed<Answer> {
  const { node, port } = path;
  const pod = podAddress(path);
  const ruleset = known(node?.ruleset);
  const packet = node === undefined ? undefined : known(packetFrom(origin, path, node, scene));
  const there = known(traceFrom(origin, path, scene));
  if (
    node === undefined ||
    pod === undefined ||
    ruleset === undefined ||
    packet === undefined ||
    there === undefined
  ) {
    return { unknown: 'the way to the pod is not known' };
  }
  const { verdict } = there;
  if (!verdict.known || verdict.value !== 'accept' || !leadsToPod(there, path)) {
    return { unknown: 'the connection does not get to the pod for certain' };
  }
  const [{ source, connectionMark, sourceTranslation, notrack }, ...others] = there.outcomes as [
    Outcome,
    ...Outcome[],
  ];
  if (
    source === undefined ||
    notrack !== undefined ||
    others.some((other) => other.source !== source || other.connectionMark !== connectionMark)
  ) {
    return { unknown: 'whom the pod answers depends on what is not known' };
  }
  const entries = entryDevices(path, node, pod);
  if ('unknown' in entries) return entries;
  const [device] = entries.value;
  if (device === undefined || entries.value.length > 1) {
    return { unknown: `answers enter ${node.name} by ${entries.value.join(' or ')}` };
  }
  const { trace, asked } = followPacket(
    {
      entry: 'prerouting',
      family: packet.family,
      protocol: packet.protocol,
      source: pod,
      destination: source,
      sourcePort: port.containerPort,
      destinationPort: CLIENT_PORT,
      inputInterface: device,
      ctState: 'established',
      answers: {
        source: packet.source,
        destination: packet.destination,
        destinationPort: port.hostPort,
        translated: ['dnat', ...(sourceTranslation === undefined ? [] : (['snat'] as const))],
        mark: connectionMark,
      },
    },
    ruleset,
    node,
  );
  // Of what was masqueraded, the kernel finds the client again before it looks for a route.
  const client = canonicalAddress(sourceTranslation === undefined ? source : packet.source);
  const routed = asked.findLast(({ destination }) => destination === client);
  return { value: { trace, device, client, cameBy: packet.inputInterface, routed } };
}

function packetFrom(origin: Origin, path: PathView, node: NodeView, scene: Scene): Observed<Packet> {
  return remembered(path, PACKETS[origin], () => imaginePacket(origin, path, node, scene));
}

function imaginePacket(origin: Origin, path: PathView, node: NodeView, scene: Scene): Observed<Packet> {
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
  const device = routeToNeighbour(node, source)?.device;
  if (device === undefined) return { unknown: `no route to ${source}` };
  return { value: { ...common, entry: 'prerouting', source, inputInterface: device } };
}

/** An address that is not on the node but reaches it: another node's, or the gateway of its default route. */
export function neighbourOf(path: PathView, scene: Scene): string | undefined {
  const { node, family = 'IPv4' } = path;
  const other = otherNodeOf(path, scene);
  if (other !== undefined) return other;
  return known(node?.seen?.network.routes)?.find(
    ({ gateway, table }) =>
      table === 'main' &&
      gateway !== undefined &&
      FAMILY_NAME[familyOf(gateway)] === family &&
      parseIp(gateway) !== undefined,
  )?.gateway;
}

const OTHERS = memoKey<Map<FamilyName, string | undefined>>();

/** The address of another node of the cluster; undefined where there is none, or none is known. */
export function otherNodeOf({ node, family = 'IPv4' }: PathView, scene: Scene): string | undefined {
  if (node === undefined) return findOther(node, family, scene);
  const known = remembered(node, OTHERS, () => new Map());
  if (!known.has(family)) known.set(family, findOther(node, family, scene));
  return known.get(family);
}

function findOther(node: NodeView | undefined, family: FamilyName, scene: Scene): string | undefined {
  // Of the whole cluster: a scene may be of one node.
  for (const { metadata } of scene.world.nodes) {
    const name = metadata?.name ?? '';
    const address = name === node?.name ? undefined : scene.addressOf(name, family);
    if (address !== undefined) return address;
  }
  return undefined;
}

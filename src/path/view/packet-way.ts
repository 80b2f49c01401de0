import { formatEndpoint } from '../../util/endpoint.ts';
import type { PathVerdict } from '../model/finding.ts';
import { known } from '../model/observed.ts';
import { vantages } from '../model/probe.ts';
import type { NodeView } from './node-view.ts';
import { entryDevices } from './pod-devices.ts';
import { describeRoute, routeTo } from './routing.ts';
import type { PathView, Scene } from './scene.ts';
import { endOf } from './trace-end.ts';
import { type Answer, answerTo, originsOf, podAddress, takersOf, traceFrom } from './traces.ts';

/** The names of what a packet to one mapping passes, and its answer, as the node has them. What was not seen is absent. */
export interface PacketWay {
  /** Address and port that clients connect to. */
  address?: string;
  /** The device by which the node receives the packet. */
  entry?: string;
  /** The configuration file that the runtime uses, and the plugins of its chain in their order. */
  list?: string;
  plugins?: string;
  /** The executable of portmap. */
  binary?: string;
  /** The first characters of the sandbox's ID, and the network that it was attached to. */
  sandbox?: string;
  network?: string;
  /** The chain of the rule that translates the packet, with its table, and the rule or map element itself as its tool prints it. */
  chain?: string;
  rule?: string;
  /** The route to the pod, and the device that leads to it. */
  route?: string;
  device?: string;
  /** The pod's address and port. */
  pod?: string;
  /** What each probe saw: `outside: answered`. */
  probes?: string;
  /** The way of the answer: devices, addresses that are translated back, and where it leaves. */
  reply?: string;
  /** Why the way of the answer is not known. */
  replyUnknown?: string;
}

/** How many characters of a sandbox's ID its tools show. */
const ID_LENGTH = 13;

/**
 * The names along mappings, by the verdicts on them, of all or only of those that are `wanted`. A node at a time, so that only one node's rules are in
 * memory.
 */
export function packetWays(
  { scene, verdictOf }: { scene: Scene; verdictOf: ReadonlyMap<PathView, PathVerdict> },
  wanted?: ReadonlySet<PathVerdict>,
): Map<PathVerdict, PacketWay> {
  const ways = new Map<PathVerdict, PacketWay>();
  for (const part of scene.parts()) {
    for (const path of part.paths) {
      const verdict = verdictOf.get(path)!;
      if (wanted?.has(verdict) !== false) ways.set(verdict, packetWay(path, part));
    }
    part.release();
  }
  return ways;
}

/** The names along one mapping. Pure. */
export function packetWay(path: PathView, scene: Scene): PacketWay {
  const { node, address, port, sandbox, attachment } = path;
  const target = podAddress(path);
  const way: PacketWay = {
    address: address && formatEndpoint({ address, port: port.hostPort }),
    pod: target && formatEndpoint({ address: target, port: port.containerPort }),
    sandbox: sandbox?.id.slice(0, ID_LENGTH),
    network: attachment?.networkName,
    probes: probesOf(path),
  };
  const ofNode = node?.seen === undefined ? {} : namesOnNode(path, node, target, scene);
  const all = Object.entries({ ...way, ...ofNode }).filter(([, name]) => name !== undefined && name !== '');
  return Object.fromEntries(all);
}

function namesOnNode(path: PathView, node: NodeView, target: string | undefined, scene: Scene): PacketWay {
  const [origin] = originsOf(path);
  const plugin = node.plugin('portmap')?.[0];
  const devices = target === undefined ? undefined : known(entryDevices(path, node, target));
  const answer = answerTo(origin, path, scene);
  return {
    list: node.active?.path,
    plugins: node.chain?.map(({ type }) => type).join(' → '),
    binary: plugin && `${plugin.directory}/${plugin.name}`,
    ...ruleOf(path, scene),
    route: target === undefined ? undefined : describeRoute(routeTo(node, target)),
    device: devices?.join(' or '),
    ...('unknown' in answer
      ? { replyUnknown: answer.unknown }
      : { entry: answer.value.cameBy, reply: describeReply(answer.value, path) }),
  };
}

/** The rule that translates the mapping's packets: the one that does so for certain, else the first that may. */
function ruleOf(path: PathView, scene: Scene): Pick<PacketWay, 'chain' | 'rule'> {
  const trace = known(traceFrom(originsOf(path)[0], path, scene));
  const made = trace?.translation.known ? trace.translation.value : undefined;
  const taker = made ?? takersOf(path, scene)?.[0];
  if (taker === undefined) return {};
  const { backend, family, table, chain } = taker.rule.location;
  return {
    chain: `${backend} ${family} ${table} ${chain}`,
    rule: taker.element?.text ?? taker.rule.text,
  };
}

function probesOf({ probes }: PathView): string {
  return vantages
    .flatMap((vantage) => probes.get(vantage) ?? [])
    .map(({ vantage, outcome }) => `${vantage}: ${outcome}`)
    .join(', ');
}

/** An answer's way in one line, from the pod to the client. */
function describeReply({ trace, device, client }: Answer, path: PathView): string {
  const from = podAddress(path) ?? 'the pod';
  const steps = [from, device];
  const end = endOf(trace);
  const [first] = trace.outcomes;
  if (end !== undefined) steps.push(`${end.verdict} in ${end.base.name}`);
  else if (!trace.verdict.known) steps.push('not known');
  else if (trace.verdict.value !== 'accept') steps.push(trace.verdict.value);
  else {
    if (first?.source !== undefined && first.source !== from) steps.push(`from ${first.source}`);
    steps.push(first?.delivery?.kind === 'forward' ? first.delivery.outputInterface : 'the node itself');
    steps.push(client);
  }
  return steps.join(' → ');
}

import { nodeAddresses } from '../../kube/node-addresses.ts';
import type { Flow } from '../../path/model/node-report.ts';
import type { Observed } from '../../path/model/observed.ts';
import type { ProbeResult } from '../../path/model/probe.ts';
import type { World } from '../../path/model/world.ts';
import { DeadlineError } from '../../sys/exec.ts';
import { isLoopbackText } from '../../util/address.ts';
import { messageOf } from '../../util/errors.ts';
import type { ProbeOrder } from './order.ts';
import { type ProbeBatch, planProbes, type Stand } from './plan.ts';

/** How probes get to where they are sent from, and what the nodes' connection tracking says afterwards. */
export interface ProbeDoor {
  /** Sends the probes from one place, in one process. */
  send(stand: Stand, orders: readonly ProbeOrder[], signal?: AbortSignal): Promise<ProbeResult[]>;
  /** The connections that a node tracks. */
  flows(node: string, signal?: AbortSignal): Promise<Flow[]>;
  /** How many packets a node's reverse path filter has dropped so far; undefined when its kernel does not count them. */
  reversePathDrops(node: string, signal?: AbortSignal): Promise<number | undefined>;
}

/**
 * How many senders run at a time. Each is a process, and a hundred pods need a hundred of them: all at once, they would slow each other
 * down until probes of healthy hostPorts time out.
 */
const SENDERS = 6;
/** Of one node, so that one on which senders hang does not hold up those of others. */
const SENDERS_OF_NODE = 2;

export interface ProbingOptions {
  /** How many senders run at a time. */
  senders?: number;
  /** The nodes that probes can be sent from: then none is sent from outside. All, and outside, when absent. */
  from?: ReadonlySet<string>;
}

/**
 * Probes every mapping of a world from every vantage that there is, and asks connection tracking who
 * answered. What could not be sent is unknown, with the reason.
 */
export async function probeWorld(
  world: World,
  door: ProbeDoor,
  signal?: AbortSignal,
  { senders = SENDERS, from }: ProbingOptions = {},
): Promise<ProbeResult[]> {
  const batches = planProbes(world, from);
  const targets = new Set(batches.flatMap(({ orders }) => orders.map(({ node }) => node)));
  const before = await dropsOn(targets, door, signal);
  const results = (await sendAll(batches, door, senders, signal)).flat();
  const traced = new Set(results.filter(isTranslated).map(({ node }) => node));
  const silent = new Set(results.filter(isSilent).map(({ node }) => node));
  const [flows, after] = await Promise.all([flowsOn(traced, door, signal), dropsOn(silent, door, signal)]);
  signal?.throwIfAborted();
  const nodes = addressesOf(world);
  return results.map((result) =>
    withDrops(
      withAnswerer(result, flows.get(result.node), nodes),
      before.get(result.node),
      after.get(result.node),
    ),
  );
}

/** The nodes' addresses by name. */
function addressesOf({ nodes }: World): ReadonlyMap<string, readonly string[]> {
  return new Map(nodes.map((node) => [node.metadata?.name ?? '', nodeAddresses(node)]));
}

/** The tracked connections of nodes, which show who answered. Without them, the results of the probes are still valid. */
async function flowsOn(
  nodes: ReadonlySet<string>,
  door: ProbeDoor,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, Observed<FlowsByClient>>> {
  const reads = [...nodes].map(async (node) => {
    const seen = await door.flows(node, signal).then(
      (flows) => ({ value: byClient(flows) }),
      (cause) => ({ unknown: messageOf(cause) }),
    );
    return [node, seen] as const;
  });
  return new Map(await Promise.all(reads));
}

/** The counters of nodes' reverse path filters. One that cannot be read proves nothing, and is undefined. */
async function dropsOn(
  nodes: ReadonlySet<string>,
  door: ProbeDoor,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, number | undefined>> {
  const reads = [...nodes].map(async (node) => {
    return [node, await door.reversePathDrops(node, signal).catch(() => undefined)] as const;
  });
  return new Map(await Promise.all(reads));
}

/**
 * Sends every batch, few at a time; the results are in the order of the batches. Where a sender hangs until its deadline, the next ones most likely
 * would, too: what is left to be sent from that node is unknown without waiting.
 */
async function sendAll(
  batches: readonly ProbeBatch[],
  door: ProbeDoor,
  most: number,
  signal: AbortSignal | undefined,
): Promise<ProbeResult[][]> {
  const answers: ProbeResult[][] = [];
  const waiting = [...batches.entries()];
  const running = new Map<string, number>();
  const hung = new Set<string>();
  const senders = new Set<Promise<void>>();
  const send = async (index: number, batch: ProbeBatch, place: string) => {
    try {
      answers[index] = await door.send(batch.stand, batch.orders, signal);
    } catch (cause) {
      signal?.throwIfAborted();
      if (cause instanceof DeadlineError) hung.add(place);
      answers[index] = notSent(batch, messageOf(cause));
    } finally {
      running.set(place, running.get(place)! - 1);
    }
  };
  /** Starts the next batch that may run now; false when there is none. */
  const startNext = (): boolean => {
    const at = waiting.findIndex(
      ([, { stand }]) => (running.get(placeOf(stand)) ?? 0) < SENDERS_OF_NODE || hung.has(placeOf(stand)),
    );
    if (at < 0) return false;
    const [[index, batch]] = waiting.splice(at, 1) as [[number, ProbeBatch]];
    const place = placeOf(batch.stand);
    if (hung.has(place)) {
      answers[index] = notSent(batch, `not sent: another sender of ${place} hung until its deadline`);
      return true;
    }
    running.set(place, (running.get(place) ?? 0) + 1);
    const sending: Promise<void> = send(index, batch, place).finally(() => senders.delete(sending));
    senders.add(sending);
    return true;
  };
  try {
    while (waiting.length > 0 || senders.size > 0) {
      while (senders.size < most && startNext());
      if (senders.size > 0) await Promise.race(senders);
    }
  } finally {
    // What fails is cancelled: the other senders end, and are waited for.
    await Promise.allSettled(senders);
  }
  return answers;
}

/** Where a sender hangs, others of the same place do. */
function placeOf(stand: Stand): string {
  return stand.at === 'outside' ? 'the network of the nodes' : stand.node;
}

function notSent({ orders }: ProbeBatch, detail: string): ProbeResult[] {
  return orders.map((order): ProbeResult => ({ ...order, outcome: 'unknown', detail, milliseconds: 0 }));
}

/** Whether the node's connection tracking can have an entry for a probe. */
function isTranslated({ vantage, sourcePort }: ProbeResult): boolean {
  return vantage !== 'direct' && sourcePort !== undefined;
}

function isSilent({ outcome }: ProbeResult): boolean {
  return outcome === 'timeout';
}

/** Connections by protocol, client's port, destination and its port. */
type FlowsByClient = ReadonlyMap<string, readonly Flow[]>;

function byClient(flows: readonly Flow[]): FlowsByClient {
  return Map.groupBy(flows, (flow) =>
    flowKey(flow.protocol, flow.sourcePort, flow.destination, flow.destinationPort),
  );
}

/**
 * Whether a connection may be the probe's, by its source. Clients choose their ports independently, so a probe and an older connection can
 * have the same port.
 */
function fits(
  { vantage, from, node }: ProbeResult,
  { source }: Flow,
  nodes: ReadonlyMap<string, readonly string[]>,
): boolean {
  switch (vantage) {
    case 'other-node':
      return nodes.get(from ?? '')?.includes(source) ?? false;
    case 'node':
    case 'loopback':
      return isLoopbackText(source) || (nodes.get(node)?.includes(source) ?? false);
    default:
      return ![...nodes.values()].flat().includes(source);
  }
}

function flowKey(protocol: string, sourcePort: number, destination: string, port: number): string {
  return `${protocol.toLowerCase()} ${sourcePort} ${destination} ${port}`;
}

function withDrops(result: ProbeResult, before: number | undefined, after: number | undefined): ProbeResult {
  if (before === undefined || after === undefined || !isSilent(result)) return result;
  return { ...result, reversePathDrops: after - before };
}

function withAnswerer(
  result: ProbeResult,
  flows: Observed<FlowsByClient> | undefined,
  nodes: ReadonlyMap<string, readonly string[]>,
): ProbeResult {
  if (flows === undefined || !isTranslated(result)) return result;
  if ('unknown' in flows) return { ...result, untold: flows.unknown };
  const { protocol, sourcePort, target } = result;
  const found = flows.value.get(flowKey(protocol, sourcePort!, target.address, target.port)) ?? [];
  if (found.length === 0) return { ...result, tracked: false };
  const [flow, ...others] = found.length === 1 ? found : found.filter((each) => fits(result, each, nodes));
  if (flow === undefined || others.length > 0) {
    return { ...result, untold: `${found.length} connections have its port ${sourcePort}` };
  }
  return {
    ...result,
    tracked: true,
    answeredBy: { address: flow.replySource, port: flow.replySourcePort },
    replied: !flow.unreplied,
    seenSource: flow.replyDestination,
  };
}

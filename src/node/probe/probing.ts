import { nodeAddresses } from '../../kube/node-addresses.ts';
import type { Flow } from '../../path/model/node-report.ts';
import type { Observed } from '../../path/model/observed.ts';
import type { ProbeResult } from '../../path/model/probe.ts';
import type { World } from '../../path/model/world.ts';
import { DeadlineError } from '../../sys/exec.ts';
import { isLoopbackText } from '../../util/address.ts';
import { messageOf } from '../../util/errors.ts';
import { fewAtATime } from '../../util/settle.ts';
import { MAX_ORDERS } from './order.ts';
import { type ProbeBatch, planProbes, type Stand } from './plan.ts';

/** How probes get to where they are sent from, and what the nodes' connection tracking says afterwards. */
export interface ProbeDoor {
  /**
   * Sends the probes of some batches, all from one node and the pods on it, or all from outside, and returns what became of each batch. Rejects when
   * nothing is known of any.
   */
  send(batches: readonly ProbeBatch[], signal?: AbortSignal): Promise<Observed<ProbeResult[]>[]>;
  /** The connections that a node tracks of clients with these ports. */
  flows(node: string, sourcePorts: readonly number[], signal?: AbortSignal): Promise<Flow[]>;
  /** How many packets a node's reverse path filter has dropped so far; undefined when its kernel does not count them. */
  reversePathDrops(node: string, signal?: AbortSignal): Promise<number | undefined>;
}

/** How many places are sent from at a time, unless more is asked for: in a lab all of them are one machine. */
const SENDERS = 6;

export interface ProbingOptions {
  /** How many nodes send at a time. */
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
  const traced = Map.groupBy(results.filter(isTranslated), ({ node }) => node);
  const silent = new Set(results.filter(isSilent).map(({ node }) => node));
  const [flows, after] = await Promise.all([
    flowsOn(traced, door, senders, signal),
    dropsOn(silent, door, signal),
  ]);
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

/** The tracked connections of the probes to each node, which show who answered. Without them, the results of the probes are still valid. */
async function flowsOn(
  probes: ReadonlyMap<string, readonly ProbeResult[]>,
  door: ProbeDoor,
  most: number,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, Observed<FlowsByClient>>> {
  const reads = await fewAtATime(probes, most, async ([node, to]) => {
    const ports = new Set(to.map(({ sourcePort }) => sourcePort!));
    const seen = await door.flows(node, [...ports], signal).then(
      (flows) => ({ value: byClient(flows) }),
      (cause) => ({ unknown: messageOf(cause) }),
    );
    return [node, seen] as const;
  });
  return new Map(reads);
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
 * Sends every batch, from few places at a time; the results are in the order of the batches. Where sending hangs until its deadline, the next ones most
 * likely would, too: what is left to be sent from there is unknown without waiting.
 */
async function sendAll(
  batches: readonly ProbeBatch[],
  door: ProbeDoor,
  most: number,
  signal: AbortSignal | undefined,
): Promise<ProbeResult[][]> {
  const answers: ProbeResult[][] = [];
  const places = Map.groupBy(batches.entries(), ([, { stand }]) => placeOf(stand));
  await fewAtATime(places, most, async ([place, own]) => {
    let isHung = false;
    for (const part of inRequests(own)) {
      if (isHung) {
        const why = `not sent: what was sent from ${place} before hung until its deadline`;
        for (const [index, batch] of part) answers[index] = notSent(batch, why);
        continue;
      }
      try {
        const seen = await door.send(
          part.map(([, batch]) => batch),
          signal,
        );
        for (const [i, [index, batch]] of part.entries()) {
          const of = seen[i]!;
          answers[index] = 'value' in of ? of.value : notSent(batch, of.unknown);
        }
      } catch (cause) {
        signal?.throwIfAborted();
        isHung = cause instanceof DeadlineError;
        for (const [index, batch] of part) answers[index] = notSent(batch, messageOf(cause));
      }
    }
  });
  return answers;
}

/** The batches of a place in parts that one request takes. */
function* inRequests<T extends [number, ProbeBatch]>(batches: readonly T[]): Generator<T[]> {
  let part: T[] = [];
  let orders = 0;
  for (const entry of batches) {
    const more = entry[1].orders.length;
    if (part.length > 0 && orders + more > MAX_ORDERS) {
      yield part;
      part = [];
      orders = 0;
    }
    part.push(entry);
    orders += more;
  }
  if (part.length > 0) yield part;
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

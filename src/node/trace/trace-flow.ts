import { randomInt } from 'node:crypto';
import { z } from 'zod';
import { flowRecordSchema, type TracedFlow } from '../../path/model/flow-trace.ts';
import type { ProbeResult, Vantage } from '../../path/model/probe.ts';
import { type Story, storyOf } from '../../path/trace/story.ts';
import { familyOf } from '../../util/family.ts';
import type { ProbeOrder } from '../probe/order.ts';
import type { Stand } from '../probe/plan.ts';
import type { ProbeDoor } from '../probe/probing.ts';
import type { NodeRequest } from '../serve/request.ts';

/** How a trace gets to its node, and its probe to where it is sent from. */
export interface TraceDoor {
  send: ProbeDoor['send'];
  /** Asks the process on a node, or the one outside of all. */
  ask(place: { node: string } | 'outside', request: NodeRequest, signal?: AbortSignal): Promise<unknown>;
  /** Whether all places share one kernel, so that its drops name the sender wherever that is. */
  isOneKernel: boolean;
}

/** What is to be traced. */
export interface TraceOrder {
  node: string;
  /** Where the probe is sent: an address of the node, or 127.0.0.1. */
  address: string;
  port: number;
  protocol: TracedFlow['protocol'];
  /** Of the pod that asks for the hostPort, if one does. */
  containerPort?: number;
  from: Stand;
}

export interface Traced {
  flow: TracedFlow;
  probe: Pick<ProbeResult, 'outcome' | 'detail'>;
  story: Story;
}

/** Ports that senders are given by no kernel of its own accord, and that services seldom have. */
const SOURCE_PORTS = [61_000, 65_535] as const;
/** A port can be taken by somebody else. */
const ATTEMPTS = 4;

/** Sends one probe while a node's kernel traces it; what became of it. Nothing of the trace is left on the node afterwards. */
export async function traceFlow(door: TraceDoor, order: TraceOrder, signal?: AbortSignal): Promise<Traced> {
  const pid = await senderPid(door, order, signal);
  for (let attempt = 1; ; attempt++) {
    const { problem, ...traced } = await traceOnce(door, order, pid, signal);
    if (attempt === ATTEMPTS || problem !== 'source-port-taken') return traced;
  }
}

async function traceOnce(
  door: TraceDoor,
  order: TraceOrder,
  pid: number | undefined,
  signal: AbortSignal | undefined,
): Promise<Traced & Pick<ProbeResult, 'problem'>> {
  const { node, address, port, protocol, containerPort, from } = order;
  const sourcePort = randomInt(SOURCE_PORTS[0], SOURCE_PORTS[1] + 1);
  const flow: TracedFlow = {
    protocol,
    family: familyOf(address),
    address,
    port,
    sourcePort,
    ...(containerPort !== undefined && { containerPort }),
  };
  const trace = z.string().parse(await door.ask({ node }, { do: 'trace-start', flow }, signal));
  let probe: ProbeResult | undefined;
  let recorded: unknown;
  try {
    const probeOrder: ProbeOrder = {
      vantage: vantageOf(order),
      node,
      ...(from.at !== 'outside' && { from: from.node }),
      podUid: '',
      protocol,
      hostPort: port,
      target: { address, port },
      sourcePort,
    };
    const [sent] = await door.send([{ stand: from, orders: [probeOrder] }], signal);
    if (sent === undefined || 'unknown' in sent)
      throw new Error(`cannot send the probe: ${sent?.unknown ?? 'no result'}`);
    [probe] = sent.value;
  } finally {
    // Also when it was interrupted: what is on the node must go.
    recorded = await door.ask({ node }, { do: 'trace-stop', trace });
  }
  if (probe === undefined) throw new Error('the probe has no result');
  const isNode = from.at === 'node' && from.node === node;
  const { outcome, detail, problem } = probe;
  const story = storyOf(flow, { isNode, pid }, probe, flowRecordSchema.parse(recorded));
  return { flow, probe: { outcome, detail }, story, ...(problem !== undefined && { problem }) };
}

async function senderPid(
  door: TraceDoor,
  { node, from }: TraceOrder,
  signal: AbortSignal | undefined,
): Promise<number | undefined> {
  const isSameKernel = door.isOneKernel || (from.at !== 'outside' && from.node === node);
  if (!isSameKernel) return undefined;
  const place = from.at === 'outside' ? from.at : { node: from.node };
  const pid = z
    .number()
    .nullable()
    .parse(await door.ask(place, { do: 'trace-sender' }, signal));
  return pid ?? undefined;
}

function vantageOf({ node, from }: TraceOrder): Vantage {
  if (from.at === 'outside' || from.at === 'pod') return from.at;
  return from.node === node ? 'node' : 'other-node';
}

import { diagnose } from '../../path/diagnose/diagnose.ts';
import type { ProbeResult } from '../../path/model/probe.ts';
import type { World } from '../../path/model/world.ts';
import { type WorthTracing, worthTracing } from '../../path/trace/worth-tracing.ts';
import { messageOf } from '../../util/errors.ts';
import { fewAtATime } from '../../util/settle.ts';
import type { Stand } from '../probe/plan.ts';
import { type TraceDoor, traceFlow } from './trace-flow.ts';

/** A trace takes a second or two, and a node has one at a time: what is broken on a hundred pods is seen on a few. */
const MOST_OF_NODE = 10;
/** How many nodes trace at a time. */
const NODES_AT_A_TIME = 6;

/** Asks the kernels of nodes about the probes of a world that reading alone does not explain, and notes their word beside these. */
export async function traceWorld(world: World, door: TraceDoor, signal?: AbortSignal): Promise<World> {
  const byNode = Map.groupBy(worthTracing(diagnose(world)), ({ probe }) => probe.node).values();
  const traces = new Map<ProbeResult, ProbeResult['trace']>();
  await fewAtATime(byNode, NODES_AT_A_TIME, async (ofNode) => {
    for (const each of ofNode.slice(0, MOST_OF_NODE))
      traces.set(each.probe, await traceOf(each, door, signal));
  });
  const probes = world.probes.map((probe) => {
    const trace = traces.get(probe);
    return trace === undefined ? probe : { ...probe, trace };
  });
  return { ...world, probes };
}

async function traceOf(
  { path, probe }: WorthTracing,
  door: TraceDoor,
  signal: AbortSignal | undefined,
): Promise<NonNullable<ProbeResult['trace']>> {
  const { node, protocol, target } = probe;
  const from = standOf({ path, probe });
  try {
    if (from === undefined) throw new Error('the pod has no network of its own');
    const order = { node, ...target, protocol, containerPort: path.port.containerPort, from };
    const { outcome, message, death } = (await traceFlow(door, order, signal)).story;
    return {
      ...{ outcome, message },
      ...(death?.reason !== undefined && { reason: death.reason }),
      ...(death?.code !== undefined && { code: death.code }),
    };
  } catch (cause) {
    signal?.throwIfAborted();
    return { outcome: 'inconclusive', message: `cannot be asked: ${messageOf(cause)}` };
  }
}

function standOf({ path: { sandbox }, probe: { vantage, node, from } }: WorthTracing): Stand | undefined {
  if (vantage === 'outside') return { at: 'outside' };
  if (vantage !== 'pod') return { at: 'node', node: from ?? node };
  return sandbox?.netns === undefined ? undefined : { at: 'pod', node, netns: sandbox.netns };
}

import { type ProbeBatch, planProbes } from '../../node/probe/plan.ts';
import type { ProbeDoor } from '../../node/probe/probing.ts';
import { formatPort } from '../../path/model/host-ports.ts';
import type { ProbeResult } from '../../path/model/probe.ts';
import type { World } from '../../path/model/world.ts';
import { podName } from '../../path/view/pod-name.ts';
import type { Clock } from '../../sys/clock.ts';
import { OUTCOME_LETTERS, type Traffic, type TrafficShown } from '../../ui/protocol.ts';
import { formatEndpoint } from '../../util/endpoint.ts';
import { messageOf } from '../../util/errors.ts';

/** Between two rounds, in milliseconds: a person sees that something answers, and it stays a small part of the machine's work. */
const PAUSE_MS = 1000;
/** How many outcomes of each hostPort are shown. */
const STRIP = 60;
/** How many hostPorts are probed at most. */
const MAX_PORTS = 200;

/**
 * Sends one probe after another to every hostPort of TCP, {@link MAX_PORTS} at most, from the lab's network outside of the nodes, and shows what
 * became of them. `world`: what was last observed.
 */
export async function labTraffic(
  door: ProbeDoor,
  world: () => World | undefined,
  show: (traffic: TrafficShown) => void,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  let strips = new Map<string, string>();
  while (!signal.aborted) {
    const seen = world();
    if (seen !== undefined) {
      const { results, leftOut } = await probeOnce(door, seen, signal);
      const pods = new Map(seen.pods.map(({ metadata }) => [metadata?.uid ?? '', metadata]));
      const next = new Map<string, string>();
      const ports = results.map((result): Traffic => {
        const { node, podUid, target, outcome, detail, milliseconds } = result;
        const { name = '', namespace = 'default' } = pods.get(podUid) ?? {};
        const [pod, port] = [podName({ namespace, name }), formatPort(result)];
        const key = JSON.stringify([node, pod, port, target]);
        const strip = ((strips.get(key) ?? '') + OUTCOME_LETTERS[outcome]).slice(-STRIP);
        next.set(key, strip);
        return { node, pod, port, address: formatEndpoint(target), strip, detail, milliseconds };
      });
      strips = next;
      show({ ports, leftOut });
    }
    try {
      await clock.sleep(PAUSE_MS, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}

/** One probe of each hostPort, and how many were left out. Those that could not be sent are unknown, with the reason. */
async function probeOnce(
  door: ProbeDoor,
  world: World,
  signal: AbortSignal,
): Promise<{ results: ProbeResult[]; leftOut: number }> {
  const all = planProbes(world)
    .filter(({ stand }) => stand.at === 'outside')
    .flatMap(({ orders }) => orders.filter(({ protocol }) => protocol === 'TCP'));
  const orders = all.slice(0, MAX_PORTS);
  const leftOut = all.length - orders.length;
  if (orders.length === 0) return { results: [], leftOut };
  const batches: ProbeBatch[] = [{ stand: { at: 'outside' }, orders }];
  const unsent = (detail: string) => ({
    results: orders.map((order): ProbeResult => ({ ...order, outcome: 'unknown', detail, milliseconds: 0 })),
    leftOut,
  });
  try {
    const seen = await door.send(batches, signal);
    const results = seen.flatMap((of) => ('value' in of ? of.value : unsent(of.unknown).results));
    return { results, leftOut };
  } catch (cause) {
    if (signal.aborted) return { results: [], leftOut };
    return unsent(messageOf(cause));
  }
}

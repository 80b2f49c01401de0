import type { ProbeResult } from '../../path/model/probe.ts';
import { messageOf } from '../../util/errors.ts';
import { fewAtATime } from '../../util/settle.ts';
import type { Heard, Probe } from './heard.ts';
import type { ProbeOrder } from './order.ts';
import { probeSctp, probeTcp } from './stream.ts';
import { probeUdp } from './udp.ts';

/** How each protocol is probed. */
export const probes: Readonly<Record<ProbeOrder['protocol'], Probe>> = {
  TCP: probeTcp,
  UDP: probeUdp,
  SCTP: probeSctp,
};

/** How many probes are under way at a time: enough that timeouts do not add up, few enough that no queue of the kernel fills. */
const CONCURRENCY = 64;

/** Sends the probes from this process's network namespace and returns their results in the order of the orders. */
export async function sendProbes(
  orders: readonly ProbeOrder[],
  timeoutMs: number,
  send: Readonly<Record<ProbeOrder['protocol'], Probe>> = probes,
): Promise<ProbeResult[]> {
  return fewAtATime(orders, CONCURRENCY, (order) => make(order, timeoutMs, send));
}

async function make(
  order: ProbeOrder,
  timeoutMs: number,
  send: Readonly<Record<ProbeOrder['protocol'], Probe>>,
): Promise<ProbeResult> {
  const started = performance.now();
  const once = async (): Promise<Heard> => {
    try {
      const { target, sourcePort } = order;
      return await send[order.protocol](target.address, target.port, timeoutMs, sourcePort);
    } catch (cause) {
      return { outcome: 'unknown', detail: messageOf(cause) };
    }
  };
  let heard = await once();
  // One packet lost on a busy machine does not mean that the port is dead. A probe with a port of its own is followed as one connection.
  if (heard.outcome === 'timeout' && order.sourcePort === undefined) heard = await once();
  return { ...order, ...heard, milliseconds: Math.round(performance.now() - started) };
}

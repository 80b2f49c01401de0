import { formatEndpoint } from '../../util/endpoint.ts';
import type { FlowRecord, TracedEvent } from '../model/flow-trace.ts';
import { type Direction, hookOf, isWatch, type TracedPacket } from './packets.ts';

/** One thing that happened to a packet on the node. */
export interface TraceStep {
  direction: Direction;
  kind: 'arrived' | 'hook' | 'rule' | 'policy' | 'rewrite' | 'left';
  hook?: string;
  /** Of `arrived` and `hook`: by which it came in; of `hook` and `left`: by which it leaves. */
  input?: string;
  output?: string;
  /** The packet's source and destination, as it comes to the node and as it is after a rewrite. */
  source?: string;
  destination?: string;
  /** Family and name, as `ip nat`. */
  table?: string;
  chain?: string;
  rule?: string;
  verdict?: TracedEvent['verdict'];
  field?: 'source' | 'destination';
  from?: string;
  to?: string;
}

/** Where a packet was seen last. */
export interface PacketEnd {
  hook: string | undefined;
  /** All chains of the hook were passed. */
  isBehindHook: boolean;
  /** The device that it left by, or was to leave by. */
  output: string | undefined;
  /** The rule or policy that ended it. */
  decision: (TraceStep & { verdict: 'drop' | 'queue' | 'stolen' }) | undefined;
  /** The last chain of the node's own rules. */
  chain: string | undefined;
  source: string;
  destination: string;
}

/** The way of a packet: what the node's rules and the kernel did to it, in order. */
export function wayOf(packet: TracedPacket, record: FlowRecord): { steps: TraceStep[]; end: PacketEnd } {
  const { direction } = packet;
  const steps: TraceStep[] = [];
  let hook: string | undefined;
  let seen = { source: '', destination: '' };
  let output: string | undefined;
  let isBehindHook = false;
  let chain: string | undefined;
  for (const event of packet.events) {
    const at = hookOf(event, record) ?? hook;
    if (event.packet !== undefined) {
      const { source, destination, sourcePort, destinationPort, inputInterface, outputInterface } =
        event.packet;
      const now = { source: place(source, sourcePort), destination: place(destination, destinationPort) };
      for (const field of ['source', 'destination'] as const) {
        if (seen[field] === '' || seen[field] === now[field]) continue;
        const before = { from: seen[field], to: now[field] };
        steps.push({ direction, kind: 'rewrite', ...(hook && { hook }), field, ...before });
      }
      output = outputInterface;
      if (at !== hook) {
        const devices = {
          ...(inputInterface !== undefined && { input: inputInterface }),
          ...(outputInterface !== undefined && { output: outputInterface }),
        };
        const kind = at === 'ingress' ? 'arrived' : at === 'egress' ? 'left' : 'hook';
        const first = seen.source === '' ? now : {};
        steps.push({ direction, kind, ...(kind === 'hook' && { hook: at! }), ...devices, ...first });
        isBehindHook = false;
      }
      hook = at;
      seen = now;
    }
    if (isWatch(event)) {
      if (event.chain.endsWith('-end') || event.chain === 'left') isBehindHook = true;
      continue;
    }
    const table = `${event.family} ${event.table}`;
    chain = `${table} ${event.chain}`;
    // Without a number it is the end of a chain.
    const isRule = event.type === 'rule' && event.handle !== undefined;
    if (isRule || (event.type === 'policy' && event.verdict === 'drop')) {
      const { verdict, text } = event;
      const where = { ...(hook && { hook }), table, chain: event.chain, verdict };
      steps.push({
        direction,
        kind: isRule ? 'rule' : 'policy',
        ...where,
        ...(text !== undefined && { rule: text }),
      });
    }
  }
  const last = steps.findLast(({ kind }) => kind !== 'rewrite');
  const isEnded = last?.verdict === 'drop' || last?.verdict === 'queue' || last?.verdict === 'stolen';
  const decision = isEnded ? (last as PacketEnd['decision']) : undefined;
  return { steps, end: { hook, isBehindHook, output, decision, chain, ...seen } };
}

function place(address: string, port: number | undefined): string {
  return port === undefined ? address : formatEndpoint({ address, port });
}

import type { FlowRecord, TracedEvent, TracedFlow } from '../model/flow-trace.ts';
import { WATCH_PREFIX } from '../model/flow-trace.ts';

export type Direction = 'request' | 'answer';

/** All that the kernel said of one packet, in order. */
export interface TracedPacket {
  direction: Direction;
  events: readonly TracedEvent[];
}

/** Whether an event is of the table that watches, which says where the packet is and decides nothing. */
export function isWatch({ table }: Pick<TracedEvent, 'table'>): boolean {
  return table.startsWith(WATCH_PREFIX);
}

/** Chains of the watching table where a packet begins its way through the node. */
const BEGINNINGS: readonly string[] = ['arrived', 'prerouting-first', 'output-first'];

/**
 * The first packet of each direction: the one that asks for a connection, and the first that answers it. The kernel numbers packets by where
 * they are in memory, so a number may come again for a later packet. A packet that the node sends to itself begins twice.
 */
export function firstPackets(
  flow: TracedFlow,
  events: readonly TracedEvent[],
): Partial<Record<Direction, TracedPacket>> {
  const found: Partial<Record<Direction, { direction: Direction; events: TracedEvent[] }>> = {};
  /** The packet that events of a number belong to; undefined: one that came later. */
  const open = new Map<number, { events: TracedEvent[] } | undefined>();
  for (const event of events) {
    const { id, packet } = event;
    if (packet !== undefined && isWatch(event) && BEGINNINGS.includes(event.chain)) {
      const known = open.get(id);
      const last = known?.events.at(-1);
      // From the device's chain on to the first of IP, it is the same one.
      const goesOn = event.chain === 'prerouting-first' && last !== undefined && last.chain === 'arrived';
      const direction = directionOf(flow, event);
      const first = found[direction];
      const comesBack = packet.inputInterface === 'lo' && first !== undefined && hasLeftByLo(first.events);
      if (comesBack) open.set(id, first);
      else if (!goesOn) {
        if (first === undefined) {
          const made = { direction, events: [] };
          found[direction] = made;
          open.set(id, made);
        } else open.set(id, undefined);
      }
    } else if (!open.has(id) && packet !== undefined) {
      // Known by its connection only, from the middle of a hook on.
      const direction = directionOf(flow, event);
      const made = found[direction] === undefined ? { direction, events: [] } : undefined;
      if (made !== undefined) found[direction] = made;
      open.set(id, made);
    }
    open.get(id)?.events.push(event);
  }
  return found;
}

function directionOf({ sourcePort, port }: TracedFlow, { packet }: TracedEvent): Direction {
  return packet!.sourcePort === sourcePort && packet!.destinationPort === port ? 'request' : 'answer';
}

function hasLeftByLo(events: readonly TracedEvent[]): boolean {
  const last = events.findLast(({ packet }) => packet !== undefined);
  return last?.chain === 'postrouting-end' && last.packet?.outputInterface === 'lo';
}

/** The hook that an event is at; undefined where the node's rules do not say. */
export function hookOf(event: TracedEvent, { hooks }: Pick<FlowRecord, 'hooks'>): string | undefined {
  if (!isWatch(event)) return hooks[`${event.family} ${event.table} ${event.chain}`];
  if (event.chain === 'arrived') return 'ingress';
  if (event.chain === 'left') return 'egress';
  return event.chain.replace(/-(first|end|tracked)$/, '');
}

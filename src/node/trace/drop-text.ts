import type { Drop } from '../../path/model/flow-trace.ts';

/** What the recorder writes into its own trace, to learn the number that its thread has there. */
export const MARK = 'hostport trace';

/** Reasons that say nothing of a connection that cannot be made, and are many on a busy node. */
const OF_NO_USE: readonly string[] = [
  'NOT_SPECIFIED',
  'QUEUE_PURGE',
  'TCP_ABORT_ON_DATA',
  'TCP_OLD_DATA',
  'TCP_OLD_ACK',
  'TCP_OFOMERGE',
  'UNIX_DISCONNECT',
  'UNIX_SKIP_OOB',
];
/** linux/if_ether.h, as the event has it. */
const PROTOCOL = { ipv4: 0x0800, ipv6: 0x86dd } as const;

/**
 * The filter that keeps of the event skb:kfree_skb what is of an address family and has a reason of use. Numbers of reasons differ from kernel
 * to kernel: they are read from the event's `format`. Undefined where this kernel gives no reasons (before Linux 5.17).
 */
export function dropFilter(format: string, family: keyof typeof PROTOCOL): string | undefined {
  if (!/\bfield:[^;]*\breason;/.test(format)) return undefined;
  const numbers = [...format.matchAll(/\{\s*(\d+|0x[0-9a-f]+),\s*"(\w+)"\s*\}/g)].flatMap(
    ([, number, name]) => (OF_NO_USE.includes(name!) ? [Number(number)] : []),
  );
  return [`protocol == ${PROTOCOL[family]}`, ...numbers.map((number) => `reason != ${number}`)].join(' && ');
}

/** The drops in the text of a trace, in order, and the number of the thread that wrote {@link MARK}. */
export function readDrops(trace: string, most: number): { drops: Drop[]; pid: number | undefined } {
  const drops: Drop[] = [];
  let pid: number | undefined;
  for (const line of trace.split('\n')) {
    // `name-pid [cpu] flags time: event: …`; a name may hold anything.
    const head = /^.*-(\d+)\s+\[\d+\]\s.*?\s\d+\.\d+: (\w+): (.*)$/.exec(line);
    if (head === null) continue;
    const [, thread, event, rest] = head as unknown as [string, string, string, string];
    if (event === 'tracing_mark_write' && rest.startsWith(MARK)) pid = Number(thread);
    if (event !== 'kfree_skb' || drops.length >= most) continue;
    const reason = /\breason: (\w+)/.exec(rest)?.[1];
    const location = /\blocation=([\w.]+)/.exec(rest)?.[1];
    if (reason !== undefined) drops.push({ reason, location: location ?? 'unknown', pid: Number(thread) });
  }
  return { drops, pid };
}

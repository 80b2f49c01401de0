import type { Flow } from '../../path/model/node-report.ts';
import { type Exec, ExecError } from '../../sys/exec.ts';
import { FAMILIES } from '../../util/family.ts';

/** Which flows of the node are of interest. */
export interface FlowFilter {
  hostPorts: ReadonlySet<number>;
  /** Addresses of pods. */
  addresses: ReadonlySet<string>;
}

/** Beyond this many a table is not read: it would take longer than a report may, and hundreds of megabytes. */
const MAX_TRACKED = 200_000;
const MAX_FLOWS = 5000;

/**
 * The tracked connections whose destination port is one of the hostPorts, or which a pod answers. `tracked` is the size of the
 * kernel's table (`nf_conntrack_count`).
 */
export async function readFlows(exec: Exec, filter: FlowFilter, tracked: number): Promise<Flow[]> {
  if (tracked > MAX_TRACKED) throw new Error(`${tracked} connections are tracked, too many to read`);
  const tables = await Promise.all(
    FAMILIES.map(async (family) => {
      const argv = ['conntrack', '-L', '-f', family];
      const result = await exec.run(argv);
      if (result.code !== 0) throw new ExecError(argv, result);
      return result.stdout;
    }),
  );
  return parseFlows(tables.join('\n'))
    .filter((flow) => filter.hostPorts.has(flow.destinationPort) || filter.addresses.has(flow.replySource))
    .slice(0, MAX_FLOWS);
}

/** Reads what `conntrack -L` prints; lines of protocols without ports are not of interest. */
export function parseFlows(text: string): Flow[] {
  return text.split('\n').flatMap((line) => {
    const words = line.trim().split(/\s+/);
    // nf_conntrack_standalone.c: protocol, its number, seconds left, state (TCP and SCTP), the two directions, flags.
    const [protocol, , , state] = words;
    const values = (key: string) =>
      words.filter((word) => word.startsWith(`${key}=`)).map((word) => word.slice(key.length + 1));
    const [source, replySource] = values('src');
    const [destination, replyDestination] = values('dst');
    const [sourcePort, replySourcePort] = values('sport').map(Number);
    const [destinationPort, replyDestinationPort] = values('dport').map(Number);
    if (protocol === undefined || replySource === undefined || replySourcePort === undefined) return [];
    return [
      {
        protocol,
        ...(state === undefined || state.includes('=') ? {} : { state }),
        source: source!,
        sourcePort: sourcePort!,
        destination: destination!,
        destinationPort: destinationPort!,
        replySource,
        replySourcePort,
        replyDestination: replyDestination!,
        replyDestinationPort: replyDestinationPort!,
        unreplied: words.includes('[UNREPLIED]'),
      },
    ];
  });
}

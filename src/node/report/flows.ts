import type { Flow } from '../../path/model/node-report.ts';
import { type Exec, ExecError, type ExecResult } from '../../sys/exec.ts';

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
  return parseFlows(await listFlows(exec))
    .filter((flow) => filter.hostPorts.has(flow.destinationPort) || filter.addresses.has(flow.replySource))
    .slice(0, MAX_FLOWS);
}

/** The tracked connections of clients with these ports: a busy node has hundreds of thousands of others. */
export async function readFlowsFrom(exec: Exec, sourcePorts: ReadonlySet<number>): Promise<Flow[]> {
  const lines = (await listFlows(exec)).split('\n');
  const isOfThem = (line: string) => sourcePorts.has(Number(/ sport=(\d+)/.exec(line)?.[1]));
  return parseFlows(lines.filter(isOfThem).join('\n'));
}

/**
 * All tracked connections of this network namespace, as conntrack lists them. The kernel goes through the table of the whole machine each time, however few of it are
 * of this namespace, so conntrack is run once where it lists both families: without `-f`, older ones list IPv4 alone.
 */
async function listFlows(exec: Exec): Promise<string> {
  const { stdout, stderr } = await conntrack(exec, []);
  const others = listsAllFamilies(stderr) ? '' : (await conntrack(exec, ['-f', 'ipv6'])).stdout;
  return `${stdout}\n${others}`;
}

async function conntrack(exec: Exec, options: readonly string[]): Promise<ExecResult> {
  const argv = ['conntrack', '-L', ...options];
  const result = await exec.run(argv);
  if (result.code !== 0) throw new ExecError(argv, result);
  return result;
}

/** Whether it is a version that asks the kernel for AF_UNSPEC by default, by what it prints: `conntrack v1.4.7 (conntrack-tools): …`. */
function listsAllFamilies(said: string): boolean {
  const version = /^conntrack v(\d+)\.(\d+)\.(\d+)/m.exec(said)?.slice(1).map(Number);
  if (version === undefined) return false;
  const [major, minor, patch] = version as [number, number, number];
  return major > 1 || (major === 1 && (minor > 4 || (minor === 4 && patch >= 7)));
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

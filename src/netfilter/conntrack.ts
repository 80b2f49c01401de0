import { readFileSync } from 'node:fs';
import { unlessMissing } from '../sys/errno.ts';
import { type Exec, ExecError } from '../sys/exec.ts';
import type { Family } from '../util/family.ts';

/** A tracked UDP flow: what the client sent to, and who answers it. */
export interface UdpFlow {
  destination: string;
  destinationPort: number;
  replySource: string;
  replySourcePort: number;
}

/** Parses what `conntrack -L -p udp` prints. */
export function parseUdpFlows(text: string): UdpFlow[] {
  return text.split('\n').flatMap((line) => {
    const values = (key: string) => [...line.matchAll(new RegExp(`\\b${key}=(\\S+)`, 'g'))].map((m) => m[1]!);
    const [destination] = values('dst');
    const [destinationPort] = values('dport');
    const replySource = values('src')[1];
    const replySourcePort = values('sport')[1];
    if (destination === undefined || replySource === undefined) return [];
    return [
      {
        destination,
        destinationPort: Number(destinationPort),
        replySource,
        replySourcePort: Number(replySourcePort),
      },
    ];
  });
}

/** How many flows of this network namespace the kernel tracks (nf_conntrack-sysctl). */
const COUNT = '/proc/sys/net/netfilter/nf_conntrack_count';

/**
 * Whether the kernel tracks any flow of this network namespace; true where it does not say. To list none costs as much as to list one: the
 * kernel goes through the table of the whole machine.
 */
export function tracksFlows(): boolean {
  return unlessMissing(() => readFileSync(COUNT, 'utf8'))?.trim() !== '0';
}

/** The UDP flows of a family to a destination port. */
export async function listUdpFlows(exec: Exec, family: Family, port: number): Promise<UdpFlow[]> {
  const argv = ['conntrack', '-L', '-f', family, '-p', 'udp', '--orig-port-dst', String(port)];
  const result = await exec.run(argv);
  if (result.code !== 0) throw new ExecError(argv, result);
  return parseUdpFlows(result.stdout);
}

/** Deletes the UDP flows with this destination and reply source; the next packet is translated again. It is fine if there are none. */
export async function deleteUdpFlows(exec: Exec, family: Family, flow: UdpFlow): Promise<void> {
  const argv = [
    ...['conntrack', '-D', '-f', family, '-p', 'udp'],
    ...['--orig-dst', flow.destination, '--orig-port-dst', String(flow.destinationPort)],
    ...['--reply-src', flow.replySource, '--reply-port-src', String(flow.replySourcePort)],
  ];
  const result = await exec.run(argv);
  // Status 1 with this summary: the flows ended by themselves meanwhile.
  if (result.code !== 0 && !/\b0 flow entries have been deleted/.test(result.stderr)) {
    throw new ExecError(argv, result);
  }
}

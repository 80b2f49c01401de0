import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { unlessMissing } from '../../sys/errno.ts';
import { formatIp, parseIp } from '../../util/ip.ts';
import { kernelAddress } from '../report/listeners.ts';

/** include/net/tcp_states.h: asked, and not answered. */
const TCP_SYN_SENT = '02';

/**
 * The local port of a connection that this process has started and that has no answer yet: Bun shows the port only of established
 * connections. Undefined when there is none, or more than one. Source: proc(5), /proc/net/tcp.
 */
export function connectingPort(address: string, port: number, proc = '/proc/self'): number | undefined {
  const ip = parseIp(address);
  if (ip === undefined) return undefined;
  const target = formatIp(ip);
  const own = ownSockets(proc);
  const found = ['tcp', 'tcp6'].flatMap((table) =>
    readUnlessGone(join(proc, 'net', table))
      .split('\n')
      .slice(1)
      .flatMap((line) => {
        const [, local, remote, state, , , , , , inode] = line.trim().split(/\s+/);
        if (state !== TCP_SYN_SENT || !own.has(inode ?? '')) return [];
        const isTarget = portOf(remote!) === port && kernelAddress(remote!.split(':')[0]!) === target;
        return isTarget ? [portOf(local!)] : [];
      }),
  );
  return found.length === 1 ? found[0] : undefined;
}

function portOf(endpoint: string): number {
  return Number.parseInt(endpoint.slice(endpoint.lastIndexOf(':') + 1), 16);
}

/** The inodes of this process's sockets. */
function ownSockets(proc: string): ReadonlySet<string> {
  const directory = join(proc, 'fd');
  return new Set(
    readdirSync(directory).flatMap((fd) => {
      // Some are closed while they are looked at: the directory's own is one such.
      const link = unlessMissing(() => readlinkSync(join(directory, fd)));
      return /^socket:\[(\d+)\]$/.exec(link ?? '')?.[1] ?? [];
    }),
  );
}

/** The table's text; nothing where the kernel has no such family. */
function readUnlessGone(path: string): string {
  return unlessMissing(() => readFileSync(path, 'utf8')) ?? '';
}

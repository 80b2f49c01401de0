import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Listener } from '../../path/model/node-report.ts';
import { readKernelFile } from '../../sys/bounded-file.ts';
import { unlessMissing } from '../../sys/errno.ts';
import { formatIp } from '../../util/ip.ts';

/** A listening socket, with the inode by which its process is found. */
export interface ListeningSocket extends Listener {
  inode: string;
}

// include/net/tcp_states.h. A UDP socket that is bound and not connected is in TCP_CLOSE.
const TCP_LISTEN = '0A';
const TCP_CLOSE = '07';

/** The listening sockets of a table of /proc/net: `tcp`, `tcp6`, `udp`, `udp6`. */
export function parseSocketTable(protocol: 'tcp' | 'udp', text: string): ListeningSocket[] {
  const wanted = protocol === 'tcp' ? TCP_LISTEN : TCP_CLOSE;
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, local, remote, state, , , , , , inode] = line.trim().split(/\s+/);
      if (local === undefined || inode === undefined || state !== wanted) return [];
      if (!/:0000$/.test(remote ?? '')) return [];
      const [address, port] = local.split(':');
      return [{ protocol, address: kernelAddress(address!), port: Number.parseInt(port!, 16), inode }];
    });
}

/** The endpoints of /proc/net/sctp/eps. */
export function parseSctpEndpoints(text: string): ListeningSocket[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, , , , , port, , inode, ...addresses] = line.trim().split(/\s+/);
      if (port === undefined || inode === undefined) return [];
      return addresses.map((address) => ({
        protocol: 'sctp' as const,
        address,
        port: Number(port),
        inode,
      }));
    });
}

/** An address as /proc/net writes it: hexadecimal words of 32 bits, each in the byte order of the machine (little-endian here). */
export function kernelAddress(hex: string): string {
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) =>
    word
      .match(/../g)!
      .reverse()
      .map((byte) => Number.parseInt(byte, 16)),
  );
  return formatIp({ family: bytes.length === 4 ? 'ipv4' : 'ipv6', bytes });
}

/** All listening sockets of this network namespace. */
export function listeningSockets(proc = '/proc'): ListeningSocket[] {
  return [
    ...(['tcp', 'udp'] as const).flatMap((protocol) => [
      ...parseSocketTable(protocol, readKernelFile(join(proc, 'net', protocol))),
      ...parseSocketTable(protocol, readUnlessGone(join(proc, 'net', `${protocol}6`))),
    ]),
    ...parseSctpEndpoints(readUnlessGone(join(proc, 'net/sctp/eps'))),
  ];
}

/**
 * Who listens in this network namespace. The process is named where it can be seen: as root, and when it is in a process
 * namespace of ours.
 */
export function readListeners(proc = '/proc'): Listener[] {
  const sockets = listeningSockets(proc);
  const owners = ownersOf(new Set(sockets.map(({ inode }) => inode)), proc);
  return sockets.map(({ inode, ...listener }) => ({ ...listener, ...owners.get(inode) }));
}

/** The processes that hold sockets, by the sockets' inodes. */
function ownersOf(inodes: ReadonlySet<string>, proc: string): Map<string, { process: string; pid: number }> {
  const found = new Map<string, { process: string; pid: number }>();
  const own = linkUnlessGone(join(proc, 'self/ns/net'));
  for (const pid of readdirSync(proc)) {
    if (found.size === inodes.size) break;
    // Those of pods are many, and hold no socket of the node.
    if (!/^\d+$/.test(pid) || linkUnlessGone(join(proc, pid, 'ns/net')) !== own) continue;
    for (const fd of listUnlessGone(join(proc, pid, 'fd'))) {
      const inode = /^socket:\[(\d+)\]$/.exec(linkUnlessGone(join(proc, pid, 'fd', fd)))?.[1];
      if (inode === undefined || !inodes.has(inode) || found.has(inode)) continue;
      found.set(inode, { process: readUnlessGone(join(proc, pid, 'comm')).trim(), pid: Number(pid) });
    }
  }
  return found;
}

/** Processes end while they are looked at, and those of others are not ours to see. */
function unlessGone<T>(read: () => T, otherwise: T): T {
  return unlessMissing(read, ['ESRCH', 'EACCES', 'EPERM']) ?? otherwise;
}

const readUnlessGone = (path: string) => unlessGone(() => readKernelFile(path), '');
const linkUnlessGone = (path: string) => unlessGone(() => readlinkSync(path), '');
const listUnlessGone = (path: string) => unlessGone(() => readdirSync(path), []);

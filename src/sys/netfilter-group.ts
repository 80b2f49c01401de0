import { closeSync } from 'node:fs';
import { libc } from './libc.ts';

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0x80000;
const SOCK_NONBLOCK = 0x800;
const NETLINK_NETFILTER = 12;
const SOL_NETLINK = 270;
const NETLINK_NO_ENOBUFS = 5;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const MSG_DONTWAIT = 0x40;
/** struct sockaddr_nl: family, padding, port, groups as a bit mask. */
const ADDRESS_SIZE = 12;
/** The kernel fills at most this much at a time (netlink_recvmsg). */
const BUFFER_SIZE = 32 * 1024;

/** enum nfnetlink_groups, linux/netfilter/nfnetlink.h. */
const GROUPS = { nftables: 7, trace: 9 } as const;

const calls = libc('socket', 'bind', 'setsockopt', 'recv');

/** A non-blocking socket that gets what netfilter says to a group, in the network namespace of the thread that opened it. */
export interface NetfilterGroup {
  fd: number;
  /** What has come and was not read, one read after another; it does not wait. */
  waiting(): Generator<Buffer>;
  close(): void;
}

/**
 * Listens to a group. What comes when the socket is full is lost, and nothing reports it. Needs CAP_NET_ADMIN.
 * @param bytes how much the socket is to hold.
 * @throws when the kernel does not let this process listen. Source: netlink(7).
 */
export function joinNetfilterGroup(name: keyof typeof GROUPS, bytes?: number): NetfilterGroup {
  const symbols = calls();
  const fd = symbols.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);
  if (fd < 0) throw new Error('the kernel has no netlink socket for netfilter');
  const set = (level: number, option: number, value: number) => {
    const data = Buffer.from(new Int32Array([value]).buffer);
    return symbols.setsockopt(fd, level, option, data, data.length) === 0;
  };
  const address = Buffer.alloc(ADDRESS_SIZE);
  address.writeUInt16LE(AF_NETLINK, 0);
  address.writeUInt32LE(1 << (GROUPS[name] - 1), 8);
  if (
    !set(SOL_NETLINK, NETLINK_NO_ENOBUFS, 1) ||
    (bytes !== undefined && !set(SOL_SOCKET, SO_RCVBUFFORCE, bytes)) ||
    symbols.bind(fd, address, ADDRESS_SIZE) !== 0
  ) {
    closeSync(fd);
    throw new Error('refused by the kernel; needs CAP_NET_ADMIN and nf_tables');
  }
  return {
    fd,
    *waiting() {
      const buffer = Buffer.alloc(BUFFER_SIZE);
      for (;;) {
        const size = symbols.recv(fd, buffer, buffer.length, MSG_DONTWAIT);
        if (size <= 0) return;
        yield buffer.subarray(0, size);
      }
    },
    close: () => closeSync(fd),
  };
}

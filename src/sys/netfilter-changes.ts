import { dlopen } from 'bun:ffi';
import { closeSync } from 'node:fs';
import { readDescriptor } from './readable-descriptor.ts';

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0x80000;
const SOCK_NONBLOCK = 0x800;
const NETLINK_NETFILTER = 12;
const SOL_NETLINK = 270;
const NETLINK_NO_ENOBUFS = 5;
const NFNLGRP_NFTABLES = 7;
/** struct sockaddr_nl: family, padding, port, groups as a bit mask. */
const ADDRESS_SIZE = 12;

/**
 * Reports every transaction that changes nftables in this network namespace, iptables-nft's included; iptables-legacy sends no
 * such notices. Needs CAP_NET_ADMIN. Resolves when the signal aborts; rejects when the kernel does not let this process listen.
 *
 * It reports only that something changed. When there is more than the socket holds the kernel drops the rest, which loses
 * nothing: a dropped change happened before the ones that are read. Source: netlink(7), linux/netfilter/nfnetlink.h.
 */
export async function watchNetfilter(changed: () => void, signal: AbortSignal): Promise<void> {
  const libc = dlopen('libc.so.6', {
    socket: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
    bind: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
    setsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'u32'], returns: 'i32' },
  });
  const fd = libc.symbols.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);
  try {
    if (fd < 0)
      throw new Error('cannot listen for netfilter changes: the kernel has no netlink socket for them');
    const on = Buffer.from(new Int32Array([1]).buffer);
    const address = Buffer.alloc(ADDRESS_SIZE);
    address.writeUInt16LE(AF_NETLINK, 0);
    address.writeUInt32LE(1 << (NFNLGRP_NFTABLES - 1), 8);
    if (
      libc.symbols.setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, on, on.length) !== 0 ||
      libc.symbols.bind(fd, address, ADDRESS_SIZE) !== 0
    ) {
      throw new Error(
        'cannot listen for netfilter changes: refused by the kernel; needs CAP_NET_ADMIN and nf_tables',
      );
    }
    await readDescriptor(fd, changed, signal);
  } finally {
    if (fd >= 0) closeSync(fd);
    libc.close();
  }
}

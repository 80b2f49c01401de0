import { joinNetfilterGroup, type NetfilterGroup } from './netfilter-group.ts';
import { readDescriptor } from './readable-descriptor.ts';

/**
 * Reports every transaction that changes nftables in this network namespace, iptables-nft's included; iptables-legacy sends no
 * such notices. Needs CAP_NET_ADMIN. Resolves when the signal aborts; rejects when the kernel does not let this process listen.
 *
 * It reports only that something changed. When there is more than the socket holds the kernel drops the rest, which loses
 * nothing: a dropped change happened before the ones that are read.
 */
export async function watchNetfilter(changed: () => void, signal: AbortSignal): Promise<void> {
  let group: NetfilterGroup;
  try {
    group = joinNetfilterGroup('nftables');
  } catch (cause) {
    throw new Error(`cannot listen for netfilter changes: ${(cause as Error).message}`, { cause });
  }
  try {
    await readDescriptor(group.fd, changed, signal);
  } finally {
    group.close();
  }
}

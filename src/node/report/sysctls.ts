import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { reversePathDrops } from '../../path/view/reverse-path-drops.ts';
import { readKernelFile } from '../../sys/bounded-file.ts';
import { unlessMissing } from '../../sys/errno.ts';

/** Settings that are one file. One that the kernel does not have is left out. */
const SINGLE = [
  'net.ipv4.ip_forward',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.ip_nonlocal_bind',
  'net.ipv6.conf.all.forwarding',
  'net.ipv6.conf.all.disable_ipv6',
  'net.ipv6.conf.default.forwarding',
  'net.bridge.bridge-nf-call-iptables',
  'net.bridge.bridge-nf-call-ip6tables',
  'net.netfilter.nf_conntrack_max',
  'net.netfilter.nf_conntrack_count',
  'net.netfilter.nf_conntrack_tcp_be_liberal',
  'net.netfilter.nf_conntrack_udp_timeout',
  'net.netfilter.nf_conntrack_udp_timeout_stream',
] as const;

/** Settings of each device, and of `all` and `default`. */
const PER_DEVICE = ['rp_filter', 'route_localnet', 'forwarding', 'accept_local'] as const;

/** The names under which the settings of no device are: those that count besides each device's own, and those that a new device gets. */
export const OF_NO_DEVICE = ['all', 'default'] as const;

/**
 * The settings that decide about a hostPort, by name as sysctl(8) writes it: a dot in a device's name is a slash. `devices`: those whose own are
 * read; all unless given.
 */
export function readSysctls(
  procSys = '/proc/sys',
  devices: readonly string[] = readdirSync(join(procSys, 'net/ipv4/conf')),
): Record<string, string> {
  const found: Record<string, string> = {};
  const look = (name: string) => {
    const value = readIfThere(join(procSys, sysctlPath(name)));
    if (value !== undefined) found[name] = value;
  };
  for (const name of SINGLE) look(name);
  for (const device of devices) {
    for (const key of PER_DEVICE) look(`net.ipv4.conf.${device.replaceAll('.', '/')}.${key}`);
  }
  return found;
}

/** The kernel's counters of this network namespace. */
export function readNetstat(procNet = '/proc/net'): string {
  return readKernelFile(join(procNet, 'netstat'));
}

/** The packets that the reverse path filter has dropped, by the kernel's own counter. */
export function readReversePathDrops(procNet?: string): number {
  const drops = reversePathDrops(readNetstat(procNet));
  if (drops === undefined) throw new Error('this kernel does not count them');
  return drops;
}

/** Path below /proc/sys of a setting. Source: sysctl(8), "the '/' separator is also accepted". */
export function sysctlPath(name: string): string {
  return name.replace(/[./]/g, (separator) => (separator === '.' ? '/' : '.'));
}

function readIfThere(path: string): string | undefined {
  // ENOENT: not in this kernel, or the device went; EACCES: a setting of the machine that a namespace may not read.
  const text = unlessMissing(() => readKernelFile(path), ['EACCES', 'EPERM']);
  return text?.trim().replaceAll('\t', ' ');
}

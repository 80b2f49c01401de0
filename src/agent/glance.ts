import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { routingState } from '../net/routing-state.ts';
import { listeningSockets } from '../node/report/listeners.ts';
import { readSysctls } from '../node/report/sysctls.ts';
import { readKernelFile } from '../sys/bounded-file.ts';
import { unlessMissing } from '../sys/errno.ts';

/** Settings that are counts, which change all the time and decide nothing. */
const COUNTS: ReadonlySet<string> = new Set(['net.netfilter.nf_conntrack_count']);
/** From here on, ports are those of clients (net.ipv4.ip_local_port_range), which come and go. */
const CLIENT_PORTS = 32_768;

/**
 * What of a node decides about hostPorts and notifies nobody of its changes, as a text that is the same as long as all of it is: settings, links,
 * addresses, routes, policy rules, listening sockets, and what links in `directories` lead to. It takes a few milliseconds, where a report takes a hundred.
 * Undefined where it would not be enough: the kernel does not list all of it, or has rules of iptables-legacy, which notify nobody either.
 */
export function takeGlance(directories: readonly string[], proc = '/proc'): string | undefined {
  if (hasLegacyRules(proc)) return undefined;
  const routing = routingState();
  if (routing === undefined) return undefined;
  const settings = Object.entries(readSysctls(join(proc, 'sys'))).filter(([name]) => !COUNTS.has(name));
  return JSON.stringify([settings, listeners(proc), directories.flatMap(targets), routing]);
}

function hasLegacyRules(proc: string): boolean {
  return ['ip_tables_names', 'ip6_tables_names'].some(
    (name) => (unlessMissing(() => readKernelFile(join(proc, 'net', name))) ?? '').trim() !== '',
  );
}

/** What the links in a directory lead to; changes of the directory itself are notified. */
function targets(directory: string): string[] {
  const entries = unlessMissing(() => readdirSync(directory, { withFileTypes: true })) ?? [];
  return entries
    .filter((entry) => entry.isSymbolicLink())
    .map(({ name }) => {
      const found = statSync(join(directory, name), { throwIfNoEntry: false, bigint: true });
      return [name, found?.dev, found?.ino, found?.size, found?.mode, found?.mtimeNs, found?.ctimeNs].join(
        ' ',
      );
    })
    .sort();
}

function listeners(proc: string): string[] {
  return listeningSockets(proc)
    .filter(({ protocol, port }) => protocol === 'tcp' || port < CLIENT_PORTS)
    .map(({ protocol, address, port, inode }) => `${protocol} ${address} ${port} ${inode}`)
    .sort();
}

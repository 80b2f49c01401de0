import { createHash } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { routingDigest } from '../net/routing-state.ts';
import { listeningSockets } from '../node/report/listeners.ts';
import { readSysctls } from '../node/report/sysctls.ts';
import { isBelow, localPaths, readKernelFile } from '../sys/bounded-file.ts';
import { unlessMissing } from '../sys/errno.ts';
import { readMounts } from '../sys/mounts.ts';

/** Settings that are counts, which change all the time and decide nothing. */
const COUNTS: ReadonlySet<string> = new Set(['net.netfilter.nf_conntrack_count']);
/** From here on, ports are those of clients (net.ipv4.ip_local_port_range), which come and go. */
const CLIENT_PORTS = 32_768;

/**
 * A digest of what of a node decides about hostPorts and notifies nobody of its changes, the same as long as all of it is: settings, links, addresses,
 * routes, policy rules, listening sockets, which directories are at the paths `directories`, what is mounted at, above and below them, and what links in
 * them lead to. It takes a few milliseconds, where a report takes a hundred. Undefined where it would not be enough: the kernel does not list all of it,
 * or has rules of iptables-legacy, which notify nobody either.
 */
export function takeGlance(directories: readonly string[], proc = '/proc'): string | undefined {
  if (hasLegacyRules(proc)) return undefined;
  const routing = routingDigest();
  if (routing === undefined) return undefined;
  const settings = Object.entries(readSysctls(join(proc, 'sys'))).filter(([name]) => !COUNTS.has(name));
  const hash = createHash('sha256');
  for (const part of [routing, settings, listeners(proc), places(directories)]) {
    hash.update(`${JSON.stringify(part)}\n`);
  }
  return hash.digest('hex');
}

function hasLegacyRules(proc: string): boolean {
  return ['ip_tables_names', 'ip6_tables_names'].some(
    (name) => (unlessMissing(() => readKernelFile(join(proc, 'net', name))) ?? '').trim() !== '',
  );
}

/**
 * Of each directory, which one it is, what is mounted there, and what links in it lead to. What is mounted over a directory notifies nobody who watches
 * the one below; other changes of a directory are notified.
 */
function places(directories: readonly string[]): unknown[] {
  const mounts = readMounts();
  const resolve = localPaths(mounts.values());
  return directories.map((directory) => {
    const real = unlessMissing(() => resolve(directory), ['ENOTDIR', 'ELOOP']) ?? directory;
    const on = [...mounts].filter(
      ([, { point }]) => point === real || isBelow(point, real) || isBelow(real, point),
    );
    const { dev, ino, mode } = statSync(real, { throwIfNoEntry: false }) ?? {};
    return [real, dev, ino, mode, on, targets(real)];
  });
}

function targets(directory: string): string[] {
  const entries = unlessMissing(() => readdirSync(directory, { withFileTypes: true }), ['ENOTDIR']) ?? [];
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

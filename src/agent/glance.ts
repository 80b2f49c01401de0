import { createHash } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { routingDigest } from '../net/routing-state.ts';
import { listeningSockets } from '../node/report/listeners.ts';
import { OF_NO_DEVICE, readSysctls } from '../node/report/sysctls.ts';
import { isBelow, localPaths, readKernelFile } from '../sys/bounded-file.ts';
import { unlessMissing } from '../sys/errno.ts';
import { readMounts } from '../sys/mounts.ts';

/** Settings that are counts, which change all the time and decide nothing. */
const COUNTS: ReadonlySet<string> = new Set(['net.netfilter.nf_conntrack_count']);
/** Of more files, a directory is not one of drop-ins. */
const MAX_DROP_INS = 200;
/** From here on, ports are those of clients (net.ipv4.ip_local_port_range), which come and go. */
const CLIENT_PORTS = 32_768;

/**
 * A digest of what of a node decides about hostPorts and notifies nobody of its changes, the same as long as all of it is: settings, links, addresses,
 * routes, policy rules, listening sockets, which directories are at the paths `directories`, what is mounted at, above and below them, what links in them
 * lead to, and what is in directories in them. It takes a few milliseconds, where a report takes a hundred. Undefined where it would not be enough: the
 * kernel does not list all of it, or has rules of iptables-legacy, which notify nobody either.
 */
export function takeGlance(directories: readonly string[], proc = '/proc'): string | undefined {
  if (hasLegacyRules(proc)) return undefined;
  const routing = routingDigest();
  if (routing === undefined) return undefined;
  // Those of devices are with the links: a node with a hundred pods would have four hundred files to read.
  const settings = Object.entries(readSysctls(join(proc, 'sys'), OF_NO_DEVICE)).filter(
    ([name]) => !COUNTS.has(name),
  );
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
 * Of each directory, which one it is, what is mounted there, and what of its content nobody notifies. What is mounted over a directory notifies nobody who watches
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
    return [real, dev, ino, mode, on, inside(real).sort()];
  });
}

/** What the links in a directory lead to, and what is in the directories in it: those of a network's drop-ins are not watched. */
function inside(directory: string): string[] {
  const entries = unlessMissing(() => readdirSync(directory, { withFileTypes: true }), ['ENOTDIR']) ?? [];
  return entries.flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isSymbolicLink()) return [stateOf(path)];
    if (!entry.isDirectory()) return [];
    const names = unlessMissing(() => readdirSync(path)) ?? [];
    return [
      stateOf(path),
      ...names
        .sort()
        .slice(0, MAX_DROP_INS)
        .map((name) => stateOf(join(path, name))),
    ];
  });
}

function stateOf(path: string): string {
  const found = unlessMissing(() => statSync(path, { bigint: true }), ['ENOTDIR', 'ELOOP']);
  return [path, found?.dev, found?.ino, found?.size, found?.mode, found?.mtimeNs, found?.ctimeNs].join(' ');
}

function listeners(proc: string): string[] {
  return listeningSockets(proc)
    .filter(({ protocol, port }) => protocol === 'tcp' || port < CLIENT_PORTS)
    .map(({ protocol, address, port, inode }) => `${protocol} ${address} ${port} ${inode}`)
    .sort();
}

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readProcFile } from '../src/sys/processes.ts';

/** A process of a cluster. */
export interface Process {
  pid: number;
  name: string;
}

/**
 * All processes of a cluster: those in its nodes' cgroups, and the gateway with its supervisor, which have the cluster's
 * directory among their arguments.
 */
export function processesOf(cluster: string): Process[] {
  const found: Process[] = [];
  // A node's name begins with its cluster's; another cluster's name may, too.
  const node = new RegExp(`/hostport-${cluster}-${cluster}-(control-plane|worker\\d*)(/|$)`, 'm');
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    // A zombie has ended; only the machine's init can take its number back.
    if (/^State:\s+[ZX]/m.test(readProcFile(`/proc/${pid}/status`))) continue;
    const cgroup = readProcFile(`/proc/${pid}/cgroup`);
    const cmdline = readProcFile(`/proc/${pid}/cmdline`);
    const inNode = node.test(cgroup);
    const isGateway = cmdline.includes(`/var/lib/hostport/clusters/${cluster}/gateway`);
    if (inNode || isGateway) found.push({ pid, name: readProcFile(`/proc/${pid}/comm`).trim() });
  }
  return found;
}

/** Proportional set size in bytes: private pages, and its share of those it has together with others. */
export function pssBytes(pid: number): number {
  return Number(/^Pss:\s+(\d+) kB$/m.exec(readProcFile(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0) * 1024;
}

/** User and system time so far, in seconds (clock ticks are 1/100 s on Linux). */
export function cpuSeconds(pid: number): number {
  const stat = readProcFile(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / 100;
}

/** CPU time in seconds of all that ever ran in a cluster's nodes, also of what has ended, from their cgroups (version 1 or 2). */
export function nodeCpuSeconds(cluster: string): number {
  const version1 = existsSync('/sys/fs/cgroup/cpuacct');
  const root = version1 ? '/sys/fs/cgroup/cpuacct' : '/sys/fs/cgroup';
  const usage = (group: string) =>
    version1
      ? Number(readProcFile(join(group, 'cpuacct.usage'))) / 1e9
      : Number(/^usage_usec (\d+)$/m.exec(readProcFile(join(group, 'cpu.stat')))?.[1]) / 1e6;
  return readdirSync(root)
    .filter((name) => name.startsWith(`hostport-${cluster}-${cluster}-`))
    .reduce((sum, name) => sum + usage(join(root, name)), 0);
}

/** As {@link cpuSeconds}, with that of all processes it started and saw the end of. */
export function cpuSecondsWithChildren(pid: number): number {
  const stat = readProcFile(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / 100;
}

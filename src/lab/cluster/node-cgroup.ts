import { existsSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CgroupHierarchy, cgroupHierarchies } from '../../sys/cgroups.ts';
import { isErrno, unlessMissing } from '../../sys/errno.ts';
import { killProcesses } from '../../sys/processes.ts';
import { waitFor } from '../../sys/wait.ts';
import { messageOf } from '../../util/errors.ts';
import type { NodeLimits } from './node-limits.ts';

const REMOVAL_MS = 5_000;

/**
 * Path of a node's cgroup in every hierarchy of the machine. It is the root of the node's cgroup namespace, so what a node's
 * container runtime makes is in it, and removed with it.
 */
export function nodeCgroup(cluster: string, node: string): string {
  return `/hostport-${cluster}-${node}`;
}

/**
 * Limits what a node can take of the machine. What goes beyond its memory is killed, in this node only; what goes beyond its
 * tasks is not started. Returns a warning for each limit that this machine cannot have.
 * Source: the kernel's cgroup-v1/memory.rst, cgroup-v1/pids.rst and cgroup-v2.rst.
 */
export function limitNodeCgroup(
  cgroup: string,
  limits: NodeLimits,
  hierarchies: readonly CgroupHierarchy[] = cgroupHierarchies(),
): string[] {
  const warnings: string[] = [];
  const limit = (what: string, controller: string, set: (hierarchy: CgroupHierarchy) => void): boolean => {
    const hierarchy = hierarchies.find(({ controllers }) => controllers.includes(controller));
    try {
      if (hierarchy === undefined) throw new Error(`no cgroup hierarchy has the controller "${controller}"`);
      set(hierarchy);
      return true;
    } catch (cause) {
      const observed = messageOf(cause);
      warnings.push(
        `cannot limit the ${what} of nodes: ${observed}; a runaway process in a node can take all of this machine's`,
      );
      return false;
    }
  };
  const isLimited = limit('memory', 'memory', ({ mount, version }) => {
    write(join(mount, cgroup, version === 1 ? 'memory.limit_in_bytes' : 'memory.max'), limits.memoryBytes);
  });
  if (isLimited) limit('swap', 'memory', (memory) => limitSwap(memory, cgroup, limits.memoryBytes));
  limit('tasks', 'pids', ({ mount }) => write(join(mount, cgroup, 'pids.max'), limits.tasks));
  return warnings;
}

/** Version 1 counts memory and swap together, version 2 each by itself. */
function limitSwap({ mount, version }: CgroupHierarchy, cgroup: string, memoryBytes: number): void {
  const path = join(mount, cgroup, version === 1 ? 'memory.memsw.limit_in_bytes' : 'memory.swap.max');
  // A kernel that does not count swap has no such file; on a machine without swap that is all the same.
  if (existsSync(path) || hasSwap()) write(path, version === 1 ? memoryBytes : 0);
}

/** Only a file that is there: to create one in a cgroup is refused with words that say nothing about it. */
function write(path: string, value: number): void {
  writeFileSync(path, String(value), { flag: 'r+' });
}

function hasSwap(): boolean {
  return !/^SwapTotal:\s+0 kB$/m.test(readFileSync('/proc/meminfo', 'utf8'));
}

/**
 * Removes what is left of nodes' cgroups, with the processes in them: nothing, unless runc was killed while it made or
 * removed a container. Then the container has no state that runc could remove it by.
 */
export async function removeNodeCgroups(
  cluster: string,
  nodes: readonly string[],
  hierarchies: readonly CgroupHierarchy[] = cgroupHierarchies(),
): Promise<void> {
  for (const node of nodes) {
    const tops = hierarchies.map(({ mount }) => join(mount, nodeCgroup(cluster, node)));
    // What runs there may make more of them until it has ended.
    const groups = () => tops.flatMap(withDescendants);
    await killProcesses(`what runs in node "${node}"`, () => groups().flatMap(processesOf));
    let left = '';
    // A process that has ended is in its cgroup for a moment more.
    await waitFor(
      `the cgroups of node "${node}" to be empty`,
      () => {
        left = groups().find((group) => !isRemoved(group)) ?? '';
        return left === '';
      },
      { timeoutMs: REMOVAL_MS, describe: () => left },
    );
  }
}

/** A cgroup and all below it, the deepest first: a cgroup can be removed when it has no children. */
function withDescendants(path: string): string[] {
  const children = unlessGone(() => readdirSync(path, { withFileTypes: true }));
  if (children === undefined) return [];
  return [
    ...children
      .filter((entry) => entry.isDirectory())
      .flatMap((entry) => withDescendants(join(path, entry.name))),
    path,
  ];
}

function processesOf(group: string): number[] {
  const text = unlessGone(() => readFileSync(join(group, 'cgroup.procs'), 'utf8')) ?? '';
  return text.split('\n').filter(Boolean).map(Number);
}

/** Removes a cgroup; false while something is in it. */
function isRemoved(group: string): boolean {
  try {
    unlessGone(() => rmdirSync(group));
    return true;
  } catch (cause) {
    if (isErrno(cause, 'EBUSY')) return false;
    throw cause;
  }
}

/** What `look` finds in a cgroup; undefined when that has been removed. */
function unlessGone<T>(look: () => T): T | undefined {
  return unlessMissing(look, ['ENODEV']);
}

import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { killProcesses } from '../sys/processes.ts';

const CGROUP_ROOT = '/sys/fs/cgroup';

/** Path of a node's cgroup below the machine's cgroup roots. One level, so that removing the container removes all of it. */
export function nodeCgroup(cluster: string, node: string): string {
  return `/hostport-${cluster}-${node}`;
}

/**
 * Removes what is left of nodes' cgroups, with the processes in them: nothing, unless runc was killed while it made or
 * removed a container. Then the container has no state that runc could remove it by.
 */
export async function removeNodeCgroups(cluster: string, nodes: readonly string[]): Promise<void> {
  const roots = [CGROUP_ROOT, ...childrenOf(CGROUP_ROOT)];
  for (const node of nodes) {
    const left = roots
      .map((root) => join(root, nodeCgroup(cluster, node)))
      .filter((path) => existsSync(path));
    const groups = left.flatMap(withDescendants);
    await killProcesses(`what runs in node "${node}"`, () => groups.flatMap(processesOf));
    for (const group of groups) rmdirSync(group);
  }
}

/** A cgroup and all below it, the deepest first: a cgroup can be removed when it has no children. */
function withDescendants(path: string): string[] {
  return [...childrenOf(path).flatMap(withDescendants), path];
}

function childrenOf(path: string): string[] {
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(path, entry.name));
}

function processesOf(group: string): number[] {
  return readFileSync(join(group, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
}

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { unlessMissing } from './errno.ts';
import { type Mount, readMounts } from './mounts.ts';

/** A tree of cgroups that this process sees. Source: cgroups(7). */
export interface CgroupHierarchy {
  /** Directory of its root: the machine's, or that of the container or cgroup namespace that this process is in. */
  mount: string;
  version: 1 | 2;
  controllers: readonly string[];
}

/** The hierarchies that are mounted: one of version 2, several of version 1, or both. */
export function cgroupHierarchies(mounts: Iterable<Mount> = readMounts().values()): CgroupHierarchy[] {
  const found = new Map<string, CgroupHierarchy>();
  for (const { type, point, device, fileSystemOptions } of mounts) {
    // One hierarchy can be mounted several times.
    if (found.has(device)) continue;
    if (type === 'cgroup') found.set(device, { mount: point, version: 1, controllers: fileSystemOptions });
    if (type === 'cgroup2') {
      const controllers = (readIfThere(join(point, 'cgroup.controllers')) ?? '').split(/\s+/).filter(Boolean);
      found.set(device, { mount: point, version: 2, controllers });
    }
  }
  return [...found.values()];
}

/** `unified`: one hierarchy of version 2 and nothing else; `hybrid`: one beside those of version 1; `legacy`: version 1 only. */
export type CgroupMode = 'unified' | 'hybrid' | 'legacy';

/** How the machine has its cgroups, by the place where programs look for version 2. Source: systemd's CGROUP_DELEGATION.md. */
export function cgroupMode(hierarchies: readonly CgroupHierarchy[] = cgroupHierarchies()): CgroupMode {
  const second = hierarchies.find(({ version }) => version === 2);
  if (second === undefined) return 'legacy';
  return second.mount === '/sys/fs/cgroup' ? 'unified' : 'hybrid';
}

/**
 * Bytes of memory that the processes of this process's hierarchy may have together, when that is limited from outside (a
 * container, a cgroup namespace). Source: the kernel's cgroup-v1/memory.rst ("hierarchical_memory_limit") and cgroup-v2.rst.
 */
export function memoryLimit(
  hierarchies: readonly CgroupHierarchy[] = cgroupHierarchies(),
): number | undefined {
  const memory = hierarchies.find(({ controllers }) => controllers.includes('memory'));
  if (memory === undefined) return undefined;
  const text =
    memory.version === 1
      ? /^hierarchical_memory_limit (\d+)$/m.exec(readIfThere(join(memory.mount, 'memory.stat')) ?? '')?.[1]
      : readIfThere(join(memory.mount, 'memory.max'));
  return limitOf(text);
}

/** How many tasks (processes and their threads) the processes of this process's hierarchy may have together, when that is limited. */
export function taskLimit(hierarchies: readonly CgroupHierarchy[] = cgroupHierarchies()): number | undefined {
  const pids = hierarchies.find(({ controllers }) => controllers.includes('pids'));
  return pids && limitOf(readIfThere(join(pids.mount, 'pids.max')));
}

/** `max`, the root of version 2 (which has no such file), and a number beyond all memory mean unlimited. */
function limitOf(text: string | undefined): number | undefined {
  const limit = Number(text?.trim() || Number.NaN);
  return limit < Number.MAX_SAFE_INTEGER ? limit : undefined;
}

function readIfThere(path: string): string | undefined {
  return unlessMissing(() => readFileSync(path, 'utf8'));
}

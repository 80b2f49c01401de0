import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { type CgroupHierarchy, cgroupHierarchies, memoryLimit, taskLimit } from '../../sys/cgroups.ts';

/** What all processes of a node may have together, those of its pods included. */
export interface NodeLimits {
  /** Bytes, swap included. */
  memoryBytes: number;
  /** Processes and their threads. */
  tasks: number;
}

/** What there is for nodes to share. */
export interface MachineSize {
  memoryBytes: number;
  tasks: number;
}

const MIB = 1024 * 1024;
/** Four times what a control plane of a few nodes takes. */
const LEAST_MEMORY = 1024 * MIB;
/** A node with as many pods as it may have takes about as many. */
const LEAST_TASKS = 2048;

/** This machine, or the container in which the lab is made. Source: proc(5), kernel.pid_max and kernel.threads-max. */
export function readMachineSize(hierarchies: readonly CgroupHierarchy[] = cgroupHierarchies()): MachineSize {
  const kernel = (name: string) => Number(readFileSync(`/proc/sys/kernel/${name}`, 'utf8'));
  return {
    memoryBytes: Math.min(totalmem(), memoryLimit(hierarchies) ?? Infinity),
    tasks: Math.min(kernel('pid_max'), kernel('threads-max'), taskLimit(hierarchies) ?? Infinity),
  };
}

/**
 * The limits of each of so many nodes. They are no reservations: what a node does not use, others may. All nodes of a cluster
 * together have three quarters of the machine, however much they want; a node has half of it at most, and at least what it
 * takes to run. (Many nodes on a small machine may so want more than there is, but no single one can take it all.)
 */
export function defaultLimits(machine: MachineSize, nodes: number): NodeLimits {
  const share = (total: number, least: number) =>
    Math.floor(Math.min(total / 2, Math.max(least, (total * 3) / 4 / nodes)));
  return {
    memoryBytes: Math.floor(share(machine.memoryBytes, LEAST_MEMORY) / MIB) * MIB,
    tasks: share(machine.tasks, LEAST_TASKS),
  };
}

import { randomBytes } from 'node:crypto';
import { type DropSource, kernelDrops } from './drops.ts';
import { netnsNumber } from './netns-number.ts';

/** The number that this thread has in the kernel's traces, whatever namespace of processes it is in; undefined without tracefs. */
export function ownPid(drops: DropSource = kernelDrops): number | undefined {
  try {
    return drops.record('ipv4', netnsNumber(), randomBytes(4).toString('hex')).stop().pid;
  } catch {
    // Without it, a drop is known by where it happened alone.
    return undefined;
  }
}

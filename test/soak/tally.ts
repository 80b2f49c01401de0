import { seeded } from '../../src/util/seeded.ts';
import type { Growth } from './growth.ts';

/** What a soak has had. */
export interface Soak {
  seed: number;
  /** How long it has run. */
  seconds: number;
  operations: Record<string, number>;
  faults: Record<string, number>;
  violations: string[];
  growth: Growth[];
}

/** Counts. */
export class Tally {
  readonly soak: Soak;

  constructor(seed: number) {
    this.soak = { seed, seconds: 0, operations: {}, faults: {}, violations: [], growth: [] };
  }

  operation(name: string, times = 1): void {
    this.soak.operations[name] = (this.soak.operations[name] ?? 0) + times;
  }

  fault(name: string): void {
    this.soak.faults[name] = (this.soak.faults[name] ?? 0) + 1;
  }

  violation(what: string): void {
    console.log(`VIOLATION: ${what}`);
    this.soak.violations.push(what);
  }
}

/** Numbers that are the same for the same seed, and what is chosen by them. */
export class Random {
  /** A number from 0 to below 1. */
  readonly next: () => number;

  constructor(seed: number) {
    this.next = seeded(seed);
  }

  /** A whole number below `end`. */
  below(end: number): number {
    return Math.floor(this.next() * end);
  }

  of<T>(all: readonly T[]): T {
    return all[this.below(all.length)]!;
  }

  /** True so often. */
  chance(share: number): boolean {
    return this.next() < share;
  }
}

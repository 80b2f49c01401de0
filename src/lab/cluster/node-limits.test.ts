import { describe, expect, test } from 'bun:test';
import { totalmem } from 'node:os';
import { defaultLimits, readMachineSize } from './node-limits.ts';

const GIB = 1024 ** 3;
const big = { memoryBytes: 24 * GIB, tasks: 32768 };

describe('the limits of each node', () => {
  test.each([
    ['one node', big, 1, 12 * GIB, 16384],
    ['four nodes', big, 4, 4.5 * GIB, 6144],
    ['fifty nodes', big, 50, 1 * GIB, 2048],
    ['four nodes of a small machine', { memoryBytes: 4 * GIB, tasks: 4194304 }, 4, 1 * GIB, 786432],
    ['a machine that is too small', { memoryBytes: 1.5 * GIB, tasks: 1000 }, 1, 0.75 * GIB, 500],
  ])('%s', (_, machine, nodes, memoryBytes, tasks) => {
    expect(defaultLimits(machine, nodes)).toEqual({ memoryBytes, tasks });
  });

  test('leave half of any machine to everybody else, and are enough for a node to run', () => {
    for (let nodes = 1; nodes <= 64; nodes++) {
      for (const gib of [0.5, 1, 2, 3, 7.7, 16, 64, 1024]) {
        const { memoryBytes, tasks } = defaultLimits({ memoryBytes: gib * GIB, tasks: gib * 8192 }, nodes);
        expect(memoryBytes).toBeLessThanOrEqual((gib * GIB) / 2);
        expect(tasks).toBeLessThanOrEqual(gib * 4096);
        if (gib >= 2) expect(memoryBytes).toBeGreaterThanOrEqual(GIB);
      }
    }
  });

  test('go by what this machine has', () => {
    const { memoryBytes, tasks } = readMachineSize();
    expect(memoryBytes).toBeLessThanOrEqual(totalmem());
    expect(memoryBytes).toBeGreaterThan(0);
    expect(tasks).toBeGreaterThan(0);
  });
});

import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cgroupHierarchies, cgroupMode, memoryLimit, taskLimit } from './cgroups.ts';
import { parseMountinfo } from './mounts.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'hostport-cgroups-'));
  mkdirSync(join(root, 'unified'));
});
afterEach(() => rmSync(root, { recursive: true }));

function put(file: string, content: string): void {
  mkdirSync(join(root, file, '..'), { recursive: true });
  writeFileSync(join(root, file), content);
}
const hierarchies = (...lines: string[]) =>
  cgroupHierarchies(parseMountinfo(lines.join('\n').replaceAll('ROOT', root)).values());

const MEMORY = '35 31 0:32 / ROOT/memory rw,relatime - cgroup cgroup rw,memory';
const PIDS = '39 31 0:36 / ROOT/pids rw,relatime - cgroup cgroup rw,pids';
const CPU = '33 31 0:30 / ROOT/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct';
const UNIFIED = '41 31 0:38 / ROOT/unified rw,relatime - cgroup2 cgroup2 rw';

describe('the hierarchies of a machine', () => {
  test('with version 1 beside version 2', () => {
    put('unified/cgroup.controllers', 'hugetlb\n');
    const disk = '22 1 254:0 / / rw - ext4 /dev/vda rw';
    expect(hierarchies(disk, CPU, MEMORY, UNIFIED)).toEqual([
      { mount: `${root}/cpu,cpuacct`, version: 1, controllers: ['rw', 'cpu', 'cpuacct'] },
      { mount: `${root}/memory`, version: 1, controllers: ['rw', 'memory'] },
      { mount: `${root}/unified`, version: 2, controllers: ['hugetlb'] },
    ]);
  });

  test('are each counted once, however often they are mounted', () => {
    const again = MEMORY.replace('35 31', '77 31').replace('/memory', '/elsewhere');
    expect(hierarchies(MEMORY, again).map(({ mount }) => mount)).toEqual([`${root}/memory`]);
  });

  test('are empty without cgroups', () => expect(hierarchies('')).toEqual([]));

  test.each([
    ['/sys/fs/cgroup', 2, 'unified'],
    ['/sys/fs/cgroup/unified', 2, 'hybrid'],
    ['/sys/fs/cgroup', 1, 'legacy'],
  ] as const)('at %s, version %p: %s', (mount, version, expected) => {
    expect(cgroupMode([{ mount, version, controllers: [] }])).toBe(expected);
  });

  test('of this machine are read', () => {
    for (const { mount } of cgroupHierarchies()) expect(mount).toStartWith('/');
  });
});

describe('a limit from outside', () => {
  test.each([
    ['version 1', 'cache 0\nhierarchical_memory_limit 314572800\ntotal_cache 0\n', 314572800],
    ['version 1, none', 'cache 0\nhierarchical_memory_limit 9223372036854771712\n', undefined],
  ])('of memory, %s', (_, stat, expected) => {
    put('memory/memory.stat', stat);
    expect(memoryLimit(hierarchies(MEMORY))).toBe(expected);
  });

  test.each([
    ['version 2', '314572800\n', 314572800],
    ['version 2, none', 'max\n', undefined],
  ])('of memory, %s', (_, max, expected) => {
    put('unified/cgroup.controllers', 'cpu memory pids\n');
    put('unified/memory.max', max);
    expect(memoryLimit(hierarchies(UNIFIED))).toBe(expected);
  });

  test('of tasks', () => {
    put('pids/pids.max', '4096\n');
    expect(taskLimit(hierarchies(PIDS))).toBe(4096);
    put('pids/pids.max', 'max\n');
    expect(taskLimit(hierarchies(PIDS))).toBeUndefined();
  });

  test('is not there at the root of the machine, nor without the controller', () => {
    put('unified/cgroup.controllers', 'cpu memory pids\n');
    mkdirSync(join(root, 'pids'));
    expect(memoryLimit(hierarchies(UNIFIED))).toBeUndefined();
    expect(taskLimit(hierarchies(UNIFIED, PIDS))).toBeUndefined();
    expect(memoryLimit(hierarchies(PIDS))).toBeUndefined();
    expect(taskLimit([])).toBeUndefined();
  });
});

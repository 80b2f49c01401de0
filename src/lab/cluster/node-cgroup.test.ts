import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CgroupHierarchy } from '../../sys/cgroups.ts';
import { limitNodeCgroup } from './node-cgroup.ts';

const CGROUP = '/hostport-kind-kind-worker';
const LIMITS = { memoryBytes: 314572800, tasks: 2048 };

describe('limits of a cgroup', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'hostport-limits-'));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  /** A hierarchy with the node's cgroup in it, which has these files, as the kernel makes them. */
  function hierarchy(version: 1 | 2, controllers: string[], files: string[]): CgroupHierarchy {
    const mount = join(root, controllers.join());
    mkdirSync(join(mount, CGROUP), { recursive: true });
    for (const file of files) writeFileSync(join(mount, CGROUP, file), '');
    return { mount, version, controllers };
  }
  const read = ({ mount }: CgroupHierarchy, file: string) => readFileSync(join(mount, CGROUP, file), 'utf8');

  test('with version 1: memory, memory and swap together, tasks', () => {
    const memory = hierarchy(1, ['memory'], ['memory.limit_in_bytes', 'memory.memsw.limit_in_bytes']);
    const pids = hierarchy(1, ['pids'], ['pids.max']);
    expect(limitNodeCgroup(CGROUP, LIMITS, [memory, pids])).toEqual([]);
    expect(read(memory, 'memory.limit_in_bytes')).toBe('314572800');
    expect(read(memory, 'memory.memsw.limit_in_bytes')).toBe('314572800');
    expect(read(pids, 'pids.max')).toBe('2048');
  });

  test('with version 2: memory, no swap, tasks', () => {
    const unified = hierarchy(2, ['memory', 'pids'], ['memory.max', 'memory.swap.max', 'pids.max']);
    expect(limitNodeCgroup(CGROUP, LIMITS, [unified])).toEqual([]);
    expect(read(unified, 'memory.max')).toBe('314572800');
    expect(read(unified, 'memory.swap.max')).toBe('0');
    expect(read(unified, 'pids.max')).toBe('2048');
  });

  test('that a machine cannot have are warnings, and the others are set', () => {
    const pids = hierarchy(1, ['pids'], ['pids.max']);
    expect(limitNodeCgroup(CGROUP, LIMITS, [pids])).toEqual([
      'cannot limit the memory of nodes: no cgroup hierarchy has the controller "memory"; a runaway process in a node can take all of this machine\'s',
    ]);
    expect(read(pids, 'pids.max')).toBe('2048');
    // The controller is there and was not given to the cgroup: it has no such file, and none is made.
    const bare = hierarchy(2, ['memory', 'pids'], []);
    expect(limitNodeCgroup(CGROUP, LIMITS, [bare])).toEqual([
      expect.stringMatching(/^cannot limit the memory of nodes: ENOENT: .*memory\.max.*; a runaway/),
      expect.stringMatching(/^cannot limit the tasks of nodes: ENOENT: .*pids\.max.*; a runaway/),
    ]);
    expect(existsSync(join(bare.mount, CGROUP, 'memory.max'))).toBe(false);
  });
});

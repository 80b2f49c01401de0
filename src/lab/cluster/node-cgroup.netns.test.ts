import { afterEach, describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cgroupHierarchies } from '../../sys/cgroups.ts';
import { realExec } from '../../sys/exec.ts';
import { waitFor } from '../../sys/wait.ts';
import { limitNodeCgroup, nodeCgroup, removeNodeCgroups } from './node-cgroup.ts';

const CLUSTER = `test-${process.pid}`;
const NODE = 'node';
const MIB = 1024 * 1024;

/** Cgroups of the kernel's, made as runc makes a node's. */
describe("a node's cgroup", () => {
  const hierarchies = cgroupHierarchies();
  const places = hierarchies.map(({ mount }) => join(mount, nodeCgroup(CLUSTER, NODE)));
  const withController = (name: string) =>
    hierarchies.find(({ controllers }) => controllers.includes(name))!.mount + nodeCgroup(CLUSTER, NODE);

  function create(...below: string[]): void {
    for (const place of places)
      for (const path of [place, ...below.map((name) => join(place, name))]) make(path);
  }
  function make(path: string): void {
    mkdirSync(path);
    // Nothing can be in a cpuset of version 1 that has none of its own.
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      const above = join(path, '..', file);
      if (!existsSync(join(path, file)) || !existsSync(above)) continue;
      writeFileSync(join(path, file), readFileSync(above, 'utf8'), { flag: 'r+' });
    }
  }
  /** Runs a shell script in the node's cgroups, or those below. */
  function run(script: string, below = '') {
    const enter = places.map((place) => `echo $$ > ${join(place, below)}/cgroup.procs || exit 99`);
    return realExec.run(['sh', '-c', `${enter.join('\n')}\n${script}`], { timeoutMs: 20_000 });
  }

  afterEach(() => removeNodeCgroups(CLUSTER, [NODE]));

  test('kills what takes more memory than it may, and nothing else in it', async () => {
    create('pod');
    expect(limitNodeCgroup(nodeCgroup(CLUSTER, NODE), { memoryBytes: 64 * MIB, tasks: 100 })).toEqual([]);
    // What runs below counts, as a pod's containers do. The other process keeps running.
    const script = `sleep 60 & other=$!
      dd if=/dev/zero of=/dev/null bs=200M count=1 2>/dev/null
      echo "$? $(kill -0 $other && echo alive)"; kill $other`;
    for (const below of ['', 'pod']) {
      expect(await run(script, below)).toMatchObject({ stdout: '137 alive\n', code: 0 });
    }
    expect(await run('dd if=/dev/zero of=/dev/null bs=16M count=1')).toMatchObject({ code: 0 });
  });

  test('starts no more tasks than it may', async () => {
    create('pod');
    expect(limitNodeCgroup(nodeCgroup(CLUSTER, NODE), { memoryBytes: 64 * MIB, tasks: 20 })).toEqual([]);
    const forked = await run('for i in $(seq 40); do sleep 1 & done', 'pod');
    expect(forked.code).not.toBe(0);
    expect(forked.stderr).toContain('fork');
    expect(Number(readFileSync(join(withController('pids'), 'pids.current'), 'utf8'))).toBeLessThanOrEqual(
      20,
    );
  });

  test('goes from every hierarchy, with what is below it and what runs in it', async () => {
    create('pod', 'other', 'pod/nested');
    const running = run('sleep 60', 'pod/nested');
    await waitFor(
      'it to run in all of them',
      () => places.every((place) => readFileSync(join(place, 'pod/nested/cgroup.procs'), 'utf8') !== ''),
      { timeoutMs: 5_000 },
    );
    await removeNodeCgroups(CLUSTER, [NODE, 'another']);
    expect(places.filter((place) => existsSync(place))).toEqual([]);
    expect((await running).code).toBe(137);
    await removeNodeCgroups(CLUSTER, [NODE]);
  });

  test('goes although what runs in it makes more of them', async () => {
    create();
    const place = places.find((path) => !existsSync(join(path, 'cpuset.cpus'))) ?? places[0]!;
    const more = `i=0; while :; do i=$((i+1)); mkdir -p ${place}/more-$i/deep; echo $$ > ${place}/more-$i/deep/cgroup.procs; done`;
    const running = run(more);
    await waitFor('some to be there', () => existsSync(`${place}/more-20`), { timeoutMs: 5_000 });
    await removeNodeCgroups(CLUSTER, [NODE]);
    expect(places.filter((place) => existsSync(place))).toEqual([]);
    expect((await running).code).toBe(137);
  });
});

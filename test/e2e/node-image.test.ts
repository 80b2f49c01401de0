import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { nodeImageStore } from '../../src/lab/cluster/node-image.ts';
import { distributionOf } from '../../src/sys/distribution.ts';
import { findProcesses } from '../../src/sys/processes.ts';
import { waitFor } from '../../src/sys/wait.ts';
import { labMissing, PROGRAM, ROOT } from './lab.ts';

const missing = labMissing();

/** A distribution of its own: the program and what node images are made of, beside no node image. */
describe.skipIf(missing !== undefined)(`building the node image${missing ? ` (${missing})` : ''}`, () => {
  let root: string;
  beforeAll(() => {
    // On the disk of the build, as in a real one: nodes are made of hard links.
    root = mkdtempSync(join(ROOT, 'dist', '.test-'));
    mkdirSync(join(root, 'bin'));
    mkdirSync(join(root, 'dist'));
    copy(PROGRAM, join(root, 'bin/hostport'));
    for (const part of ['cni', 'images']) copy(join(ROOT, 'dist', part), join(root, 'dist', part));
  });
  afterAll(() => rmSync(root, { recursive: true }));

  function copy(from: string, to: string): void {
    const { exitCode, stderr } = Bun.spawnSync(['cp', '-al', from, to]);
    if (exitCode !== 0) throw new Error(stderr.toString());
  }

  function build() {
    return Bun.spawn([join(root, 'bin/hostport'), 'build', 'node-image'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  }

  const images = () => join(root, 'dist/node-images');
  /** What there is of a build besides images: processes, and what only a build has. */
  function left(): string[] {
    const { scratch, lock } = nodeImageStore(distributionOf(join(root, 'bin/hostport')));
    return [
      ...findProcesses(({ argv }) => argv.some((word) => word.startsWith(root))).map(({ argv }) =>
        argv.join(' '),
      ),
      ...[scratch, lock].filter((path) => existsSync(path)),
      ...(existsSync(images()) ? readdirSync(images()) : []).filter((name) => !/^[0-9a-f]{16}$/.test(name)),
    ];
  }

  /** Resolves when the build's own containerd is at work. */
  const isUnderWay = () =>
    waitFor(
      'containerd for the node image',
      () =>
        findProcesses(
          ({ argv }) => argv[0] === 'containerd' && argv.some((word) => word.startsWith(root)),
        )[0],
      { timeoutMs: 30_000, intervalMs: 5 },
    );

  test('interrupted, leaves nothing', async () => {
    const building = build();
    await isUnderWay();
    building.kill('SIGINT');
    expect(await building.exited).toBe(130);
    expect(await new Response(building.stderr).text()).toContain('error: interrupted by SIGINT\n');
    expect(left()).toEqual([]);
    expect(readdirSync(images())).toEqual([]);
  });

  test('killed, takes its containerd with it; two at once then make one image', async () => {
    const building = build();
    const { pid } = await isUnderWay();
    building.kill('SIGKILL');
    await building.exited;
    await waitFor(
      'its containerd to end',
      () => findProcesses((process) => process.pid === pid).length === 0,
      {
        timeoutMs: 5000,
      },
    );
    const both = [build(), build()];
    expect(await Promise.all(both.map((one) => one.exited))).toEqual([0, 0]);
    expect(readdirSync(images())).toEqual([expect.stringMatching(/^[0-9a-f]{16}$/)]);
    expect(left()).toEqual([]);
  });
});

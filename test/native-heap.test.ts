/** The native plugin's memory, in C: each block keeps what was written to it, in an image that is prepared, at run time, and when there is no more. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { realExec } from '../src/sys/exec.ts';
import { COMPILE_MS, compileNative } from './compile-native.ts';

let work: string;
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'hostport-heap-'));
  await compileNative(['test/native-heap.c', 'native/heap.c'], join(work, 'check'));
}, COMPILE_MS);
afterAll(() => rm(work, { recursive: true }));

const EVERY = [
  ...['malloc', 'calloc', 'reallocNew', 'shrink', 'grow', 'free'],
  ...['ofImageGrown', 'ofImageFreed', 'refused'],
];

test.each<['image' | 'full', number]>([
  ['image', 1],
  ['image', 2],
  ['image', 3],
  ['full', 4],
  ['full', 5],
])('at random, %s, seed %d', async (mode, seed) => {
  const { code, stdout, stderr } = await realExec.run([join(work, 'check'), String(seed), mode]);
  expect({ code, stderr, wrong: code === 0 ? '' : stdout }).toEqual({ code: 0, stderr: '', wrong: '' });
  const done = JSON.parse(stdout) as Record<string, number>;
  expect(Object.keys(done)).toEqual(EVERY);
  // Each was tried, and there is no memory only where the image is to be full.
  for (const [what, times] of Object.entries(done))
    expect([what, times > 0]).toEqual([what, what !== 'refused' || mode === 'full']);
});

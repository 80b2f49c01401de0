/** What the native plugin starts programs with, in C: descriptors, signals, and errors that are not its parent's. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { realExec } from '../src/sys/exec.ts';
import { COMPILE_MS, compileNative } from './compile-native.ts';

let work: string;
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'hostport-child-'));
  await compileNative(['test/native-child.c', 'native/child.c'], join(work, 'check'));
}, COMPILE_MS);
afterAll(() => rm(work, { recursive: true }));

test('a child has the descriptors and signals of a program, and its errors change none of its parent', async () => {
  expect(await realExec.run([join(work, 'check')])).toEqual({ code: 0, stdout: '', stderr: '' });
});

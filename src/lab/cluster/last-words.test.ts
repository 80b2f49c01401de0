import { afterEach, beforeEach, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lastWords } from './last-words.ts';
import { clusterPaths, type NodePaths } from './paths.ts';

let root: string;
let paths: NodePaths;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'hostport-words-'));
  paths = clusterPaths('c', root).node('n');
  mkdirSync(join(paths.rootfs, 'var/log'), { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true }));

test.each([
  ['', undefined],
  ['\n \n', undefined],
  ['one\ntwo\n', 'two'],
  ['I1129 16:00 begins\nE1129 16:01 cannot listen\nI1129 16:02 ends\n', 'E1129 16:01 cannot listen'],
  ['Error: unknown flag: --a\nUsage:\n  kubelet [flags]\n', 'Error: unknown flag: --a'],
  ['panic: no\n\ngoroutine 1 [running]:\n', 'panic: no'],
  [`E1129 early\n${'I1129 x\n'.repeat(10_000)}`, 'I1129 x'],
  [`Error: ${'x'.repeat(1000)}`, `Error: ${'x'.repeat(393)}`],
] as [string, string | undefined][])('of %p', (log, words) => {
  writeFileSync(join(paths.rootfs, 'var/log/kubelet.log'), log);
  expect(lastWords(paths, 'kubelet')).toBe(words);
});

test('of a daemon that has no log', () => expect(lastWords(paths, 'kubelet')).toBeUndefined());

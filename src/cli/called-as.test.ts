import { afterAll, beforeAll, expect, test } from 'bun:test';
import { linkSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { calledAs } from './called-as.ts';

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'hostport-called-'));
  for (const directory of ['bin', 'links', 'other', 'empty']) mkdirSync(join(root, directory));
  writeFileSync(join(root, 'bin/hostport'), 'this');
  linkSync(join(root, 'bin/hostport'), join(root, 'links/hostport'));
  writeFileSync(join(root, 'other/hostport'), 'another');
});
afterAll(() => rmSync(root, { recursive: true }));

test.each([
  ['it is on PATH', 'hostport', 'bin', 'hostport'],
  ['a link of it is on PATH', 'ROOT/bin/hostport', 'empty:ROOT/links', 'hostport'],
  [
    'another is on PATH before it',
    'ROOT/links/../bin/hostport',
    'other:ROOT/bin',
    'ROOT/links/../bin/hostport',
  ],
  ['none is on PATH', 'ROOT/bin/hostport', 'empty', 'ROOT/bin/hostport'],
  ['the word says nothing', 'hostport', 'empty', 'ROOT/bin/hostport'],
  ['the word is of something else', 'ROOT/other/hostport', 'empty', 'ROOT/bin/hostport'],
])('%s', (_, typed, path, expected) => {
  const at = (text: string) => text.replaceAll('ROOT', root);
  const start = { program: join(root, 'bin/hostport'), typed: at(typed), path: at(`ROOT/${path}`) };
  expect(calledAs(start)).toBe(at(expected));
});

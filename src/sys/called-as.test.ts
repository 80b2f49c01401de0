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
  for (const link of ['links/hostport', 'links/docker', 'links/kubectl-hostport', 'links/hp']) {
    linkSync(join(root, 'bin/hostport'), join(root, link));
  }
  writeFileSync(join(root, 'other/hostport'), 'another');
});
afterAll(() => rmSync(root, { recursive: true }));

test.each([
  ['it is on PATH', 'bin/hostport', 'hostport', 'bin', 'hostport'],
  ['a link of it is on PATH', 'bin/hostport', 'ROOT/bin/hostport', 'empty:ROOT/links', 'hostport'],
  [
    'another is on PATH before it',
    'bin/hostport',
    'ROOT/links/../bin/hostport',
    'other:ROOT/bin',
    'ROOT/links/../bin/hostport',
  ],
  ['none is on PATH', 'bin/hostport', 'ROOT/bin/hostport', 'empty', 'ROOT/bin/hostport'],
  ['the word says nothing', 'bin/hostport', 'hostport', 'empty', 'ROOT/bin/hostport'],
  ['the word is of something else', 'bin/hostport', 'ROOT/other/hostport', 'empty', 'ROOT/bin/hostport'],
  ['it was renamed', 'links/hp', 'ROOT/links/hp', 'empty', 'ROOT/links/hp'],
  ["kubectl's plugin", 'links/kubectl-hostport', 'ROOT/links/kubectl-hostport', 'bin', 'kubectl hostport'],
  ['a stand-in, and it is on PATH', 'links/docker', 'docker', 'links', 'hostport'],
  ['a stand-in is not a name for it', 'links/docker', 'ROOT/links/docker', 'empty', 'ROOT/links/hostport'],
])('%s', (_, program, typed, path, expected) => {
  const at = (text: string) => text.replaceAll('ROOT', root);
  const start = { program: join(root, program), typed: at(typed), path: at(`ROOT/${path}`) };
  expect(calledAs(start)).toBe(at(expected));
});

test('a path with a space is quoted, so that it can be pasted', () => {
  mkdirSync(join(root, 'my tools'));
  linkSync(join(root, 'bin/hostport'), join(root, 'my tools/hostport'));
  const program = join(root, 'my tools/hostport');
  expect(calledAs({ program, typed: program, path: '/nowhere' })).toBe(`'${program}'`);
});

test('from its source it has no file that could be named', () => {
  expect(calledAs({ program: undefined, typed: '/usr/bin/bun', path: '/nowhere' })).toBe('hostport');
  expect(calledAs()).toBe('hostport');
});

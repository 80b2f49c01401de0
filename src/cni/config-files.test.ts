import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { loadFirstNetwork, loadNetwork, loadNetworkFile } from './config-files.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hostport-net.d-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function put(files: Record<string, unknown>): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(directory, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  }
}

const list = (name: string, ...types: string[]) => ({ name, plugins: types.map((type) => ({ type })) });
const single = (name: string, type: string) => ({ name, type });
const types = ({ plugins }: { plugins: { type: string }[] }) => plugins.map(({ type }) => type);

describe("the first network is the runtime's", () => {
  test.each<[string, Record<string, unknown>, string[] | string]>([
    ['by name', { '10-b.conflist': list('b', 'b'), '05-a.conf': single('a', 'a') }, ['a']],
    ['of a known extension', { '00-x.cilium_bak': '{', '10-a.json': single('a', 'a') }, ['a']],
    ['and no directory', { '00-x.conf/10-y.conf': '{', '10-a.conf': single('a', 'a') }, ['a']],
    [
      'even when it is broken',
      { '00-x.conflist': '{', '10-a.conf': single('a', 'a') },
      '00-x.conflist: not JSON',
    ],
    ['or there is none', { 'readme.txt': 'x' }, 'no net configurations found in '],
  ])('%s', (_what, files, wanted) => {
    put(files);
    if (typeof wanted === 'string') expect(() => loadFirstNetwork(directory)).toThrow(wanted);
    else expect(types(loadFirstNetwork(directory))).toEqual(wanted);
  });
});

describe('a network by its name', () => {
  test.each<[string, Record<string, unknown>, string[] | string]>([
    ['among others', { '1.conflist': list('m', 'x'), '2.conflist': list('n', 'y') }, ['y']],
    ['a list before a single one', { '1.conf': single('n', 'x'), '2.conflist': list('n', 'y') }, ['y']],
    ['a single one', { '1.conflist': list('m', 'x'), '2.json': single('n', 'y') }, ['y']],
    ['the first of its name', { '1.conflist': list('n', 'x'), '2.conflist': list('n', 'y') }, ['x']],
    ['behind a broken file', { '1.conflist': '{', '2.conflist': list('n', 'y') }, '1.conflist: not JSON'],
    ['that is not there', { '1.conflist': list('m', 'x') }, 'no net configuration with name "n" in '],
    ['in an empty directory', {}, 'no net configurations found in '],
  ])('%s', (_what, files, wanted) => {
    put(files);
    if (typeof wanted === 'string') expect(() => loadNetwork(directory, 'n')).toThrow(wanted);
    else expect(types(loadNetwork(directory, 'n'))).toEqual(wanted);
  });

  test('in a directory that is not there', () => {
    expect(() => loadNetwork(join(directory, 'gone'), 'n')).toThrow('no net configurations found in ');
  });
});

test('plugins of the drop-in directory follow, by name', () => {
  put({
    'n.conflist': list('n', 'x'),
    'n/20-b.conf': { type: 'b' },
    'n/10-a.conf': { type: 'a' },
    'n/30-c.json': '{',
    'm/40-d.conf': '{',
  });
  expect(types(loadNetworkFile(join(directory, 'n.conflist')))).toEqual(['x', 'a', 'b']);
  put({ 'n/40-d.conf': '{' });
  expect(() => loadNetworkFile(join(directory, 'n.conflist'))).toThrow(`${directory}/n/40-d.conf: not JSON`);
});

test('a file behind a link counts; one that cannot be read is an error that names it', () => {
  put({ 'there/n.conflist': list('n', 'x') });
  symlinkSync(join(directory, 'there/n.conflist'), join(directory, 'n.conflist'));
  expect(types(loadFirstNetwork(directory))).toEqual(['x']);
  symlinkSync(join(directory, 'gone'), join(directory, '0.conflist'));
  expect(() => loadFirstNetwork(directory)).toThrow(`error reading ${directory}/0.conflist: ENOENT`);
});

test('a FIFO, a device or a very long file in a directory of networks is an error at once', () => {
  Bun.spawnSync(['mkfifo', join(directory, '00-fifo.conflist')]);
  const fifo = /error reading .*00-fifo.conflist: not a regular file$/;
  expect(() => loadFirstNetwork(directory)).toThrow(fifo);
  expect(() => loadNetwork(directory, 'a')).toThrow(fifo);
  rmSync(join(directory, '00-fifo.conflist'));
  symlinkSync('/dev/zero', join(directory, '00-zero.conflist'));
  expect(() => loadFirstNetwork(directory)).toThrow('00-zero.conflist: not a regular file');
  rmSync(join(directory, '00-zero.conflist'));
  put({ '00-long.conflist': ' '.repeat(9 * 1024 * 1024) });
  expect(() => loadFirstNetwork(directory)).toThrow('00-long.conflist: longer than');
});

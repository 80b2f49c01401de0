import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfFiles } from './conf-files.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'hostport-conf-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

test('every file is there with its content, also those no runtime reads; what cannot be read says why', async () => {
  writeFileSync(join(directory, '05-a.conf'), '{"name":"a"}');
  writeFileSync(join(directory, '10-b.conflist.cilium_bak'), '{}');
  writeFileSync(join(directory, '20-huge.conf'), Buffer.alloc(300 * 1024, 'x'));
  symlinkSync('/nowhere/at/all', join(directory, '30-dangling.conf'));
  symlinkSync('05-a.conf', join(directory, '40-link.conf'));
  mkdirSync(join(directory, 'net'));
  Bun.spawnSync(['mkfifo', join(directory, '50-fifo.conf')]);
  expect(readConfFiles(directory)).toEqual([
    { name: '05-a.conf', modified: time, changed: time, content: { value: '{"name":"a"}' } },
    { name: '10-b.conflist.cilium_bak', modified: time, changed: time, content: { value: '{}' } },
    {
      name: '20-huge.conf',
      modified: time,
      changed: time,
      content: { unknown: expect.stringContaining('longer than') },
    },
    {
      name: '30-dangling.conf',
      modified: time,
      changed: time,
      target: '/nowhere/at/all',
      content: { unknown: expect.stringContaining('ENOENT') },
    },
    {
      name: '40-link.conf',
      modified: time,
      changed: time,
      target: '05-a.conf',
      content: { value: '{"name":"a"}' },
    },
    {
      name: '50-fifo.conf',
      modified: time,
      changed: time,
      content: { unknown: expect.stringContaining('not a regular file') },
    },
  ]);
});
const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/);

test('a directory that is not there has no files', () => {
  expect(readConfFiles(join(directory, 'none'))).toEqual([]);
});

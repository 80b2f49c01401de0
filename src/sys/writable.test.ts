import { afterAll, expect, test } from 'bun:test';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkWritable, makeWritable } from './writable.ts';

const scratch = mkdtempSync(join(tmpdir(), 'hostport-writable-'));
afterAll(() => rmSync(scratch, { recursive: true }));

test('a directory that can be written is made, and nothing is left in it', async () => {
  const directory = join(scratch, 'a/b');
  await makeWritable(directory);
  await makeWritable(directory);
  expect(readdirSync(directory)).toEqual([]);
});

test('a file whose directory is not there yet can be written, and neither is made', async () => {
  await checkWritable(join(scratch, 'not/there/file'));
  expect(existsSync(join(scratch, 'not'))).toBe(false);
  mkdirSync(join(scratch, 'there'));
  await checkWritable(join(scratch, 'there/file'));
  expect(readdirSync(join(scratch, 'there'))).toEqual([]);
});

test('a file below a file cannot', async () => {
  writeFileSync(join(scratch, 'file'), '');
  const path = join(scratch, 'file/below');
  await expect(checkWritable(path)).rejects.toMatchObject({ code: 'ENOTDIR', path });
});

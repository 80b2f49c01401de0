import { afterAll, describe, expect, test } from 'bun:test';
import { constants, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { output, realExec } from './exec.ts';
import { openRegularFile, readRegularFile } from './regular-file.ts';

const scratch = mkdtempSync(join(tmpdir(), 'hostport-regular-'));
const listeners: { stop(): void }[] = [];
afterAll(() => {
  for (const listener of listeners) listener.stop();
  rmSync(scratch, { recursive: true });
});
const at = (name: string) => join(scratch, name);

test('a regular file is read whole, up to the limit', () => {
  writeFileSync(at('file'), 'ünïcode');
  expect(readRegularFile(at('file'), 9)).toBe('ünïcode');
  expect(() => readRegularFile(at('file'), 8)).toThrow(`${at('file')}: longer than 8 bytes`);
  writeFileSync(at('empty'), '');
  expect(readRegularFile(at('empty'), 0)).toBe('');
  expect(() => readRegularFile(at('none'), 1)).toThrow('ENOENT');
});

describe('anything but a regular file is named in the error, without waiting', () => {
  test.each<[string, (path: string) => unknown]>([
    ['a FIFO', (path) => output(realExec, ['mkfifo', path])],
    ['a directory', (path) => mkdirSync(path)],
    ['a symbolic link', (path) => symlinkSync(at('file'), path)],
    ['a symbolic link', (path) => symlinkSync(at('nowhere'), path)],
    ['a socket', (path) => listeners.push(Bun.listen({ unix: path, socket: { data() {} } }))],
    ['a device', (path) => output(realExec, ['mknod', path, 'c', '1', '3'])],
  ])('%s', async (kind, make) => {
    const path = at(crypto.randomUUID());
    await make(path);
    const error = `cannot open ${path}: it is ${kind}, not a regular file; remove it`;
    for (const flags of [constants.O_RDONLY, constants.O_WRONLY, constants.O_RDWR | constants.O_CREAT]) {
      expect(() => openRegularFile(path, flags, 0o600)).toThrow(error);
    }
    expect(() => readRegularFile(path, 100)).toThrow(error);
  });
});

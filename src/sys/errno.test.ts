import { expect, test } from 'bun:test';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ignoring, isErrno, unlessMissing } from './errno.ts';

test('what is missing is undefined, every other error is thrown', async () => {
  const root = mkdtempSync(join(tmpdir(), 'errno-'));
  try {
    const file = join(root, 'file');
    writeFileSync(file, 'text');
    expect(unlessMissing(() => readFileSync(file, 'utf8'))).toBe('text');
    expect(unlessMissing(() => readFileSync(join(root, 'none')))).toBeUndefined();
    expect(() => unlessMissing(() => readdirSync(file))).toThrow('ENOTDIR');
    expect(unlessMissing(() => readdirSync(file), ['ENOTDIR'])).toBeUndefined();
    expect(await readFile(join(root, 'none')).catch(ignoring('ENOENT'))).toBeUndefined();
    await expect(readFile(root).catch(ignoring('ENOENT'))).rejects.toThrow('EISDIR');
  } finally {
    rmSync(root, { recursive: true });
  }
});

test.each<[code: string | undefined, expected: boolean]>([
  ['ENOENT', true],
  ['ESRCH', true],
  ['EACCES', false],
  [undefined, false],
])('an error %p is one of two: %p', (code, expected) => {
  expect(isErrno(Object.assign(new Error('ENOENT'), { code }), 'ENOENT', 'ESRCH')).toBe(expected);
});

import { describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileProblem } from './file-problem.ts';

describe('what the kernel says, in words', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'hostport-file-problem-'));
  process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
  mkdirSync(join(scratch, 'directory'));
  writeFileSync(join(scratch, 'file'), '');
  symlinkSync('loop', join(scratch, 'loop'));

  test.each([
    ['nothing', 'no such file or directory'],
    ['directory', 'it is a directory, not a file'],
    ['file/below', 'part of its path is not a directory'],
    ['loop', 'its symbolic links form a loop'],
    ['x'.repeat(300), 'its name is too long'],
  ])('%s', (name, words) => {
    let caught: unknown;
    try {
      readFileSync(join(scratch, name));
    } catch (cause) {
      caught = cause;
    }
    expect(fileProblem(caught)).toBe(words);
  });
});

test.each([
  [
    'a system error without words here',
    Object.assign(new Error(), { code: 'EIO' }),
    'the system reports EIO',
  ],
  ["a program's own code", Object.assign(new Error(), { code: 'ERR_STREAM' }), undefined],
  ['an error without a code', new Error('x'), undefined],
  ['nothing', undefined, undefined],
])('%s', (_, cause, words) => expect(fileProblem(cause)).toBe(words));

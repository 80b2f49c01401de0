import { expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { namesIn } from './directories.ts';

test('names in a directory are sorted, a missing directory has none, and anything else is an error', () => {
  const directory = mkdtempSync(join(tmpdir(), 'directories-'));
  try {
    writeFileSync(join(directory, 'b'), '');
    mkdirSync(join(directory, 'a'));
    writeFileSync(join(directory, '.c'), '');
    expect(namesIn(directory)).toEqual(['.c', 'a', 'b']);
    expect(namesIn(join(directory, 'a'))).toEqual([]);
    expect(namesIn(join(directory, 'none'))).toEqual([]);
    expect(() => namesIn(join(directory, 'b'))).toThrow('ENOTDIR');
  } finally {
    rmSync(directory, { recursive: true });
  }
});

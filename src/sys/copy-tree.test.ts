import { expect, test } from 'bun:test';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { copyTree } from './copy-tree.ts';

test('copies modes and links as they are, shares what may be shared and nothing else', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'copy-tree-'));
  const umask = process.umask(0o077);
  try {
    const from = join(scratch, 'from');
    mkdirSync(join(from, 'inner'), { recursive: true });
    chmodSync(join(from, 'inner'), 0o1777);
    writeFileSync(join(from, 'inner/layer'), 'shared');
    writeFileSync(join(from, 'meta.db'), 'own');
    symlinkSync('../nowhere', join(from, 'dangling'));
    const to = join(scratch, 'to');
    copyTree(from, to, (name) => !name.endsWith('.db'));
    expect(lstatSync(join(to, 'inner')).mode & 0o7777).toBe(0o1777);
    expect(readlinkSync(join(to, 'dangling'))).toBe('../nowhere');
    expect(lstatSync(join(to, 'dangling')).ino).toBe(lstatSync(join(from, 'dangling')).ino);
    expect(lstatSync(join(to, 'inner/layer')).ino).toBe(lstatSync(join(from, 'inner/layer')).ino);
    expect(lstatSync(join(to, 'meta.db')).ino).not.toBe(lstatSync(join(from, 'meta.db')).ino);
    expect(readFileSync(join(to, 'meta.db'), 'utf8')).toBe('own');
  } finally {
    process.umask(umask);
    rmSync(scratch, { recursive: true });
  }
});

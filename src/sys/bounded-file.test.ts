import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  localPaths,
  namesOfAtMost,
  readBelow,
  readHead,
  readKernelFile,
  readKernelHead,
  readLinked,
} from './bounded-file.ts';
import { output, realExec } from './exec.ts';
import { type Mount, readMounts } from './mounts.ts';

const scratch = realpathSync(mkdtempSync(join(tmpdir(), 'hostport-bounded-')));
const at = (name: string) => join(scratch, name);
beforeAll(async () => {
  mkdirSync(at('inside/deep'), { recursive: true });
  writeFileSync(at('inside/file'), 'content');
  writeFileSync(at('outside'), 'S3CRET');
  symlinkSync('deep/../file', at('inside/link'));
  symlinkSync('../outside', at('inside/out'));
  symlinkSync('loop', at('inside/loop'));
  await output(realExec, ['mkfifo', at('inside/fifo')]);
});
afterAll(() => rmSync(scratch, { recursive: true }));

describe('a directory is read for somebody', () => {
  const below = (name: string, limit = 7) =>
    readBelow(at('inside'), at(`inside/${name}`), limit).bytes.toString();

  test('files and links that stay in it', () => {
    expect(below('file')).toBe('content');
    expect(below('link')).toBe('content');
    expect(namesOfAtMost(at('inside'), 6)).toEqual(['deep', 'fifo', 'file', 'link', 'loop', 'out']);
    expect(namesOfAtMost(at('none'), 0)).toEqual([]);
  });

  test.each([
    ['out', 'a link that leads out of its directory'],
    ['loop', 'ELOOP'],
    ['fifo', 'not a regular file'],
    ['deep', 'not a regular file'],
    ['none', 'ENOENT'],
  ])('and not what is no file of it: %s', (name, problem) => {
    expect(() => below(name)).toThrow(problem);
  });

  test('and not more than the limit', () => {
    expect(() => below('file', 6)).toThrow('longer than 6 bytes');
    expect(() => namesOfAtMost(at('inside'), 5)).toThrow('has 6 entries, more than 5');
  });
});

test('a file that a user names is read wherever links lead, if it is a file and not too long', () => {
  expect(readLinked(at('inside/out'), 6).toString()).toBe('S3CRET');
  expect(readHead(at('inside/out'), 2).toString()).toBe('S3');
  for (const path of ['inside/fifo', 'inside'].map(at)) {
    expect(() => readLinked(path, 100)).toThrow(`${path}: not a regular file`);
    expect(() => readHead(path, 100)).toThrow(`${path}: not a regular file`);
  }
  expect(() => readLinked(at('inside/out'), 5)).toThrow('longer than 5 bytes');
  expect(() => readLinked('/dev/zero', 5)).toThrow('not a regular file');
});

test('files of the kernel are read to their end, though they have no size', () => {
  expect(readKernelFile('/proc/self/mountinfo')).toContain(' / ');
  expect(readKernelFile('/proc/self/mountinfo').length).toBeGreaterThan(100);
  expect(readKernelHead('/proc/self/mountinfo', 10)).toHaveLength(10);
  expect(() => readKernelFile('/proc/self/mountinfo', 10)).toThrow('longer than 10 bytes');
  expect(() => readKernelFile('/proc/self/task')).toThrow('not a regular file');
});

describe('file systems whose server may not answer', () => {
  const mount = (point: string, type: string) => ({ point, type }) as Mount;
  const on = (point: string, type: string) => localPaths([mount('/', 'ext4'), mount(point, type)]);

  test.each([
    ...[
      '9p',
      'afs',
      'autofs',
      'beegfs',
      'ceph',
      'cifs',
      'coda',
      'fuse',
      'fuse.sshfs',
      'fuseblk',
      'fuseblk.ntfs',
    ],
    ...[
      'gfs2',
      'gpfs',
      'lustre',
      'nfs',
      'nfs4',
      'ocfs2',
      'orangefs',
      'panfs',
      'pvfs2',
      'smb',
      'smb3',
      'smbfs',
      'wekafs',
    ],
  ])('nothing on one is looked at, whether its name or a link leads there: %s', (type) => {
    const resolve = on(at('inside/deep'), type);
    expect(() => resolve(at('inside/deep/x'))).toThrow(
      `${at('inside/deep')}: on a file system of type ${type}, whose server may not answer: not read`,
    );
    expect(() => resolve(at('inside/link'))).toThrow('may not answer');
    expect(resolve(at('inside/out'))).toBe(at('outside'));
  });

  test('what is mounted over it is fine, as is a root that is one, and what is of the machine', () => {
    const resolve = localPaths([mount('/', 'nfs4'), mount(scratch, 'nfs4'), mount(scratch, 'tmpfs')]);
    expect(resolve(at('inside/out'))).toBe(at('outside'));
    expect(resolve('/proc/../dev')).toBe('/dev');
    for (const type of ['fuse.fuse-overlayfs', 'virtiofs', 'overlay']) {
      expect(on(scratch, type)(at('inside/link'))).toBe(at('inside/file'));
    }
  });

  test('paths are found as realpath(3) finds them', () => {
    const resolve = localPaths([...readMounts().values(), mount('/nowhere', 'nfs')]);
    for (const path of [at('inside/link'), at('inside/../inside//out'), '/proc/self/ns', '/']) {
      expect(resolve(path)).toBe(realpathSync(path));
    }
    expect(() => resolve(at('inside/none'))).toThrow('ENOENT');
    expect(() => resolve(at('inside/loop'))).toThrow('loop');
  });
});

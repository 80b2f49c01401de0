import { expect, test } from 'bun:test';
import { RootTree } from './root-tree.ts';
import { parseLdd } from './shared-libraries.ts';

test('parents come first, and a hard link after the file that it links to', () => {
  const entries = new RootTree()
    .file(['/usr/local/bin/zeta', '/usr/local/bin/alpha'], 0o755, 'program')
    .directory('/tmp', 0o1777)
    .entries();
  expect(entries.map((entry) => [entry.type, entry.path, 'target' in entry ? entry.target : ''])).toEqual([
    ['directory', 'tmp', ''],
    ['directory', 'usr', ''],
    ['directory', 'usr/local', ''],
    ['directory', 'usr/local/bin', ''],
    ['file', 'usr/local/bin/alpha', ''],
    ['link', 'usr/local/bin/zeta', 'usr/local/bin/alpha'],
  ]);
});

test('/bin and /lib64 are below /usr', () => {
  const tree = new RootTree()
    .mergedUsr()
    .file(['/bin/sh', '/usr/bin/sh'], 0o755, '')
    .file(['/lib64/ld.so'], 0o755, '');
  expect(tree.entries().map(({ path }) => path)).toEqual([
    'bin',
    'lib',
    'lib64',
    'sbin',
    'usr',
    'usr/bin',
    'usr/bin/sh',
    'usr/lib',
    'usr/lib64',
    'usr/lib64/ld.so',
    'usr/sbin',
  ]);
  expect(tree.has('/usr/lib64/ld.so')).toBe(true);
});

test('a path that is there twice, or is relative, is an error', () => {
  const tree = new RootTree().file(['/etc/passwd'], 0o644, '');
  expect(() => tree.file(['/etc/passwd'], 0o644, '')).toThrow('/etc/passwd is twice in the layer');
  expect(() => tree.directory('/etc/passwd')).toThrow('twice');
  expect(() => tree.directory('etc')).toThrow('not an absolute path');
});

test('ldd names libraries and the loader, not the vdso', () => {
  const text = [
    '/usr/sbin/ip:',
    '\tlinux-vdso.so.1 (0x00007f0000000000)',
    '\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f0000000000)',
    '\t/lib64/ld-linux-x86-64.so.2 (0x00007f0000000000)',
    '/usr/bin/busybox:',
    '\tnot a dynamic executable',
    '',
  ].join('\n');
  expect(parseLdd(text)).toEqual(['/lib/x86_64-linux-gnu/libc.so.6', '/lib64/ld-linux-x86-64.so.2']);
  expect(() => parseLdd('\tlibmissing.so.1 => not found\n')).toThrow(
    'libmissing.so.1 is not on this machine',
  );
});

import { afterAll, expect, test } from 'bun:test';
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { output, realExec } from '../../sys/exec.ts';
import { harmlessTree } from './harmless-tree.ts';

const scratch = mkdtempSync(join(tmpdir(), 'hostport-harmless-'));
afterAll(() => rmSync(scratch, { recursive: true }));
const [node, machine] = [join(scratch, 'node'), join(scratch, 'machine')];
const isRoot = process.getuid?.() === 0;

test.skipIf(!isRoot)(
  'a tree of a node comes without devices, FIFOs and setuid files; all else of it is the same',
  async () => {
    const at = (name: string) => join(node, name);
    mkdirSync(at('directory'), { recursive: true });
    writeFileSync(at('directory/file'), 'content');
    chownSync(at('directory/file'), 1234, 1235);
    chmodSync(at('directory/file'), 0o640);
    utimesSync(at('directory/file'), 1_000_000_000, 1_000_000_000);
    linkSync(at('directory/file'), at('hard'));
    symlinkSync('directory/file', at('soft'));
    writeFileSync(at('root-shell'), '#!/bin/sh', { mode: 0o755 });
    chmodSync(at('root-shell'), 0o6755);
    mkdirSync(at('sticky'));
    chmodSync(at('sticky'), 0o3777);
    const long = `${'x'.repeat(120)}/${'y'.repeat(120)}`;
    mkdirSync(at(long.slice(0, 120)));
    writeFileSync(at(long), 'long');
    for (const argv of [
      ['mkfifo', at('fifo')],
      ['mknod', at('disk'), 'b', '7', '0'],
      ['mknod', at('directory/zero'), 'c', '1', '5'],
    ]) {
      await output(realExec, argv);
    }
    const { stdoutBytes } = await realExec.run(['tar', '-C', node, '-cf', '-', '.'], { binary: true });
    const { archive, leftOut } = await harmlessTree(stdoutBytes!);
    expect(leftOut).toEqual(['directory/zero', 'disk', 'fifo']);

    mkdirSync(machine);
    await output(realExec, ['tar', '-C', machine, '-xf', '-'], { stdin: archive });
    const of = (name: string) => statSync(join(machine, name));
    expect(readdirSync(machine, { recursive: true }).sort()).toEqual(
      [
        'directory',
        'directory/file',
        'hard',
        'root-shell',
        'soft',
        'sticky',
        long.slice(0, 120),
        long,
      ].sort(),
    );
    expect(readFileSync(join(machine, 'directory/file'), 'utf8')).toBe('content');
    expect(readFileSync(join(machine, long), 'utf8')).toBe('long');
    expect(of('directory/file')).toMatchObject({ uid: 1234, gid: 1235, mtimeMs: 1e12, nlink: 2 });
    expect(of('directory/file').mode & 0o7777).toBe(0o640);
    expect(of('hard').ino).toBe(of('directory/file').ino);
    expect(readlinkSync(join(machine, 'soft'))).toBe('directory/file');
    expect(of('root-shell').mode & 0o7777).toBe(0o755);
    expect(of('sticky').mode & 0o7777).toBe(0o1777);
    expect(lstatSync(machine).isDirectory()).toBe(true);
  },
);

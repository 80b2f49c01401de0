import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DebianPackage, formatLock, lockPath, readLock } from '../scripts/release/images/debian-lock.ts';
import { digestOf, lockedPackages } from '../scripts/release/images/debian-packages.ts';
import { dynamicOf } from '../scripts/release/images/elf.ts';
import { PackageFiles } from '../scripts/release/images/package-files.ts';
import { type Exec, output, realExec } from '../src/sys/exec.ts';
import { type TarEntry, writeTar } from '../src/sys/tar.ts';

const ROOT = join(import.meta.dir, '..');
const scratch = mkdtempSync(join(tmpdir(), 'hostport-release-images-'));
afterAll(() => rmSync(scratch, { recursive: true }));

describe('the lock', () => {
  test('is as it would be written', () => {
    const path = lockPath(ROOT);
    expect(formatLock(readLock(path))).toBe(readFileSync(path, 'utf8'));
  });

  test.each([
    ['{"amd64": []}', 'amd64: '],
    ['{"amd64": [{"name": "a b", "version": "1", "sha256": "0"}], "arm64": []}', 'amd64.0.name: '],
  ])('%s is refused', (text, problem) => {
    const path = join(scratch, 'lock.json');
    writeFileSync(path, text);
    expect(() => readLock(path)).toThrow(`cannot read ${path}: ${problem}`);
    expect(() => readLock(path)).toThrow('run "make refresh-lock" to write it');
  });
});

describe('packages of the lock', () => {
  const content = Buffer.from('a package');
  const wanted: DebianPackage = { name: 'tool', version: '1:2.0-1', sha256: digestOf(content) };
  let caches = 0;
  const newCache = () => join(scratch, `cache-${caches++}`);

  /** apt that has these packages, or says what is wrong. */
  function apt(has: { file?: Buffer; fails?: string }) {
    const ran: string[] = [];
    const exec: Exec = {
      async run(argv, options) {
        ran.push(argv.join(' '));
        const isDownload = argv[1] === 'download';
        if (isDownload && has.fails !== undefined) return { code: 100, stdout: '', stderr: has.fails };
        if (isDownload) writeFileSync(join(options!.cwd!, 'tool_1%3a2.0-1_arm64.deb'), has.file!);
        return { code: 0, stdout: '', stderr: '' };
      },
    };
    return { exec, ran };
  }

  test('are downloaded once, by name and version', async () => {
    const { exec, ran } = apt({ file: content });
    const cache = newCache();
    for (let i = 0; i < 2; i++)
      expect(await lockedPackages(exec, 'arm64', [wanted], cache)).toEqual(new Map([['tool', content]]));
    expect(ran).toEqual(['apt-get update -qq', 'apt-get download -qq tool=1:2.0-1']);
  });

  test('that are gone fail with what apt says and what to do', async () => {
    const fails = "W: x\nE: Version '1:2.0-1' for 'tool' was not found\nE: other";
    await expect(lockedPackages(apt({ fails }).exec, 'arm64', [wanted], newCache())).rejects.toThrow(
      `cannot download the packages of the images for arm64: Version '1:2.0-1' for 'tool' was not found; run "make refresh-lock" on Debian 12 when a version is gone`,
    );
  });

  test('with other bytes are refused', async () => {
    const { exec } = apt({ file: Buffer.from('another') });
    await expect(lockedPackages(exec, 'arm64', [wanted], newCache())).rejects.toThrow(
      'cannot use tool 1:2.0-1 for arm64: Debian has it with another SHA-256 than the lock; ',
    );
  });

  test('that were damaged since are named', async () => {
    const { exec } = apt({ file: content });
    const cache = newCache();
    await lockedPackages(exec, 'arm64', [wanted], cache);
    const kept = join(cache, `${wanted.sha256}.deb`);
    writeFileSync(kept, 'half');
    await expect(lockedPackages(exec, 'arm64', [wanted], cache)).rejects.toThrow(
      `cannot use ${kept}: it is damaged; remove it`,
    );
  });
});

describe('files of packages', () => {
  async function filesOf(...entries: TarEntry[]): Promise<PackageFiles> {
    const files = new PackageFiles();
    await files.add('p', Buffer.concat(await Array.fromAsync(writeTar(entries))));
    return files;
  }
  const file = (path: string, content = path): TarEntry => ({
    type: 'file',
    path,
    mode: 0o755,
    content: Buffer.from(content),
  });

  test('are found where a machine has them, also by links', async () => {
    const files = await filesOf(
      file('./bin/ip'),
      file('lib/x/libc.so.6'),
      { type: 'symlink', path: 'lib64/ld.so', target: '/lib/x/ld.so' },
      { type: 'symlink', path: 'usr/lib/x/ld.so', target: 'libc.so.6' },
    );
    expect(files.find('/usr/bin/ip')?.content.toString()).toBe('./bin/ip');
    expect(files.find('/lib64/ld.so')?.content.toString()).toBe('lib/x/libc.so.6');
    expect(files.find('/usr/bin/gone')).toBeUndefined();
    expect(files.in('/lib/x')).toEqual(['/usr/lib/x/ld.so', '/usr/lib/x/libc.so.6']);
  });

  test('links in a circle end', async () => {
    const files = await filesOf(
      { type: 'symlink', path: 'a', target: 'b' },
      { type: 'symlink', path: 'b', target: 'a' },
    );
    expect(() => files.find('/a')).toThrow('/a is behind more than 8 links');
  });

  test('a library that no package has is named', async () => {
    const files = await filesOf();
    expect(() => files.librariesOf([readFileSync('/bin/ls')], '/usr/lib/x')).toThrow(
      /is needed, and in none of the packages$/,
    );
  });
});

describe('ELF files', () => {
  test('what a program needs is what the loader says', async () => {
    const { interpreter, needed } = dynamicOf(readFileSync('/bin/ls'))!;
    const listed = await output(realExec, ['ldd', '/bin/ls']);
    expect(listed).toContain(interpreter!);
    expect(needed.length).toBeGreaterThan(0);
    for (const name of needed) expect(listed).toContain(`\t${name} => `);
  });

  test('a static one needs nothing, and a text is none', () => {
    expect(dynamicOf(readFileSync('/bin/busybox'))).toEqual({ needed: [] });
    expect(dynamicOf(Buffer.from('#!/bin/sh\n'.repeat(20)))).toBeUndefined();
  });
});

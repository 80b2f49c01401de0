import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { output, realExec } from '../../sys/exec.ts';
import { readTar, type TarEntry, TarError, writeTar } from './tar.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'hostport-tar-'));
  writeFileSync(join(directory, 'big'), Buffer.alloc((1 << 20) + 700, 'x'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function pack(entries: TarEntry[]): Buffer {
  return Buffer.concat([...writeTar(entries)].map((chunk) => Buffer.from(chunk)));
}

async function* inPieces(bytes: Buffer, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function unpack(bytes: Buffer, size = 1000) {
  const entries = [];
  for await (const { header, body } of readTar(inPieces(bytes, size))) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of body()) chunks.push(chunk);
    entries.push({ ...header, content: Buffer.concat(chunks).toString() });
  }
  return entries;
}

const file = (path: string, content = 'hello'): TarEntry => ({
  type: 'file',
  path,
  mode: 0o644,
  content: Buffer.from(content),
});

describe('what is written can be read', () => {
  const long = `${'directory/'.repeat(12)}file`;
  const cases: {
    name: string;
    entry: TarEntry;
    type: string;
    size: number;
    mode: number;
    target?: string;
  }[] = [
    { name: 'a file', entry: file('a'), type: 'file', size: 5, mode: 0o644 },
    { name: 'an empty file', entry: file('a', ''), type: 'file', size: 0, mode: 0o644 },
    {
      name: 'a file of exactly one block',
      entry: file('a', 'x'.repeat(512)),
      type: 'file',
      size: 512,
      mode: 0o644,
    },
    { name: 'a name of 100 bytes', entry: file('n'.repeat(100)), type: 'file', size: 5, mode: 0o644 },
    { name: 'a name of 101 bytes', entry: file('n'.repeat(101)), type: 'file', size: 5, mode: 0o644 },
    { name: 'a long path', entry: file(long), type: 'file', size: 5, mode: 0o644 },
    { name: 'a name that is not ASCII', entry: file('grüße'), type: 'file', size: 5, mode: 0o644 },
    {
      name: 'a directory',
      entry: { type: 'directory', path: 'tmp', mode: 0o1777 },
      type: 'directory',
      size: 0,
      mode: 0o1777,
    },
    {
      name: 'a symbolic link',
      entry: { type: 'symlink', path: 'bin', target: 'usr/bin' },
      type: 'symlink',
      size: 0,
      mode: 0o777,
      target: 'usr/bin',
    },
    {
      name: 'a link to a long path',
      entry: { type: 'symlink', path: 'l', target: long },
      type: 'symlink',
      size: 0,
      mode: 0o777,
      target: long,
    },
    {
      name: 'a hard link',
      entry: { type: 'hardlink', path: 'b', target: 'a' },
      type: 'hardlink',
      size: 0,
      mode: 0o777,
      target: 'a',
    },
  ];
  for (const { name, entry, type, size, mode, target } of cases) {
    test(name, async () => {
      const [read, ...more] = await unpack(pack([entry]));
      expect(more).toEqual([]);
      const content = entry.type === 'file' ? Buffer.from(entry.content as Uint8Array).toString() : '';
      expect(read as unknown).toEqual({ path: entry.path, type, size, mode, target: target ?? '', content });
    });
  }

  test('a file of the disk, whatever pieces the archive arrives in', async () => {
    const path = join(directory, 'big');
    const bytes = pack([
      { type: 'file', path: 'big', mode: 0o755, content: { file: path, size: (1 << 20) + 700 } },
      file('after'),
    ]);
    for (const size of [511, 513, 1 << 22]) {
      const entries = await unpack(bytes, size);
      expect(entries.map(({ path, size }) => [path, size])).toEqual([
        ['big', (1 << 20) + 700],
        ['after', 5],
      ]);
    }
  });

  test('a body that nobody reads is skipped', async () => {
    const paths = [];
    for await (const { header } of readTar(inPieces(pack([file('a', 'x'.repeat(5000)), file('b')]), 100)))
      paths.push(header.path);
    expect(paths).toEqual(['a', 'b']);
  });

  test('GNU tar lists what was written, and what it writes can be read', async () => {
    const name = `${'d/'.repeat(80)}name`;
    writeFileSync(
      join(directory, 'ours.tar'),
      pack([file(name), { type: 'hardlink', path: 'other', target: name }]),
    );
    const listed = await output(realExec, ['tar', '-tf', join(directory, 'ours.tar')]);
    expect(listed).toBe(`${name}\nother\n`);
    for (const format of ['ustar', 'pax', 'gnu']) {
      const out = join(directory, `${format}.tar`);
      const transform = format === 'ustar' ? 's,^big,p/' : `s,^big,${'long/'.repeat(30)}`;
      await output(realExec, [
        'tar',
        `--format=${format}`,
        '-C',
        directory,
        `--transform=${transform}big,`,
        '-cf',
        out,
        'big',
      ]);
      const [read] = await unpack(Buffer.from(await Bun.file(out).arrayBuffer()), 4096);
      expect(read?.size).toBe((1 << 20) + 700);
      expect(read?.path).toBe(format === 'ustar' ? 'p/big' : `${'long/'.repeat(30)}big`);
    }
  });
});

describe('what is not an archive is refused', () => {
  const good = pack([file('a', 'x'.repeat(2000))]);
  const wrongSum = Buffer.from(good);
  wrongSum[0] = 0x62;
  const cases: { name: string; bytes: Buffer; message: RegExp }[] = [
    {
      name: 'text',
      bytes: Buffer.from('not a tar archive\n'.repeat(100)),
      message: /not a tar header at byte 0/,
    },
    { name: 'a short file', bytes: Buffer.from('short'), message: /ends inside a header/ },
    { name: 'a wrong checksum', bytes: wrongSum, message: /checksum is wrong/ },
    {
      name: 'an archive cut in a body',
      bytes: good.subarray(0, 1000),
      message: /ends inside a at byte 1000/,
    },
  ];
  for (const { name, bytes, message } of cases) {
    test(name, async () => {
      const error = await unpack(bytes).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(error).toBeInstanceOf(TarError);
      expect((error as Error).message).toMatch(message);
    });
  }

  test('a file that shrinks while it is archived', () => {
    const content = { file: join(directory, 'big'), size: 1 << 24 };
    expect(() => pack([{ type: 'file', path: 'big', mode: 0o644, content }])).toThrow(/became shorter/);
  });
});

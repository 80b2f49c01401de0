import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { output, realExec } from './exec.ts';
import { readTar, type TarEntry, writeTar } from './tar.ts';
import { waitFor } from './wait.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'hostport-tar-'));
  writeFileSync(join(directory, 'big'), Buffer.alloc((1 << 20) + 700, 'x'));
});
afterAll(() => rmSync(directory, { recursive: true }));

async function pack(entries: TarEntry[]): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(writeTar(entries)));
}

async function* inPieces(bytes: Buffer, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function unpack(bytes: Buffer, size = 1000) {
  const entries = [];
  for await (const { body, ...header } of readTar(inPieces(bytes, size))) {
    entries.push({ ...header, content: Buffer.concat(await Array.fromAsync(body)).toString() });
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
      entry: { type: 'link', path: 'b', target: 'a' },
      type: 'link',
      size: 0,
      mode: 0o777,
      target: 'a',
    },
  ];
  for (const { name, entry, type, size, mode, target } of cases) {
    test(name, async () => {
      const [read, ...more] = await unpack(await pack([entry]));
      expect(more).toEqual([]);
      const content = entry.type === 'file' ? Buffer.from(entry.content as Uint8Array).toString() : '';
      const about = { uid: 0, gid: 0, mtime: new Date(0) };
      const rest = { size, mode, target: target ?? '', content, about };
      expect(read as unknown).toEqual({ path: entry.path, type, ...rest });
    });
  }

  test('a file of the disk, whatever pieces the archive arrives in', async () => {
    const path = join(directory, 'big');
    const bytes = await pack([
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
    const bytes = await pack([file('a', 'x'.repeat(5000)), file('b')]);
    for await (const { path } of readTar(inPieces(bytes, 100))) paths.push(path);
    expect(paths).toEqual(['a', 'b']);
  });

  test('GNU tar lists what was written, and what it writes can be read', async () => {
    const name = `${'d/'.repeat(80)}name`;
    writeFileSync(
      join(directory, 'ours.tar'),
      await pack([file(name), { type: 'link', path: 'other', target: name }]),
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

const END = Buffer.alloc(1024);

/** A header block of an empty file `a`, with fields changed and its checksum made right again. */
function header(fields: { at: number; bytes: string }[]): Buffer {
  const block = Buffer.alloc(512);
  const all = [
    { at: 0, bytes: 'a' },
    { at: 100, bytes: '0000644' },
    { at: 124, bytes: '00000000000' },
  ];
  for (const { at, bytes } of [
    ...all,
    { at: 156, bytes: '0' },
    { at: 257, bytes: 'ustar\x0000' },
    ...fields,
  ]) {
    block.write(bytes, at, 'latin1');
  }
  block.write(' '.repeat(8), 148, 'latin1');
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0`, 148, 'latin1');
  return block;
}

const sized = (size: string, flag = '0') =>
  header([
    { at: 124, bytes: size },
    { at: 156, bytes: flag },
  ]);

describe('what is not an archive is refused', () => {
  const good = () => pack([file('a', 'x'.repeat(2000))]);
  const cases: { name: string; bytes: () => Buffer | Promise<Buffer>; message: RegExp }[] = [
    { name: 'text', bytes: () => Buffer.from('not a tar archive\n'.repeat(100)), message: /tar number/ },
    { name: 'a short file', bytes: () => Buffer.from('short'), message: /tar number|checksum/ },
    {
      name: 'a wrong checksum',
      bytes: async () => {
        const bytes = await good();
        bytes[0] = 0x62;
        return bytes;
      },
      message: /checksum/,
    },
    {
      name: 'a wrong checksum of the second header',
      bytes: async () => {
        const bytes = await pack([file('a'), file('b')]);
        bytes[1024] = 0x63;
        return bytes;
      },
      message: /checksum/,
    },
    { name: 'one cut in a body', bytes: async () => (await good()).subarray(0, 1000), message: /truncated/ },
    {
      name: 'one cut near the end of a body',
      bytes: async () => (await good()).subarray(0, 512 + 1990),
      message: /truncated/,
    },
    {
      name: 'one cut in the padding of a body',
      bytes: async () => (await good()).subarray(0, 512 + 2010),
      message: /truncated/,
    },
    {
      name: 'one cut in a header',
      bytes: async () => (await pack([file('a')])).subarray(0, 100),
      message: /checksum/,
    },
    {
      name: 'a size beyond the archive',
      bytes: () => Buffer.concat([sized('77777777777'), END]),
      message: /truncated/,
    },
    {
      name: 'a binary size beyond any number',
      bytes: () => Buffer.concat([sized(`\x80${'\xff'.repeat(11)}`), END]),
      message: /too large/,
    },
    {
      name: 'a negative binary size',
      bytes: () => Buffer.concat([sized('\xff'.repeat(12)), END]),
      message: /too large/,
    },
    {
      name: 'a size that is not a number',
      bytes: () => Buffer.concat([sized('0000000zz05'), END]),
      message: /tar number/,
    },
    ...['x', 'g', 'L', 'K'].map((flag) => ({
      name: `an extended header (${flag}) of gigabytes`,
      bytes: () => Buffer.concat([sized('77777777777', flag), END]),
      message: /maximum size/,
    })),
    {
      name: 'something behind the end',
      bytes: async () => Buffer.concat([await good(), Buffer.from('more')]),
      message: /EOF/,
    },
  ];
  for (const { name, bytes, message } of cases) {
    test.each([1000, 1 << 20])(`${name}, in pieces of %d`, async (size) => {
      await expect(unpack(await bytes(), size)).rejects.toThrow(message);
    });
  }

  test('a file that shrinks while it is archived', async () => {
    const content = { file: join(directory, 'big'), size: 1 << 24 };
    await expect(pack([{ type: 'file', path: 'big', mode: 0o644, content }])).rejects.toThrow(
      /became shorter/,
    );
  });

  test('a file that is not there', async () => {
    const content = { file: join(directory, 'none'), size: 5 };
    await expect(pack([{ type: 'file', path: 'none', mode: 0o644, content }])).rejects.toThrow(/ENOENT/);
  });
});

describe('what other readers accept is read', () => {
  const pair = () => pack([file('a'), file('b')]);
  const cases: { name: string; bytes: () => Buffer | Promise<Buffer>; paths: string[] }[] = [
    { name: 'no end', bytes: async () => (await pair()).subarray(0, -1024), paths: ['a', 'b'] },
    { name: 'half an end', bytes: async () => (await pair()).subarray(0, -512), paths: ['a', 'b'] },
    {
      name: "GNU's padding",
      bytes: async () => Buffer.concat([await pair(), Buffer.alloc(8192)]),
      paths: ['a', 'b'],
    },
    { name: 'nothing', bytes: () => Buffer.alloc(0), paths: [] },
    {
      name: 'a hard link with the size of its target, which has no body',
      bytes: async () => Buffer.concat([sized('00000000005', '1'), await pack([file('b')])]),
      paths: ['a', 'b'],
    },
    { name: 'a device', bytes: () => Buffer.concat([sized('00000000000', '3'), END]), paths: ['a'] },
    {
      name: 'a path that leads out, as it is',
      bytes: () => pack([file('../../etc/passwd')]),
      paths: ['../../etc/passwd'],
    },
  ];
  for (const { name, bytes, paths } of cases) {
    test.each([1000, 1 << 20])(`${name}, in pieces of %d`, async (size) => {
      expect((await unpack(await bytes(), size)).map(({ path }) => path)).toEqual(paths);
    });
  }
});

describe('a large body is never held as a whole', () => {
  const SIZE = 256 << 20;
  const LIMIT = 32 << 20;

  test('of an archive that is read', async () => {
    let given = 0;
    const source = async function* () {
      yield sized(SIZE.toString(8).padStart(11, '0'));
      for (; given < SIZE; given += 1 << 20) yield Buffer.alloc(1 << 20);
    };
    let taken = 0;
    for await (const { body } of readTar(source())) {
      for await (const chunk of body) {
        taken += chunk.length;
        expect(given - taken).toBeLessThan(LIMIT);
      }
    }
    expect(taken).toBe(SIZE);
  });

  test('of an archive that is written', async () => {
    const path = join(directory, 'sparse');
    writeFileSync(path, '');
    truncateSync(path, SIZE);
    // What is only not collected yet is not held.
    const held = () => {
      Bun.gc(true);
      return process.memoryUsage().arrayBuffers;
    };
    const before = held();
    let written = 0;
    let measured = 0;
    let most = 0;
    for await (const chunk of writeTar([
      { type: 'file', path: 'sparse', mode: 0o644, content: { file: path, size: SIZE } },
    ])) {
      written += chunk.length;
      if (written - measured < LIMIT) continue;
      measured = written;
      most = Math.max(most, held() - before);
    }
    expect(written).toBe(512 + SIZE + 1024);
    expect(measured).toBeGreaterThan(SIZE / 2);
    expect(most).toBeLessThan(LIMIT);
  });
});

test('a reader that has seen enough ends the source', async () => {
  let ended = false;
  const archive = await pack([{ type: 'file', path: 'one', mode: 0o644, content: new Uint8Array(100_000) }]);
  async function* source() {
    try {
      // Without its end, so that there is always another entry.
      for (;;) yield archive.subarray(0, -1024);
    } finally {
      ended = true;
    }
  }
  for await (const { path } of readTar(source())) {
    expect(path).toBe('one');
    break;
  }
  await waitFor('the end of the source', () => ended, { timeoutMs: 3000 });
});

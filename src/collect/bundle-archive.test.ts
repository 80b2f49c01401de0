import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gunzipSync, gzipSync } from 'node:zlib';
import { podOn, smallWorld } from '../path/testing/small-world.ts';
import { readTar, type TarEntry, writeTar } from '../sys/tar.ts';
import { InputError } from '../util/errors.ts';
import { bundleWorld, saveBundle } from './bundle.ts';
import { readArchive, writeArchive } from './bundle-archive.ts';
import { BundleParts } from './bundle-parts.ts';
import { emptyReport } from './reader/cluster.fake.ts';

let scratch: string;
let archive: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'hostport-archive-'));
  archive = join(scratch, 'cluster.tar.gz');
});
afterEach(() => rmSync(scratch, { recursive: true }));

const world = smallWorld([podOn('n1', 'a', 80)], {
  unread: [{ kind: 'objects', what: 'events', why: 'forbidden' }],
  reports: new Map([
    ['n1', { value: emptyReport('n1') }],
    ['n2', { unknown: 'no answer' }],
  ]),
});

const MANIFEST = JSON.stringify({ apiVersion: 'hostport/v1', kind: 'Bundle', observedAt: world.observedAt });
const PODS = JSON.stringify(world.pods);
const file = (path: string, text: string): TarEntry => ({
  type: 'file',
  path,
  mode: 0o644,
  content: Buffer.from(text),
});

async function pack(...entries: TarEntry[]): Promise<void> {
  writeFileSync(archive, gzipSync(Buffer.concat(await Array.fromAsync(writeTar(entries)))));
}

test('an archive has what the directory has, and only its owner can read it', async () => {
  const directory = join(scratch, 'directory');
  await saveBundle(world, directory);
  await saveBundle(world, archive);
  expect(await bundleWorld(archive)).toEqual(await bundleWorld(directory));
  expect(statSync(archive).mode & 0o777).toBe(0o600);
  expect(readdirSync(scratch).sort()).toEqual(['cluster.tar.gz', 'directory']);
});

test('unpacked by tar, it is a directory of its name that is a bundle, too', async () => {
  await saveBundle(world, archive);
  const ran = Bun.spawnSync(['tar', '-xzf', archive, '-C', scratch]);
  expect(ran.exitCode).toBe(0);
  const unpacked = join(scratch, 'cluster');
  expect(await bundleWorld(unpacked)).toEqual(await bundleWorld(archive));
  // And one that somebody packs again, by another program and under another name.
  const again = join(scratch, 'again.tgz');
  expect(Bun.spawnSync(['tar', '-czf', again, '-C', unpacked, '.']).exitCode).toBe(0);
  expect(await bundleWorld(again)).toEqual(await bundleWorld(archive));
});

test('a long text is written while it is made, and short ones beside it', async () => {
  const MB = 1024 * 1024;
  const inFiles = () =>
    readdirSync(scratch).reduce((bytes, name) => bytes + statSync(join(scratch, name)).size, 0);
  function* long(letter: string, megabytes: number) {
    for (let i = 0; i < megabytes; i++) {
      // Two pieces at most are waiting.
      expect(inFiles()).toBeGreaterThanOrEqual((i - 2) * MB);
      yield letter.repeat(MB);
    }
    yield 'ü';
  }
  await writeArchive(archive, archive, [
    { file: 'objects/pods.json', text: long('a', 9) },
    { file: 'empty', text: [] },
    { file: 'nodes/n1.json', text: ['one ', 'two'] },
    { file: 'objects/events.json', text: long('b', 5) },
  ]);
  expect(readdirSync(scratch)).toEqual(['cluster.tar.gz']);
  const read: Record<string, string> = {};
  for await (const { path, body } of readTar(Readable.from([gunzipSync(readFileSync(archive))])))
    read[path] = Buffer.concat(await Array.fromAsync(body)).toString();
  expect(read).toEqual({
    ...{ cluster: '', 'cluster/objects': '', 'cluster/nodes': '', 'cluster/empty': '' },
    'cluster/objects/pods.json': `${'a'.repeat(9 * MB)}ü`,
    'cluster/nodes/n1.json': 'one two',
    'cluster/objects/events.json': `${'b'.repeat(5 * MB)}ü`,
  });
});

test('nothing is left of a long text that fails', async () => {
  function* failing() {
    for (let i = 0; i < 3; i++) yield 'x'.repeat(1024 * 1024);
    throw new Error('no more');
  }
  await expect(writeArchive(archive, archive, [{ file: 'probes.json', text: failing() }])).rejects.toThrow(
    'no more',
  );
  expect(readdirSync(scratch).filter((name) => name !== 'cluster.tar.gz')).toEqual([]);
});

test('an archive is not written over another file, nor left half written', async () => {
  writeFileSync(archive, 'mine');
  await expect(saveBundle(world, archive)).rejects.toThrow('it already exists; name a new file');
  expect(readFileSync(archive, 'utf8')).toBe('mine');
  const wrong = { ...world, reports: new Map([['../up', { unknown: 'x' }]]) };
  await expect(saveBundle(wrong, join(scratch, 'b.tar.gz'))).rejects.toThrow('not a name of a node');
  expect(readdirSync(scratch)).toEqual(['cluster.tar.gz']);
});

describe('what is wrong with one report concerns its node alone', () => {
  test.each<[string, TarEntry, string]>([
    ['no JSON', file('b/nodes/n1.json', '{'), 'nodes/n1.json: not JSON (1 characters)'],
    [
      'a link',
      { type: 'symlink', path: 'b/nodes/n1.json', target: '/etc/shadow' },
      'nodes/n1.json: a symbolic link, which is not followed',
    ],
  ])('%s', async (_, entry, why) => {
    await pack(file('b/manifest.json', MANIFEST), file('b/objects/pods.json', PODS), entry);
    const read = await bundleWorld(archive);
    expect(Object.fromEntries(read.reports)).toEqual({ n1: { unknown: why } });
    expect(read.pods).toHaveLength(1);
  });

  test('a file that is named for no node', async () => {
    await pack(file('manifest.json', MANIFEST), file('nodes/a b.json', '{}'));
    const { unread } = await bundleWorld(archive);
    expect(unread).toEqual([
      { kind: 'file', what: 'file "a b.json"', why: 'nodes: want <name of the node>.json' },
    ]);
  });
});

describe('what concerns all nodes is an error of one line', () => {
  const OK = file('b/manifest.json', MANIFEST);
  test.each<[string, () => Promise<void>, string]>([
    [
      'no archive',
      async () => writeFileSync(archive, 'text'),
      'it is not compressed by gzip, or it is damaged',
    ],
    ['empty', async () => writeFileSync(archive, ''), 'unexpected end of file'],
    ['compressed text', async () => writeFileSync(archive, gzipSync('text')), 'it is not a tar archive'],
    [
      'cut',
      async () => {
        await saveBundle(world, archive);
        truncateSync(archive, Math.floor(statSync(archive).size / 2));
      },
      'unexpected end of file',
    ],
    ['without a manifest', () => pack(file('b/objects/pods.json', PODS)), 'bundle: manifest.json: not there'],
    ['with a file twice', () => pack(OK, OK), 'bundle: manifest.json: it is in the archive twice'],
    [
      'with two bundles',
      () => pack(OK, file('c/manifest.json', MANIFEST)),
      'bundle: c/manifest.json: it is of another bundle than what is before it',
    ],
    [
      'with a link for a file',
      () => pack(OK, { type: 'symlink', path: 'b/objects/pods.json', target: '/etc/shadow' }),
      'bundle: objects/pods.json: a symbolic link, which is not followed',
    ],
    [
      'with a manifest that is too large',
      () => pack(file('b/manifest.json', ' '.repeat(1024 * 1024 + 1))),
      'bundle: manifest.json: longer than 1048576 bytes',
    ],
    [
      'with too many entries, empty as they are',
      () =>
        pack(
          OK,
          ...Array.from(
            { length: 20_200 },
            (_, i) => ({ type: 'directory', path: `${i}`, mode: 0o700 }) as const,
          ),
        ),
      'the archive has more than 20200 entries',
    ],
  ])('%s', async (_, make, message) => {
    await make();
    const error = await bundleWorld(archive).then(
      () => undefined,
      (cause: unknown) => cause as Error,
    );
    expect(error).toBeInstanceOf(InputError);
    expect(error!.message).toContain(message);
    expect(error!.message).not.toContain('\n');
  });
});

test('headers count as bytes of an archive, too', async () => {
  await pack(file('b/manifest.json', MANIFEST), ...Array.from({ length: 20 }, (_, i) => file(`b/${i}`, '')));
  const read = (maxBytes: number) => readArchive(archive, 'cluster.tar.gz', new BundleParts(), maxBytes);
  await read(1024 * 1024);
  await expect(read(10_000)).rejects.toThrow('bundle: archive: it has more than 10000 bytes');
});

test('files that are no part of a bundle are skipped, wherever they lead', async () => {
  await pack(
    file('b/manifest.json', MANIFEST),
    file('../../etc/cron.d/x', 'x'),
    file('b/README', 'x'),
    { type: 'symlink', path: 'b/x', target: '/' },
    file('b/nodes/deep/n1.json', '{}'),
  );
  const read = await bundleWorld(archive);
  expect([...read.reports]).toEqual([]);
});

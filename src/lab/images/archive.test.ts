import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type TarEntry, writeTar } from '../../sys/tar.ts';
import { UserError } from '../../util/errors.ts';
import { describeArchive, writeArchive } from './archive.ts';
import { architecture, blobPath, LayoutWriter, readIndex } from './oci.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'hostport-archive-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

type Files = Record<string, unknown>;

function bytesOf(value: unknown): Buffer {
  return Buffer.isBuffer(value)
    ? value
    : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
}

async function archive(name: string, files: Files, change = (bytes: Buffer) => bytes): Promise<string> {
  const entries = Object.entries(files).map(
    ([path, value]): TarEntry => ({ type: 'file', path, mode: 0o644, content: bytesOf(value) }),
  );
  const path = join(directory, `${name}.tar`);
  writeFileSync(path, change(Buffer.concat(await Array.fromAsync(writeTar(entries)))));
  return path;
}

const sha256 = (value: unknown) => createHash('sha256').update(bytesOf(value)).digest('hex');

const config = { os: 'linux', architecture: 'amd64', rootfs: { type: 'layers', diff_ids: [] } };
const docker: Files = {
  'manifest.json': [{ Config: 'c.json', RepoTags: ['app:1', 'example.com/app:2'], Layers: ['l/layer.tar'] }],
  'c.json': config,
  'l/layer.tar': 'layer',
};

/** An OCI archive whose image is `manifest`, and whose index has `annotations`. */
function oci(annotations?: Record<string, string>, drop?: 'layer' | 'config'): Files {
  const layer = 'layer';
  const manifest = {
    schemaVersion: 2,
    config: { digest: `sha256:${sha256(config)}` },
    layers: [{ digest: `sha256:${sha256(layer)}` }],
  };
  return {
    'oci-layout': '{"imageLayoutVersion":"1.0.0"}',
    'index.json': { schemaVersion: 2, manifests: [{ digest: `sha256:${sha256(manifest)}`, annotations }] },
    [`blobs/sha256/${sha256(manifest)}`]: manifest,
    ...(drop === 'config' ? {} : { [`blobs/sha256/${sha256(config)}`]: config }),
    ...(drop === 'layer' ? {} : { [`blobs/sha256/${sha256(layer)}`]: layer }),
  };
}

describe('archives that can be loaded', () => {
  const image = { os: 'linux', architecture: 'amd64', layers: 1 };
  const cases: { name: string; files: Files; format: string; references: string[] }[] = [
    {
      name: 'docker save',
      files: docker,
      format: 'docker',
      references: ['docker.io/library/app:1', 'example.com/app:2'],
    },
    {
      name: 'docker save without tags',
      files: { ...docker, 'manifest.json': [{ Config: 'c.json', RepoTags: null, Layers: ['l/layer.tar'] }] },
      format: 'docker',
      references: [],
    },
    {
      name: 'OCI with containerd name',
      files: oci({ 'io.containerd.image.name': 'app', 'org.opencontainers.image.ref.name': 'latest' }),
      format: 'oci',
      references: ['docker.io/library/app:latest'],
    },
    {
      name: 'OCI with a full reference',
      files: oci({ 'org.opencontainers.image.ref.name': 'localhost:5000/app:3' }),
      format: 'oci',
      references: ['localhost:5000/app:3'],
    },
    {
      name: 'OCI with a tag alone, which names nothing',
      files: oci({ 'org.opencontainers.image.ref.name': 'latest' }),
      format: 'oci',
      references: [],
    },
    { name: 'OCI without names', files: oci(), format: 'oci', references: [] },
  ];
  for (const { name, files, format, references } of cases) {
    for (const [how, change] of [
      ['', undefined],
      [', gzipped', gzipSync],
    ] as const) {
      test(name + how, async () => {
        const path = await archive('good', files, change as ((bytes: Buffer) => Buffer) | undefined);
        expect((await describeArchive(path)) as unknown).toEqual({
          format,
          images: [{ references, ...image }],
        });
      });
    }
  }
});

describe('archives that cannot', () => {
  const damaged = oci();
  damaged[`blobs/sha256/${sha256('layer')}`] = 'another';
  const cases: { name: string; path: () => string | Promise<string>; message: RegExp }[] = [
    {
      name: 'no file',
      path: () => join(directory, 'none.tar'),
      message: /none\.tar: .*: no such file or directory$/,
    },
    { name: 'a directory', path: () => directory, message: /it is not a file/ },
    {
      name: 'no tar',
      path: () => archive('x', {}, () => Buffer.from('text '.repeat(200))),
      message: /x\.tar: not an image archive: .*tar/,
    },
    {
      name: 'damaged gzip',
      path: () => archive('x', docker, (b) => gzipSync(b).subarray(0, 60)),
      message: /x\.tar: not an image archive/,
    },
    {
      name: 'a tar of something else',
      path: () => archive('x', { 'a.txt': 'a' }),
      message: /neither index\.json/,
    },
    {
      name: 'manifest.json that is not JSON',
      path: () => archive('x', { 'manifest.json': '[{' }),
      message: /manifest\.json is not valid JSON/,
    },
    {
      name: 'an empty manifest.json',
      path: () => archive('x', { 'manifest.json': [] }),
      message: /lists no image/,
    },
    {
      name: 'manifest.json without layers',
      path: () => archive('x', { 'manifest.json': [{ Config: 'c.json' }] }),
      message: /manifest\.json\[0\] has no Config or no Layers/,
    },
    {
      name: 'a missing layer',
      path: () => archive('x', { 'manifest.json': docker['manifest.json'], 'c.json': config }),
      message: /layer l\/layer\.tar .* is missing/,
    },
    {
      name: 'a missing configuration',
      path: () => archive('x', { 'manifest.json': docker['manifest.json'], 'l/layer.tar': 'x' }),
      message: /c\.json is missing/,
    },
    {
      name: 'a bad tag',
      path: () =>
        archive('x', { ...docker, 'manifest.json': [{ Config: 'c.json', RepoTags: ['UP:1'], Layers: [] }] }),
      message: /"UP:1" is not an image name/,
    },
    {
      name: 'an OCI layer that is missing',
      path: () => archive('x', oci(undefined, 'layer')),
      message: /layer sha256:\w+ is missing/,
    },
    {
      name: 'an OCI configuration that is missing',
      path: () => archive('x', oci(undefined, 'config')),
      message: /blobs\/sha256\/\w+ is missing/,
    },
    { name: 'a damaged blob', path: () => archive('x', damaged), message: /is damaged/ },
    {
      name: 'an empty index',
      path: () => archive('x', { 'index.json': { manifests: [] } }),
      message: /lists no image/,
    },
  ];
  for (const { name, path, message } of cases) {
    test(name, async () => {
      const error = await describeArchive(await path()).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(error).toBeInstanceOf(UserError);
      expect((error as Error).message).toMatch(message);
    });
  }
});

test('a layout is written the same twice, drops what it no longer needs, and goes into an archive', async () => {
  const layout = join(directory, 'layout');
  const write = async (content: string) => {
    const writer = new LayoutWriter(layout);
    const layer = await writer.layer([
      { type: 'file', path: 'a', mode: 0o644, content: Buffer.from(content) },
    ]);
    await writer.image('docker.io/library/app:1', [layer], { Cmd: ['a'] });
    return { index: await writer.finish(), layer };
  };
  const first = await write('one');
  expect((await write('one')).index).toEqual(first.index);
  const second = await write('two');
  expect(second.index).not.toEqual(first.index);
  expect(await Bun.file(blobPath(layout, first.layer.digest)).exists()).toBe(false);
  expect(await readIndex(layout)).toEqual(second.index);

  const path = join(directory, 'layout.tar');
  await writeArchive(layout, second.index, ['docker.io/library/app:1'], path);
  const image = {
    references: ['docker.io/library/app:1'],
    os: 'linux',
    architecture: architecture(),
    layers: 1,
  };
  expect(await describeArchive(path)).toEqual({ format: 'oci', images: [image] });
  await expect(writeArchive(layout, second.index, ['docker.io/library/none:1'], path)).rejects.toThrow(
    'no image docker.io/library/none:1',
  );
  mkdirSync(join(directory, 'empty'));
  await expect(readIndex(join(directory, 'empty'))).rejects.toThrow('not an OCI image layout');
});

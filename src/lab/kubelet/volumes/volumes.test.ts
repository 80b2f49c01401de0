import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Pod, Volume } from '../../../kube/types.ts';
import { type Payload, writeAtomically } from './atomic-writer.ts';
import { prepareHostPath } from './host-path.ts';
import type { Mounts } from './mounts.ts';
import { subPath, Volumes } from './volumes.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kubelet-volumes-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const files = (content: Record<string, string>, mode = 0o644): Map<string, Payload> =>
  new Map(Object.entries(content).map(([path, text]) => [path, { content: Buffer.from(text), mode }]));

describe('writeAtomically', () => {
  test('files are visible through one link that is exchanged', async () => {
    const volume = join(directory, 'v');
    expect(await writeAtomically(volume, files({ a: '1', 'deep/b': '2' }))).toBe(true);
    const first = await readlink(join(volume, '..data'));
    expect(await readlink(join(volume, 'a'))).toBe('..data/a');
    expect(await readFile(join(volume, 'deep/b'), 'utf8')).toBe('2');

    expect(await writeAtomically(volume, files({ a: '1', 'deep/b': '2' }))).toBe(false);
    expect(await readlink(join(volume, '..data'))).toBe(first);

    expect(await writeAtomically(volume, files({ a: 'new', c: '3' }))).toBe(true);
    expect(await readlink(join(volume, '..data'))).not.toBe(first);
    const visible = (await readdir(volume)).filter((name) => !name.startsWith('..'));
    expect(visible.sort()).toEqual(['a', 'c']);
    expect((await readdir(volume)).filter((name) => name.startsWith('..2')).length).toBe(1);
  });

  test('a reader of the directory it has opened sees one version', async () => {
    const volume = join(directory, 'v');
    await writeAtomically(volume, files({ a: '1', b: '1' }));
    for (let version = 2; version < 30; version++) {
      const writing = writeAtomically(volume, files({ a: String(version), b: String(version) }));
      const at = join(volume, await readlink(join(volume, '..data')));
      const both = await Promise.all(['a', 'b'].map((name) => readFile(join(at, name), 'utf8'))).catch(
        () => undefined,
      );
      // The directory may be gone; it is never half new.
      if (both !== undefined) expect(both[0]).toBe(both[1]!);
      await writing;
    }
  });

  test('a change of mode alone is a change', async () => {
    const volume = join(directory, 'v');
    await writeAtomically(volume, files({ a: '1' }, 0o400));
    expect((await stat(join(volume, 'a'))).mode & 0o777).toBe(0o400);
    expect(await writeAtomically(volume, files({ a: '1' }, 0o440))).toBe(true);
  });

  test.each(['../x', '/x', 'a/../b', '..x', ''])('%p is refused', async (path) => {
    await expect(writeAtomically(directory, files({ [path]: '1' }))).rejects.toThrow(
      'not a path inside the volume',
    );
  });
});

describe('hostPath', () => {
  beforeEach(async () => {
    await mkdir(join(directory, 'dir'));
    await writeFile(join(directory, 'file'), '');
  });
  test.each([
    ['', 'none'],
    ['Directory', 'dir'],
    ['File', 'file'],
    ['DirectoryOrCreate', 'new/dir'],
    ['FileOrCreate', 'new/file'],
    ['CharDevice', '/dev/null'],
  ])('%s %s is fine', async (type, path) => {
    await prepareHostPath(path.startsWith('/') ? path : join(directory, path), type);
  });
  test.each([
    ['Directory', 'file', 'is not a directory'],
    ['Directory', 'none', 'is not a directory'],
    ['DirectoryOrCreate', 'file', 'is not a directory'],
    ['File', 'dir', 'is not a file'],
    ['FileOrCreate', 'dir', 'is not a file'],
    ['Socket', 'file', 'is not a socket'],
    ['BlockDevice', 'file', 'is not a block device'],
    ['CharDevice', 'file', 'is not a character device'],
    ['Nonsense', 'file', 'is not known'],
  ])('%s %s is not', async (type, path, message) => {
    await expect(prepareHostPath(join(directory, path), type)).rejects.toThrow(message);
  });
});

describe('subPath', () => {
  test('is made, and stays inside', async () => {
    expect(await subPath(directory, 'a/b')).toBe(join(directory, 'a/b'));
    expect((await stat(join(directory, 'a/b'))).isDirectory()).toBe(true);
    await symlink('/etc', join(directory, 'out'));
    await expect(subPath(directory, 'out')).rejects.toThrow('leads outside');
    await expect(subPath(directory, 'out/passwd')).rejects.toThrow('leads outside');
    await expect(subPath(directory, '../x')).rejects.toThrow('must be relative');
    await expect(subPath(directory, '/etc')).rejects.toThrow('must be relative');
  });
});

describe('Volumes', () => {
  const mounted: string[] = [];
  const mounts: Mounts = {
    async tmpfs(path) {
      if (!mounted.includes(path)) mounted.push(path);
    },
    async unmountUnder(path) {
      for (const point of mounted.filter((one) => one.startsWith(path)))
        mounted.splice(mounted.indexOf(point), 1);
    },
  };
  const podWith = (...volumes: Volume[]): Pod => ({
    metadata: { name: 'web', namespace: 'shop', uid: 'u-1', labels: { app: 'web' } },
    spec: { containers: [{ name: 'main' }], volumes },
  });
  const downward = {
    podIps: ['10.0.0.1'],
    hostIp: '172.17.0.2',
    nodeName: 'n',
    allocatable: { cpu: 1, memory: 1 },
  };

  const forgotten: string[] = [];
  const make = () =>
    new Volumes({ root: directory, podLogs: '', containerLogs: '' }, mounts, {
      configMap: async (namespace, name) =>
        namespace === 'shop' && name === 'map'
          ? { data: { a: 'A', b: 'B' }, binaryData: { c: 'Qw==' } }
          : undefined,
      secret: async (_namespace, name) => (name === 'hidden' ? { data: { s: 'Uw==' } } : undefined),
      token: async (_pod, audience, seconds) => `token-${audience}-${seconds}`,
      forget: (uid) => forgotten.push(uid),
    });

  test('a projected volume has the files of all its sources, in memory', async () => {
    const pod = podWith({
      name: 'kube-api-access',
      projected: {
        sources: [
          { serviceAccountToken: { path: 'token', audience: 'api', expirationSeconds: 3607 } },
          { configMap: { name: 'map', items: [{ key: 'a', path: 'ca.crt' }] } },
          { secret: { name: 'hidden' } },
          { downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] } },
        ],
      },
    });
    const volumes = make();
    const path = (await volumes.ensure(pod, downward)).get('kube-api-access')!;
    expect(path).toBe(join(directory, 'pods/u-1/volumes/kubernetes.io~projected/kube-api-access'));
    expect(mounted).toEqual([path]);
    const read = (name: string) => readFile(join(path, name), 'utf8');
    expect([await read('token'), await read('ca.crt'), await read('s'), await read('labels')]).toEqual([
      'token-api-3607',
      'A',
      'S',
      'app="web"',
    ]);
    expect(volumes.leftovers()).toEqual(['u-1']);
    for (let time = 0; time < 2; time++) await volumes.remove('u-1');
    expect(new Set(forgotten)).toEqual(new Set(['u-1']));
    expect(mounted).toEqual([]);
    expect(volumes.leftovers()).toEqual([]);
  });

  test('files belong to the group of the pod, and are not written again for that', async () => {
    const pod = podWith({ name: 'v', configMap: { name: 'map' } });
    pod.spec!.securityContext = { fsGroup: process.getgid!() };
    const volumes = make();
    const path = (await volumes.ensure(pod, downward)).get('v')!;
    const data = await readlink(join(path, '..data'));
    expect((await stat(join(path, 'a'))).mode & 0o777).toBe(0o664);
    await volumes.ensure(pod, downward);
    expect(await readlink(join(path, '..data'))).toBe(data);
  });

  test.each([
    ['config map', { name: 'v', configMap: { name: 'none' } }, 'configmap "none" not found'],
    ['secret', { name: 'v', secret: { secretName: 'none' } }, 'secret "none" not found'],
    [
      'key',
      { name: 'v', configMap: { name: 'map', items: [{ key: 'x', path: 'x' }] } },
      'configmap shop/map references non-existent config key: x',
    ],
    ['plugin', { name: 'v', nfs: { server: 's', path: '/' } }, 'no volume plugin matched'],
  ] as [string, Volume, string][])(
    'a missing %s is named with its volume',
    async (_name, volume, message) => {
      await expect(make().ensure(podWith(volume), downward)).rejects.toThrow(
        `MountVolume.SetUp failed for volume "v" : ${message}`,
      );
    },
  );

  test.each([
    ['config map', { name: 'v', configMap: { name: 'none', optional: true } }],
    ['secret', { name: 'v', secret: { secretName: 'none', optional: true } }],
  ] as [string, Volume][])('an optional %s may be missing', async (_name, volume) => {
    const path = (await make().ensure(podWith(volume), downward)).get('v')!;
    expect((await readdir(path)).filter((name) => !name.startsWith('..'))).toEqual([]);
  });
});

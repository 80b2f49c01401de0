import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { lstat, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { Clock } from '../sys/clock.ts';
import { UserError } from '../util/errors.ts';
import { loadKubeconfig } from './kubeconfig.ts';
import type { KubeconfigEntry } from './kubeconfig-document.ts';
import { kubeconfigPaths } from './kubeconfig-files.ts';
import { kubeconfigPathForMerge, mergeKubeconfig, removeFromKubeconfig } from './kubeconfig-merge.ts';

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kubeconfig-test-'));
  path = join(directory, 'config');
});
afterEach(() => rm(directory, { recursive: true }));

const entry: KubeconfigEntry = {
  name: 'kind-kind',
  server: 'https://127.0.0.1:6443',
  caPem: 'CA\n',
  credentials: { token: 'secret' },
};

const FOREIGN = `# mine
apiVersion: v1
clusters:
- cluster:
    server: https://prod.example:6443 # careful
    x-unknown: {a: 1}
  name: prod
contexts:
- context:
    cluster: prod
    namespace: team
    user: prod
  name: prod
current-context: prod
kind: Config
preferences: {}
users:
- name: prod
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: sso
      args: ["--very-long-argument-that-must-not-be-folded=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbb"]
`;

describe('mergeKubeconfig and removeFromKubeconfig', () => {
  test('a new file: private, complete, no lock and no scraps left', async () => {
    path = join(directory, 'deep', 'config');
    await mergeKubeconfig(path, entry);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await loadKubeconfig(path)).toMatchObject({ server: entry.server, token: 'secret' });
    expect(await readdir(join(directory, 'deep'))).toEqual(['config']);
  });

  test('merging and removing restores the file, except for the current context', async () => {
    await writeFile(path, FOREIGN, { mode: 0o644 });
    await mergeKubeconfig(path, entry);
    const merged = await readFile(path, 'utf8');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const added = merged.split('\n').filter((line) => !FOREIGN.split('\n').includes(line));
    expect(added.length).toBeLessThan(14);
    for (const line of FOREIGN.split('\n')) {
      if (line !== 'current-context: prod') expect(merged.split('\n')).toContain(line);
    }
    expect(parse(merged)['current-context']).toBe('kind-kind');
    expect(await removeFromKubeconfig(path, 'kind-kind')).toBe(true);
    const after = await readFile(path, 'utf8');
    expect(after).toContain('# mine');
    expect(parse(after)).toEqual({ ...parse(FOREIGN), 'current-context': '' });
  });

  test.each([
    '0644',
    '+5',
    '12345678901234567890',
    '1.50',
    '1e3',
    '0x1F',
    '0o17',
    '-0',
    '.5',
    '1_000',
    'yes',
    'True',
    '~',
    '',
    '2024-01-01',
    "'0644'",
    '"a b"',
    '!custom x',
    '&a [1, 0644]',
    '{ a: +1, b: ~ }',
  ])('a value that somebody wrote is kept as it is written: %s', async (value) => {
    const line = `    x-value: ${value}`.trimEnd();
    const before = FOREIGN.replace('    x-unknown: {a: 1}', line).replaceAll(/ +args: .*\n/g, '');
    await writeFile(path, before);
    await mergeKubeconfig(path, entry);
    expect((await readFile(path, 'utf8')).split('\n')).toContain(line);
    await removeFromKubeconfig(path, entry.name);
    expect(await readFile(path, 'utf8')).toBe(before.replace('current-context: prod', 'current-context: ""'));
  });

  test('merging twice replaces, and changes nothing the second time', async () => {
    await writeFile(path, FOREIGN);
    await mergeKubeconfig(path, { ...entry, server: 'https://127.0.0.1:1' });
    await mergeKubeconfig(path, entry);
    const once = await readFile(path, 'utf8');
    await mergeKubeconfig(path, entry);
    expect(await readFile(path, 'utf8')).toBe(once);
    expect(parse(once).clusters).toHaveLength(2);
    expect(parse(once).clusters[1].cluster.server).toBe(entry.server);
  });

  test('removing keeps another current context, and a second call finds nothing', async () => {
    await writeFile(path, FOREIGN);
    await mergeKubeconfig(path, entry);
    await writeFile(
      path,
      (await readFile(path, 'utf8')).replace('current-context: kind-kind', 'current-context: prod'),
    );
    expect(await removeFromKubeconfig(path, 'kind-kind')).toBe(true);
    expect(parse(await readFile(path, 'utf8'))).toEqual(parse(FOREIGN));
    expect(await removeFromKubeconfig(path, 'kind-kind')).toBe(false);
    expect(await removeFromKubeconfig(join(directory, 'none'), 'kind-kind')).toBe(false);
    expect(await readdir(directory)).toEqual(['config']);
  });

  for (const empty of [
    '',
    '# nothing yet\n',
    'apiVersion: v1\nkind: Config\nclusters: null\nusers: []\n',
    '{}',
  ]) {
    test(`an empty kubeconfig: ${JSON.stringify(empty)}`, async () => {
      await writeFile(path, empty);
      await mergeKubeconfig(path, entry);
      expect(await loadKubeconfig(path)).toMatchObject({ token: 'secret' });
    });
  }

  for (const [what, broken] of [
    ['not YAML', 'a: ['],
    ['a list', '- a'],
    ['clusters no list', 'clusters: 3'],
  ] as const) {
    test(`${what}: refused and left alone`, async () => {
      await writeFile(path, broken);
      await expect(mergeKubeconfig(path, entry)).rejects.toBeInstanceOf(UserError);
      expect(await readFile(path, 'utf8')).toBe(broken);
      expect(await readdir(directory)).toEqual(['config']);
    });
  }

  test('a directory in its place, or in that of a part of its path: said in words', async () => {
    await writeFile(join(directory, 'file'), '');
    for (const [place, words] of [
      [directory, 'it is a directory, not a file'],
      [join(directory, 'file/config'), 'something else already exists there'],
    ] as const) {
      const merging = mergeKubeconfig(place, entry).catch((error: unknown) => error);
      expect(await merging).toMatchObject({
        name: 'UserError',
        message: `cannot use kubeconfig ${place}: ${words}`,
      });
    }
    const removing = removeFromKubeconfig(directory, entry.name).catch((error: unknown) => error);
    expect(await removing).toMatchObject({
      message: `cannot use kubeconfig ${directory}: it is a directory, not a file`,
    });
  });

  test('a symbolic link stays one', async () => {
    await writeFile(join(directory, 'real'), FOREIGN);
    await symlink('real', path);
    await mergeKubeconfig(path, entry);
    expect((await lstat(path)).isSymbolicLink()).toBe(true);
    expect(parse(await readFile(join(directory, 'real'), 'utf8'))['current-context']).toBe('kind-kind');
  });

  test('many at once lose nothing', async () => {
    const names = Array.from({ length: 8 }, (_, i) => `kind-${i}`);
    await Promise.all(names.map((name) => mergeKubeconfig(path, { ...entry, name })));
    const contexts = parse(await readFile(path, 'utf8')).contexts.map((c: { name: string }) => c.name);
    expect(contexts.sort()).toEqual(names);
  });

  test('a lock left behind is taken over, one that is held is waited for and reported', async () => {
    await writeFile(`${path}.lock`, '');
    let now = Date.now();
    let passed = 0;
    let isAlive = true;
    const clock: Clock = {
      now: () => now,
      monotonic: () => passed,
      sleep: async (ms) => {
        now += ms;
        passed += ms;
        // Its holder is alive: it keeps the lock young.
        if (isAlive) await utimes(`${path}.lock`, now / 1000, now / 1000);
      },
    };
    await expect(mergeKubeconfig(path, entry, clock)).rejects.toThrow(/locked by another program for 10 s/);
    isAlive = false;
    now += 60_000;
    await mergeKubeconfig(path, entry, clock);
    expect(await readdir(directory)).toEqual(['config']);
  });

  test('a lock that is a link to nowhere is left behind as any other', async () => {
    await symlink(join(directory, 'nowhere'), `${path}.lock`);
    let passed = 0;
    let looks = 0;
    const begun = Date.now();
    const clock: Clock = {
      now: () => begun + passed,
      monotonic: () => {
        if (++looks > 1000) throw new Error('waits without sleeping');
        return passed;
      },
      sleep: async (ms) => {
        passed += ms;
      },
    };
    await mergeKubeconfig(path, entry, clock);
    expect(passed).toBe(10_000);
    expect(await readdir(directory)).toEqual(['config']);
  });

  test.each([
    ['forward', 5],
    ['back', -5],
  ])('a clock that was set %s makes no lock old, and none of the future', async (_, hours) => {
    await writeFile(`${path}.lock`, '');
    const set = Date.now() + hours * 3_600_000;
    let passed = 0;
    let releasedAt = 500;
    const clock: Clock = {
      now: () => set + passed,
      monotonic: () => passed,
      sleep: async (ms) => {
        passed += ms;
        if (passed >= releasedAt) await rm(`${path}.lock`, { force: true });
      },
    };
    await mergeKubeconfig(path, entry, clock);
    // Its holder took its time, and had it.
    expect(passed).toBe(500);
    await writeFile(`${path}.lock`, '');
    [passed, releasedAt] = [0, Number.POSITIVE_INFINITY];
    await mergeKubeconfig(path, entry, clock);
    expect(passed).toBe(hours > 0 ? 1000 : 10_000);
    expect(await readdir(directory)).toEqual(['config']);
  });
});

describe('which file', () => {
  test.each([
    [{ HOME: '/h' }, ['/h/.kube/config']],
    [{ HOME: '/h', KUBECONFIG: '' }, ['/h/.kube/config']],
    [{ HOME: '/h', KUBECONFIG: '/a' }, ['/a']],
    [{ HOME: '/h', KUBECONFIG: '/a::/b:/a' }, ['/a', '/b']],
  ])('%j', (env, expected) => {
    expect(kubeconfigPaths(env)).toEqual(expected);
  });

  test('the first that exists, else the last', async () => {
    const other = join(directory, 'other');
    expect(await kubeconfigPathForMerge({ KUBECONFIG: `${path}:${other}` })).toBe(other);
    await writeFile(path, '');
    expect(await kubeconfigPathForMerge({ KUBECONFIG: `${path}:${other}` })).toBe(path);
  });
});

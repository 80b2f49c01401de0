/**
 * Disks that are full, all but full, or read-only, under everything that writes: an error that names the file and why, what was there is as it was,
 * nothing else is left, and the same call succeeds once there is room.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { writeState } from '../src/agent/state.ts';
import { ResultCache } from '../src/cni/result-cache.ts';
import { saveBundle } from '../src/collect/bundle.ts';
import { mergeKubeconfig } from '../src/kube/kubeconfig-merge.ts';
import { writeCniConfig } from '../src/lab/cilium/cni-config.ts';
import { installPlugins } from '../src/lab/cilium/install.ts';
import { Ipam } from '../src/lab/cilium/ipam.ts';
import { ipamFile } from '../src/lab/cilium/ipam-file.ts';
import { defaultCluster } from '../src/lab/cluster/config/cluster.ts';
import { exportLogs } from '../src/lab/cluster/export-logs.ts';
import { clusterPaths } from '../src/lab/cluster/paths.ts';
import { overwrite, placeTree } from '../src/lab/cluster/place.ts';
import { LayoutWriter } from '../src/lab/images/oci.ts';
import { FaultBook } from '../src/lab/inject/book.ts';
import { writeAtomically } from '../src/lab/kubelet/volumes/atomic-writer.ts';
import { Backups } from '../src/node/apply/backup.ts';
import { installPluginAction, writeFileAction } from '../src/node/apply/files.ts';
import { Journal } from '../src/node/apply/journal.ts';
import { directoryOfRun } from '../src/node/apply/runs.ts';
import { undoHeal } from '../src/node/apply/undo.ts';
import { smallWorld } from '../src/path/testing/small-world.ts';
import { AttachmentFiles } from '../src/portmap/attachments.ts';
import { install } from '../src/portmap/install.ts';
import { realClock } from '../src/sys/clock.ts';
import { output, realExec } from '../src/sys/exec.ts';
import { writeFileAtomic } from '../src/sys/files.ts';
import { writeTar } from '../src/sys/tar.ts';
import { parseSubnet } from '../src/util/cidr.ts';
import { explained } from '../src/util/system-error.ts';

const isRoot = process.getuid?.() === 0;
const SIZE = 4 * 1024 * 1024;
/** What an almost full disk still has. */
const ROOM = 8192;
/** More than a disk has; does not get smaller by compression. */
const LARGE = crypto.getRandomValues(new Uint8Array(65_536));
const LONG = Buffer.from(LARGE).toString('base64').repeat(4);
const AT = new Date('2026-01-01T00:00:00Z');
const LATER = new Date('2026-01-02T00:00:00Z');
const unaborted = new AbortController().signal;

const scratch = mkdtempSync(join(tmpdir(), 'hostport-full-'));
const disk = join(scratch, 'disk');
const at = (...names: string[]) => join(disk, ...names);
/** Beside the disk, on one that has room. */
const beside = (...names: string[]) => join(scratch, ...names);

interface Case {
  /** What there is before, with room. */
  before?(): unknown;
  /** What is tried. Rejects or throws where there is no room. */
  write(): unknown;
  /** What the error names. Default: the disk's directory. */
  names?: RegExp;
  /** Whether it is so little that it has room on a disk that is almost full. */
  isLittle?: true;
  /** Files that come into being although it fails, and are meant to: locks that others may hold. */
  stays?: RegExp;
}

const attachments = () => new AttachmentFiles(at('portmap'), scratch);
const record = (count: number) => {
  const conditions = { language: 'iptables' as const, words: [] };
  const ports = Array.from({ length: count }, (_, i) => ({
    ...{ protocol: 'tcp' as const, hostPort: i + 1, hostIP: '192.0.2.1' },
  }));
  return {
    ...{ networkName: 'n', containerId: 'c', ifName: 'eth0', netns: '/x', ports, devices: [] },
    conditions: { ipv4: conditions, ipv6: conditions },
  };
};
const world = () =>
  smallWorld([], {
    events: Array.from({ length: 8 }, (_, i) => ({
      metadata: { name: `e${i}`, namespace: 'default' },
      involvedObject: { kind: 'Pod', name: 'p', namespace: 'default' },
      reason: 'FailedCreatePodSandBox',
      message: `${i}${LONG}`.slice(i, 30_000 + i),
    })),
  });
const applying = (root: string) => ({
  exec: realExec,
  ownPlugins: beside('own'),
  backups: new Backups(AT, root),
});
const installing = (directory: string) => ({ do: 'install-plugin', name: 'portmap', directory }) as const;
const entry = { name: 'kind-a', server: 'https://127.0.0.1:1', caPem: LONG, credentials: { token: 't' } };
const cached = { networkName: 'n', containerId: 'c', ifName: 'eth0' };
const books = () => new FaultBook({ name: 'kind' }, disk);

const CASES: Record<string, Case> = {
  'a new file': { write: () => writeFileAtomic(at('file'), LARGE) },
  'a file that is replaced': {
    before: () => writeFileSync(at('file'), 'before'),
    write: () => writeFileAtomic(at('file'), LARGE),
  },
  'a bundle': { write: () => saveBundle(world(), at('saved')), names: /the bundle .*\/saved: / },
  'an archive of a bundle': {
    write: () => saveBundle(world(), at('saved.tar.gz')),
    names: /the bundle .*\/saved.tar.gz: /,
  },
  'a record of portmap': { write: () => attachments().record('CNI-DN-a', record(500)) },
  'a plugin that installs itself': {
    write: () => install({ env: { CNI_BIN_DIR: disk }, self: beside('own/portmap') }),
  },
  'a plugin that heal installs': {
    write: () => installPluginAction(installing(disk), applying(beside('copies'))),
  },
  'the copy of a plugin that heal replaces': {
    before: () => {
      mkdirSync(beside('bin'), { recursive: true });
      writeFileSync(beside('bin/portmap'), Buffer.from(LARGE).reverse(), { mode: 0o755 });
    },
    write: () => installPluginAction(installing(beside('bin')), applying(disk)),
    names: /^cannot keep a copy in .*\/portmap: /,
  },
  'a configuration that heal writes': {
    before: () => writeFileSync(at('10.conflist'), 'before'),
    write: () =>
      writeFileAction(
        { do: 'write-file', path: at('10.conflist'), content: LONG } as Parameters<typeof writeFileAction>[0],
        applying(beside('copies')),
      ),
  },
  'the journal of a heal': {
    before: () => writeFileSync(beside('changed'), ''),
    write: () =>
      new Journal(AT.toISOString(), new Backups(AT, beside('copies')), disk).around(
        { do: 'set-mode', path: beside('changed'), mode: '0600' },
        async () => {
          chmodSync(beside('changed'), 0o600);
          return { changed: true, detail: LONG };
        },
      ),
    // Its beginning is whole, and says what was about to be done.
    stays: /journal\.jsonl$/,
    names: /journal\.jsonl/,
  },
  'a file that is put back': {
    before: async () => {
      writeFileSync(at('file'), LARGE);
      const backups = new Backups(LATER, beside('copies'));
      const journal = new Journal(LATER.toISOString(), backups, beside('copies'));
      const action = { do: 'write-file', path: at('file'), content: 'short' } as const;
      await journal.around(action, () => writeFileAction(action, { ...applying(''), backups }));
    },
    write: async () => {
      const [result] = await undoHeal(LATER.toISOString(), beside('copies'));
      if (result!.outcome !== 'done') throw new Error(result!.detail);
    },
  },
  'the state of the agent': {
    write: () => writeState({ version: LONG.slice(0, 100_000), mode: 'heal', node: 'n' }, at('agent.json')),
  },
  'a kubeconfig': {
    before: () => mergeKubeconfig(at('config'), { ...entry, name: 'kind-b', caPem: 'b' }),
    write: () => mergeKubeconfig(at('config'), entry),
  },
  'what is remembered of an attachment': {
    write: () => new ResultCache(disk).write({ ...cached, config: LONG }),
  },
  'the failures that are injected': {
    before: () => books().update(() => []),
    write: () =>
      books().update(() => [
        { failure: { code: LONG }, target: { node: 'n' }, memo: null } as unknown as Awaited<
          ReturnType<FaultBook['list']>
        >[number],
      ]),
    names: /faults\.json/,
  },
  'logs that are exported': {
    before: () => {
      const { log } = clusterPaths('kind', beside('lab'));
      mkdirSync(dirname(log), { recursive: true });
      writeFileSync(log, LARGE);
    },
    write: () =>
      exportLogs(
        { name: 'kind', config: defaultCluster('kind'), nodes: [], apiServerPort: 1, kubeconfig: '' },
        at('logs'),
        realExec,
        unaborted,
        clusterPaths('kind', beside('lab')),
      ),
    names: /^cannot export logs to .*\/logs: /,
  },
  'a tree that comes out of a node': {
    write: async () => placeTree(realExec, await archive(), at('tree')),
    names: /tar|tree/,
  },
  'one that comes into a directory that is there': {
    before: () => {
      mkdirSync(at('tree/a'), { recursive: true });
      writeFileSync(at('tree/a/b'), 'before');
    },
    write: async () => placeTree(realExec, await archive(), at('tree')),
    names: /tar|tree/,
  },
  'a file that comes out of a node in place of another': {
    before: () => writeFileSync(at('file'), 'before'),
    write: () => overwrite(at('file'), LARGE, 0o644),
  },
  'an image': {
    before: () => new LayoutWriter(disk),
    write: () => new LayoutWriter(disk).layer([{ type: 'file', path: 'a', mode: 0o644, content: LARGE }]),
  },
  'the addresses of a node': {
    write: async () => {
      const subnet = parseSubnet('10.0.0.0/20')!;
      const observed = Array.from({ length: 500 }, (_, i) => ({
        ...{
          link: `l${i}`,
          containerId: LONG.slice(0, 64),
          ifName: 'eth0',
          at: 0,
          address: `10.0.${i >> 8}.${i & 255}`,
        },
      }));
      await Ipam.open(ipamFile(at('ipam.json')), realClock, subnet, observed);
    },
  },
  'a list of the stand-in for Cilium': {
    before: () => writeFileSync(at('05-cilium.conflist'), 'other'),
    isLittle: true,
    write: () => writeCniConfig({ directory: disk, chainingMode: 'portmap', exclusive: true, log: () => {} }),
  },
  'its plugins': { write: () => installPlugins(beside('own'), disk, unaborted) },
  'a volume of a pod': {
    before: () =>
      writeAtomically(at('volume'), new Map([['a', { content: Buffer.from('before'), mode: 0o644 }]])),
    write: () => writeAtomically(at('volume'), new Map([['a', { content: LARGE, mode: 0o644 }]])),
  },
};

async function archive(): Promise<Uint8Array> {
  const entries = [
    { type: 'directory' as const, path: '.', mode: 0o755 },
    { type: 'directory' as const, path: 'a', mode: 0o755 },
    { type: 'file' as const, path: 'a/b', mode: 0o644, content: LARGE },
  ];
  return Buffer.concat(await Array.fromAsync(writeTar(entries)));
}

const FILLER = 'filler';

/** All that is on the disk: what it is, its mode and its content. */
function contents(directory = disk): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(directory).sort()) {
    const path = join(directory, name);
    if (path === at(FILLER)) continue;
    const stat = lstatSync(path);
    const what = stat.isDirectory()
      ? 'directory'
      : stat.isSymbolicLink()
        ? readlinkSync(path)
        : new Bun.CryptoHasher('sha256').update(readFileSync(path)).digest('hex');
    found[path.slice(disk.length + 1)] = `${(stat.mode & 0o7777).toString(8)} ${what}`;
    if (stat.isDirectory()) Object.assign(found, contents(path));
  }
  return found;
}

const REASONS = { full: /the disk is full|No space left/, 'read-only': /read-only/i } as const;

async function makeUnwritable(kind: 'full' | 'almost full' | 'read-only'): Promise<void> {
  if (kind === 'read-only') {
    await output(realExec, ['mount', '-o', 'remount,ro', disk]);
    return;
  }
  const { bavail, bsize } = statfsSync(disk);
  writeFileSync(at(FILLER), Buffer.alloc(bavail * bsize - (kind === 'full' ? 0 : ROOM)));
}

async function makeWritable(): Promise<void> {
  await output(realExec, ['mount', '-o', 'remount,rw', disk]);
  rmSync(at(FILLER), { force: true });
}

describe.skipIf(!isRoot)('a disk', () => {
  beforeAll(() => {
    mkdirSync(disk);
    mkdirSync(beside('own'));
    for (const name of ['portmap', 'cilium-cni']) writeFileSync(beside('own', name), LARGE, { mode: 0o755 });
  });
  afterAll(() => rmSync(scratch, { recursive: true }));

  describe.each(['full', 'almost full', 'read-only'] as const)('that is %s, under', (kind) => {
    test.each(Object.entries(CASES))(
      '%s',
      async (_, { before, write, names = /\/disk\b/, stays, isLittle }) => {
        await output(realExec, ['mount', '-t', 'tmpfs', '-o', `size=${SIZE}`, 'none', disk]);
        try {
          await before?.();
          const was = contents();
          await makeUnwritable(kind);
          const problem = await Promise.resolve()
            .then(write)
            .then(
              () => undefined,
              (cause: unknown) => explained(cause),
            );
          if (isLittle && kind === 'almost full') return expect(problem).toBeUndefined();
          expect(problem).toMatch(REASONS[kind === 'read-only' ? kind : 'full']);
          expect(problem).toMatch(names);
          // Of the file that was wanted, and not of one by whose name nobody knows it.
          expect(problem).not.toMatch(/\.tmp\b|^cannot remove/);
          const left = Object.entries(contents()).filter(([path]) => stays?.test(path) !== true);
          const more = left.filter(([path, what]) => !(path in was) && !what.endsWith(' directory'));
          expect(more).toEqual([]);
          expect(Object.fromEntries(left)).toMatchObject(was);
          await makeWritable();
          await write();
        } finally {
          await output(realExec, ['umount', disk]);
          rmSync(beside('copies'), { recursive: true, force: true });
        }
      },
    );
  });

  test('under the journal of a heal: what was noted is whole, and it can be continued', async () => {
    await output(realExec, ['mount', '-t', 'tmpfs', '-o', `size=${SIZE}`, 'none', disk]);
    try {
      const journal = new Journal(AT.toISOString(), new Backups(AT, beside('copies')), disk);
      const action = { do: 'set-mode', path: beside('changed'), mode: '0600' } as const;
      const work = (detail: string) => journal.around(action, async () => ({ changed: true, detail }));
      await expect(work('x'.repeat(2 * SIZE))).rejects.toThrow(
        /^cannot write .*journal.jsonl: the disk is full/,
      );
      expect(await work('short')).toMatchObject({ detail: 'short' });
      const text = readFileSync(join(directoryOfRun(disk, AT), 'journal.jsonl'), 'utf8');
      const lines = text.trimEnd().split('\n');
      expect(lines.map((line) => (JSON.parse(line) as { detail?: string }).detail).at(-1)).toBe('short');
    } finally {
      await output(realExec, ['umount', disk]);
    }
  });
});

/** Functions that write, by what they are imported as. */
const WRITING =
  /^(?:writeFile(?:Sync|Atomic)?|writeSync|createWriteStream|copyFile(?:Sync)?|cp(?:Sync)?|rename(?:Sync)?|(?:sym)?link(?:Sync)?|mkdtemp(?:Sync)?|appendFile(?:Sync)?)$/;
/** Files that write by these, each with the test that has its disk full. */
const WRITERS: Readonly<Record<string, string>> = {
  'src/agent/state.ts': 'the state of the agent',
  'src/cni/result-cache.ts': 'what is remembered of an attachment',
  'src/collect/bundle-archive.ts': 'an archive of a bundle',
  'src/collect/bundle.ts': 'a bundle',
  'src/collect/pieces.ts': 'a bundle',
  'src/kube/kubeconfig-merge.ts': 'a kubeconfig',
  'src/lab/cilium/cni-config.ts': 'a list of the stand-in for Cilium',
  'src/lab/cilium/install.ts': 'its plugins',
  'src/lab/cilium/ipam-file.ts': 'the addresses of a node',
  'src/lab/cluster/export-logs.ts': 'logs that are exported',
  'src/lab/cluster/node-exec.ts': 'a new file',
  'src/lab/cluster/place.ts': 'a tree that comes out of a node',
  'src/lab/images/oci.ts': 'an image',
  'src/lab/inject/book.ts': 'the failures that are injected',
  'src/lab/kubelet/volumes/atomic-writer.ts': 'a volume of a pod',
  'src/node/apply/backup.ts': 'the copy of a plugin that heal replaces',
  'src/node/apply/files.ts': 'a configuration that heal writes',
  'src/node/apply/journal.ts': 'the journal of a heal',
  'src/node/apply/undo.ts': 'a file that is put back',
  'src/portmap/attachments.ts': 'a record of portmap',
  'src/portmap/install.ts': 'a plugin that installs itself',
  'src/sys/file-lock.ts': 'the failures that are injected',
  'src/sys/files.ts': 'a new file',
};
/** Files that write by these, and what for, without a test here. */
const OTHERS: Readonly<Record<string, string>> = {
  'src/cni/plugin-main.ts': 'a result, to standard output',
  'src/lab/cilium/cni/deletion-queue.ts': 'what a plugin leaves for an agent; removed again when it fails',
  'src/lab/cilium/devices.ts': 'settings of the kernel',
  'src/lab/cluster/create.ts': 'a cluster, which is removed when its creation fails: test/disk.netns.test.ts',
  'src/lab/cluster/gateway.ts': 'the same',
  'src/lab/cluster/kubectl.ts': 'a link of a cluster, which each use replaces',
  'src/lab/cluster/image-store.ts':
    'an image of nodes, which is removed when its making fails: src/lab/cluster/image-store.test.ts',
  'src/lab/cluster/node-cgroup.ts': 'limits of the kernel',
  'src/lab/cluster/node-image.ts': 'the same image',
  'src/lab/cluster/node-root.ts': 'a part of a cluster',
  'src/lab/cluster/record.ts': 'a part of a cluster, by writeFileAtomic',
  'src/lab/cluster/start-gateway.ts': 'a part of a cluster',
  'src/lab/engine/kubernetes/fetch/download.ts':
    'what a download has so far, which the next one continues: src/lab/engine/kubernetes/fetch/download.test.ts',
  'src/lab/engine/kubernetes/fetch/fetch-release.ts': 'the same, when it is whole',
  'src/lab/images/archive.ts': 'an archive in a directory of its own, which is removed',
  'src/lab/kubelet/start-container.ts': 'files of a container, which are written again at its next start',
  'src/lab/tour/example.ts': 'files of the tour: test/disk.netns.test.ts',
  'src/net/sysctl.ts': 'settings of the kernel',
  'src/node/apply/sysctl.ts': 'settings of the kernel',
  'src/node/trace/drops.ts': 'settings of the kernel',
  'src/portmap/main.ts': 'a line, to standard output',
  'src/sys/copy-tree.ts': 'a part of a cluster',
  'src/sys/writable.ts': 'a file that only shows whether one can be written, and is removed',
};

test('all that writes is known', () => {
  const root = join(import.meta.dir, '..');
  const writing = [...new Bun.Glob('src/**/*.ts').scanSync({ cwd: root })].filter((path) => {
    if (/\.(?:test|fake)\.ts$|\/testing\/|^src\/cni\/native\//.test(path)) return false;
    const imports = readFileSync(join(root, path), 'utf8').matchAll(
      /^import \{([^}]*)\} from '(?:node:fs(?:\/promises)?|[^']*\/sys\/files\.ts)'/gm,
    );
    return [...imports].some(([, names]) => names!.split(/[\s,]+/).some((name) => WRITING.test(name)));
  });
  expect(writing.sort()).toEqual([...Object.keys(WRITERS), ...Object.keys(OTHERS)].sort());
  expect(Object.values(WRITERS).filter((name) => !(name in CASES))).toEqual([]);
});

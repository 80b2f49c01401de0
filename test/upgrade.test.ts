/**
 * What earlier versions wrote is read by this one, and what cannot be read is refused in words. The fixtures were written by the commits that first
 * wrote their kind. upgrade.netns.test.ts has the plugin's rules in the kernel.
 */
import { afterAll, describe, expect, test } from 'bun:test';
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { defaultSettings } from '../scripts/agent-manifests.ts';
import { installedSettings, mergedSettings } from '../src/agent/installed.ts';
import { agentObjects } from '../src/agent/manifests.ts';
import type { PluginConfig } from '../src/cni/types.ts';
import { bundleWorld, readReports } from '../src/collect/bundle.ts';
import { AGENT } from '../src/collect/reader/agents.ts';
import type { DaemonSet, KubeObject } from '../src/kube/types.ts';
import { mounts, recordAt } from '../src/lab/cluster/record.ts';
import { FaultBook, restore } from '../src/lab/inject/book.ts';
import type { FaultDoor } from '../src/lab/inject/fault.ts';
import { FakeNat } from '../src/netfilter/iptables/iptables.fake.ts';
import { Backups } from '../src/node/apply/backup.ts';
import { directoryOfRun } from '../src/node/apply/runs.ts';
import { lastHeal, undoHeal } from '../src/node/apply/undo.ts';
import { diagnose } from '../src/path/diagnose/diagnose.ts';
import { AttachmentFiles } from '../src/portmap/attachments.ts';
import { parsePortmapConfig } from '../src/portmap/config.ts';
import { IptablesBackend } from '../src/portmap/iptables-backend.ts';
import { attachmentChain, chainOf } from '../src/portmap/layout.ts';
import { parseCidr } from '../src/util/cidr.ts';

const FIXTURES = join(import.meta.dir, 'fixtures/upgrade');
const scratch = mkdtempSync(join(tmpdir(), 'hostport-upgrade-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const OWNER = { networkName: 'net', containerId: 'c' };
const CHAIN = attachmentChain(OWNER.networkName, OWNER.containerId);
const ATTACHED = { ...OWNER, interface: 'eth0' };
const POD = parseCidr('10.0.0.5/32')!;

/** The configuration of the attachment that the fixtures are of. */
const CONFIG = parsePortmapConfig({
  name: 'net',
  runtimeConfig: {
    portMappings: [
      { hostPort: 80, containerPort: 8080, protocol: 'tcp' },
      { hostPort: 53, containerPort: 5353, protocol: 'udp', hostIP: '10.1.1.1' },
    ],
  },
} as PluginConfig);

let directories = 0;
/** The plugin's state with the first record in it. */
function state(): { files: AttachmentFiles; path: string } {
  const directory = join(scratch, `state-${directories++}`);
  mkdirSync(directory);
  const path = join(directory, `${CHAIN}.json`);
  copyFileSync(join(FIXTURES, 'portmap-record.json'), path);
  return { files: new AttachmentFiles(directory, join(scratch, 'no-cache')), path };
}

describe("the plugin's state", () => {
  test('says whose it is, and that its sandbox is gone; of ports and conditions nothing is known', () => {
    const { files } = state();
    expect(files.recorded()).toEqual(new Map([[CHAIN, { ...OWNER, ifName: 'eth0', devices: [] }]]));
    expect(files.sandboxState(CHAIN, OWNER)).toBe('gone');
    expect([files.portsOf(CHAIN), files.conditionsOf(CHAIN), files.devicesOf(CHAIN)]).toEqual([
      undefined,
      undefined,
      [],
    ]);
  });

  test('an ADD on it is that of a known attachment, and what was unknown stays so', () => {
    const { files } = state();
    const conditions = { language: 'iptables' as const, words: [] };
    const isNew = files.record(CHAIN, {
      ...{ ...OWNER, ifName: 'eth0', netns: '/run/netns/gone', devices: [] },
      ports: [{ protocol: 'tcp', hostPort: 80 }],
      conditions: { ipv4: conditions, ipv6: conditions },
    });
    expect([isNew, files.portsOf(CHAIN), files.conditionsOf(CHAIN)]).toEqual([false, undefined, undefined]);
  });

  test('a DEL forgets it', () => {
    const { files, path } = state();
    files.forget(CHAIN);
    expect(existsSync(path)).toBe(false);
  });
});

/** What each later form of a record has that the one before had not. */
const PORTS = [
  { protocol: 'tcp', hostPort: 80 },
  { protocol: 'udp', hostPort: 53, hostIP: '10.1.1.1' },
];
const NO_CONDITIONS = { language: 'iptables', words: [] };

test.each([
  ['with ports', 'portmap-record-ports.json', [PORTS, [], undefined]],
  ['with devices', 'portmap-record-devices.json', [PORTS, [{ index: 7, name: 'lxc1' }], undefined]],
  [
    'with conditions',
    'portmap-record-conditions.json',
    [PORTS, [{ index: 7, name: 'lxc1' }], [{ ipv4: NO_CONDITIONS, ipv6: NO_CONDITIONS }]],
  ],
])("the plugin's state %s is read", (_, fixture, expected) => {
  const { files, path } = state();
  copyFileSync(join(FIXTURES, fixture), path);
  expect<unknown>([files.portsOf(CHAIN), files.devicesOf(CHAIN), files.conditionsOf(CHAIN)]).toEqual(
    expected,
  );
  expect(files.sandboxState(CHAIN, OWNER)).toBe('gone');
});

describe("the plugin's rules", () => {
  /** A table that the first version wrote, and what this one makes of it. */
  async function table() {
    const nat = new FakeNat();
    const lines = readFileSync(join(FIXTURES, 'iptables-rules.txt'), 'utf8').trimEnd().split('\n');
    expect(await nat.restore(lines)).toEqual({ applied: true });
    const warnings: string[] = [];
    const backend = new IptablesBackend(nat, state().files, (text) => warnings.push(text), {
      glance: () => undefined,
      localAddressTest: () => () => false,
    });
    return { nat, backend, warnings };
  }

  test('are found by the names and comments that they have', async () => {
    const { backend } = await table();
    const mapped = await backend.mapped(OWNER);
    expect(mapped.map(({ protocol, hostPort }) => `${protocol} ${hostPort}`)).toEqual(['tcp 80', 'udp 53']);
  });

  test('are what a CHECK wants', async () => {
    const { backend } = await table();
    await backend.check(CONFIG, ATTACHED, POD);
  });

  test('are gone after a DEL, without a warning, and only they', async () => {
    const { nat, backend, warnings } = await table();
    const before = await nat.listAll();
    await backend.remove([OWNER]);
    const after = await nat.listAll();
    expect(after.filter((line) => line.includes(CHAIN))).toEqual([]);
    expect(after).toEqual(before.filter((line) => !line.includes(CHAIN)));
    expect(warnings).toEqual([]);
  });

  test('of the same attachment are replaced by those of an ADD, and those of others stay', async () => {
    const { nat, backend } = await table();
    await backend.carryOut(await backend.plan(CONFIG, ATTACHED, POD));
    const jumps = (await nat.listAll()).filter((line) => line.includes(`-j ${CHAIN}`));
    expect(jumps).toHaveLength(2);
    const other = { ...ATTACHED, containerId: 'other' };
    const config = parsePortmapConfig({
      name: 'net',
      runtimeConfig: { portMappings: [{ hostPort: 81, containerPort: 1 }] },
    } as PluginConfig);
    await backend.carryOut(await backend.plan(config, other, parseCidr('10.0.0.6/32')!));
    await backend.remove([{ networkName: 'net', containerId: 'other' }]);
    const left = await nat.listAll();
    expect(left.filter((line) => line.includes(`-j ${CHAIN}`))).toEqual(jumps);
    expect(left.filter((line) => line.includes(chainOf({ ...OWNER, containerId: 'other' })))).toEqual([]);
  });
});

test('the record of a cluster is that of one with the own engine', async () => {
  const record = await recordAt(join(FIXTURES, 'cluster.json'));
  expect([record?.engine, record?.containerd, record?.nodeImage]).toEqual([undefined, undefined, undefined]);
  expect(record?.nodes.map(({ name, role }) => [name, role])).toEqual([
    ['old-control-plane', 'control-plane'],
    ['old-worker', 'worker'],
  ]);
  expect([mounts(record!.config, '/tmp'), mounts(record!.config, '/var')]).toEqual([true, false]);
});

test.each(['', '{"name": "old', '[]', 'null', '{"name": "old"}'])(
  'a damaged record of a cluster, %p, is as good as none',
  async (text) => {
    const path = join(scratch, 'damaged.json');
    writeFileSync(path, text);
    expect(await recordAt(path)).toBeUndefined();
  },
);

describe('failures that were injected into a lab', () => {
  const cluster = { name: 'old' };
  /** The book of a cluster with what the first version wrote there. */
  function book(change: (text: string) => string = (text) => text): FaultBook {
    const root = mkdtempSync(join(scratch, 'clusters-'));
    mkdirSync(join(root, cluster.name));
    const text = readFileSync(join(FIXTURES, 'faults.json'), 'utf8');
    writeFileSync(join(root, cluster.name, 'faults.json'), change(text));
    return new FaultBook(cluster, root);
  }

  test('are undone', async () => {
    const did: string[] = [];
    const door = {
      list: async () => ['05-cilium.conf', '10-other.conflist'],
      run: async (node: string, argv: readonly string[]) => void did.push(`${node}: ${argv.join(' ')}`),
      write: async (node: string, path: string, text: string) => void did.push(`${node}: ${text} > ${path}`),
    } as unknown as FaultDoor;
    const { undone, failed } = await restore(book(), door, () => true);
    expect([undone.map(({ failure }) => failure.code), failed]).toEqual([
      ['portmap-not-chained', 'plugin-not-executable'],
      [],
    ]);
    expect(did).toEqual([
      'old-worker: rm -f -- /etc/cni/net.d/10-other.conflist',
      'old-worker: {} > /etc/cni/net.d/05-cilium.conf',
      'old-worker: chmod 0755 /opt/cni/bin/portmap',
    ]);
  });

  test('one that this version does not know is named, with what to do', async () => {
    const unknown = book((text) => text.replace('plugin-not-executable', 'plugin-eaten'));
    await expect(unknown.list()).rejects.toThrow(
      /^cannot read \S+faults\.json: this version knows no failure "plugin-eaten"; undo it with the version that injected it, or /,
    );
  });
});

describe('the journal of a heal', () => {
  const HEAL = '2026-01-02T03:04:05.000Z';
  /** A node's directories as the first version that kept a journal left them. */
  function healed(): { root: string; backup: string; journal: string } {
    const root = mkdtempSync(join(scratch, 'heal-'));
    cpSync(join(FIXTURES, 'heal'), root, { recursive: true });
    // What git does not keep of modes.
    chmodSync(join(root, 'net.d/05-cilium.conflist'), 0o600);
    const backup = join(root, 'backup');
    const journal = join(backup, directoryOfRun('', new Date(HEAL)), 'journal.jsonl');
    writeFileSync(journal, readFileSync(journal, 'utf8').replaceAll('/ROOT', root));
    return { root, backup, journal };
  }

  test('is what an undo puts back', async () => {
    const { root, backup } = healed();
    expect(lastHeal(backup)?.files.map(({ state: judged }) => judged)).toEqual([
      'back',
      'back',
      'back',
      'back',
    ]);
    const results = await undoHeal(HEAL, backup);
    expect(results.map(({ outcome }) => outcome)).toEqual(['done', 'done', 'done', 'done']);
    expect(readdirSync(join(root, 'net.d'))).toEqual(['05-cilium.conflist', '99-late.conflist']);
    expect(readFileSync(join(root, 'net.d/05-cilium.conflist'), 'utf8')).toBe(
      '{"name": "cilium", "plugins": [{"type": "cilium-cni"}]}\n',
    );
    expect(readdirSync(join(root, 'plugins'))).toEqual([]);
  });

  test.each([
    '{"number": 0, "action": "write-file", "files": [{"path": "/a", "before": {"is": "elsewhere"}}]}',
    '{',
  ])('of a form that this version does not know, %p, is refused in one line', (line) => {
    const { backup, journal } = healed();
    appendFileSync(journal, `${line}\n`);
    expect(() => lastHeal(backup)).toThrow(
      `cannot read ${journal}: line 7 cannot be read by this version; use the version that wrote it, or put back by hand the copies beside it`,
    );
  });
});

describe('a bundle', () => {
  const bundle = join(FIXTURES, 'bundle');

  test('is judged as it was', async () => {
    const world = await bundleWorld(bundle);
    const { findings, paths, unknowns } = diagnose(world).diagnosis;
    expect([unknowns, paths.length]).toEqual([[], 3]);
    expect(findings.map(({ code, subject }) => `${code} ${subject.node}`)).toEqual([
      'portmap-not-chained kind-worker3',
      'plugin-missing kind-worker2',
    ]);
  });

  test('the reports in it are reports that were taken by hand, too', () => {
    const { reports, unread } = readReports(join(bundle, 'nodes'));
    expect(unread).toEqual([]);
    const nodes = ['kind-control-plane', 'kind-worker', 'kind-worker2', 'kind-worker3'];
    expect([...reports].map(([node, report]) => [node, 'value' in report])).toEqual(
      nodes.map((node) => [node, true]),
    );
  });
});

describe('the first manifest of the agent', () => {
  const set = parseAllDocuments(readFileSync(join(FIXTURES, 'agent.yaml'), 'utf8'))
    .map((document) => document.toJS() as KubeObject)
    .find(({ kind }) => kind === 'DaemonSet') as DaemonSet;
  const defaults = defaultSettings('observe');
  const { spec } = agentObjects(defaults).at(-1)!.object as DaemonSet;

  test('is upgraded in its place', () => {
    expect(set.metadata).toMatchObject({ name: AGENT.name, namespace: defaults.namespace });
    // It cannot be changed.
    expect(set.spec?.selector).toEqual(spec!.selector);
  });

  test('its agent heals after that as before it, where nodes reached the API', () => {
    const settings = mergedSettings({}, installedSettings(set), defaults);
    expect(settings).toEqual({
      ...defaults,
      mode: 'heal',
      apiServer: { host: 'control-plane.cluster.internal', port: 6443 },
    });
  });

  test('its image, which anybody may publish, is not what another version of is taken', () => {
    expect(set.spec?.template.spec?.containers[0]?.image).toBe('hostport/agent:latest');
    expect(installedSettings(set).image).toBeUndefined();
  });
});

test('copies of replaced files stay, are no heal that can be undone, and go when there are too many', () => {
  const root = join(scratch, 'backup');
  const copy = join(root, '2026-01-01T00-00-00.000Z/etc/cni/net.d/10-net.conflist');
  mkdirSync(join(copy, '..'), { recursive: true });
  writeFileSync(copy, '{}');
  expect(lastHeal(root)).toBeUndefined();
  new Backups(new Date('2026-02-01T00:00:00Z'), root, { runs: 2, bytes: 1e6 }).keepText('rules', 'x');
  expect(existsSync(copy)).toBe(true);
  new Backups(new Date('2026-03-01T00:00:00Z'), root, { runs: 2, bytes: 1e6 }).keepText('rules', 'x');
  expect(existsSync(copy)).toBe(false);
});

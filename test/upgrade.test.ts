/** What the first version of each kind wrote is read by this one. The fixtures were written by the commits that first wrote their kind. */
import { afterAll, describe, expect, test } from 'bun:test';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PluginConfig } from '../src/cni/types.ts';
import { mounts, recordAt } from '../src/lab/cluster/record.ts';
import { FakeNat } from '../src/netfilter/iptables/iptables.fake.ts';
import { Backups } from '../src/node/apply/backup.ts';
import { lastHeal } from '../src/node/apply/undo.ts';
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

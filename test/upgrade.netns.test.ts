/** Rules that the first versions wrote, in the kernel, and the plugin as it is now. upgrade.test.ts has what is in files. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attachmentChain } from '../src/portmap/layout.ts';
import { Topology, type Variant } from '../src/portmap/testing/topology.ts';

const FIXTURES = join(import.meta.dir, 'fixtures/upgrade');
const PROGRAM = [process.execPath, 'run', join(import.meta.dir, '../src/cli/main.ts')];
const NETWORK = 'net';
/** What became of its pods when the node was upgraded. */
const GONE = '/run/netns/gone';

/** An attachment that the fixtures have: what its ADD was given. */
interface Old {
  id: string;
  addresses: string[];
  portMappings: object[];
  extra?: object;
}
const OLD: readonly Old[] = [
  {
    id: 'c',
    addresses: ['10.0.0.5/32', 'fd00::5/128'],
    portMappings: [
      { hostPort: 80, containerPort: 8080, protocol: 'tcp' },
      { hostPort: 53, containerPort: 5353, protocol: 'udp', hostIP: '10.1.1.1' },
    ],
  },
  {
    id: 'd',
    addresses: ['10.0.0.6/32'],
    portMappings: [{ hostPort: 81, containerPort: 8081, protocol: 'tcp' }],
    extra: { conditionsV4: ['ip', 'saddr', '10.9.0.0/16'] },
  },
];
const NEW: Old = {
  id: 'new',
  addresses: ['10.0.0.9/32'],
  portMappings: [{ hostPort: 80, containerPort: 80, protocol: 'tcp' }],
};

const [FIRST, CONDITIONAL] = OLD as [Old, Old];

let lab: Topology;
/** What the plugin sees at /run/hostport: other tests have mappings there. */
let run: string;

/** A node whose tools are of a variant, with the address of the mapping that is for one alone. */
function node(variant: Variant): void {
  beforeAll(async () => {
    lab = await Topology.create(variant);
    await lab.namespace('node');
    await lab.ok('node', ['ip', 'address', 'add', '10.1.1.1/32', 'dev', 'lo']);
    mkdirSync('/run/hostport', { recursive: true });
  });
  afterAll(() => lab.dispose());
}

/** Records that have nothing but whose they are. */
function writeRecords(...ids: string[]): void {
  run = join(lab.scratch, `run-${crypto.randomUUID().slice(0, 8)}`);
  mkdirSync(join(run, 'portmap'), { recursive: true });
  for (const id of ids) {
    const path = join(run, 'portmap', `${attachmentChain(NETWORK, id)}.json`);
    copyFileSync(join(FIXTURES, 'portmap-record.json'), path);
    writeFileSync(path, readFileSync(path, 'utf8').replace('"c"', `"${id}"`));
  }
}

async function alone(argv: string[], stdin = '', env: Record<string, string> = {}) {
  const script = 'mount --bind "$0" /run/hostport && exec "$@"';
  const { code, stdout, stderr } = await lab.run(
    'node',
    ['unshare', '--mount', 'sh', '-c', script, run, ...argv],
    stdin,
    env,
  );
  return { code, stderr, document: code === 0 ? undefined : stdout };
}

async function call(verb: string, { id, addresses, portMappings, extra }: Old, backend: string, more = {}) {
  const ips = addresses.map((address) => ({ address, interface: 0 }));
  const config = {
    ...{ cniVersion: '1.1.0', name: NETWORK, type: 'portmap', backend, runtimeConfig: { portMappings } },
    prevResult: { cniVersion: '1.1.0', interfaces: [{ name: 'eth0', sandbox: GONE }], ips },
    ...extra,
    ...more,
  };
  const env = { CNI_COMMAND: verb, CNI_PATH: '/opt/cni/bin' };
  const whose = { CNI_CONTAINERID: id, CNI_NETNS: verb === 'DEL' ? '' : GONE, CNI_IFNAME: 'eth0' };
  const all = verb === 'GC' ? env : { ...env, ...whose };
  expect({ verb, id, ...(await alone([join(lab.plugins, 'portmap')], JSON.stringify(config), all)) }).toEqual(
    {
      ...{ verb, id, code: 0, stderr: '', document: undefined },
    },
  );
}

describe('the table of the nftables backend', () => {
  node('nft');
  const table = () => lab.ok('node', ['nft', 'list', 'ruleset']);
  /** What the table has of attachments: elements and chains. */
  const owned = async (id?: string) =>
    [...(await table()).matchAll(/\bcomment "net\/([^"/]+)|: (return)|chain (CNI-DN-\S+)/g)].filter(
      ([, owner, reserved]) => id === undefined || owner === id || (reserved === 'return' && id === 'c'),
    ).length;

  beforeEach(async () => {
    await lab.ok('node', ['nft', 'flush', 'ruleset']);
    await lab.ok('node', ['nft', '-f', join(FIXTURES, 'nftables-table.nft')]);
    writeRecords('c', 'd');
  });

  test('is what a CHECK wants', async () => {
    for (const each of OLD) await call('CHECK', each, 'nftables');
  });

  test('is empty of an attachment after its DEL, which changes nothing of the other, and the second time nothing', async () => {
    const ofOther = await owned('d');
    expect([await owned('c'), ofOther]).not.toContain(0);
    await call('DEL', FIRST, 'nftables');
    const left = await table();
    expect([await owned('c'), await owned('d')]).toEqual([0, ofOther]);
    await call('DEL', FIRST, 'nftables');
    expect(await table()).toBe(left);
    await call('DEL', CONDITIONAL, 'nftables');
    expect([await owned(), readdirSync(join(run, 'portmap'))]).toEqual([0, []]);
  });

  test('keeps what an ADD of the same attachment wants already', async () => {
    const before = await table();
    for (const each of OLD) await call('ADD', each, 'nftables');
    expect(await table()).toBe(before);
  });

  test('gives a port whose pod is gone to a new one', async () => {
    await call('ADD', NEW, 'nftables');
    expect(await table()).toContain('tcp . 80 comment "net/new" : 10.0.0.9 . 80');
    await call('CHECK', NEW, 'nftables');
  });

  test('is empty of what a GC does not name', async () => {
    await call('GC', FIRST, 'nftables', { 'cni.dev/valid-attachments': [] });
    expect([await owned(), readdirSync(join(run, 'portmap'))]).toEqual([0, []]);
  });

  test('is gone after a cleanup', async () => {
    expect(await alone([...PROGRAM, 'cni', 'cleanup'])).toMatchObject({ code: 0, stderr: '' });
    expect([await table(), readdirSync(run)]).toEqual(['', ['portmap.lock']]);
  });
});

describe('route_localnet of a device, and the record of whom it is on for', () => {
  node('nft');

  test('are turned off and removed with the last mapping', async () => {
    await lab.ok('node', ['ip', 'link', 'add', 'lxc1', 'type', 'bridge']);
    const [{ ifindex }] = JSON.parse(await lab.ok('node', ['ip', '-j', 'link', 'show', 'lxc1']));
    const setting = 'net.ipv4.conf.lxc1.route_localnet';
    await lab.ok('node', ['sysctl', '-qw', `${setting}=1`]);
    writeRecords('c');
    const record = readFileSync(join(FIXTURES, 'portmap-record-devices.json'), 'utf8');
    const chain = attachmentChain(NETWORK, 'c');
    writeFileSync(join(run, 'portmap', `${chain}.json`), record.replace('"index":7', `"index":${ifindex}`));
    // As the version that wrote the record named it: by the network namespace and the device.
    const namespace = (await lab.ok('node', ['stat', '-Lc', '%i', '/proc/self/ns/net'])).trim();
    mkdirSync(join(run, 'route_localnet', `${namespace}-${ifindex}`, chain), { recursive: true });
    await call('DEL', FIRST, 'nftables');
    expect((await lab.ok('node', ['sysctl', '-n', setting])).trim()).toBe('0');
    expect(['portmap', 'route_localnet'].map((name) => readdirSync(join(run, name)))).toEqual([[], []]);
  });
});

describe.each(['nft', 'legacy'] as const)('the rules of the iptables backend in iptables-%s', (variant) => {
  node(variant);
  const v4: Old = { ...FIRST, addresses: ['10.0.0.5/32'] };
  const rules = () => lab.natRules('node');
  const owned = async () => (await rules()).filter((line) => line.includes(attachmentChain(NETWORK, 'c')));

  beforeEach(async () => {
    const lines = readFileSync(join(FIXTURES, 'iptables-rules.txt'), 'utf8').replaceAll(
      /^-N (.*)$/gm,
      ':$1 - [0:0]',
    );
    const restored = await lab.run('node', ['iptables-restore'], `*nat\n${lines}COMMIT\n`);
    expect(restored).toMatchObject({ code: 0, stderr: '' });
    writeRecords('c');
  });

  test('are what a CHECK wants', () => call('CHECK', v4, 'iptables'));

  test('are gone after a DEL, and the second time nothing changes', async () => {
    expect(await owned()).not.toEqual([]);
    await call('DEL', v4, 'iptables');
    const left = await rules();
    expect([await owned(), readdirSync(join(run, 'portmap'))]).toEqual([[], []]);
    await call('DEL', v4, 'iptables');
    expect(await rules()).toEqual(left);
  });

  test('are those of an ADD of the same attachment', async () => {
    const before = await rules();
    await call('ADD', v4, 'iptables');
    expect(await rules()).toEqual(before);
  });

  test('give a port whose pod is gone to a new one', async () => {
    await call('ADD', NEW, 'iptables');
    await call('CHECK', NEW, 'iptables');
    expect((await owned()).filter((line) => line.includes('--dport 80 '))).toEqual([]);
  });

  test('are gone after a GC that does not name them, and after a cleanup', async () => {
    await call('GC', v4, 'iptables', { 'cni.dev/valid-attachments': [] });
    expect(await owned()).toEqual([]);
    expect(await alone([...PROGRAM, 'cni', 'cleanup'])).toMatchObject({ code: 0, stderr: '' });
    expect((await rules()).filter((line) => line.includes('CNI-'))).toEqual([]);
  });
});

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attachmentChain } from './layout.ts';
import { type Outcome, REFERENCE, Topology } from './testing/topology.ts';

const RESPONDER = join(import.meta.dir, 'testing/responder.ts');
const PROBE = join(import.meta.dir, 'testing/probe.ts');
/** A number that other runs of these tests on the machine do not have: attachments are remembered by their name, and a GC is of a network. */
const RUN = process.pid;
const NETWORK = `localnet-test-${RUN}`;
const STATE = '/run/hostport/route_localnet';

// As Cilium routes by default: packets to a pod leave by one device, which all pods share, and what it answers comes in by the
// pod's own. `node` has cilium_host (10.77.0.1) and lxc1, lxc2; pods a and b have eth0 (10.77.0.10, 10.77.0.11), whose other end
// is lxcN, and are reached through a switch behind cilium_host, to which each has a second link.
let lab: Topology;
let ours: string;
const pods = { a: { last: 10, lxc: 'lxc1' }, b: { last: 11, lxc: 'lxc2' } } as const;
type Pod = keyof typeof pods;

const idOf = (pod: string) => `localnet-${RUN}-${pod}`;
const full = (name: string) => lab.path(name).split('/').at(-1)!;

function conf(pod: Pod, hostPort: number, extra: Record<string, unknown> = {}) {
  return {
    ...{ cniVersion: '1.1.0', name: NETWORK, type: 'portmap', capabilities: { portMappings: true } },
    runtimeConfig: { portMappings: [{ hostPort, containerPort: 8080, protocol: 'tcp' }] },
    prevResult: {
      cniVersion: '1.1.0',
      interfaces: [{ name: pods[pod].lxc }, { name: 'eth0', sandbox: lab.path(pod) }],
      ips: [{ address: `10.77.0.${pods[pod].last}/32`, interface: 1 }],
    },
    ...extra,
  };
}

/** What a list without `cniVersion` passes: a result that names no interface at all. */
function oldest(pod: Pod, hostPort: number, extra: Record<string, unknown> = {}) {
  const prevResult = { cniVersion: '0.1.0', ip4: { ip: `10.77.0.${pods[pod].last}/32` } };
  return { ...conf(pod, hostPort, extra), cniVersion: undefined, prevResult };
}

function call(verb: string, pod: string, config: Record<string, unknown>): Promise<Outcome> {
  return lab.cni('node', ours, verb, { id: idOf(pod), netns: lab.path(pod), config });
}

async function done(verb: string, pod: string, config: Record<string, unknown>): Promise<void> {
  expect({ verb, ...(await call(verb, pod, config)) }).toMatchObject({ code: 0, stderr: '' });
}

async function ask(port: number): Promise<string> {
  const argv = [process.execPath, 'run', PROBE, 'tcp', '127.0.0.1', String(port)];
  return (await lab.run('node', argv)).stdout.trim();
}

async function settings(...devices: string[]): Promise<Record<string, string>> {
  const values = await lab.ok('node', ['sysctl', '-n', ...devices.map(settingOf)]);
  return Object.fromEntries(devices.map((device, i) => [device, values.split('\n')[i]!]));
}

function settingOf(device: string): string {
  return `net.ipv4.conf.${device}.route_localnet`;
}

function set(device: string, value: '0' | '1'): Promise<string> {
  return lab.ok('node', ['sysctl', '-qw', `${settingOf(device)}=${value}`]);
}

/** What the names of the node's devices begin with. */
async function prefix(): Promise<string> {
  return `${(await lab.ok('node', ['stat', '-Lc', '%i', '/proc/self/ns/net'])).trim()}-`;
}

/** What is noted of devices of the node: `index/chain`, and an index alone for one that no attachment holds. */
async function held(): Promise<string[]> {
  const own = await prefix();
  if (!existsSync(STATE)) return [];
  const names = readdirSync(STATE).filter((name) => name.startsWith(own));
  return names.flatMap((name) => {
    const chains = readdirSync(join(STATE, name));
    return chains.length === 0 ? [name] : chains.map((chain) => `${name.split('-')[1]}/${chain}`);
  });
}

beforeAll(async () => {
  lab = await Topology.create();
  ours = join(lab.plugins, 'portmap');
  for (const name of ['node', 'switch']) await lab.namespace(name);
  // Of a test whose namespace had the same inode.
  const own = await prefix();
  for (const name of existsSync(STATE) ? readdirSync(STATE) : []) {
    if (name.startsWith(own)) rmSync(join(STATE, name), { recursive: true });
  }
  await lab.ok('node', [
    ...['sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv4.conf.all.rp_filter=0'],
    'net.ipv4.conf.default.rp_filter=0',
  ]);
  await lab.ok('switch', ['ip', 'link', 'add', 'ports', 'type', 'bridge']);
  await lab.ok('switch', ['ip', 'link', 'set', 'ports', 'up']);
  await lab.ok('node', [
    ...['ip', 'link', 'add', 'cilium_host', 'type', 'veth', 'peer', 'name', 'uplink'],
    ...['netns', full('switch')],
  ]);
  await lab.ok('switch', ['ip', 'link', 'set', 'uplink', 'master', 'ports', 'up']);
  await lab.ok('node', ['ip', 'address', 'add', '10.77.0.1/32', 'dev', 'cilium_host']);
  await lab.ok('node', ['ip', 'link', 'set', 'cilium_host', 'up']);
  await lab.ok('node', ['ip', 'route', 'add', '10.77.0.0/24', 'dev', 'cilium_host', 'src', '10.77.0.1']);
  for (const [pod, { last, lxc }] of Object.entries(pods)) {
    await lab.namespace(pod);
    await lab.ok(pod, [
      'sysctl',
      '-qw',
      'net.ipv4.conf.all.rp_filter=0',
      'net.ipv4.conf.default.rp_filter=0',
    ]);
    await lab.ok('switch', [
      ...['ip', 'link', 'add', `to-${pod}`, 'type', 'veth', 'peer', 'name', 'in0'],
      ...['netns', full(pod)],
    ]);
    await lab.ok('switch', ['ip', 'link', 'set', `to-${pod}`, 'master', 'ports', 'up']);
    await lab.ok('node', [
      ...['ip', 'link', 'add', lxc, 'type', 'veth', 'peer', 'name', 'eth0'],
      ...['netns', full(pod)],
    ]);
    await lab.ok('node', ['ip', 'link', 'set', lxc, 'up']);
    await lab.ok(pod, ['ip', 'link', 'set', 'in0', 'up']);
    await lab.ok(pod, ['ip', 'link', 'set', 'eth0', 'up']);
    await lab.ok(pod, ['ip', 'address', 'add', `10.77.0.${last}/32`, 'dev', 'eth0']);
    await lab.ok(pod, ['ip', 'route', 'add', 'default', 'via', '10.77.0.1', 'dev', 'eth0', 'onlink']);
    await lab.start(pod, RESPONDER, [pod, '8080']);
  }
});
beforeEach(async () => {
  for (const device of ['all', 'cilium_host', 'lxc1', 'lxc2']) await set(device, '0');
});
afterEach(async () => {
  for (const pod of ['a', 'b'] as const) await call('DEL', pod, conf(pod, 1));
  expect(await held()).toEqual([]);
});
afterAll(() => lab.dispose());

describe.each([
  ['iptables', 'a result with interfaces', conf],
  ['iptables', 'a result without interfaces', oldest],
  ['nftables', 'a result with interfaces', conf],
  ['nftables', 'a result without interfaces', oldest],
] as const)('%s, %s', (backend, _which, of) => {
  test('127.0.0.1 answers although the answers come in by another device than packets leave by', async () => {
    await done('ADD', 'a', of('a', 80, { backend }));
    expect(await settings('cilium_host', 'lxc1', 'lxc2')).toEqual({ cilium_host: '1', lxc1: '1', lxc2: '0' });
    expect(await ask(80)).toBe('a 10.77.0.1');
    // What it was without: each of the two is needed.
    for (const device of ['cilium_host', 'lxc1']) {
      await set(device, '0');
      expect(await ask(80)).toBe('Error: no answer');
      await set(device, '1');
    }
    await done('DEL', 'a', of('a', 80, { backend }));
    expect(await settings('cilium_host', 'lxc1')).toEqual({ cilium_host: '0', lxc1: '0' });
  });
});

test('CHECK names the devices on which it is off, if it is not on for all', async () => {
  const config = conf('a', 80);
  await done('ADD', 'a', config);
  await done('CHECK', 'a', config);
  await set('lxc1', '0');
  expect((await call('CHECK', 'a', config)).document).toMatchObject({
    code: 999,
    msg: '127.0.0.1 does not reach the pod: route_localnet is 0 on lxc1',
  });
  await set('all', '1');
  await done('CHECK', 'a', config);
  expect(await ask(80)).toBe('a 10.77.0.1');
  await set('all', '0');
  // Who promises nothing there is not asked.
  await set('cilium_host', '0');
  await done('ADD', 'a', conf('a', 80, { snat: false }));
  await done('CHECK', 'a', conf('a', 80, { snat: false }));
});

test('what another mapping needs stays until its DEL, in whatever order, and DEL is repeatable', async () => {
  for (const [first, second] of [
    ['a', 'b'],
    ['b', 'a'],
  ] as const) {
    const [goes, stays] = [pods[first].lxc, pods[second].lxc];
    await done('ADD', 'a', conf('a', 80));
    await done('ADD', 'b', conf('b', 81));
    await done('ADD', 'a', conf('a', 80));
    for (let i = 0; i < 2; i++) {
      await done('DEL', first, conf(first, 80));
      const left = await settings('cilium_host', goes, stays);
      expect(left).toEqual({ cilium_host: '1', [goes]: '0', [stays]: '1' });
      expect(await ask(second === 'a' ? 80 : 81)).toBe(`${second} 10.77.0.1`);
    }
    await done('DEL', second, conf(second, 80));
    expect(await settings('cilium_host', stays)).toEqual({ cilium_host: '0', [stays]: '0' });
  }
});

test('an ADD again that needs other devices and fails is no reason for a DEL to forget those before', async () => {
  await done('ADD', 'a', conf('a', 80));
  await done('ADD', 'b', conf('b', 81));
  // The port is b's.
  expect((await call('ADD', 'a', conf('a', 81, { snat: false }))).document).toMatchObject({ code: 110 });
  expect(await settings('cilium_host', 'lxc1')).toEqual({ cilium_host: '1', lxc1: '1' });
  for (const pod of ['a', 'b'] as const) await done('DEL', pod, conf(pod, 1));
  expect(await settings('cilium_host', 'lxc1', 'lxc2')).toEqual({ cilium_host: '0', lxc1: '0', lxc2: '0' });
});

// The reference plugin finds it on, and turns nothing off.
describe.each(['iptables', 'nftables'])("what the reference plugin's mapping needs (%s)", (backend) => {
  const reference = (verb: string) => {
    const config = { ...conf('b', 81), cniVersion: '1.0.0', prevResult: undefined as unknown };
    config.prevResult = { ...conf('b', 81).prevResult, cniVersion: '1.0.0' };
    const called = { id: `${idOf('b')}-reference`, netns: lab.path('b'), config };
    return lab.cni('node', join(REFERENCE, 'portmap'), verb, called);
  };
  const gc = { cniVersion: '1.1.0', name: NETWORK, type: 'portmap' };

  test('stays on after the last DEL of ours, until a GC after its own', async () => {
    await done('ADD', 'a', conf('a', 80, { backend }));
    expect(await reference('ADD')).toMatchObject({ code: 0 });
    expect(await ask(81)).toBe('Error: no answer');
    await set('lxc2', '1');
    expect(await ask(81)).toBe('b 10.77.0.1');
    await done('DEL', 'a', conf('a', 80, { backend }));
    expect(await settings('cilium_host', 'lxc1')).toEqual({ cilium_host: '1', lxc1: '0' });
    expect(await ask(81)).toBe('b 10.77.0.1');
    const keep = {
      ...gc,
      'cni.dev/valid-attachments': [{ containerID: `${idOf('b')}-reference`, ifname: 'eth0' }],
    };
    await done('GC', 'a', keep);
    expect(await settings('cilium_host')).toEqual({ cilium_host: '1' });
    expect(await reference('DEL')).toMatchObject({ code: 0 });
    await done('GC', 'a', gc);
    expect(await settings('cilium_host')).toEqual({ cilium_host: '0' });
  });

  test('is no reason to leave on a device that does not lead to its pod', async () => {
    await lab.ok('node', ['ip', 'route', 'add', '10.77.0.10/32', 'dev', 'lxc1']);
    expect(await reference('ADD')).toMatchObject({ code: 0 });
    await done('ADD', 'a', conf('a', 80, { backend }));
    expect(await settings('lxc1')).toEqual({ lxc1: '1' });
    await done('DEL', 'a', conf('a', 80, { backend }));
    expect(await settings('lxc1')).toEqual({ lxc1: '0' });
    await lab.ok('node', ['ip', 'route', 'del', '10.77.0.10/32', 'dev', 'lxc1']);
    expect(await reference('DEL')).toMatchObject({ code: 0 });
  });
});

test("a mapping of the reference plugin's nftables backend counts, too", async () => {
  await done('ADD', 'a', conf('a', 80));
  const table = [
    'table ip cni_hostport {',
    '  chain hostports {',
    '    type nat hook prerouting priority dstnat;',
    '    tcp dport 81 dnat to 10.77.0.11:8080 comment "other"',
    '  }',
    '}',
  ];
  expect((await lab.run('node', ['nft', '-f', '-'], table.join('\n'))).code).toBe(0);
  await done('DEL', 'a', conf('a', 80));
  expect(await settings('cilium_host', 'lxc1')).toEqual({ cilium_host: '1', lxc1: '0' });
  // When its pods cannot be determined the setting stays on, and DEL says so.
  await set('cilium_host', '0');
  await done('ADD', 'a', conf('a', 80));
  const broken = join(lab.scratch, 'broken');
  mkdirSync(broken, { recursive: true });
  writeFileSync(join(broken, 'nft'), '#!/bin/false\n', { mode: 0o755 });
  const env = { PATH: `${broken}:${lab.scratch}/tools:/usr/sbin:/usr/bin:/sbin:/bin` };
  const called = { id: idOf('a'), netns: lab.path('a'), config: conf('a', 80), env };
  const outcome = await lab.cni('node', ours, 'DEL', called);
  expect(outcome.code).toBe(0);
  expect(outcome.stderr).toContain('route_localnet stays on');
  expect(await settings('cilium_host', 'lxc1')).toEqual({ cilium_host: '1', lxc1: '0' });
  await lab.ok('node', ['nft', 'delete', 'table', 'ip', 'cni_hostport']);
  await done('GC', 'a', { cniVersion: '1.1.0', name: NETWORK, type: 'portmap' });
  expect(await settings('cilium_host')).toEqual({ cilium_host: '0' });
});

test('what was on before stays on', async () => {
  await set('cilium_host', '1');
  await done('ADD', 'a', conf('a', 80));
  await done('ADD', 'b', conf('b', 81));
  for (const pod of ['a', 'b'] as const) await done('DEL', pod, conf(pod, 1));
  expect(await settings('cilium_host', 'lxc1', 'lxc2')).toEqual({ cilium_host: '1', lxc1: '0', lxc2: '0' });
});

test.each<[string, Record<string, unknown>]>([
  ['without snat', { snat: false }],
  [
    'on another address only',
    {
      runtimeConfig: {
        portMappings: [{ hostPort: 80, containerPort: 8080, protocol: 'tcp', hostIP: '10.77.0.1' }],
      },
    },
  ],
])(
  'a mapping %s needs none, and an ADD that no longer needs any restores the setting',
  async (_name, extra) => {
    await done('ADD', 'a', conf('a', 80, extra));
    expect(await settings('cilium_host', 'lxc1')).toEqual({ cilium_host: '0', lxc1: '0' });
    await done('ADD', 'a', conf('a', 80));
    expect(await settings('cilium_host', 'lxc1')).toEqual({ cilium_host: '1', lxc1: '1' });
    await done('ADD', 'a', conf('a', 80, extra));
    expect(await settings('cilium_host', 'lxc1')).toEqual({ cilium_host: '0', lxc1: '0' });
  },
);

test('GC restores the settings for the mappings that it removes, and those that a killed call left', async () => {
  const gc = (...valid: string[]) => ({
    ...{ cniVersion: '1.1.0', name: NETWORK, type: 'portmap' },
    'cni.dev/valid-attachments': valid.map((pod) => ({ containerID: idOf(pod), ifname: 'eth0' })),
  });
  await done('ADD', 'a', conf('a', 80));
  await done('ADD', 'b', conf('b', 81));
  await done('GC', 'a', gc('b'));
  expect(await settings('cilium_host', 'lxc1', 'lxc2')).toEqual({ cilium_host: '1', lxc1: '0', lxc2: '1' });
  expect(await held()).toHaveLength(2);
  // Killed between the note and the record's end, or between the setting and the note's end.
  const [note] = await held();
  const own = await prefix();
  mkdirSync(`${STATE}/${own}${note!.split('/')[0]}/CNI-DN-unfinished`);
  const lxc1 = (await lab.ok('node', ['ip', '-o', 'link', 'show', 'lxc1'])).split(':', 1)[0]!;
  mkdirSync(`${STATE}/${own}${lxc1}`);
  await set('lxc1', '1');
  await done('GC', 'a', gc('b'));
  expect(await settings('cilium_host', 'lxc1', 'lxc2')).toEqual({ cilium_host: '1', lxc1: '0', lxc2: '1' });
  expect(await held()).toHaveLength(2);
  await done('GC', 'a', gc());
  expect(await settings('cilium_host', 'lxc2')).toEqual({ cilium_host: '0', lxc2: '0' });
});

test('the setting is recorded before it is changed: a DEL restores it after an ADD that failed or was killed', async () => {
  const config = JSON.stringify(conf('a', 80));
  const script = 'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec "$0"';
  const env = { CNI_COMMAND: 'ADD', CNI_CONTAINERID: idOf('a'), CNI_IFNAME: 'eth0', CNI_PATH: lab.plugins };
  const outcome = await lab.run('node', ['unshare', '--mount', 'sh', '-c', script, ours], config, {
    ...env,
    CNI_NETNS: lab.path('a'),
  });
  expect(outcome.code).toBe(1);
  expect(outcome.stdout).toContain('route_localnet');
  expect(await held()).toEqual([expect.stringContaining(attachmentChain(NETWORK, idOf('a')))]);
  await set('cilium_host', '1');
  await done('DEL', 'a', conf('a', 80));
  expect(await settings('cilium_host', 'lxc1')).toEqual({ cilium_host: '0', lxc1: '0' });
});

test('a device that is gone, or has another name, does not fail a DEL', async () => {
  await lab.namespace('c');
  await lab.ok('node', [
    'ip',
    'link',
    'add',
    'lxc3',
    'type',
    'veth',
    'peer',
    'name',
    'eth0',
    'netns',
    full('c'),
  ]);
  const config = conf('a', 82);
  const call3 = (verb: string) =>
    lab.cni('node', ours, verb, { id: idOf('c'), netns: lab.path('c'), config });
  expect(await call3('ADD')).toMatchObject({ code: 0 });
  expect(await settings('lxc3')).toEqual({ lxc3: '1' });
  await lab.ok('node', ['ip', 'link', 'set', 'lxc3', 'name', 'renamed']);
  await lab.ok('node', ['ip', 'link', 'add', 'lxc3', 'type', 'bridge']);
  await set('lxc3', '1');
  expect(await call3('DEL')).toMatchObject({ code: 0, stderr: '' });
  expect(await settings('lxc3', 'renamed')).toEqual({ lxc3: '1', renamed: '0' });
  expect(await call3('ADD')).toMatchObject({ code: 0 });
  await lab.ok('node', ['ip', 'link', 'delete', 'renamed']);
  expect(await call3('DEL')).toMatchObject({ code: 0, stderr: '' });
  expect(await held()).toEqual([]);
  await lab.removeNamespace('c');
});

test('a port of a bridge, and what a macvlan sits on, are left as they are', async () => {
  await lab.namespace('d');
  await lab.ok('node', ['ip', 'link', 'add', 'br0', 'type', 'bridge']);
  await lab.ok('node', [
    'ip',
    'link',
    'add',
    'port0',
    'type',
    'veth',
    'peer',
    'name',
    'eth0',
    'netns',
    full('d'),
  ]);
  await lab.ok('node', ['ip', 'link', 'set', 'port0', 'master', 'br0']);
  await lab.ok('node', ['ip', 'link', 'add', 'mac0', 'link', 'lxc2', 'type', 'macvlan']);
  await lab.ok('node', ['ip', 'link', 'set', 'mac0', 'netns', full('d')]);
  for (const ifName of ['eth0', 'mac0']) {
    const { prevResult: _, ...rest } = conf('a', 83);
    const prevResult = { cniVersion: '1.1.0', ips: [{ address: '10.77.0.12/32' }] };
    const config = { ...rest, prevResult };
    const called = { id: idOf('d'), netns: lab.path('d'), ifName, config };
    expect(await lab.cni('node', ours, 'ADD', called)).toMatchObject({ code: 0, stderr: '' });
    const values = await settings('cilium_host', 'port0', 'br0', 'lxc2');
    expect(values).toEqual({ cilium_host: '1', port0: '0', br0: '0', lxc2: '0' });
    expect(await lab.cni('node', ours, 'DEL', called)).toMatchObject({ code: 0 });
  }
  await lab.removeNamespace('d');
});

test('junk where a device is noted hinders neither ADD nor DEL', async () => {
  const own = await prefix();
  const lxc1 = (await lab.ok('node', ['ip', '-o', 'link', 'show', 'lxc1'])).split(':', 1)[0]!;
  mkdirSync(STATE, { recursive: true });
  writeFileSync(`${STATE}/${own}${lxc1}`, 'junk');
  await done('ADD', 'a', conf('a', 80));
  expect(await settings('lxc1')).toEqual({ lxc1: '1' });
  await done('DEL', 'a', conf('a', 80));
  expect(await settings('lxc1')).toEqual({ lxc1: '0' });
});

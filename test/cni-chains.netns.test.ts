import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseNetworkConfig } from '../src/cni/conflist.ts';
import { delegateTo } from '../src/cni/delegate.ts';
import { CniError } from '../src/cni/errors.ts';
import { ResultCache } from '../src/cni/result-cache.ts';
import { attachmentOf, CniRuntime, type RuntimeOptions } from '../src/cni/runtime.ts';
import { type CniVersion, cniVersions, isAtLeast } from '../src/cni/version.ts';
import { REFERENCE, Topology } from '../src/portmap/testing/topology.ts';
import { realClock } from '../src/sys/clock.ts';
import { type Exec, realExec } from '../src/sys/exec.ts';

// Chains of Debian's plugins with ours, in namespaces: outside (10.77.0.1) -- node (10.77.0.2) -- a pod of 10.97.0.0/24.

const RESPONDER = join(import.meta.dir, '../src/portmap/testing/responder.ts');
const PROBE = join(import.meta.dir, '../src/portmap/testing/probe.ts');
const PORTS = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }];
const RATE = {
  ingressRate: 800_000_000,
  ingressBurst: 800_000_000,
  egressRate: 800_000_000,
  egressBurst: 800_000_000,
};
/** What Debian's plugins speak at most. */
const debianVersions = cniVersions.filter((version) => version !== '1.1.0');

let lab: Topology;
let cache: ResultCache;
let stderr: string[];
const ID = `chains-${process.pid}`;

beforeAll(async () => {
  lab = await Topology.create();
  for (const name of ['outside', 'node', 'pod']) await lab.namespace(name, { loopback: name !== 'pod' });
  await lab.join('outside', '10.77.0.1/24', 'node', '10.77.0.2/24');
  await lab.ok('node', ['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
  await lab.start('pod', RESPONDER, ['pod', '80']);
  cache = new ResultCache(join(lab.scratch, 'cache'));
});

afterAll(async () => lab.dispose());

afterEach(() => {
  stderr = [];
});

/** Runs plugins where a runtime runs them: in the node's network namespace. */
const inNode: Exec = {
  run: (argv, options = {}) =>
    lab.run('node', [...argv], String(options.stdin), options.env as Record<string, string>),
};

function runtime(options: Partial<RuntimeOptions> = {}): CniRuntime {
  stderr = [];
  return new CniRuntime({
    exec: inNode,
    clock: realClock,
    env: {},
    timeoutMs: 20_000,
    path: [lab.plugins, REFERENCE],
    cache,
    onStderr: (plugin, text) => stderr.push(`${plugin}: ${text}`),
    onNotice: (text) => stderr.push(text),
    ...options,
  });
}

const plugins = {
  ptp: () => ({ type: 'ptp', ipam: hostLocal() }),
  bridge: () => ({ type: 'bridge', bridge: 'cni-test', isGateway: true, ipam: hostLocal() }),
  tuning: () => ({ type: 'tuning', sysctl: { 'net.ipv4.tcp_syncookies': '0' } }),
  firewall: () => ({ type: 'firewall' }),
  bandwidth: () => ({ type: 'bandwidth', capabilities: { bandwidth: true } }),
  portmap: () => ({ type: 'portmap', capabilities: { portMappings: true } }),
};

/** The version in which each plugin of Debian's first works. */
const since: Partial<Record<keyof typeof plugins, CniVersion>> = { bandwidth: '0.3.0', firewall: '0.4.0' };

function hostLocal() {
  return {
    type: 'host-local',
    ranges: [[{ subnet: '10.97.0.0/24' }]],
    routes: [{ dst: '0.0.0.0/0' }],
    dataDir: join(lab.scratch, 'ipam'),
  };
}

function network(cniVersion: string, chain: readonly object[], name = 'chains') {
  return parseNetworkConfig(JSON.stringify({ cniVersion, name, plugins: chain }), 'chains.conflist');
}

const attachment = () => ({ containerId: ID, netns: lab.path('pod'), ifName: 'eth0' });

async function answer(from: string, address: string): Promise<string> {
  const { code, stdout } = await lab.run(from, [process.execPath, 'run', PROBE, 'tcp', address, '8080']);
  return code === 0 ? stdout.split(' ')[0]! : 'nobody';
}

/** What attachments leave on the node: rules that name them, links of pods, leases of addresses. */
async function traces(): Promise<string[]> {
  const rules = (await lab.ok('node', ['iptables-save'])).split('\n');
  const leases = join(lab.scratch, 'ipam', 'chains');
  return [
    ...rules.filter((line) => /CNI-DN-|10\.97\.0/.test(line)),
    ...(await lab.ok('node', ['ip', '-o', 'link'])).split('\n').filter((line) => /veth|bwp/.test(line)),
    ...(existsSync(leases) ? readdirSync(leases).filter((name) => name.startsWith('10.97.')) : []),
    ...cache.list().map((entry) => `cached ${entry.networkName}`),
  ];
}

async function failure(work: Promise<unknown>): Promise<CniError> {
  try {
    await work;
  } catch (error) {
    expect(error).toBeInstanceOf(CniError);
    return error as CniError;
  }
  throw new Error('it did not fail');
}

describe.each(['ptp', 'bridge'] as const)('%s, and all that follows it', (primary) => {
  test.each(debianVersions.map((version) => [version]))('%s', async (cniVersion) => {
    const names = [primary, 'tuning', 'firewall', 'bandwidth', 'portmap'] as const;
    const usable = names.filter((name) => isAtLeast(cniVersion, since[name] ?? '0.1.0'));
    const list = network(
      cniVersion,
      usable.map((name) => plugins[name]()),
    );
    const cni = runtime();
    expect(await cni.validate(list)).toContain('portMappings');

    const capabilityArgs = { portMappings: PORTS, bandwidth: RATE };
    const result = await cni.add(list, { ...attachment(), capabilityArgs });
    expect(result.cniVersion).toBe(cniVersion);
    expect(stderr).toEqual([]);
    expect(await answer('outside', '10.77.0.2')).toBe('pod');
    expect(await answer('node', '127.0.0.1')).toBe('pod');

    if (isAtLeast(cniVersion, '0.4.0')) {
      await cni.check(list, attachment());
      // It is not for nothing that it says yes.
      await lab.ok('node', ['iptables', '-t', 'nat', '-F', 'CNI-HOSTPORT-DNAT']);
      const broken = await failure(cni.check(list, attachment()));
      expect(broken.message).toStartWith('plugin type="portmap" failed (check): ');
    } else {
      expect((await failure(cni.check(list, attachment()))).message).toBe(
        `configuration version "${cniVersion}" does not support the CHECK command`,
      );
    }
    await cni.status(list);

    await cni.del(list, attachment());
    expect(await traces()).toEqual([]);
    await cni.del(list, attachment());
    expect(await traces()).toEqual([]);
  });
});

test.each([
  ['ours', 'loopback'],
  ["Debian's", 'loopback'],
])('loopback, %s, by every version it speaks', async (whose, type) => {
  const path = [whose === 'ours' ? lab.plugins : REFERENCE];
  const cni = runtime({ path });
  for (const version of await cni.versions(type)) {
    const list = network(version, [{ type }], 'lo');
    const lo = { ...attachment(), ifName: 'lo' };
    await cni.add(list, lo);
    expect(await lab.ok('pod', ['ip', '-o', 'address', 'show', 'dev', 'lo'])).toContain('127.0.0.1/8');
    await cni.del(list, lo);
    expect(cache.list()).toEqual([]);
    // The responder answers by it, too.
    await lab.ok('pod', ['ip', 'link', 'set', 'lo', 'up']);
  }
});

describe('GC', () => {
  const chain = () => network('1.0.0', [plugins.ptp(), plugins.portmap()]);

  test('deletes attachments that are in the cache and not in the list of valid ones', async () => {
    const cni = runtime();
    await cni.add(chain(), { ...attachment(), capabilityArgs: { portMappings: PORTS } });
    await cni.gc(chain(), [{ containerID: ID, ifname: 'eth0' }]);
    expect(await answer('outside', '10.77.0.2')).toBe('pod');
    await cni.gc(chain(), []);
    expect(await traces()).toEqual([]);
  });

  test('of 1.1.0 has portmap remove what no cache remembers, and keep what is valid', async () => {
    const cni = runtime();
    await cni.add(chain(), { ...attachment(), capabilityArgs: { portMappings: PORTS } });
    const entry = cache.list()[0]!;
    cache.remove(entry);
    const ours = network('1.1.0', [plugins.portmap()]);
    await cni.gc(ours, [{ containerID: ID, ifname: 'eth0' }]);
    expect(await answer('outside', '10.77.0.2')).toBe('pod');
    await cni.gc(ours, []);
    expect((await traces()).filter((line) => line.includes('CNI-DN-'))).toEqual([]);
    await cni.del(chain(), attachmentOf(entry));
    expect(await traces()).toEqual([]);
  });

  test('of 1.1.0 is refused by plugins that are older', async () => {
    const error = await failure(runtime().gc(network('1.1.0', [plugins.ptp()]), []));
    // Their skeleton asks for a container before it looks at a verb that it does not know.
    expect(error).toMatchObject({ code: 3, message: 'plugin type="ptp" failed (gc): missing containerID' });
  });
});

describe('STATUS', () => {
  test('of 1.1.0 asks ours, which can serve', async () => {
    await runtime().status(network('1.1.0', [{ type: 'loopback' }, plugins.portmap()]));
    expect(stderr).toEqual([]);
  });

  test('names the plugin that is missing', async () => {
    const error = await failure(runtime().status(network('1.1.0', [{ type: 'gone' }])));
    expect(error).toMatchObject({
      code: 50,
      message: `plugin type="gone" failed (status): failed to find plugin "gone" in path [${lab.plugins} ${REFERENCE}]`,
    });
  });
});

describe('portmap is added to an attachment that was made without it', () => {
  async function extended(name: string) {
    const cni = runtime();
    const before = network('1.0.0', [plugins.ptp()], name);
    await cni.add(before, { ...attachment(), capabilityArgs: { portMappings: PORTS } });
    expect(await answer('outside', '10.77.0.2')).toBe('nobody');
    const entry = cache.list(ID)[0]!;
    const chain = network('1.0.0', [plugins.ptp(), plugins.portmap()]);
    const now = await cni.extend(entry, chain, chain.plugins[1]!);
    expect(await answer('outside', '10.77.0.2')).toBe('pod');
    return { cni, before, entry, chain, now };
  }

  test('by a chain of the same name: CHECK finds all of it, DEL ends all of it', async () => {
    const { cni, chain, now } = await extended('chains');
    await cni.check(chain, attachmentOf(now));
    await cni.del(chain, attachmentOf(now));
    expect(await answer('outside', '10.77.0.2')).toBe('nobody');
    expect(await traces()).toEqual([]);
  });

  test('by a chain of another name: the mapping goes with its DEL, the lease with that of the old name', async () => {
    const { cni, chain, now, before, entry } = await extended('before');
    await cni.del(chain, attachmentOf(now));
    expect(await answer('outside', '10.77.0.2')).toBe('nobody');
    expect(cache.list().map(({ networkName }) => networkName)).toEqual(['before']);
    // host-local keeps its leases by the network's name, which is what the address was given under.
    const leases = () => readdirSync(join(lab.scratch, 'ipam', 'before')).filter((file) => /^10/.test(file));
    expect(leases()).toHaveLength(1);
    await cni.del(before, attachmentOf(entry));
    expect(leases()).toEqual([]);
    expect(await traces()).toEqual([]);
  });
});

test('a version that a plugin does not speak is its own refusal', async () => {
  const error = await failure(runtime().add(network('1.1.0', [plugins.ptp()]), attachment()));
  expect(error).toMatchObject({
    code: 1,
    message:
      'plugin type="ptp" failed (add): incompatible CNI versions; config is "1.1.0", plugin supports ["0.1.0" "0.2.0" "0.3.0" "0.3.1" "0.4.0" "1.0.0"]',
  });
});

test('an ADD that fails in the middle is cleaned up by the DEL that follows it', async () => {
  const cni = runtime();
  const capabilityArgs = { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'icmp' }] };
  const list = network('1.0.0', [plugins.ptp(), plugins.portmap()]);
  const error = await failure(cni.add(list, { ...attachment(), capabilityArgs }));
  expect(error).toMatchObject({ code: 7 });
  expect(error.message).toStartWith('plugin type="portmap" failed (add): ');
  expect(await traces()).not.toEqual([]);
  await cni.del(list, attachment());
  expect(await traces()).toEqual([]);
});

test('a namespace that is gone does not fail a DEL', async () => {
  const cni = runtime();
  await lab.namespace('brief');
  const list = network('1.0.0', [plugins.ptp(), plugins.portmap()]);
  const brief = { containerId: `${ID}-brief`, netns: lab.path('brief'), ifName: 'eth0' };
  await cni.add(list, { ...brief, capabilityArgs: { portMappings: PORTS } });
  await lab.removeNamespace('brief');
  await cni.del(list, brief);
  expect(await traces()).toEqual([]);
});

test('host-local as a delegate', async () => {
  const host = {
    exec: inNode,
    clock: realClock,
    env: {
      CNI_CONTAINERID: ID,
      CNI_NETNS: lab.path('pod'),
      CNI_IFNAME: 'eth0',
      CNI_PATH: REFERENCE,
    },
    timeoutMs: 20_000,
    onStderr: (plugin: string, text: string) => stderr.push(`${plugin}: ${text}`),
  };
  const request = {
    ...attachment(),
    args: '',
    path: [REFERENCE],
    config: { cniVersion: '1.0.0', name: 'chains', type: 'mine', ipam: hostLocal() },
    cniVersion: '1.0.0' as const,
    prevResult: undefined,
    warn: (message: string) => stderr.push(message),
  };
  const ipam = delegateTo('host-local', host);
  const result = await ipam.add(request);
  expect(result).toMatchObject({
    interfaces: [],
    ips: [{ address: expect.stringMatching(/^10\.97\.0\.\d+\/24$/), gateway: '10.97.0.1' }],
    routes: [{ dst: '0.0.0.0/0' }],
  });
  await ipam.check(request);
  await ipam.del(request);
  await ipam.del(request);
  expect(await traces()).toEqual([]);
});

describe('files that are not valid executables', () => {
  const other = () => join(lab.scratch, 'other');
  beforeAll(() => {
    mkdirSync(other());
    writeFileSync(join(other(), 'text'), 'no program\n', { mode: 0o755 });
    writeFileSync(join(other(), 'locked'), '#!/bin/true\n', { mode: 0o644 });
    mkdirSync(join(other(), 'directory'));
    symlinkSync('/nowhere', join(other(), 'dangling'));
    symlinkSync('/bin/true', join(other(), 'silent'));
    symlinkSync('/bin/false', join(other(), 'failing'));
  });
  afterAll(() => rmSync(other(), { recursive: true }));

  test.each<[string, string, number]>([
    ['text', 'netplugin failed with no error message: fork/exec DIR/text: exec format error', 999],
    ['locked', 'netplugin failed with no error message: fork/exec DIR/locked: permission denied', 999],
    ['directory', 'failed to find plugin "directory" in path [DIR]', 50],
    ['dangling', 'failed to find plugin "dangling" in path [DIR]', 50],
    ['silent', 'failed to unmarshal raw result: ', 6],
    ['failing', 'netplugin failed with no error message: exit status 1', 999],
  ])('%s', async (type, message, code) => {
    // These are started as they are: `ip netns exec` would say what it could not run in its own words.
    const cni = runtime({ path: [other()], exec: realExec });
    const error = await failure(cni.add(network('1.0.0', [{ type }]), attachment()));
    expect(error.message).toStartWith(
      `plugin type="${type}" failed (add): ${message.replace('DIR', other())}`,
    );
    expect(error.code).toBe(code);
    expect(cache.list()).toEqual([]);
  });

  test('a deadline ends what does not end', async () => {
    writeFileSync(join(other(), 'endless'), '#!/usr/bin/tail -f\n', { mode: 0o755 });
    const cni = runtime({ path: [other()], exec: realExec, timeoutMs: 100 });
    const error = await failure(cni.add(network('1.0.0', [{ type: 'endless' }]), attachment()));
    expect(error.message).toContain('no answer within 100 ms, killed');
  });
});

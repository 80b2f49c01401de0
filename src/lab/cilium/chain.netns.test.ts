import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { REFERENCE, Topology } from '../../portmap/testing/topology.ts';
import { parseIPv4 } from '../../util/address.ts';

const RESPONDER = join(import.meta.dir, '../../portmap/testing/responder.ts');
const PROBE = join(import.meta.dir, '../../portmap/testing/probe.ts');
const REAL = join(import.meta.dir, '../../../test/fixtures/real-cilium/c.json');
const AGENT = join(import.meta.dir, 'testing/agent-process.ts');

// Two nodes on a network with a third machine, each with the agent, the chain of the how-to on the first.
let lab: Topology;
const agents = new Map<string, Awaited<ReturnType<Topology['start']>>>();
const described: Record<string, string> = {
  one: 'one=192.168.1.0/24=10.77.0.2',
  two: 'two=192.168.2.0/24=10.77.0.3',
};

function directory(node: string): string {
  return join(lab.scratch, node);
}

async function startAgent(node: string): Promise<void> {
  const own = described[node]!;
  const others = Object.values(described).filter((text) => text !== own);
  agents.set(node, await lab.start(node, AGENT, [directory(node), lab.plugins, own, ...others]));
}

function call(node: string, pod: string, config: Record<string, unknown> = {}) {
  return {
    id: `test-${pod}`,
    netns: lab.path(pod),
    config: { cniVersion: '0.3.1', name: 'cilium-portmap', type: 'cilium-cni', ...config },
    env: { CILIUM_SOCK: join(directory(node), 'cilium.sock') },
  };
}

async function addPod(node: string, pod: string): Promise<string> {
  await lab.namespace(pod, { loopback: false });
  const loopback = await lab.cni(node, join(lab.plugins, 'loopback'), 'ADD', {
    ...call(node, pod, { type: 'loopback' }),
    ifName: 'lo',
  });
  expect(loopback).toMatchObject({ code: 0 });
  const added = await lab.cni(node, join(lab.plugins, 'cilium-cni'), 'ADD', call(node, pod));
  expect(added).toMatchObject({ code: 0, stderr: '' });
  const [ip] = added.document!.ips as { address: string }[];
  return ip!.address.replace('/32', '');
}

async function ask(from: string, address: string, port: number): Promise<string> {
  const { stdout } = await lab.run(from, [process.execPath, 'run', PROBE, 'tcp', address, String(port)]);
  return stdout.trim();
}

beforeAll(async () => {
  lab = await Topology.create();
  for (const name of ['switch', 'one', 'two']) await lab.namespace(name);
  await lab.ok('switch', ['ip', 'link', 'add', 'net', 'type', 'bridge']);
  await lab.ok('switch', ['ip', 'link', 'set', 'net', 'up']);
  await lab.ok('switch', ['ip', 'address', 'add', '10.77.0.1/24', 'dev', 'net']);
  for (const [node, address] of [
    ['one', '10.77.0.2/24'],
    ['two', '10.77.0.3/24'],
  ] as const) {
    await lab.join(node, address, 'switch', `10.77.1.${node === 'one' ? 1 : 2}/32`);
    await lab.ok('switch', ['ip', 'link', 'set', `to-${node}`, 'master', 'net']);
    await lab.ok(node, ['ip', 'route', 'add', 'default', 'via', '10.77.0.1']);
    await startAgent(node);
  }
});

afterAll(() => lab.dispose());

describe('the agent', () => {
  test('installs the plugins as one file, and the configuration', () => {
    const bin = join(directory('one'), 'opt/cni/bin');
    expect(readdirSync(bin).sort()).toEqual(['cilium-cni', 'loopback']);
    expect(statSync(join(bin, 'loopback')).ino).toBe(statSync(join(bin, 'cilium-cni')).ino);
    expect(statSync(join(bin, 'cilium-cni')).mode & 0o777).toBe(0o755);
    expect(readdirSync(join(directory('one'), 'etc/cni/net.d'))).toEqual(['05-cilium.conflist']);
    expect(statSync(join(directory('one'), 'cilium.sock')).mode & 0o777).toBe(0o600);
  });

  test('has the devices, settings and routes of a node with Cilium', async () => {
    expect(await lab.ok('one', ['ip', '-br', 'address', 'show', 'cilium_host'])).toContain('192.168.1.1/32');
    expect(await lab.ok('one', ['ip', 'link', 'show', 'cilium_net'])).toContain('NOARP');
    const routes = (await lab.ok('one', ['ip', 'route', 'show'])).split('\n').map((line) => line.trim());
    expect(routes).toContain('192.168.1.0/24 via 192.168.1.1 dev cilium_host proto kernel src 192.168.1.1');
    expect(routes).toContain('192.168.1.1 dev cilium_host proto kernel scope link');
    expect(routes).toContain('192.168.2.0/24 via 10.77.0.3 dev to-switch proto kernel');
    const settings = [
      ['net.ipv4.ip_forward', '1'],
      ['net.ipv4.fib_multipath_use_neigh', '1'],
      ['net.ipv4.conf.all.rp_filter', '0'],
      ...['cilium_host', 'cilium_net'].flatMap((name) => [
        [`net.ipv4.conf.${name}.rp_filter`, '0'],
        [`net.ipv4.conf.${name}.accept_local`, '1'],
      ]),
    ] as const;
    for (const [name, value] of settings)
      expect(await lab.ok('one', ['sysctl', '-n', name!])).toBe(`${value}\n`);
  });

  test('has the rules of a node with Cilium, and the set that they name', async () => {
    const sorted = (text: string) =>
      text.split('\n').filter((line) => /^[*:-]/.test(line) && !/CNI-|ACCEPT \[/.test(line));
    const saved = await lab.ok('one', ['iptables-save']);
    const own = saved
      .replaceAll('192.168.1.0/24', 'PODS')
      .replaceAll('192.168.0.0/16', 'NATIVE')
      .replaceAll('192.168.1.1', 'ROUTER')
      .replaceAll(/\[\d+:\d+\]/g, '[0:0]');
    const report = JSON.parse(readFileSync(REAL, 'utf8'));
    const real = (report.netfilter.iptables[0].text.value as string)
      .replaceAll(/^\[\d+:\d+\] /gm, '')
      .replaceAll('10.77.0.0/24', 'PODS')
      .replaceAll('10.77.0.0/16', 'NATIVE')
      .replaceAll('10.77.0.197', 'ROUTER');
    expect(sorted(own)).toEqual(sorted(real));
    const set = await lab.ok('one', ['ipset', 'list', 'cilium_node_set_v4']);
    expect(set).toContain('10.77.0.2\n');
    expect(set).toContain('10.77.0.3\n');
  });
});

describe('pods', () => {
  const address: Record<string, string> = {};
  const filtersOf = (node: string) => lab.ok(node, ['tc', 'filter', 'show', 'dev', 'cilium_host', 'egress']);
  const hexOf = (ip: string) => parseIPv4(ip)!.toString(16).padStart(8, '0');
  const allocated = () =>
    (
      JSON.parse(readFileSync(join(directory('one'), 'ipam.json'), 'utf8')) as {
        allocations: { address: string }[];
      }
    ).allocations.map((entry) => entry.address);
  beforeAll(async () => {
    for (const [node, pod] of [
      ['one', 'a'],
      ['one', 'b'],
      ['two', 'c'],
    ] as const) {
      address[pod] = await addPod(node, pod);
      await lab.start(pod, RESPONDER, [pod, '8080']);
    }
    await lab.start('switch', RESPONDER, ['outside', '8080']);
  });

  test('get an address of their node, one each', () => {
    expect(address.a).toMatch(/^192\.168\.1\./);
    expect(address.c).toMatch(/^192\.168\.2\./);
    expect(new Set(Object.values(address)).size).toBe(3);
  });

  test('have lo up', async () => {
    expect(await lab.ok('a', ['ip', '-br', 'address', 'show', 'lo'])).toContain('127.0.0.1/8');
  });

  test.each([
    ['a', 'a', 'itself'],
    ['a', 'b', 'a pod of the same node'],
    ['a', 'c', 'a pod of another node'],
    ['c', 'a', 'back'],
  ])('reach one another: %s -> %s (%s), with their own address', async (from, to) => {
    expect(await ask(from, address[to]!, 8080)).toBe(`${to} ${address[from]}`);
  });

  test('are reached from their node, as by the router address', async () => {
    expect(await ask('one', address.a!, 8080)).toBe('a 192.168.1.1');
  });

  test('have no route and no address of their own on the node', async () => {
    expect(await lab.ok('one', ['ip', '-4', 'route', 'show', 'table', 'all'])).not.toContain('lxc');
    expect(await lab.ok('one', ['ip', 'rule'])).toBe(await lab.ok('switch', ['ip', 'rule']));
    expect(await lab.ok('one', ['ip', '-4', 'address', 'show'])).not.toContain('lxc');
  });

  test('an address that no pod has answers nothing, and is routed nowhere else', async () => {
    expect(await ask('one', '192.168.1.250', 8080)).toBe('Error: no answer');
  });

  test('reach what is outside under the address of their node', async () => {
    expect(await ask('a', '10.77.0.1', 8080)).toBe('outside 10.77.0.2');
  });

  test('CHECK is content, and says what is missing', async () => {
    const plugin = join(lab.plugins, 'cilium-cni');
    const prevResult = {
      interfaces: [{ name: 'eth0', sandbox: lab.path('b') }],
      ips: [{ version: '4', address: `${address.b}/32`, interface: 0 }],
    };
    const checked = call('one', 'b', { cniVersion: '0.4.0', prevResult });
    expect(await lab.cni('one', plugin, 'CHECK', checked)).toMatchObject({ code: 0 });
    await lab.ok('b', ['ip', 'link', 'set', 'eth0', 'down']);
    const outcome = await lab.cni('one', plugin, 'CHECK', checked);
    expect(outcome.document?.msg).toContain(`missing: address ${address.b} on eth0`);
  });

  test('an ADD with a result of another plugin is refused, as there is no chaining mode', async () => {
    const prevResult = { ips: [{ version: '4', address: '10.9.9.9/32' }] };
    const outcome = await lab.cni(
      'one',
      join(lab.plugins, 'cilium-cni'),
      'ADD',
      call('one', 'a', { prevResult }),
    );
    expect(outcome.document?.msg).toStartWith('CNI PrevResult supplied, but not in chaining mode');
  });

  test('have a hostPort by our portmap: from outside, the node, localhost, a peer and themselves', async () => {
    const prevResult = {
      interfaces: [{ name: 'eth0', sandbox: lab.path('a') }],
      ips: [{ version: '4', address: `${address.a}/32`, interface: 0 }],
    };
    const portMappings = [{ hostPort: 80, containerPort: 8080, protocol: 'tcp' }];
    const config = {
      ...{ type: 'portmap', capabilities: { portMappings: true } },
      ...{ prevResult, runtimeConfig: { portMappings } },
    };
    const portmap = join(lab.plugins, 'portmap');
    expect(await lab.cni('one', portmap, 'ADD', call('one', 'a', config))).toMatchObject({ code: 0 });
    expect(await ask('switch', '10.77.0.2', 80)).toBe('a 10.77.0.1');
    expect(await ask('one', '10.77.0.2', 80)).toStartWith('a ');
    expect(await ask('one', '127.0.0.1', 80)).toBe('a 192.168.1.1');
    expect(await ask('a', '10.77.0.2', 80)).toBe('a 192.168.1.1');
    expect(await ask('c', '10.77.0.2', 80)).toStartWith('a ');
    expect(await lab.cni('one', portmap, 'DEL', call('one', 'a', config))).toMatchObject({ code: 0 });
    expect(await ask('switch', '10.77.0.2', 80)).toContain('Failed to connect');
  });

  test('survive their agent: killed and started again it gives no address twice, and an ADD waits for it', async () => {
    await agents.get('one')!.kill('SIGKILL');
    expect(await ask('c', address.a!, 8080)).toStartWith('a ');
    const adding = addPod('one', 'd');
    await startAgent('one');
    address.d = await adding;
    expect(new Set(Object.values(address)).size).toBe(4);
  });

  test('keep their network when the agent is asked to stop', async () => {
    const now = async () => [
      ...[await lab.ok('one', ['iptables', '-S']), await lab.natRules('one')],
      await filtersOf('one'),
    ];
    const before = await now();
    await agents.get('one')!.kill('SIGTERM');
    expect(agents.get('one')!.log()).toContain('ready: 192.168.1.0/24');
    expect(await now()).toEqual(before);
    expect(await ask('c', address.a!, 8080)).toStartWith('a ');
    await startAgent('one');
    expect(await now()).toEqual(before);
  });

  test('DEL removes link, filter and address, twice, and without the namespace', async () => {
    const plugin = join(lab.plugins, 'cilium-cni');
    const gone = call('one', 'd');
    await lab.removeNamespace('d');
    for (const netns of [gone.netns, '']) {
      expect(await lab.cni('one', plugin, 'DEL', { ...gone, netns })).toMatchObject({ code: 0, stderr: '' });
    }
    expect(await filtersOf('one')).not.toContain(hexOf(address.d!));
    expect(allocated()).not.toContain(address.d!);
  });

  test('DEL without the agent is queued, and the next agent releases the address', async () => {
    address.e = await addPod('one', 'e');
    await agents.get('one')!.kill('SIGKILL');
    const outcome = await lab.cni('one', join(lab.plugins, 'cilium-cni'), 'DEL', call('one', 'e'));
    expect(outcome).toMatchObject({ code: 0, document: undefined });
    expect(outcome.stderr).toContain('the agent is not there');
    const queue = join(directory('one'), 'deleteQueue');
    const queued = readdirSync(queue).filter((name) => name.endsWith('.delete'));
    expect(queued.map((name) => readFileSync(join(queue, name), 'utf8'))).toEqual([
      'cni-attachment-id:test-e:eth0',
    ]);
    expect(allocated()).toContain(address.e);
    await startAgent('one');
    expect(readdirSync(queue)).toEqual(['lockfile']);
    expect(allocated()).not.toContain(address.e);
    expect(await filtersOf('one')).not.toContain(hexOf(address.e));
  });

  test('20 ADDs, five at once, the agent killed in the middle: every address is given once', async () => {
    const pods = Array.from({ length: 20 }, (_, i) => `m${i}`);
    for (const pod of pods) await lab.namespace(pod, { loopback: false });
    const plugin = join(lab.plugins, 'cilium-cni');
    const addresses = new Map<string, string>();
    let killed: Promise<void> | undefined;
    const work = async (pod: string) => {
      const outcome = await lab.cni('one', plugin, 'ADD', call('one', pod));
      // One that was under way when its agent was killed: a runtime tries the sandbox again.
      const again = outcome.code === 0 ? outcome : await lab.cni('one', plugin, 'ADD', call('one', pod));
      expect(again).toMatchObject({ code: 0 });
      addresses.set(pod, (again.document!.ips as { address: string }[])[0]!.address);
      if (addresses.size !== 5) return;
      killed ??= agents
        .get('one')!
        .kill('SIGKILL')
        .then(() => startAgent('one'));
    };
    for (let start = 0; start < pods.length; start += 5)
      await Promise.all(pods.slice(start, start + 5).map(work));
    await killed;
    expect(new Set([...addresses.values(), ...Object.values(address)]).size).toBe(
      pods.length + Object.keys(address).length,
    );
    for (const [pod, given] of addresses) {
      expect(await lab.ok(pod, ['ip', '-br', 'address', 'show', 'eth0'])).toContain(given);
    }
  });
});

describe('loopback', () => {
  test('gives the result that the reference gives', async () => {
    const results: unknown[] = [];
    for (const directory of [REFERENCE, lab.plugins]) {
      await lab.namespace('lo-test', { loopback: false });
      const request = {
        id: 'lo',
        ifName: 'lo',
        netns: lab.path('lo-test'),
        config: { cniVersion: '1.0.0', name: 'lo', type: 'loopback' },
      };
      const outcome = await lab.cni('one', join(directory, 'loopback'), 'ADD', request);
      const { dns: _, ...document } = outcome.document!;
      results.push(JSON.parse(JSON.stringify(document).replaceAll(request.netns, 'NETNS')));
      expect(await lab.cni('one', join(directory, 'loopback'), 'CHECK', request)).toMatchObject({ code: 0 });
      expect(await lab.cni('one', join(directory, 'loopback'), 'DEL', request)).toMatchObject({ code: 0 });
      await lab.removeNamespace('lo-test');
      expect(await lab.cni('one', join(directory, 'loopback'), 'DEL', request)).toMatchObject({ code: 0 });
    }
    expect(results[1]).toEqual(results[0]);
  });
});

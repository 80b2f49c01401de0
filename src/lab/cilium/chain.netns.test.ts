import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { REFERENCE, Topology } from '../../portmap/testing/topology.ts';
import { waitFor } from '../../sys/wait.ts';

const RESPONDER = join(import.meta.dir, '../../portmap/testing/responder.ts');
const PROBE = join(import.meta.dir, '../../portmap/testing/probe.ts');
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
    const config = join(directory('one'), 'etc/cni/net.d/05-cilium.conf');
    expect(JSON.parse(readFileSync(config, 'utf8'))).toEqual({
      cniVersion: '0.3.1',
      name: 'cilium',
      type: 'cilium-cni',
    });
    expect(statSync(join(directory('one'), 'cilium.sock')).mode & 0o777).toBe(0o600);
  });

  test('has the router address, forwarding, the routes and the masquerade', async () => {
    expect(await lab.ok('one', ['ip', '-br', 'address', 'show', 'cilium_host'])).toContain('192.168.1.1/32');
    expect(await lab.ok('one', ['sysctl', '-n', 'net.ipv4.ip_forward'])).toBe('1\n');
    const routes = await lab.ok('one', ['ip', 'route', 'show', 'proto', '150']);
    expect(routes).toContain('192.168.2.0/24 via 10.77.0.3');
    expect(routes).toContain('unreachable 192.168.1.0/24');
    expect(await lab.natRules('one')).toContain(
      '-A CILIUM_POST_nat -s 192.168.1.0/24 -m comment --comment "cilium masquerade non-cluster" -j MASQUERADE',
    );
  });
});

describe('pods', () => {
  const address: Record<string, string> = {};
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

  test('are reached from their node', async () => {
    expect(await ask('one', address.a!, 8080)).toStartWith('a ');
  });

  test('reach what is outside under the address of their node', async () => {
    expect(await ask('a', '10.77.0.1', 8080)).toBe('outside 10.77.0.2');
    expect(await ask('a', '10.77.0.3', 8080)).toContain('Failed to connect');
  });

  test('CHECK is content, and says what is missing', async () => {
    const plugin = join(lab.plugins, 'cilium-cni');
    const prevResult = {
      interfaces: [{ name: 'eth0', sandbox: lab.path('b') }],
      ips: [{ version: '4', address: `${address.b}/32`, interface: 0 }],
    };
    const checked = call('one', 'b', { cniVersion: '0.4.0', prevResult });
    expect(await lab.cni('one', plugin, 'CHECK', checked)).toMatchObject({ code: 0 });
    await lab.ok('one', ['ip', 'route', 'delete', `${address.b}/32`]);
    const outcome = await lab.cni('one', plugin, 'CHECK', checked);
    expect(outcome.document?.msg).toContain(`missing: route to ${address.b}`);
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
    expect(await ask('one', '127.0.0.1', 80)).toStartWith('a ');
    expect(await ask('a', '10.77.0.2', 80)).toStartWith('a ');
    expect(await ask('c', '10.77.0.2', 80)).toStartWith('a ');
    expect(await lab.cni('one', portmap, 'DEL', call('one', 'a', config))).toMatchObject({ code: 0 });
    expect(await ask('switch', '10.77.0.2', 80)).toContain('Failed to connect');
  });

  test('survive their agent: killed and started again it gives no address twice', async () => {
    await agents.get('one')!.kill('SIGKILL');
    const refused = await lab.cni('one', join(lab.plugins, 'cilium-cni'), 'ADD', call('one', 'a'));
    expect(refused.document).toMatchObject({ code: 11 });
    expect(await ask('c', address.a!, 8080)).toStartWith('a ');
    await startAgent('one');
    address.d = await addPod('one', 'd');
    expect(new Set(Object.values(address)).size).toBe(4);
  });

  test('keep their network when the agent is asked to stop', async () => {
    const before = await lab.natRules('one');
    await agents.get('one')!.kill('SIGTERM');
    expect(agents.get('one')!.log()).toContain('ready: 192.168.1.0/24');
    expect(await lab.natRules('one')).toEqual(before);
    expect(await ask('c', address.a!, 8080)).toStartWith('a ');
    await startAgent('one');
    expect(await lab.natRules('one')).toEqual(before);
  });

  test('DEL removes link, route and address, twice, and without the namespace', async () => {
    const plugin = join(lab.plugins, 'cilium-cni');
    const gone = call('one', 'd');
    await lab.removeNamespace('d');
    for (const netns of [gone.netns, '']) {
      expect(await lab.cni('one', plugin, 'DEL', { ...gone, netns })).toMatchObject({ code: 0, stderr: '' });
    }
    expect(await lab.ok('one', ['ip', 'route', 'show', `${address.d}/32`])).toBe('');
    const state = readFileSync(join(directory('one'), 'ipam.json'), 'utf8');
    expect(JSON.parse(state).allocations.map((entry: { address: string }) => entry.address)).not.toContain(
      address.d,
    );
  });

  test('DEL works without the agent, and warns about that on standard error', async () => {
    address.e = await addPod('one', 'e');
    await agents.get('one')!.kill('SIGKILL');
    const outcome = await lab.cni('one', join(lab.plugins, 'cilium-cni'), 'DEL', call('one', 'e'));
    expect(outcome).toMatchObject({ code: 0, document: undefined });
    expect(outcome.stderr).toContain('cannot release the address now');
    expect(await lab.ok('one', ['ip', 'route', 'show', `${address.e}/32`])).toBe('');
    await startAgent('one');
  });

  test('20 ADDs, five at once, the agent killed in the middle: every address is given once', async () => {
    const pods = Array.from({ length: 20 }, (_, i) => `m${i}`);
    for (const pod of pods) await lab.namespace(pod, { loopback: false });
    const plugin = join(lab.plugins, 'cilium-cni');
    const addresses = new Map<string, string>();
    let killed: Promise<void> | undefined;
    const work = async (pod: string) => {
      await waitFor(
        `pod ${pod} to be attached`,
        async () => {
          const outcome = await lab.cni('one', plugin, 'ADD', call('one', pod));
          if (outcome.code !== 0) {
            expect(outcome.document).toMatchObject({ code: 11 });
            return false;
          }
          addresses.set(pod, (outcome.document!.ips as { address: string }[])[0]!.address);
          if (addresses.size === 5)
            killed ??= agents
              .get('one')!
              .kill('SIGKILL')
              .then(() => startAgent('one'));
          return true;
        },
        { timeoutMs: 20_000, intervalMs: 50 },
      );
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

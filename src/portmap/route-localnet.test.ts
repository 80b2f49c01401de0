import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PluginRequest } from '../cni/plugin.ts';
import type { PluginConfig } from '../cni/types.ts';
import { parseCidr } from '../util/cidr.ts';
import { type IpAddress, parseIp } from '../util/ip.ts';
import { parsePortmapConfig } from './config.ts';
import { attachmentChain } from './layout.ts';
import { FakeMachine } from './machine.fake.ts';
import { portmap } from './portmap.ts';
import { loopbackDevices, neededByOthers, RouteLocalnet, withoutRouteLocalnet } from './route-localnet.ts';
import { FakeAttachments } from './testing/attachments.fake.ts';

/** As with Cilium: packets to pods leave by `cilium_host`, and come in by their own device. */
let machine: FakeMachine;
let directory: string;
let localnet: RouteLocalnet;
const OUT = { index: 2, name: 'cilium_host' };
const BACK = { index: 7, name: 'lxc1' };
const NETNS = '/run/netns/c';

function link(index: number, name: string, master?: number) {
  machine.links.push({ index, name, kind: 'veth', peer: undefined, peerNamespace: undefined, master });
  machine.settings.set(name, '0');
}

function route(network: string, device: string) {
  const { ip, prefix } = parseCidr(network)!;
  const value = ip.bytes.reduce((sum, byte) => sum * 256 + byte, 0);
  const mask = prefix === 0 ? 0 : (0xffffffff << (32 - prefix)) >>> 0;
  machine.ways.push({ device, network: value, mask, metric: 0, up: true, reject: false });
}

beforeEach(() => {
  machine = new FakeMachine();
  directory = mkdtempSync(join(tmpdir(), 'hostport-localnet-'));
  localnet = new RouteLocalnet(machine, directory);
  link(OUT.index, OUT.name);
  link(BACK.index, BACK.name);
  route('10.0.0.0/24', OUT.name);
  machine.namespaces.add(NETNS);
  machine.ends.set(`${NETNS} eth0`, BACK.name);
});
afterEach(() => rmSync(directory, { recursive: true }));

const V4 = parseCidr('10.0.0.5/32')!;
const V6 = parseCidr('fd00::5/128')!;

function devices(
  options: { hostIP?: string; pods?: (typeof V4)[]; netns?: string; ifName?: string; snat?: boolean } = {},
) {
  const { hostIP, pods = [V6, V4], netns = NETNS, ifName = 'eth0', snat = true } = options;
  const portMappings = [{ hostPort: 80, containerPort: 80, ...(hostIP === undefined ? {} : { hostIP }) }];
  const config = parsePortmapConfig({
    name: 'net',
    snat,
    runtimeConfig: { portMappings },
  } as unknown as PluginConfig);
  return loopbackDevices(machine, config, pods, netns, ifName).map(({ name }) => name);
}

describe('the devices of a pod', () => {
  test.each<[string, Parameters<typeof devices>[0], string[]]>([
    ['by every address', {}, ['cilium_host', 'lxc1']],
    ['by every IPv4 address', { hostIP: '0.0.0.0' }, ['cilium_host', 'lxc1']],
    ['by 127.0.0.1', { hostIP: '127.0.0.1' }, ['cilium_host', 'lxc1']],
    ['by another loopback address', { hostIP: '127.9.9.9' }, ['cilium_host', 'lxc1']],
    ['by an address', { hostIP: '10.1.1.1' }, []],
    ['by IPv6', { hostIP: '::' }, []],
    ['of IPv6 only', { pods: [V6] }, []],
    ['without masquerade', { snat: false }, []],
    ['whose sandbox is gone', { netns: '/run/netns/none' }, ['cilium_host']],
    ['of another interface', { ifName: 'net1' }, ['cilium_host']],
    ['without a route', { pods: [parseCidr('10.9.0.5/32')!] }, ['lxc1']],
  ])('%s', (_name, options, names) => expect(devices(options)).toEqual(names));

  test('one where packets leave and come in', () => {
    route('10.0.0.5/32', 'lxc1');
    expect(devices()).toEqual(['lxc1']);
  });
  test('a bridge, not its port', () => {
    machine.links[1] = { ...machine.links[1]!, master: 2 };
    expect(devices()).toEqual(['cilium_host']);
    route('10.0.0.5/32', 'lxc1');
    expect(devices()).toEqual(['lxc1']);
  });
  test('with their indexes, without one that is gone', () => {
    const config = parsePortmapConfig({
      name: 'net',
      runtimeConfig: { portMappings: [{ hostPort: 1, containerPort: 1 }] },
    } as unknown as PluginConfig);
    let closed = 0;
    const open = machine.devices.bind(machine);
    machine.devices = () => ({ ...open(), close: () => closed++ });
    expect(loopbackDevices(machine, config, [V4], NETNS, 'eth0')).toEqual([OUT, BACK]);
    machine.links.shift();
    expect(loopbackDevices(machine, config, [V4], NETNS, 'eth0')).toEqual([BACK]);
    expect(closed).toBe(2);
  });
});

test.each<[string, Record<string, string>, string[]]>([
  ['off on both', {}, ['cilium_host', 'lxc1']],
  ['off on one', { lxc1: '1' }, ['cilium_host']],
  ['on for all', { all: '1' }, []],
  ['on on both', { lxc1: '1', cilium_host: '1' }, []],
])('where it is %s', (_name, settings, names) => {
  for (const [name, value] of Object.entries(settings)) machine.settings.set(name, value);
  expect(withoutRouteLocalnet(machine, [OUT, BACK]).map(({ name }) => name)).toEqual(names);
});

test('without devices no setting is read', () => {
  machine.settings.clear();
  expect(withoutRouteLocalnet(machine, [])).toEqual([]);
});

describe('a device that others need', () => {
  const asking = (found: string[] | undefined) => {
    let asked = 0;
    const needed = neededByOthers(machine, async () => {
      asked++;
      return found?.map((text): IpAddress => parseIp(text)!);
    });
    return async (device: string) => [await needed(device), asked];
  };
  test('leads to one of their pods', async () => {
    const needed = asking(['10.9.0.1', '10.0.0.9']);
    expect(await needed('cilium_host')).toEqual([true, 1]);
    expect(await needed('cilium_host')).toEqual([true, 1]);
    expect(await needed('lxc1')).toEqual([false, 1]);
  });
  test('leads to none', async () => {
    expect(await asking([])('cilium_host')).toEqual([false, 1]);
    expect(await asking(['10.9.0.1'])('cilium_host')).toEqual([false, 1]);
  });
  test('has no route: nobody is asked', async () =>
    expect(await asking(['10.0.0.9'])('lxc1')).toEqual([false, 0]));
  test('may be needed', async () => expect(await asking(undefined)('cilium_host')).toEqual([true, 1]));
});

describe('the setting', () => {
  const nobody = async () => false;
  const namespace = String(statSync('/proc/self/ns/net').ino);
  const value = (name: string) => machine.settings.get(name);
  const holders = (index: number) => {
    const path = join(directory, `${namespace}-${index}`);
    return existsSync(path) ? readdirSync(path).sort() : undefined;
  };

  test('is on while somebody holds it', async () => {
    localnet.hold('A', [OUT, BACK]);
    expect([value('cilium_host'), value('lxc1'), holders(2), holders(7)]).toEqual(['1', '1', ['A'], ['A']]);
    localnet.hold('A', [OUT]);
    localnet.hold('B', [OUT]);
    expect(holders(2)).toEqual(['A', 'B']);
    await localnet.release('A', [OUT, BACK], nobody);
    expect([value('cilium_host'), value('lxc1'), holders(2), holders(7)]).toEqual([
      '1',
      '0',
      ['B'],
      undefined,
    ]);
    for (let i = 0; i < 2; i++) await localnet.release('B', [OUT], nobody);
    expect([value('cilium_host'), holders(2)]).toEqual(['0', undefined]);
  });

  test('is recorded before it is set, for its user only', () => {
    machine.setSysctl = () => {
      expect(holders(2)).toEqual(['A']);
      throw new Error('read-only');
    };
    expect(() => localnet.hold('A', [OUT])).toThrow('read-only');
    expect(statSync(join(directory, `${namespace}-2`)).mode & 0o777).toBe(0o700);
  });

  test('that was on before is left alone', async () => {
    machine.settings.set('cilium_host', '1');
    localnet.hold('A', [OUT]);
    expect(readdirSync(directory)).toEqual([]);
    await localnet.release('A', [OUT], nobody);
    expect(value('cilium_host')).toBe('1');
  });

  test('that others need stays on, until a GC', async () => {
    localnet.hold('A', [OUT, BACK]);
    const asked: string[] = [];
    await localnet.release(
      'A',
      [OUT, BACK],
      async (device) => asked.push(device) > 0 && device === 'cilium_host',
    );
    expect([asked, value('cilium_host'), holders(2), value('lxc1'), holders(7)]).toEqual([
      ['cilium_host', 'lxc1'],
      '1',
      [],
      '0',
      undefined,
    ]);
    await localnet.tidy(() => false, nobody);
    expect([value('cilium_host'), readdirSync(directory)]).toEqual(['0', []]);
  });

  test('of a device that is gone needs nothing', async () => {
    localnet.hold('A', [OUT]);
    machine.links.shift();
    machine.settings.delete('cilium_host');
    await localnet.release('A', [OUT], nobody);
    expect(readdirSync(directory)).toEqual([]);
  });

  test('of a device that goes meanwhile is no error, of one that stays it is', async () => {
    localnet.hold('A', [OUT]);
    machine.setSysctl = () => {
      throw new Error('read-only');
    };
    await expect(localnet.release('A', [OUT], nobody)).rejects.toThrow('read-only');
    expect(holders(2)).toEqual([]);
    machine.setSysctl = () => {
      machine.links.shift();
      throw new Error('gone');
    };
    await localnet.release('A', [OUT], nobody);
    expect(readdirSync(directory)).toEqual([]);
  });

  test('a device has its name of today', async () => {
    localnet.hold('A', [OUT]);
    machine.links[0] = { ...machine.links[0]!, name: 'renamed' };
    machine.settings.set('renamed', '1');
    await localnet.release('A', [OUT], nobody);
    expect(value('renamed')).toBe('0');
  });

  test('a GC removes holders without an attachment, of this namespace only', async () => {
    localnet.hold('A', [OUT, BACK]);
    localnet.hold('B', [OUT]);
    mkdirSync(join(directory, '1-2/C'), { recursive: true });
    const asked: string[] = [];
    await localnet.tidy((chain, index) => asked.push(`${chain} ${index}`) > 0 && chain === 'B', nobody);
    expect(asked.sort()).toEqual(['A 2', 'A 7', 'B 2']);
    expect([holders(2), holders(7), value('cilium_host'), value('lxc1')]).toEqual([
      ['B'],
      undefined,
      '1',
      '0',
    ]);
    expect(readdirSync(join(directory, '1-2'))).toEqual(['C']);
  });

  test.each<[string, (path: string) => void]>([
    ['a file', (path) => writeFileSync(path, '')],
    ['a link', (path) => symlinkSync('/tmp', path)],
  ])('%s in the place of a directory is removed', async (_name, make) => {
    machine.settings.set('cilium_host', '1');
    make(join(directory, `${namespace}-2`));
    await localnet.tidy(() => true, nobody);
    expect([readdirSync(directory), value('cilium_host')]).toEqual([[], '1']);
    make(join(directory, `${namespace}-2`));
    localnet.hold('A', [OUT]);
    expect(readdirSync(directory)).toEqual([]);
  });

  test('without a directory there is nothing to tidy', async () => {
    await new RouteLocalnet(machine, join(directory, 'none')).tidy(() => true, nobody);
  });
});

describe('the plugin', () => {
  const chain = attachmentChain('net', 'c');
  let warnings: string[];
  let attachments: FakeAttachments;
  const request = (fields: { hostIP?: string; config?: object } = {}): PluginRequest => ({
    ...{ containerId: 'c', netns: NETNS, ifName: 'eth0', args: '', path: [], cniVersion: '1.1.0' },
    prevResult: { interfaces: [], ips: [{ address: '10.0.0.5/32' }], routes: [], dns: {} },
    config: {
      ...{ name: 'net', capabilities: { portMappings: true } },
      runtimeConfig: { portMappings: [{ hostPort: 80, containerPort: 80, hostIP: fields.hostIP }] },
      ...fields.config,
    },
    warn: (text) => warnings.push(text),
  });
  const plugin = () => portmap(machine, attachments, machine, localnet);
  const values = () => [machine.settings.get('cilium_host'), machine.settings.get('lxc1')];
  beforeEach(() => {
    warnings = [];
    attachments = new FakeAttachments();
  });
  afterEach(() => expect(warnings).toEqual([]));

  test('sets it with an ADD and restores it with a DEL', async () => {
    await plugin().add(request());
    expect([values(), attachments.devicesOf(chain)]).toEqual([
      ['1', '1'],
      [OUT, BACK],
    ]);
    await plugin().check(request());
    await plugin().del(request());
    expect([values(), readdirSync(directory)]).toEqual([['0', '0'], []]);
  });

  test('finds with a CHECK where it is off', async () => {
    await plugin().add(request());
    machine.settings.set('lxc1', '0');
    await expect(plugin().check(request())).rejects.toMatchObject({
      code: 999,
      message: '127.0.0.1 does not reach the pod: route_localnet is 0 on lxc1',
    });
    machine.settings.set('cilium_host', '0');
    await expect(plugin().check(request())).rejects.toThrow('route_localnet is 0 on cilium_host and lxc1');
  });

  test('releases with an ADD what is no longer needed', async () => {
    await plugin().add(request());
    await plugin().add(request({ hostIP: '10.1.1.1' }));
    expect([values(), attachments.devicesOf(chain)]).toEqual([['0', '0'], []]);
    await plugin().add(request());
    route('10.0.0.5/32', 'lxc1');
    await plugin().add(request());
    expect([values(), attachments.devicesOf(chain)]).toEqual([['0', '1'], [BACK]]);
  });

  test('releases what a replaced attachment had', async () => {
    await plugin().add(request());
    attachments.sandboxes.c = 'gone';
    const other = { ...request({ hostIP: '10.1.1.1' }), containerId: 'd' };
    await plugin().add(other);
    expect([values(), [...attachments.records.keys()]]).toEqual([['0', '0'], [attachmentChain('net', 'd')]]);
  });

  test('releases with a GC what is held by nobody', async () => {
    await plugin().add(request());
    await plugin().gc(
      request({ config: { 'cni.dev/valid-attachments': [{ containerID: 'c', ifname: 'eth0' }] } }),
    );
    expect(values()).toEqual(['1', '1']);
    attachments.keepDevices(chain, [OUT]);
    await plugin().gc(
      request({ config: { 'cni.dev/valid-attachments': [{ containerID: 'c', ifname: 'eth0' }] } }),
    );
    expect(values()).toEqual(['1', '0']);
    await plugin().gc(request());
    expect([values(), readdirSync(directory)]).toEqual([['0', '0'], []]);
  });

  test('leaves it on for mappings of other plugins', async () => {
    await plugin().add({ ...request({ hostIP: '10.1.1.1' }), containerId: 'other' });
    attachments.records.clear();
    await plugin().add({
      ...request({ config: { runtimeConfig: { portMappings: [{ hostPort: 81, containerPort: 81 }] } } }),
    });
    await plugin().del(request());
    expect(values()).toEqual(['1', '0']);
    await plugin().gc(request());
    expect(values()).toEqual(['0', '0']);
  });

  /** A mapping of another plugin, whether it keeps the setting of cilium_host, and whether that needed a warning. */
  test.each<[string, string, string | undefined]>([
    ['10.0.0.9:80', '1', undefined],
    ['10.0.0.9:80-90', '1', undefined],
    ['10.0.0.9', '1', undefined],
    ['10.1.1.9:80-90', '0', undefined],
    ['10.1.1.8-10.1.1.9:80', '1', '10.1.1.8-10.1.1.9:80'],
    ['10.1.1.9:undefined', '1', '10.1.1.9:undefined'],
    [':80', '1', ':80'],
  ])('leaves it on where another plugin’s mapping to %s may need it', async (target, value, unread) => {
    await plugin().add({ ...request({ hostIP: '10.1.1.1' }), containerId: 'other' });
    attachments.records.clear();
    const other = attachmentChain('net', 'other');
    await machine.tables.ipv4.restore([
      `-F ${other}`,
      `-A ${other} -p tcp -m tcp --dport 80 -j DNAT --to-destination ${target}`,
    ]);
    await plugin().add(
      request({ config: { runtimeConfig: { portMappings: [{ hostPort: 81, containerPort: 81 }] } } }),
    );
    await plugin().del(request());
    expect(warnings.splice(0)).toEqual(
      unread === undefined
        ? []
        : [
            `route_localnet stays on: cannot determine whether another plugin's mappings need it: one of them leads to ${unread}, which is not one address`,
          ],
    );
    expect(machine.settings.get('cilium_host')).toBe(value);
  });

  test('leaves it on where other plugins’ mappings cannot be read, and says so', async () => {
    await plugin().add(request({ config: { backend: 'nftables' } }));
    machine.tables.ipv4.hasChain = () => true;
    for (const family of ['ipv4', 'ipv6'] as const) machine.unusable.add(family);
    machine.hasIptablesNftChain = () => false;
    machine.mayHaveIptablesChain = () => true;
    await plugin().del(request());
    expect(warnings.splice(0).at(-1)).toBe(
      "route_localnet stays on: cannot determine whether another plugin's mappings need it: no program for ipv4",
    );
    expect(values()).toEqual(['1', '0']);
  });
});

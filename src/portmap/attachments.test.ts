import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AttachmentFiles, type HostPort } from './attachments.ts';
import type { Conditions } from './disjoint.ts';
import type { Owner } from './layout.ts';
import { StateUnusable } from './state.ts';

let directory: string;
let files: AttachmentFiles;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hostport-attachments-'));
  files = new AttachmentFiles(join(directory, 'records'), join(directory, 'cache'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const key = { networkName: 'net', containerId: 'c', ifName: 'eth0' };
const none: Conditions = { language: 'nftables', words: [] };
const conditions = { ipv4: none, ipv6: none };
const owner = { ...key, netns: '/run/netns/none', devices: [{ index: 7, name: 'lxc1' }], conditions };
const tcp80: HostPort = { protocol: 'tcp', hostPort: 80 };
const udp53: HostPort = { protocol: 'udp', hostPort: 53, hostIP: '10.0.0.1' };

test('what was recorded is returned, until it is forgotten', () => {
  expect(files.record('CHAIN', { ...owner, ports: [tcp80, udp53] })).toBe(true);
  expect(files.portsOf('CHAIN')).toEqual([tcp80, udp53]);
  expect(files.recorded()).toEqual(new Map([['CHAIN', { ...key, devices: owner.devices }]]));
  expect([files.interfaceOf('CHAIN'), files.devicesOf('CHAIN')]).toEqual(['eth0', owner.devices]);
  files.forget('CHAIN');
  expect(files.portsOf('CHAIN')).toBeUndefined();
  expect(readdirSync(join(directory, 'records'))).toEqual([]);
});

test('ports of an ADD before are remembered with the new ones, each once', () => {
  files.record('CHAIN', { ...owner, ports: [tcp80] });
  expect(files.record('CHAIN', { ...owner, ports: [udp53, tcp80] })).toBe(false);
  expect(files.portsOf('CHAIN')).toEqual([tcp80, udp53]);
});

test('devices of an ADD before are remembered with the new ones, until only the new ones are kept', () => {
  const other = { index: 8, name: 'lxc2' };
  files.record('CHAIN', { ...owner, ports: [tcp80] });
  files.record('CHAIN', { ...owner, ports: [tcp80], devices: [{ index: 7, name: 'renamed' }, other] });
  expect(files.devicesOf('CHAIN')).toEqual([{ index: 7, name: 'renamed' }, other]);
  files.record('CHAIN', { ...owner, ports: [tcp80], devices: [] });
  expect(files.devicesOf('CHAIN')).toHaveLength(2);
  files.keepDevices('CHAIN', [other]);
  expect(files.devicesOf('CHAIN')).toEqual([other]);
  expect(files.portsOf('CHAIN')).toEqual([tcp80]);
});

test("the runtime's cache is read as the runtime reads it, whatever the case of a key", () => {
  const result = {
    Interfaces: [{ Name: 'net1', Sandbox: '/run/netns/none' }],
    IPs: [{ Address: '10.0.0.9/24', Interface: 0 }],
  };
  const entry = { Kind: 'cniCacheV1', ContainerID: 'c', IfName: 'net1', NetworkName: 'net', Result: result };
  mkdirSync(join(directory, 'cache/results'), { recursive: true });
  writeFileSync(join(directory, 'cache/results/net-c-net1'), JSON.stringify(entry));
  expect(files.sandboxState('CHAIN', { networkName: 'net', containerId: 'c', ifName: 'net1' })).toBe('gone');
  expect(files.addressesOfOthers(key, 'network')).toEqual(new Set(['10.0.0.9']));
});

test.each([
  ['no ports', '{"networkName":"net","containerId":"c"}'],
  ['invalid ports', '{"ports":[{"protocol":"tcp"}]}'],
  ['no object among them', '{"ports":[null]}'],
  ['a document cut short', '{"ports":['],
])('a record with %s: nothing is remembered, nor by an ADD on top of it', (_name, text) => {
  files.record('CHAIN', { ...owner, ports: [] });
  writeFileSync(join(directory, 'records/CHAIN.json'), text);
  expect(files.portsOf('CHAIN')).toBeUndefined();
  expect(files.record('CHAIN', { ...owner, ports: [tcp80] })).toBe(false);
  expect(files.portsOf('CHAIN')).toBeUndefined();
});

const HERE = '/proc/self/ns/net';
const GONE = '/run/netns/none';

function cache(name: string, entry: unknown): void {
  mkdirSync(join(directory, 'cache/results'), { recursive: true });
  writeFileSync(join(directory, 'cache/results', name), JSON.stringify(entry));
}

/** An entry of the cache: the attachment of a container's interface, with a sandbox and addresses. */
function entry(fields: Record<string, unknown> = {}, result: Record<string, unknown> = {}): object {
  return {
    ...{ kind: 'cniCacheV1', containerId: 'c', ifName: 'net1', networkName: 'net' },
    result: { cniVersion: '1.0.0', interfaces: [{ name: 'net1', sandbox: GONE }], ...result },
    ...fields,
  };
}

describe('a sandbox', () => {
  const byContainer = { networkName: 'net', containerId: 'c' };
  const byInterface = { ...byContainer, ifName: 'net1' };
  const at = (sandbox: unknown) => entry({}, { interfaces: [{ name: 'net1', sandbox }] });
  test.each<[string, Record<string, unknown>, Owner, string]>([
    ['of which nothing is known', {}, byContainer, 'unknown'],
    ['in the cache', { 'net-c-net1': at(HERE) }, byContainer, 'alive'],
    ['in the cache, gone', { 'net-c-net1': at(GONE) }, byContainer, 'gone'],
    ['in the cache, by interface', { 'net-c-net1': at(HERE) }, byInterface, 'alive'],
    ['of another interface', { 'net-c-net2': entry({ ifName: 'net2' }) }, byInterface, 'unknown'],
    ['of another interface, by container', { 'net-c-net2': entry({ ifName: 'net2' }) }, byContainer, 'gone'],
    ['of another network', { 'other-c-net1': entry({ networkName: 'other' }) }, byContainer, 'unknown'],
    ['of another container', { 'net-c-net1': entry({ containerId: 'd' }) }, byContainer, 'unknown'],
    ['in a file of another container', { 'net-d-net1': at(HERE) }, byContainer, 'unknown'],
    [
      'one of two of which is gone',
      {
        'net-c-net1': at(GONE),
        'net-c-net2': entry({ ifName: 'net2' }, { interfaces: [{ sandbox: HERE }] }),
      },
      byContainer,
      'alive',
    ],
    ['that is not named', { 'net-c-net1': at('') }, byContainer, 'unknown'],
    ['that is no text', { 'net-c-net1': at(7) }, byContainer, 'unknown'],
    [
      'in a result without interfaces',
      { 'net-c-net1': entry({}, { interfaces: 7 }) },
      byContainer,
      'unknown',
    ],
    [
      'in a result with an interface of another kind',
      { 'net-c-net1': entry({}, { interfaces: [null] }) },
      byContainer,
      'unknown',
    ],
    ['in an entry without a result', { 'net-c-net1': entry({ result: 7 }) }, byContainer, 'unknown'],
    ['in an entry without a network', { 'net-c-net1': entry({ networkName: 7 }) }, byContainer, 'unknown'],
    ['in an entry without an interface', { 'net-c-net1': entry({ ifName: 7 }) }, byContainer, 'unknown'],
    ['in an entry of another kind', { 'net-c-net1': 7 }, byContainer, 'unknown'],
    [
      'in a result of an old runtime',
      { 'net-c-net1': { cniVersion: '0.3.1', interfaces: [{ name: 'net1', sandbox: HERE }] } },
      byInterface,
      'alive',
    ],
  ])('%s', (_name, entries, owner, state) => {
    for (const [name, each] of Object.entries(entries)) cache(name, each);
    expect(files.sandboxState('CHAIN', owner)).toBe(state as 'gone');
  });

  test('in our record counts, whatever is in the cache', () => {
    cache('net-c-net1', at(GONE));
    files.record('CHAIN', { ...key, netns: HERE, ports: [], devices: [], conditions });
    expect(files.sandboxState('CHAIN', byContainer)).toBe('alive');
    files.record('CHAIN', { ...key, netns: GONE, ports: [], devices: [], conditions });
    cache('net-c-net1', at(HERE));
    expect(files.sandboxState('CHAIN', byContainer)).toBe('gone');
    writeFileSync(join(directory, 'records/CHAIN.json'), '{"netns":7}');
    expect(files.sandboxState('CHAIN', byContainer)).toBe('alive');
  });
});

describe('addresses of other interfaces', () => {
  const addresses = (...ips: unknown[]) => ({ ips });
  test.each<[string, Record<string, unknown>, string[], string[]]>([
    ['none', {}, [], []],
    [
      'of the same network',
      { 'net-c-net1': entry({}, addresses({ address: '10.0.0.9/24' }, { address: 'fd00:0::9/64' })) },
      ['10.0.0.9', 'fd00::9'],
      ['10.0.0.9', 'fd00::9'],
    ],
    [
      'of another network',
      { 'other-c-net1': entry({ networkName: 'other' }, addresses({ address: '10.0.0.9/24' })) },
      [],
      ['10.0.0.9'],
    ],
    ['of itself', { 'net-c-eth0': entry({ ifName: 'eth0' }, addresses({ address: '10.0.0.9/24' })) }, [], []],
    [
      'of its interface',
      { 'net-c-net1': entry({}, addresses({ address: '10.0.0.9/24', interface: 0 })) },
      ['10.0.0.9'],
      ['10.0.0.9'],
    ],
    [
      'of an interface of another name',
      {
        'net-c-net1': entry(
          {},
          {
            ...addresses({ address: '10.0.0.9/24', interface: 1 }),
            interfaces: [{ name: 'net1' }, { name: 'br0' }],
          },
        ),
      },
      [],
      [],
    ],
    [
      'of an interface that is not there',
      { 'net-c-net1': entry({}, addresses({ address: '10.0.0.9/24', interface: 9 })) },
      ['10.0.0.9'],
      ['10.0.0.9'],
    ],
    [
      'of another kind',
      {
        'net-c-net1': entry(
          {},
          addresses(null, {}, { address: 7 }, { address: 'x' }, { address: '10.0.0.9' }),
        ),
      },
      [],
      [],
    ],
    ['that are no list', { 'net-c-net1': entry({}, { ips: 7 }) }, [], []],
  ])('%s', (_name, entries, ofNetwork, ofAny) => {
    for (const [name, each] of Object.entries(entries)) cache(name, each);
    expect([...files.addressesOfOthers(key, 'network')]).toEqual(ofNetwork);
    expect([...files.addressesOfOthers(key, 'any')]).toEqual(ofAny);
  });
});

describe('what was left in the directory of records', () => {
  const text = (record: unknown) =>
    writeFileSync(join(directory, 'records/CHAIN.json'), JSON.stringify(record));
  beforeEach(() => mkdirSync(join(directory, 'records')));

  test.each<[string, unknown, object[]]>([
    [
      'a record',
      { ...key, devices: [{ index: 7, name: 'x' }] },
      [{ ...key, devices: [{ index: 7, name: 'x' }] }],
    ],
    [
      'an older record',
      { networkName: 'net', containerId: 'c' },
      [{ networkName: 'net', containerId: 'c', ifName: undefined, devices: [] }],
    ],
    ['an interface that is no text', { ...key, ifName: 7 }, [{ ...key, ifName: undefined, devices: [] }]],
    ['no network', { containerId: 'c' }, []],
    ['no container', { networkName: 'net', containerId: 7 }, []],
    ['no record', 7, []],
    ['nothing', null, []],
    [
      'devices of several kinds',
      {
        ...key,
        devices: [
          null,
          {},
          { index: 1.5, name: 'a' },
          { index: 1 },
          { index: 1, name: 2 },
          { index: 1, name: 'a' },
        ],
      },
      [{ ...key, devices: [{ index: 1, name: 'a' }] }],
    ],
    ['devices that are no list', { ...key, devices: 7 }, [{ ...key, devices: [] }]],
  ])('%s', (_name, record, found) => {
    text(record);
    expect([...files.recorded().values()]).toEqual(found as never[]);
    expect(files.hasRecord('CHAIN')).toBe(true);
    expect(files.hasRecord('OTHER')).toBe(false);
    files.keepDevices('CHAIN', []);
    expect(files.devicesOf('CHAIN')).toEqual([]);
  });

  test.each<[unknown, unknown]>([
    [
      [{ protocol: 'tcp', hostPort: 80, hostIP: '1.2.3.4' }],
      [{ protocol: 'tcp', hostPort: 80, hostIP: '1.2.3.4' }],
    ],
    [[{ protocol: 'tcp', hostPort: 80, hostIP: 7 }], undefined],
    [[{ protocol: 'tcp', hostPort: '80' }], undefined],
    [[{ hostPort: 80 }], undefined],
    [[{ protocol: 'tcp', hostPort: 80 }, 7], undefined],
    [{}, undefined],
    [[], []],
  ])('ports %j are %j', (ports, read) => {
    text({ ports });
    expect(files.portsOf('CHAIN')).toEqual(read as never);
  });

  test('without a record there is nothing', () => {
    expect([files.portsOf('X'), files.interfaceOf('X'), files.devicesOf('X')]).toEqual([
      undefined,
      undefined,
      [],
    ]);
    files.forget('X');
  });

  test('what a killed call left is removed, and is no record', () => {
    mkdirSync(join(directory, 'records/.CHAIN.1/more'), { recursive: true });
    writeFileSync(join(directory, 'records/.CHAIN.2'), JSON.stringify(key));
    text(key);
    expect([...files.recorded().keys()]).toEqual(['CHAIN']);
    files.tidy();
    expect(readdirSync(join(directory, 'records'))).toEqual(['CHAIN.json']);
  });

  test.each(['CHAIN.json', `.CHAIN.${process.pid}`])('%s that is a directory is replaced', (name) => {
    mkdirSync(join(directory, 'records', name, 'with/more'), { recursive: true });
    expect(files.record('CHAIN', { ...owner, ports: [tcp80] })).toBe(name !== 'CHAIN.json');
    // Of what was there before no port is known.
    expect(files.portsOf('CHAIN')).toEqual(name === 'CHAIN.json' ? undefined : [tcp80]);
    expect(files.interfaceOf('CHAIN')).toBe('eth0');
    expect(readdirSync(join(directory, 'records'))).toEqual(['CHAIN.json']);
  });

  test('only its owner may read it', () => {
    rmSync(join(directory, 'records'), { recursive: true });
    files.record('CHAIN', { ...owner, ports: [] });
    const modes = ['records', 'records/CHAIN.json'].map(
      (path) => statSync(join(directory, path)).mode & 0o777,
    );
    expect(modes).toEqual([0o700, 0o600]);
  });

  test('what cannot be written is an error', () => {
    rmSync(join(directory, 'records'), { recursive: true });
    writeFileSync(join(directory, 'records'), '');
    for (const change of [() => files.record('CHAIN', { ...owner, ports: [] }), () => files.probe()])
      expect(change).toThrow(StateUnusable);
    expect(files.recorded().size).toBe(0);
    files.forget('CHAIN');
    files.tidy();
  });
});

test('the same port of several addresses is remembered for each', () => {
  const ports: HostPort[] = [tcp80, { ...tcp80, hostIP: '10.0.0.1' }, { ...tcp80, protocol: 'udp' }];
  files.record('CHAIN', { ...owner, ports });
  files.record('CHAIN', { ...owner, ports });
  expect(files.portsOf('CHAIN')).toEqual(ports);
});

test('conditions are those of any ADD, until it is forgotten; a record without them says nothing', () => {
  const later = { ...conditions, ipv4: { ...none, words: ['ip', 'saddr', '10.0.0.1'] } };
  expect(files.conditionsOf('CHAIN')).toBeUndefined();
  files.record('CHAIN', { ...owner, ports: [] });
  files.record('CHAIN', { ...owner, ports: [], conditions: later });
  files.record('CHAIN', { ...owner, ports: [] });
  expect(files.conditionsOf('CHAIN')).toEqual([conditions, later]);
  files.forget('CHAIN');
  for (const broken of [
    undefined,
    'x',
    [null],
    [{ ipv4: none }],
    [{ ipv4: none, ipv6: { language: 'x', words: [] } }],
  ]) {
    writeFileSync(join(directory, 'records/CHAIN.json'), JSON.stringify({ ...owner, conditions: broken }));
    expect(files.conditionsOf('CHAIN')).toBeUndefined();
    // An earlier version's mapping may have any.
    files.record('CHAIN', { ...owner, ports: [] });
    expect(files.conditionsOf('CHAIN')).toBeUndefined();
  }
});

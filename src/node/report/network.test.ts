import { describe, expect, test } from 'bun:test';
import type { Exec } from '../../sys/exec.ts';
import type { Family } from '../../util/family.ts';
import { parseIpAddress, parseIpRoute, parseIpRule, readNetwork } from './network.ts';

const ADDRESSES = JSON.stringify([
  {},
  {
    ifindex: 1,
    ifname: 'lo',
    flags: ['LOOPBACK', 'UP'],
    mtu: 65536,
    address: '00:00:00:00:00:00',
    addr_info: [{ family: 'inet', local: '127.0.0.1', prefixlen: 8, scope: 'host' }],
  },
  {
    ifindex: 7,
    ifname: 'veth0',
    flags: ['BROADCAST'],
    mtu: 1450,
    master: 'cni0',
    linkinfo: { info_kind: 'veth', info_data: {} },
    addr_info: [{}, { family: 'inet6', local: 'fd00::1', prefixlen: 64, scope: 'global' }],
  },
]);

test.each<[string, string, unknown, object]>([
  ['of a VRF', 'vrf', { table: 10 }, { vrfTable: 10 }],
  ['of another kind, which means something else', 'tun', { table: 10 }, {}],
  ['that is no number', 'vrf', { table: 'red' }, {}],
  ['that is not there', 'vrf', {}, {}],
  ['where there is something else', 'vrf', 'red', {}],
])('the table %s', (_, info_kind, info_data, expected) => {
  const link = { ifname: 'red', linkinfo: { info_kind, info_data } };
  expect(parseIpAddress(JSON.stringify([link])).links).toEqual([
    { name: 'red', index: 0, up: false, mtu: 0, kind: info_kind, ...expected },
  ]);
});

test.each<[string, unknown, object]>([
  ['that is attached', { mode: 1, prog: { id: 7, tag: 'a0', jited: 1 }, attached: [] }, { xdpProgram: 7 }],
  ['that is not shown', { mode: 4 }, {}],
  ['in another form', 'xdp', {}],
])('an XDP program %s', (_, xdp, expected) => {
  const { links } = parseIpAddress(JSON.stringify([{ ifname: 'eth0', xdp }]));
  expect(links).toEqual([{ name: 'eth0', index: 0, up: false, mtu: 0, ...expected }]);
});

test('links and addresses come from one listing', () => {
  expect(parseIpAddress(ADDRESSES)).toEqual({
    links: [
      { name: 'lo', index: 1, up: true, mtu: 65536, mac: '00:00:00:00:00:00' },
      { name: 'veth0', index: 7, up: false, mtu: 1450, kind: 'veth', master: 'cni0' },
    ],
    addresses: [
      { device: 'lo', family: 'ipv4', address: '127.0.0.1', prefix: 8, scope: 'host' },
      { device: 'veth0', family: 'ipv6', address: 'fd00::1', prefix: 64, scope: 'global' },
    ],
  });
});

describe('routes', () => {
  test.each([
    [
      'ipv4',
      { dst: 'default', gateway: '172.17.0.1', dev: 'eth0' },
      { destination: '0.0.0.0/0', gateway: '172.17.0.1', device: 'eth0', table: 'main', type: 'unicast' },
    ],
    [
      'ipv6',
      { dst: 'default', dev: 'eth0' },
      { destination: '::/0', device: 'eth0', table: 'main', type: 'unicast' },
    ],
    [
      'ipv4',
      { dst: '10.0.0.5', dev: 'lxc1' },
      { destination: '10.0.0.5/32', device: 'lxc1', table: 'main', type: 'unicast' },
    ],
    [
      'ipv6',
      { dst: 'fd00::5', dev: 'lxc1' },
      { destination: 'fd00::5/128', device: 'lxc1', table: 'main', type: 'unicast' },
    ],
    [
      'ipv4',
      { type: 'unreachable', dst: '10.0.0.0/24', metric: 4096 },
      { destination: '10.0.0.0/24', metric: 4096, table: 'main', type: 'unreachable' },
    ],
    [
      'ipv4',
      { type: 'local', dst: '127.0.0.1', dev: 'lo', table: 'local', prefsrc: '127.0.0.1' },
      { destination: '127.0.0.1/32', device: 'lo', table: 'local', source: '127.0.0.1', type: 'local' },
    ],
  ] as const)('%s %p', (family, line, route) => {
    expect(parseIpRoute(family, JSON.stringify([line]))).toEqual([{ family, ...route }]);
  });

  test('of a family without any are none', () => expect(parseIpRoute('ipv6', '')).toEqual([]));
});

describe('policy rules', () => {
  test.each<[Family, object, object]>([
    ['ipv4', { priority: 0, src: 'all', table: 'local' }, { priority: 0, table: 'local' }],
    [
      'ipv4',
      {
        priority: 9,
        not: null,
        src: '10.0.0.0',
        srclen: 8,
        dst: '1.2.3.4',
        fwmark: '0x200',
        fwmask: '0xf00',
        iif: 'eth1',
        iif_detached: null,
        table: '2004',
        protocol: 'static',
      },
      {
        priority: 9,
        inverted: true,
        source: '10.0.0.0/8',
        destination: '1.2.3.4/32',
        mark: { value: 0x200, mask: 0xf00 },
        inputInterface: 'eth1',
        table: '2004',
      },
    ],
    [
      'ipv6',
      { priority: 10, src: 'fd00::', srclen: 64, fwmark: '0x5', table: '7', suppress_prefixlen: 0 },
      {
        priority: 10,
        source: 'fd00::/64',
        mark: { value: 5, mask: 0xffffffff },
        table: '7',
        suppressPrefixLength: 0,
      },
    ],
    [
      'ipv4',
      { priority: 11, src: 'all', oif: 'eth0', ipproto: 'tcp', dport: 80, table: '100' },
      { priority: 11, outputInterface: 'eth0', others: ['ipproto tcp', 'dport 80'], table: '100' },
    ],
    ['ipv4', { priority: 12, src: 'all', goto: 99 }, { priority: 12, action: 'goto 99' }],
    [
      'ipv4',
      { priority: 12, src: '10.0.0.0', srclen: 8, goto: 99, unresolved: null },
      { priority: 12, source: '10.0.0.0/8', action: 'goto 99' },
    ],
    ['ipv4', { priority: 12, src: 'all', goto: 'none' }, { priority: 12, action: 'goto none' }],
    ['ipv4', { priority: 13, src: 'all', nop: null }, { priority: 13, action: 'nop' }],
    ['ipv4', { priority: 13, src: 'all', action: 'blackhole' }, { priority: 13, action: 'blackhole' }],
    [
      'ipv4',
      { priority: 14, src: 'all', l3mdev: null },
      { priority: 14, others: ['l3mdev'], action: 'lookup [other]' },
    ],
  ])('%s %p', (family, line, rule) => {
    expect(parseIpRule(family, JSON.stringify([line]))).toEqual([rule as never]);
  });
});

test('a tool that fails leaves its part unknown, and the rest known', async () => {
  const exec: Exec = {
    run: async (argv) =>
      argv.includes('address')
        ? { code: 0, stdout: ADDRESSES, stderr: '' }
        : { code: argv.includes('-6') ? 0 : 2, stdout: '[]', stderr: 'RTNETLINK answers: Permission denied' },
  };
  const network = await readNetwork(exec);
  expect(network.links).toMatchObject({ value: [{ name: 'lo' }, { name: 'veth0' }] });
  expect(network.routes).toEqual({ unknown: expect.stringContaining('Permission denied') });
  expect(network.rules).toEqual({
    ipv4: { unknown: expect.stringContaining('Permission denied') },
    ipv6: { value: [] },
  });
});

test('rules of IPv6 that cannot be read are unknown, not empty', async () => {
  const exec: Exec = {
    run: async (argv) => ({
      code: argv.includes('-6') && argv.includes('rule') ? 2 : 0,
      stdout:
        argv.includes('-4') && argv.includes('rule') ? '[{"priority":0,"src":"all","table":"local"}]' : '[]',
      stderr: 'RTNETLINK answers: Permission denied',
    }),
  };
  expect((await readNetwork(exec)).rules).toEqual({
    ipv4: { value: [{ priority: 0, table: 'local' }] },
    ipv6: { unknown: expect.stringContaining('Permission denied') },
  });
});

test('what is not the document that ip prints is unknown', async () => {
  const exec: Exec = { run: async () => ({ code: 0, stdout: '{"ifname":1}', stderr: '' }) };
  expect(await readNetwork(exec)).toMatchObject({
    links: { unknown: expect.any(String) },
    addresses: { unknown: expect.any(String) },
    routes: { unknown: expect.any(String) },
  });
});

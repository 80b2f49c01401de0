import { describe, expect, test } from 'bun:test';
import type { Exec } from '../../sys/exec.ts';
import { parseIpAddress, parseIpRoute, readNetwork } from './network.ts';

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
});

test('what is not the document that ip prints is unknown', async () => {
  const exec: Exec = { run: async () => ({ code: 0, stdout: '{"ifname":1}', stderr: '' }) };
  expect(await readNetwork(exec)).toMatchObject({
    links: { unknown: expect.any(String) },
    addresses: { unknown: expect.any(String) },
    routes: { unknown: expect.any(String) },
  });
});

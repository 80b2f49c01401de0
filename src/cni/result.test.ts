import { describe, expect, test } from 'bun:test';
import { formatResult, parseResult } from './result.ts';
import type { Result } from './types.ts';
import { type CniVersion, cniVersions, isAtLeast } from './version.ts';

const RICH: Result = {
  interfaces: [
    { name: 'lxc1', mac: '02:00:00:00:00:01', mtu: 1450 },
    { name: 'eth0', mac: '02:00:00:00:00:02', sandbox: '/run/netns/x', pciID: '0000:00:1f.6' },
  ],
  ips: [
    { address: '10.0.0.5/32', gateway: '10.0.0.1', interface: 1 },
    { address: 'fd00::5/64', interface: 1 },
  ],
  routes: [{ dst: '0.0.0.0/0', gw: '10.0.0.1', mtu: 1400, table: 5 }, { dst: '::/0' }],
  dns: { nameservers: ['10.0.0.53'], search: ['local'] },
};

/** What a version can say of {@link RICH}. */
function reduced(version: CniVersion): Result {
  if (isAtLeast(version, '1.1.0')) return RICH;
  const interfaces = RICH.interfaces.map(({ mtu: _, pciID: __, ...kept }) => kept);
  const routes = RICH.routes.map(({ dst, gw }) => (gw === undefined ? { dst } : { dst, gw }));
  if (isAtLeast(version, '0.3.0')) return { ...RICH, interfaces, routes };
  const ips = RICH.ips.map(({ interface: _, ...kept }) => kept);
  return { ...RICH, interfaces: [], ips, routes };
}

test.each(cniVersions.map((version) => [version]))(
  '%s: written and read again it says what it can',
  (version) => {
    const document = JSON.parse(JSON.stringify(formatResult(RICH, version)));
    expect(document.cniVersion).toBe(version);
    expect(parseResult(document, version)).toEqual(reduced(version));
  },
);

test('addresses carry their family in 0.3.0 to 0.4.0 only', () => {
  const families = (version: CniVersion) =>
    (formatResult(RICH, version).ips as { version?: string }[]).map((ip) => ip.version);
  expect(families('0.3.0')).toEqual(['4', '6']);
  expect(families('0.4.0')).toEqual(['4', '6']);
  expect(families('1.0.0')).toEqual([undefined, undefined]);
});

test('up to 0.2.0 a route takes the gateway of its address', () => {
  const document = { ip4: { ip: '10.0.0.5/24', gateway: '10.0.0.1', routes: [{ dst: '0.0.0.0/0' }] } };
  expect(parseResult(document, '0.2.0').routes).toEqual([{ dst: '0.0.0.0/0', gw: '10.0.0.1' }]);
});

test('a result without addresses has no form in 0.2.0', () => {
  expect(() => formatResult({ ...RICH, ips: [] }, '0.2.0')).toThrow(/without addresses/);
});

describe('a malformed document names the field', () => {
  test.each<[unknown, string]>([
    [null, 'result must be an object'],
    [[], 'result must be an object'],
    [{ ips: {} }, 'ips must be a list'],
    [{ ips: [7] }, 'ips[0] must be an object'],
    [{ ips: [{ address: 7 }] }, 'ips[0].address must be a string'],
    [{ ips: [{ address: '10.0.0.1/8', interface: 0 }] }, 'ips[0].interface must be an index'],
    [{ ips: [{ address: '10.0.0.1/8', interface: 0.5 }] }, 'ips[0].interface must be an integer'],
    [{ interfaces: [{}] }, 'interfaces[0].name must be a string'],
    [{ routes: [{ dst: '0.0.0.0/0', mtu: '1' }] }, 'routes[0].mtu must be an integer'],
    [{ dns: { search: ['a', 1] } }, 'dns.search[1] must be a string'],
  ])('%j', (document, message) => {
    expect(() => parseResult(document, '1.1.0')).toThrow(message);
  });
});

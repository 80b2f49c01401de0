import { describe, expect, test } from 'bun:test';
import { convertResult, formatResult, parseResult } from './result.ts';
import type { Result } from './types.ts';
import { type CniVersion, cniVersions, isAtLeast } from './version.ts';

const RICH: Result = {
  interfaces: [
    { name: 'lxc1', mac: '02:00:00:00:00:01', mtu: 1450, socketPath: '/run/vhost.sock' },
    { name: 'eth0', mac: '02:00:00:00:00:02', sandbox: '/run/netns/x', pciID: '0000:00:1f.6' },
  ],
  ips: [
    { address: '10.0.0.5/32', gateway: '10.0.0.1', interface: 1 },
    { address: '10.0.1.5/32', interface: 1 },
    { address: 'fd00::5/64', interface: 1 },
  ],
  routes: [
    { dst: '0.0.0.0/0', gw: '10.0.0.1', mtu: 1400, advmss: 1360, priority: 7, table: 5, scope: 0 },
    { dst: '::/0' },
  ],
  dns: { nameservers: ['10.0.0.53'], domain: 'lab', search: ['local'], options: ['ndots:5'] },
};

/** What a version can say of {@link RICH}. */
function reduced(version: CniVersion): Result {
  if (isAtLeast(version, '1.0.0')) return RICH;
  const interfaces = RICH.interfaces.map(({ mtu: _, socketPath: __, pciID: ___, ...kept }) => kept);
  if (isAtLeast(version, '0.3.0')) return { ...RICH, interfaces };
  const ips = [RICH.ips[0]!, RICH.ips[2]!].map(({ interface: _, ...kept }) => kept);
  const routes = RICH.routes.map(({ dst, gw }) => (gw === undefined ? { dst } : { dst, gw }));
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
  expect(families('0.3.0')).toEqual(['4', '4', '6']);
  expect(families('0.4.0')).toEqual(['4', '4', '6']);
  expect(families('1.0.0')).toEqual([undefined, undefined, undefined]);
});

describe('every version converts to every other', () => {
  const pairs = cniVersions.flatMap((from) => cniVersions.map((to) => [from, to] as const));
  test.each(pairs)('%s to %s', (from, to) => {
    const document = JSON.parse(JSON.stringify(formatResult(RICH, from)));
    const converted = JSON.parse(JSON.stringify(convertResult(document, to)));
    expect(converted.cniVersion).toBe(to);
    // What both versions can say survives.
    const poorer = cniVersions[Math.min(cniVersions.indexOf(from), cniVersions.indexOf(to))]!;
    expect(parseResult(converted, to)).toEqual(reduced(poorer));
  });

  test('a document of the wanted version keeps unknown fields', () => {
    const document = { cniVersion: '1.1.0', ips: [], 'example.com/x': 1 };
    expect(convertResult(document, '1.1.0')).toEqual(document);
    expect(convertResult({ dns: {} }, '0.2.0')).toEqual({ cniVersion: '0.2.0', dns: {} });
  });
});

test('a document says its version itself', () => {
  const old = { cniVersion: '0.2.0', ip4: { ip: '10.0.0.5/24' } };
  expect(parseResult(old, '1.0.0').ips).toEqual([{ address: '10.0.0.5/24' }]);
  expect(() => parseResult({ cniVersion: '9.0.0' }, '1.0.0')).toThrow(
    'unsupported CNI result version "9.0.0"',
  );
});

test('an address may name an interface that is not there, as libcni lets it', () => {
  const ips = [{ address: '10.0.0.1/8', interface: 3 }];
  expect(parseResult({ ips }, '1.1.0').ips).toEqual(ips);
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
    [{ cniVersion: 1 }, 'cniVersion must be a string'],
    [{ ips: [{ address: '10.0.0.1/8', interface: 0.5 }] }, 'ips[0].interface must be an integer'],
    [{ interfaces: [{}] }, 'interfaces[0].name must be a string'],
    [{ routes: [{ dst: '0.0.0.0/0', mtu: '1' }] }, 'routes[0].mtu must be an integer'],
    [{ dns: { search: ['a', 1] } }, 'dns.search[1] must be a string'],
  ])('%j', (document, message) => {
    expect(() => parseResult(document, '1.1.0')).toThrow(message);
  });
});

test('keys of a result are read whatever their case, as libcni does', () => {
  const document = {
    CNIVersion: '1.0.0',
    Interfaces: [{ Name: 'eth0', SANDBOX: '/n' }],
    IPs: [{ Address: '10.0.0.5/24', Interface: 0 }],
    Routes: [{ Dst: '0.0.0.0/0', GW: '10.0.0.1' }],
    DNS: { NameServers: ['10.96.0.10'] },
  };
  expect(parseResult(document, '0.4.0')).toEqual({
    interfaces: [{ name: 'eth0', sandbox: '/n' }],
    ips: [{ address: '10.0.0.5/24', interface: 0 }],
    routes: [{ dst: '0.0.0.0/0', gw: '10.0.0.1' }],
    dns: { nameservers: ['10.96.0.10'] },
  });
});

import { describe, expect, test } from 'bun:test';
import type { PluginConfig } from '../cni/types.ts';
import type { NftChain, NftElement } from '../netfilter/nft/nft.ts';
import { parseCidr } from '../util/cidr.ts';
import { parseIp } from '../util/ip.ts';
import { parsePortmapConfig } from './config.ts';
import { attachmentChain, NFT_TABLE, networkWord, ownerWord } from './layout.ts';
import {
  addressWord,
  attachmentElement,
  basicLayout,
  claimKeys,
  claimMaps,
  DNAT_PRIORITY,
  type NftPlan,
  nftMaps,
  ownerOfElement,
  planNft,
} from './nftables-layout.ts';

// The table as text. Whether nft takes it, and what packets make of it, is in nftables.netns.test.ts.

const V4 = parseCidr('10.0.0.5/32')!;
const V6 = parseCidr('fd00::5/128')!;
const OWNER = { networkName: 'net', containerId: 'c' };

function plan(
  mappings: Record<string, unknown>[],
  pods = [V4],
  extra: Record<string, unknown> = {},
): NftPlan {
  const portMappings = mappings.map((mapping) => ({ containerPort: 8080, ...mapping }));
  const config = { name: 'net', backend: 'nftables', runtimeConfig: { portMappings }, ...extra };
  return planNft(parsePortmapConfig(config as PluginConfig), OWNER, pods);
}

function chainText({ name, hook, rules, shared }: NftChain): string[] {
  const at = hook === undefined ? '' : ` at ${hook.name} ${hook.priority}`;
  return rules.map((rule) => `${name}${at}${shared ? ' shared' : ''}: ${rule}`);
}

const elementText = ({ map, key, value, comment }: NftElement) =>
  `${map} { ${key}${value === undefined ? '' : ` : ${value}`} }${comment === undefined ? '' : ` of ${comment}`}`;

test('the table', () => {
  expect([NFT_TABLE, DNAT_PRIORITY]).toEqual(['hostport', -101]);
  const maps = nftMaps.map(
    ({ name, key, value }) =>
      `${name} ${key.join(' . ')}${value === undefined ? '' : ` : ${typeof value === 'string' ? value : value.join(' . ')}`}`,
  );
  expect(maps).toEqual([
    'attachments ipv6_addr',
    'one4 ipv4_addr . inet_proto . inet_service : verdict',
    'one4_targets ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service',
    'any4 inet_proto . inet_service : verdict',
    'any4_targets inet_proto . inet_service : ipv4_addr . inet_service',
    'own4 ipv4_addr . inet_proto . inet_service',
    'one6 ipv6_addr . inet_proto . inet_service : verdict',
    'one6_targets ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service',
    'any6 inet_proto . inet_service : verdict',
    'any6_targets inet_proto . inet_service : ipv6_addr . inet_service',
    'own6 ipv6_addr . inet_proto . inet_service',
  ]);
  expect([...claimMaps]).toEqual(['one4', 'any4', 'one6', 'any6']);
});

describe('shared chains', () => {
  const shared = (mask: string) => [
    'ipv4: ip daddr . meta l4proto . th dport vmap @one4',
    'ipv4: dnat ip to ip daddr . meta l4proto . th dport map @one4_targets',
    'ipv4: meta l4proto . th dport vmap @any4',
    'ipv4: dnat ip to meta l4proto . th dport map @any4_targets',
    'deliver4: dnat ip to ip daddr . meta l4proto . th dport map @one4_targets',
    'deliver4: dnat ip to meta l4proto . th dport map @any4_targets',
    'ipv6: ip6 daddr . meta l4proto . th dport vmap @one6',
    'ipv6: dnat ip6 to ip6 daddr . meta l4proto . th dport map @one6_targets',
    'ipv6: meta l4proto . th dport vmap @any6',
    'ipv6: dnat ip6 to meta l4proto . th dport map @any6_targets',
    'deliver6: dnat ip6 to ip6 daddr . meta l4proto . th dport map @one6_targets',
    'deliver6: dnat ip6 to meta l4proto . th dport map @any6_targets',
    'prerouting at prerouting -101: meta nfproto ipv4 fib daddr type local jump ipv4',
    'prerouting at prerouting -101: meta nfproto ipv6 fib daddr type local jump ipv6',
    'output at output -101: meta nfproto ipv4 fib daddr type local jump ipv4',
    'output at output -101: meta nfproto ipv6 fib daddr type local jump ipv6',
    `postrouting at postrouting 99 shared: meta mark and ${mask} == ${mask} masquerade`,
  ];
  test('of every layout', () => {
    expect(basicLayout.chains.flatMap(chainText)).toEqual(shared('0x2000'));
    expect(basicLayout.maps).toBe(nftMaps);
  });
  test('of a plan', () => {
    const { layout } = plan([{ hostPort: 80 }], [], { markMasqBit: 31 });
    expect(layout.chains.flatMap(chainText)).toEqual(shared('0x80000000'));
    expect(layout.maps).toBe(nftMaps);
  });
});

describe('the chain that marks', () => {
  const mark = 'meta mark set meta mark or 0x2000';
  const local = `ip saddr 127.0.0.1 ${mark}`;
  test.each<[string, string, Record<string, unknown>, string[]]>([
    [
      'of a pod alone',
      '10.0.0.5/32',
      {},
      [`own4-13: ${local}`, `own4-13: ip saddr . meta l4proto . th dport @own4 ${mark}`],
    ],
    [
      'of a pod alone, IPv6',
      'fd00::5/128',
      {},
      [`own6-13: ip6 saddr . meta l4proto . th dport @own6 ${mark}`],
    ],
    [
      'of a subnet',
      '10.0.1.5/24',
      {},
      [`from-0a000100-24-13: ${local}`, `from-0a000100-24-13: ip saddr 10.0.1.0/24 ${mark}`],
    ],
    [
      'of a subnet within a byte',
      '10.0.255.5/20',
      {},
      [`from-0a00f000-20-13: ${local}`, `from-0a00f000-20-13: ip saddr 10.0.240.0/20 ${mark}`],
    ],
    [
      'of half of all',
      '255.0.0.5/1',
      {},
      [`from-80000000-1-13: ${local}`, `from-80000000-1-13: ip saddr 128.0.0.0/1 ${mark}`],
    ],
    [
      'of a subnet, IPv6',
      'fd00:0:0:1::5/63',
      {},
      [`from-fd${'0'.repeat(30)}-63-13: ip6 saddr fd00::/63 ${mark}`],
    ],
    ['of all', '10.0.0.5/0', {}, [`every-13: ${mark}`]],
    ['of everybody', '10.0.0.5/24', { masqAll: true }, [`every-13: ${mark}`]],
    [
      'with another bit',
      '10.0.0.5/24',
      { masqAll: true, markMasqBit: 4 },
      ['every-4: meta mark set meta mark or 0x10'],
    ],
    ['of nobody', '10.0.0.5/24', { snat: false }, []],
    ['of nobody, whatever masqAll says', '10.0.0.5/24', { snat: false, masqAll: true }, []],
  ])('%s', (_name, address, extra, lines) => {
    const { layout, claims } = plan([{ hostPort: 80 }], [parseCidr(address)!], extra);
    const own = layout.chains.slice(0, layout.chains.length - basicLayout.chains.length);
    expect(own.flatMap(chainText)).toEqual(lines);
    expect(claims.map(({ value }) => value)).toEqual([
      lines.length === 0 ? 'continue' : `jump ${own[0]!.name}`,
    ]);
  });

  test('is one for pods that share it', () => {
    const { layout } = plan([{ hostPort: 80 }], [V4, V6, V4]);
    expect(layout.chains.slice(0, 3).map(({ name }) => name)).toEqual(['own4-13', 'own6-13', 'ipv4']);
  });
});

describe('what an attachment puts in', () => {
  const pods = [V4, V6];
  const subnet = [parseCidr('10.0.0.5/24')!];
  test.each<[string, Record<string, unknown>[], typeof pods, string[], string[], string[]]>([
    ['no port', [], pods, [], [], []],
    [
      'one port of both families',
      [{ hostPort: 80 }],
      pods,
      ['any4 { tcp . 80 : jump own4-13 } of net/c', 'any6 { tcp . 80 : jump own6-13 } of net/c'],
      [
        'any4_targets { tcp . 80 : 10.0.0.5 . 8080 } of net/c',
        'own4 { 10.0.0.5 . tcp . 80 } of net/c',
        'any6_targets { tcp . 80 : fd00:0:0:0:0:0:0:5 . 8080 } of net/c',
        'own6 { fd00:0:0:0:0:0:0:5 . tcp . 80 } of net/c',
      ],
      [],
    ],
    [
      'a port in a subnet',
      [{ hostPort: 80 }],
      subnet,
      ['any4 { tcp . 80 : jump from-0a000000-24-13 } of net/c'],
      ['any4_targets { tcp . 80 : 10.0.0.5 . 8080 } of net/c'],
      [],
    ],
    [
      'a port of one address',
      [{ hostPort: 80, hostIP: '10.1.1.1' }],
      subnet,
      ['one4 { 10.1.1.1 . tcp . 80 : jump from-0a000000-24-13 } of net/c'],
      ['one4_targets { 10.1.1.1 . tcp . 80 : 10.0.0.5 . 8080 } of net/c'],
      ['any4 { tcp . 80 : return }'],
    ],
    [
      'a port of two addresses',
      [
        { hostPort: 80, hostIP: '10.1.1.1' },
        { hostPort: 80, hostIP: '10.1.1.2' },
      ],
      [V4],
      [
        'one4 { 10.1.1.1 . tcp . 80 : jump own4-13 } of net/c',
        'one4 { 10.1.1.2 . tcp . 80 : jump own4-13 } of net/c',
      ],
      [
        'one4_targets { 10.1.1.1 . tcp . 80 : 10.0.0.5 . 8080 } of net/c',
        'own4 { 10.0.0.5 . tcp . 80 } of net/c',
        'one4_targets { 10.1.1.2 . tcp . 80 : 10.0.0.5 . 8080 } of net/c',
      ],
      ['any4 { tcp . 80 : return }'],
    ],
    [
      'ports of two addresses',
      [
        { hostPort: 80, hostIP: '10.1.1.1' },
        { hostPort: 81, hostIP: '10.1.1.1', protocol: 'udp' },
      ],
      subnet,
      [
        'one4 { 10.1.1.1 . tcp . 80 : jump from-0a000000-24-13 } of net/c',
        'one4 { 10.1.1.1 . udp . 81 : jump from-0a000000-24-13 } of net/c',
      ],
      [
        'one4_targets { 10.1.1.1 . tcp . 80 : 10.0.0.5 . 8080 } of net/c',
        'one4_targets { 10.1.1.1 . udp . 81 : 10.0.0.5 . 8080 } of net/c',
      ],
      ['any4 { tcp . 80 : return }', 'any4 { udp . 81 : return }'],
    ],
    [
      'a port of one address and of every',
      [
        { hostPort: 80, hostIP: '10.1.1.1' },
        { hostPort: 80, containerPort: 9090 },
      ],
      subnet,
      [
        'one4 { 10.1.1.1 . tcp . 80 : jump from-0a000000-24-13 } of net/c',
        'any4 { tcp . 80 : jump from-0a000000-24-13 } of net/c',
      ],
      [
        'one4_targets { 10.1.1.1 . tcp . 80 : 10.0.0.5 . 8080 } of net/c',
        'any4_targets { tcp . 80 : 10.0.0.5 . 9090 } of net/c',
      ],
      [],
    ],
    [
      'every address of each family',
      [
        { hostPort: 80, hostIP: '0.0.0.0' },
        { hostPort: 80, hostIP: '::', containerPort: 9090 },
      ],
      pods,
      ['any4 { tcp . 80 : jump own4-13 } of net/c', 'any6 { tcp . 80 : jump own6-13 } of net/c'],
      [
        'any4_targets { tcp . 80 : 10.0.0.5 . 8080 } of net/c',
        'own4 { 10.0.0.5 . tcp . 80 } of net/c',
        'any6_targets { tcp . 80 : fd00:0:0:0:0:0:0:5 . 9090 } of net/c',
        'own6 { fd00:0:0:0:0:0:0:5 . tcp . 80 } of net/c',
      ],
      [],
    ],
    ['a family that the pod lacks', [{ hostPort: 80, hostIP: 'fd00::1' }], subnet, [], [], []],
  ])('%s', (_name, mappings, of, claims, rest, reservations) => {
    const made = plan(mappings, of);
    expect(made.claims.map(elementText)).toEqual(claims);
    expect(made.rest.map(elementText)).toEqual(rest);
    expect(made.reservations.map(elementText)).toEqual(reservations);
    expect(made.chains).toEqual([]);
    expect(made.owner).toBe('net/c');
    expect(made.attachment).toEqual(attachmentElement('net/c'));
  });

  test('asked for twice, the first counts', () => {
    const config = parsePortmapConfig({ name: 'net', backend: 'nftables' } as PluginConfig);
    const mapping = { hostPort: 80, protocol: 'tcp' as const };
    const twice = {
      ...config,
      portMappings: [
        { ...mapping, containerPort: 1 },
        { ...mapping, containerPort: 2 },
      ],
    };
    const { claims, rest } = planNft(twice, OWNER, [parseCidr('10.0.0.5/24')!]);
    expect([claims.length, rest.map(elementText)]).toEqual([
      1,
      ['any4_targets { tcp . 80 : 10.0.0.5 . 1 } of net/c'],
    ]);
  });

  const conditions = { conditionsV4: ['ip saddr 10.9.0.0/16'], conditionsV6: ['ip6 saddr fd09::/16'] };
  const chain = attachmentChain('net', 'c');
  test.each<
    [
      string,
      Record<string, unknown>[],
      typeof pods,
      Record<string, unknown>,
      string[],
      (string | undefined)[],
    ]
  >([
    [
      'conditions of both families',
      [{ hostPort: 80 }],
      pods,
      conditions,
      [
        `${chain}-4: ip saddr 10.9.0.0/16 jump own4-13`,
        `${chain}-4: ip saddr 10.9.0.0/16 jump deliver4`,
        `${chain}-6: ip6 saddr fd09::/16 jump own6-13`,
        `${chain}-6: ip6 saddr fd09::/16 jump deliver6`,
      ],
      [`goto ${chain}-4`, `goto ${chain}-6`],
    ],
    [
      'conditions without a mark',
      [{ hostPort: 80 }],
      [V4],
      { ...conditions, snat: false },
      [`${chain}-4: ip saddr 10.9.0.0/16 jump deliver4`],
      [`goto ${chain}-4`],
    ],
    [
      'conditions of the other family',
      [{ hostPort: 80 }],
      [V4],
      { conditionsV6: conditions.conditionsV6 },
      [],
      ['jump own4-13'],
    ],
    ['conditions without a port', [], pods, conditions, [], []],
    [
      'conditions without a port of the family',
      [{ hostPort: 80, hostIP: 'fd00::1' }],
      [V4],
      conditions,
      [],
      [],
    ],
  ])('%s', (_name, mappings, of, extra, lines, verdicts) => {
    const { chains, claims } = plan(mappings, of, extra);
    expect(chains.flatMap(chainText)).toEqual(lines);
    expect(claims.map(({ value }) => value)).toEqual(verdicts);
  });
});

test.each<[string | undefined, string[]]>([
  [undefined, ['any4 tcp . 80', 'any6 tcp . 80']],
  ['0.0.0.0', ['any4 tcp . 80', 'any6 tcp . 80']],
  ['::', ['any4 tcp . 80', 'any6 tcp . 80']],
  ['10.1.1.1', ['one4 10.1.1.1 . tcp . 80']],
  ['fd00::1', ['one6 fd00:0:0:0:0:0:0:1 . tcp . 80']],
])('a port on %p may be claimed as %j', (hostIP, keys) => {
  const port = { protocol: 'tcp' as const, hostPort: 80, ...(hostIP === undefined ? {} : { hostIP }) };
  expect(claimKeys(port).map(({ map, key }) => `${map} ${key}`)).toEqual(keys);
});

test.each([
  ['10.0.0.5', '10.0.0.5'],
  ['fd00::a:5', 'fd00:0:0:0:0:0:a:5'],
  ['1:2:3:4:5:6:7:8fff', '1:2:3:4:5:6:7:8fff'],
])('%s in a key is %s', (text, word) => expect(addressWord(parseIp(text)!)).toBe(word));

test('an entry is a hash of its owner', () => {
  // sha256('net/c'), the first half.
  const digest = new Bun.CryptoHasher('sha256').update('net/c').digest('hex').slice(0, 32);
  const groups = digest.match(/..../g)!.map((group) => Number.parseInt(group, 16).toString(16));
  expect(attachmentElement('net/c')).toEqual({ map: 'attachments', key: groups.join(':'), comment: 'net/c' });
});

describe('owners in words', () => {
  const long = 'n'.repeat(63);
  const hash = new Bun.CryptoHasher('sha256').update(long).digest('hex').slice(0, 24);
  const hashed = (...owner: Parameters<typeof attachmentChain>) =>
    `${networkWord(owner[0])}/${attachmentChain(...owner)}~`;
  test.each<[string, string, string | undefined, string]>([
    ['net', 'c', undefined, 'net/c'],
    ['net', 'c', 'net1', 'net/c/net1'],
    ['n'.repeat(62), 'c', undefined, `${'n'.repeat(62)}/c`],
    [long, 'c', undefined, hashed(long, 'c')],
    ['net', 'c'.repeat(64), undefined, `net/${'c'.repeat(64)}`],
    ['net', 'c'.repeat(65), undefined, hashed('net', 'c'.repeat(65))],
    ['n'.repeat(57), 'c'.repeat(64), 'net1', `${'n'.repeat(57)}/${'c'.repeat(64)}/net1`],
    ['n'.repeat(58), 'c'.repeat(64), 'net1', hashed('n'.repeat(58), 'c'.repeat(64), 'net1')],
    ['net', 'c', 'a b', hashed('net', 'c', 'a b')],
  ])('%s / %s / %s', (networkName, containerId, ifName, word) => {
    const owner = { networkName, containerId, ...(ifName === undefined ? {} : { ifName }) };
    expect(ownerWord(owner)).toBe(word);
    expect(ownerOfElement(word)).toMatchObject({
      chain: attachmentChain(networkName, containerId, ifName),
    });
  });
  test('a long network', () => {
    expect(networkWord('n'.repeat(62))).toBe('n'.repeat(62));
    expect(networkWord(long)).toBe(`${'n'.repeat(37)}~${hash}`);
  });
  test.each<[string | undefined, object | undefined]>([
    ['net/c', { chain: attachmentChain('net', 'c'), networkName: 'net', containerId: 'c' }],
    [
      'net/c/net1',
      { chain: attachmentChain('net', 'c', 'net1'), networkName: 'net', containerId: 'c', ifName: 'net1' },
    ],
    ['net/CHAIN~', { chain: 'CHAIN', networkName: 'net', containerId: 'CHAIN~' }],
    ['net', undefined],
    ['a/b/c/d', undefined],
    [undefined, undefined],
  ])('%p is read as %j', (comment, owner) => expect(ownerOfElement(comment)).toEqual(owner as never));
});

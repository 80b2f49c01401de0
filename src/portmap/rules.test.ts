import { describe, expect, test } from 'bun:test';
import type { PluginConfig } from '../cni/types.ts';
import { parseCidr } from '../util/cidr.ts';
import type { Family } from '../util/family.ts';
import { parsePortmapConfig } from './config.ts';
import { attachmentChain, chainOf, type InstalledEntry, type Owner, parseEntries } from './layout.ts';
import {
  asPrinted,
  attachmentRules,
  command,
  deletion,
  entryRules,
  type InstalledMapping,
  mappingsOf,
  type PodAddress,
  parseMappings,
  sharedRules,
} from './rules.ts';

// The words of each rule, as the reference plugin writes them. Whether iptables takes them is in portmap.netns.test.ts.

const V4 = parseCidr('10.0.0.5/24')!;
const V6 = parseCidr('fd00::5/64')!;
const OWNER: Owner = { networkName: 'net', containerId: 'c' };
/** sha512('netc'). */
const CHAIN = 'CNI-DN-f4b316d7e3e8b342296d2';

function configOf(portMappings: Record<string, unknown>[], extra: Record<string, unknown> = {}) {
  const mappings = portMappings.map((mapping) => ({ containerPort: 8080, ...mapping }));
  return parsePortmapConfig({
    name: 'net',
    runtimeConfig: { portMappings: mappings },
    ...extra,
  } as PluginConfig);
}

const words = (rules: { chain: string; words: string[] }[]) =>
  rules.map((rule) => command('-A', rule).replaceAll(CHAIN, 'CHAIN'));

test('names of chains', () => {
  expect(attachmentChain('net', 'c')).toBe(CHAIN);
  expect(chainOf(OWNER)).toBe(CHAIN);
  expect(CHAIN).toHaveLength(28);
  const named = chainOf({ ...OWNER, ifName: 'net1' });
  expect(named).toBe(attachmentChain('net', 'c', 'net1'));
  expect(named).toBe(attachmentChain('net', 'c/net1'));
  expect(named).not.toBe(CHAIN);
});

describe('what everybody shares', () => {
  const entry = [
    '-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
    '-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
  ];
  const masquerade = (mark: string) => [
    `-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark ${mark}/${mark}`,
    `-A CNI-HOSTPORT-MASQ -m mark --mark ${mark}/${mark} -j MASQUERADE`,
    '-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ',
  ];
  const all = ['CNI-HOSTPORT-SETMARK', 'CNI-HOSTPORT-MASQ', 'CNI-HOSTPORT-DNAT'];
  test.each<[Record<string, unknown>, string[], string[]]>([
    [{}, all, [...masquerade('0x2000'), ...entry]],
    [{ markMasqBit: 0 }, all, [...masquerade('0x1'), ...entry]],
    [{ markMasqBit: 31 }, all, [...masquerade('0x80000000'), ...entry]],
    [{ snat: false }, ['CNI-HOSTPORT-DNAT'], entry],
    [{ externalSetMarkChain: 'X' }, ['CNI-HOSTPORT-DNAT'], entry],
  ])('%j', (extra, chains, lines) => {
    const shared = sharedRules(configOf([], extra));
    expect(shared.chains).toEqual(chains);
    expect(words(shared.rules)).toEqual(lines);
    expect(words([...shared.first])).toEqual(lines.filter((line) => line.startsWith('-A POSTROUTING')));
  });
});

test('the mappings of a family', () => {
  const config = configOf([
    { hostPort: 1 },
    { hostPort: 2, hostIP: '10.0.0.1' },
    { hostPort: 3, hostIP: 'fd00::1' },
    { hostPort: 4, hostIP: '::' },
  ]);
  const ports = (family: Family) => mappingsOf(config, family).map(({ hostPort }) => hostPort);
  expect([ports('ipv4'), ports('ipv6')]).toEqual([
    [1, 2],
    [1, 3, 4],
  ]);
});

describe('what leads to the pod’s chain', () => {
  const entry = (protocol: string, ports: string, more = '') =>
    `-A CNI-HOSTPORT-DNAT -p ${protocol} -m comment --comment "dnat name: \\"net\\" id: \\"c\\"" -m multiport --dports ${ports} ${more}-j CHAIN`;
  const many = Array.from({ length: 31 }, (_, i) => ({ hostPort: i + 1 }));
  const list = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, i) => from + i).join(',');
  const conditions = { conditionsV4: ['-s', '10.0.0.0/8'], conditionsV6: ['!', '-i', 'eth0'] };
  test.each<[string, Record<string, unknown>[], Record<string, unknown>, PodAddress, string[]]>([
    ['no port', [], {}, V4, []],
    ['one port', [{ hostPort: 80 }], {}, V4, [entry('tcp', '80')]],
    ['15 ports', many.slice(0, 15), {}, V4, [entry('tcp', list(1, 15))]],
    ['16 ports', many.slice(0, 16), {}, V4, [entry('tcp', list(1, 15)), entry('tcp', '16')]],
    ['31 ports', many, {}, V4, [entry('tcp', list(1, 15)), entry('tcp', list(16, 30)), entry('tcp', '31')]],
    [
      'protocols in order of name',
      [
        { hostPort: 80, protocol: 'udp' },
        { hostPort: 81 },
        { hostPort: 82, protocol: 'sctp' },
        { hostPort: 83 },
      ],
      {},
      V4,
      [entry('sctp', '82'), entry('tcp', '81,83'), entry('udp', '80')],
    ],
    ['also for the other family', [{ hostPort: 80, hostIP: 'fd00::1' }], {}, V4, [entry('tcp', '80')]],
    ['conditions', [{ hostPort: 80 }], conditions, V4, [entry('tcp', '80', '-s 10.0.0.0/8 ')]],
    ['conditions of IPv6', [{ hostPort: 80 }], conditions, V6, [entry('tcp', '80', '! -i eth0 ')]],
  ])('%s', (_name, mappings, extra, pod, lines) => {
    expect(words(entryRules(configOf(mappings, extra), OWNER, pod))).toEqual(lines);
  });

  test.each<[string, Owner, string]>([
    ['an interface', { ...OWNER, ifName: 'net1' }, 'dnat name: "net" id: "c" if: "net1"'],
    ['an interface of a strange name', { ...OWNER, ifName: 'a"b' }, 'dnat name: "net" id: "c"'],
    ['an empty interface', { ...OWNER, ifName: '' }, 'dnat name: "net" id: "c"'],
    ['the longest', { ...OWNER, containerId: 'c'.repeat(232) }, `dnat name: "net" id: "${'c'.repeat(232)}"`],
    [
      'one that is too long',
      { ...OWNER, containerId: 'c'.repeat(233) },
      `dnat name: "net" id: "${'c'.repeat(230)}...`,
    ],
  ])('the comment of %s', (_name, owner, comment) => {
    const [rule] = entryRules(configOf([{ hostPort: 80 }]), owner, V4);
    expect(rule!.words[5]).toBe(comment);
    expect(rule!.words[5]!.length).toBeLessThanOrEqual(255);
  });
});

describe('the pod’s chain', () => {
  const to = '--to-destination 10.0.0.5:8080';
  const base = '-A CHAIN -p tcp --dport 80';
  const mark = '-j CNI-HOSTPORT-SETMARK';
  test.each<[string, Record<string, unknown>[], Record<string, unknown>, PodAddress, string[]]>([
    ['no port', [], {}, V4, []],
    [
      'one port',
      [{ hostPort: 80 }],
      {},
      V4,
      [`${base} -s 10.0.0.5/24 ${mark}`, `${base} -s 127.0.0.1 ${mark}`, `${base} -j DNAT ${to}`],
    ],
    [
      'IPv6',
      [{ hostPort: 80 }],
      {},
      V6,
      [`${base} -s fd00::5/64 ${mark}`, `${base} -j DNAT --to-destination [fd00::5]:8080`],
    ],
    ['no snat', [{ hostPort: 80 }], { snat: false }, V4, [`${base} -j DNAT ${to}`]],
    [
      'no snat, whatever masqAll says',
      [{ hostPort: 80 }],
      { snat: false, masqAll: true },
      V4,
      [`${base} -j DNAT ${to}`],
    ],
    [
      'masqAll',
      [{ hostPort: 80 }],
      { masqAll: true },
      V4,
      [`${base} -s 0.0.0.0/0 ${mark}`, `${base} -j DNAT ${to}`],
    ],
    [
      'masqAll, IPv6',
      [{ hostPort: 80 }],
      { masqAll: true },
      V6,
      [`${base} -s ::/0 ${mark}`, `${base} -j DNAT --to-destination [fd00::5]:8080`],
    ],
    [
      'another mark chain',
      [{ hostPort: 80 }],
      { externalSetMarkChain: 'X', masqAll: true },
      V4,
      [`${base} -s 0.0.0.0/0 -j X`, `${base} -j DNAT ${to}`],
    ],
    [
      'a host address',
      [{ hostPort: 80, hostIP: '10.1.1.1' }],
      { snat: false },
      V4,
      [`${base} -d 10.1.1.1 -j DNAT ${to}`],
    ],
    [
      'a host address in other words',
      [{ hostPort: 80, hostIP: 'fd00:0::1' }],
      { snat: false },
      V6,
      [`${base} -d fd00::1 -j DNAT --to-destination [fd00::5]:8080`],
    ],
    ['every address', [{ hostPort: 80, hostIP: '0.0.0.0' }], { snat: false }, V4, [`${base} -j DNAT ${to}`]],
    ['a host address of the other family', [{ hostPort: 80, hostIP: 'fd00::1' }], {}, V4, []],
    [
      'two mappings',
      [{ hostPort: 80 }, { hostPort: 53, protocol: 'udp', containerPort: 5353 }],
      { snat: false },
      V4,
      [`${base} -j DNAT ${to}`, '-A CHAIN -p udp --dport 53 -j DNAT --to-destination 10.0.0.5:5353'],
    ],
  ])('%s', (_name, mappings, extra, pod, lines) => {
    expect(words(attachmentRules(configOf(mappings, extra), OWNER, pod))).toEqual(lines);
  });
});

describe('as both variants print it', () => {
  test.each<[string, string]>([
    [
      '-p tcp --dport 80 -j DNAT --to-destination 10.0.0.5:8080',
      '-p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.5:8080',
    ],
    ['-p tcp --dport 80 -s 10.0.0.5/24 -j X', '-s 10.0.0.0/24 -p tcp -m tcp --dport 80 -j X'],
    ['-p tcp --dport 80 -s 10.7.255.5/12 -j X', '-s 10.0.0.0/12 -p tcp -m tcp --dport 80 -j X'],
    ['-p tcp --dport 80 -s 10.255.255.255/1 -j X', '-s 0.0.0.0/1 -p tcp -m tcp --dport 80 -j X'],
    ['-p tcp --dport 80 -s 127.0.0.1 -j X', '-s 127.0.0.1/32 -p tcp -m tcp --dport 80 -j X'],
    [
      '-p udp --dport 80 -d 10.1.1.1 -s 10.0.0.5/32 -j X',
      '-s 10.0.0.5/32 -d 10.1.1.1/32 -p udp -m udp --dport 80 -j X',
    ],
    ['-p tcp --dport 80 -s 0.0.0.0/0 -j X', '-p tcp -m tcp --dport 80 -j X'],
    ['-p tcp --dport 80 -s ::/0 -j X', '-p tcp -m tcp --dport 80 -j X'],
    ['-p tcp --dport 80 -s fd00:1::5/20 -j X', '-s fd00::/20 -p tcp -m tcp --dport 80 -j X'],
    ['-p tcp --dport 80 -d fd00:1::5 -j X', '-d fd00:1::5/128 -p tcp -m tcp --dport 80 -j X'],
  ])('%s', (made, printed) => {
    expect(asPrinted({ chain: 'C', words: made.split(' ') })).toEqual({
      chain: 'C',
      words: printed.split(' '),
    });
  });
});

describe('entries as they are read', () => {
  const comment = (text: string) => `-m comment --comment "${text.replaceAll('"', '\\"')}"`;
  const ours = comment('dnat name: "net" id: "c"');
  const entry = (fields: Partial<InstalledEntry>) => [
    {
      chain: 'CNI-DN-a',
      protocol: 'tcp',
      ports: [80],
      owner: { networkName: 'net', containerId: 'c' },
      ...fields,
    },
  ];
  test.each<[string, Omit<InstalledEntry, 'line'>[]]>([
    [`-p tcp ${ours} -m multiport --dports 80 -j CNI-DN-a`, entry({})],
    [`-p udp ${ours} -m multiport --dports 80,81 -j CNI-DN-a`, entry({ protocol: 'udp', ports: [80, 81] })],
    [
      `-p tcp ${comment('dnat name: "net" id: "c" if: "net1"')} -m multiport --dports 80 -j CNI-DN-a`,
      entry({ owner: { networkName: 'net', containerId: 'c', ifName: 'net1' } }),
    ],
    [`-s 10.0.0.0/8 -p tcp ${ours} -m multiport --dports 80,81 -j CNI-DN-a`, entry({ ports: [80, 81] })],
    [
      `-p tcp ${comment('dnat name: "a b" id: "c" if: "x y"')} -m multiport --dports 80 -j CNI-DN-a`,
      entry({ owner: { networkName: 'a b', containerId: 'c', ifName: 'x y' } }),
    ],
    [
      `-p tcp ${comment('dnat name: "a b" id: "c d"')} -m multiport --dports 80 -j CNI-DN-a`,
      entry({ owner: { networkName: 'a b', containerId: 'c d' } }),
    ],
    [
      `-p tcp ${comment('dnat name: "net" id: "c...')} -m multiport --dports 80 -j CNI-DN-a`,
      entry({ owner: undefined }),
    ],
    [
      `-p tcp ${comment('x dnat name: "net" id: "c"')} -m multiport --dports 80 -j CNI-DN-a`,
      entry({ owner: undefined }),
    ],
    [
      `-p tcp ${comment('dnat name: "net" id: "c" x')} -m multiport --dports 80 -j CNI-DN-a`,
      entry({ owner: undefined }),
    ],
    ['-p tcp -m multiport --dports 80 -j CNI-DN-a', entry({ owner: undefined })],
    ['-p tcp -m tcp --dport 80 -j CNI-DN-a', entry({ owner: undefined, ports: [] })],
    ['-j CNI-DN-a', entry({ owner: undefined, ports: [], protocol: '' })],
    ['-p tcp -g CNI-DN-a', []],
    ['-p tcp -j CNI-DX-a', []],
    ['-p tcp -j X-CNI-DN-a', []],
    ['-j RETURN', []],
    ['-j', []],
  ])('%s', (text, entries) => {
    const line = `-A CNI-HOSTPORT-DNAT ${text}`;
    expect(parseEntries([line])).toEqual(entries.map((each) => ({ line, ...each })));
  });

  test('are in their order', () => {
    const lines = ['a', 'x', 'b'].map(
      (name) => `-A D -p tcp ${name === 'x' ? '-j RETURN' : `-j CNI-DN-${name}`}`,
    );
    expect(parseEntries(lines).map(({ chain }) => chain)).toEqual(['CNI-DN-a', 'CNI-DN-b']);
    expect(deletion(lines[0]!)).toBe('-D D -p tcp -j CNI-DN-a');
  });
});

describe('translations as they are read', () => {
  const mapping = (fields: Partial<InstalledMapping>) => [
    { protocol: 'tcp', hostPort: 80, hostIP: undefined, target: '10.0.0.5:8080', ...fields },
  ];
  test.each<[string, InstalledMapping[]]>([
    ['-p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.5:8080', mapping({})],
    [
      '-d 10.1.1.1/32 -p udp -m udp --dport 53 -j DNAT --to-destination 10.0.0.5:8080',
      mapping({ protocol: 'udp', hostPort: 53, hostIP: '10.1.1.1' }),
    ],
    [
      '-d fd00::1/128 -p tcp -m tcp --dport 80 -j DNAT --to-destination [fd00::5]:8080',
      mapping({ hostIP: 'fd00::1', target: '[fd00::5]:8080' }),
    ],
    [
      '-d 10.0.0.0/8 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.5:8080',
      mapping({ hostIP: '10.0.0.0/8' }),
    ],
    ['-m tcp --dport 80 -j DNAT --to-destination 10.0.0.5:8080', mapping({ protocol: '' })],
    ['-s 127.0.0.1/32 -p tcp -m tcp --dport 80 -j CNI-HOSTPORT-SETMARK', []],
    ['-p tcp -j DNAT --to-destination', []],
  ])('%s', (text, mappings) => expect(parseMappings([`-A X ${text}`])).toEqual(mappings));
});

test.each(['-A', '-C', '-I', '-D'] as const)('a command %s', (verb) => {
  expect(command(verb, { chain: 'X', words: ['--comment', 'a b'] })).toBe(`${verb} X --comment "a b"`);
});

import { describe, expect, test } from 'bun:test';
import type { PluginConfig } from '../cni/types.ts';
import { parsePortmapConfig } from './config.ts';
import { attachmentChain, parseEntries } from './layout.ts';
import { asPrinted, attachmentRules, command } from './rules.ts';

function parse(extra: Record<string, unknown>) {
  return parsePortmapConfig({ name: 'net', ...extra } as PluginConfig);
}

function mapping(fields: Record<string, unknown>) {
  return { runtimeConfig: { portMappings: [{ hostPort: 80, containerPort: 8080, ...fields }] } };
}

test('what is not said is as in the reference', () => {
  expect(parse({})).toEqual({
    networkName: 'net',
    backend: undefined,
    snat: true,
    masqAll: false,
    markMasqBit: 13,
    externalSetMarkChain: undefined,
    conditionsV4: [],
    conditionsV6: [],
    portMappings: [],
    repeated: [],
    strict: false,
  });
});

test.each<[Record<string, unknown>, string | undefined]>([
  [{}, undefined],
  [{ backend: null }, undefined],
  [{ backend: 'iptables' }, 'iptables'],
  [{ backend: 'nftables' }, 'nftables'],
  [{ conditionsV4: [] }, undefined],
  [{ conditionsV4: ['!', '-s', '10.0.0.1'] }, 'iptables'],
  [{ conditionsV6: ['ip6', 'saddr', 'fd00::1'] }, 'nftables'],
  [{ externalSetMarkChain: 'KUBE-MARK-MASQ' }, 'iptables'],
])('%j means the backend %p', (extra, backend) => {
  expect(parse(extra).backend).toBe(backend as ReturnType<typeof parse>['backend']);
});

describe('mappings', () => {
  test.each<[Record<string, unknown>, Record<string, unknown>]>([
    [{}, { hostPort: 80, containerPort: 8080, protocol: 'tcp' }],
    [{ protocol: 'UDP' }, { protocol: 'udp' }],
    [{ protocol: 'sctp', hostIP: '' }, { protocol: 'sctp' }],
    [{ hostIP: 'fd00::1' }, { hostIP: 'fd00::1' }],
  ])('%j', (fields, wanted) => {
    expect(parse(mapping(fields)).portMappings).toMatchObject([wanted]);
  });
});

test.each<[Record<string, unknown>, Record<string, unknown>]>([
  [
    { snat: null, masqAll: null, strict: null },
    { snat: true, masqAll: false, strict: false },
  ],
  [
    { snat: false, masqAll: true, strict: true },
    { snat: false, masqAll: true, strict: true },
  ],
  [{ markMasqBit: 0 }, { markMasqBit: 0 }],
  [{ markMasqBit: 31 }, { markMasqBit: 31 }],
  [
    { markMasqBit: null, externalSetMarkChain: null },
    { markMasqBit: 13, externalSetMarkChain: undefined },
  ],
  [{ externalSetMarkChain: 'X'.repeat(28) }, { externalSetMarkChain: 'X'.repeat(28) }],
  [{ externalSetMarkChain: '_a.B-1:2' }, { externalSetMarkChain: '_a.B-1:2', markMasqBit: 13 }],
  [{ runtimeConfig: null }, { portMappings: [] }],
  [{ runtimeConfig: { portMappings: null } }, { portMappings: [] }],
  [
    { conditionsV4: null, conditionsV6: null },
    { conditionsV4: [], conditionsV6: [], backend: undefined },
  ],
  [{ conditionsV4: ['-s', '10.0.0.1'] }, { conditionsV4: ['-s', '10.0.0.1'], backend: 'iptables' }],
  [{ conditionsV6: ['ip6 saddr ::2'] }, { conditionsV6: ['ip6', 'saddr', '::2'], backend: 'nftables' }],
  [
    mapping({ hostPort: 1, containerPort: 65535 }),
    { portMappings: [{ hostPort: 1, containerPort: 65535, protocol: 'tcp' }] },
  ],
  [
    mapping({ hostPort: 65535, containerPort: 1 }),
    { portMappings: [{ hostPort: 65535, containerPort: 1, protocol: 'tcp' }] },
  ],
  [
    mapping({ protocol: '', hostIP: null }),
    { portMappings: [{ hostPort: 80, containerPort: 8080, protocol: 'tcp' }] },
  ],
  [mapping({ protocol: null }), { portMappings: [{ hostPort: 80, containerPort: 8080, protocol: 'tcp' }] }],
])('%j is read as %j', (extra, wanted) => {
  expect(parse(extra)).toMatchObject(wanted);
});

describe('a port that is asked for twice', () => {
  const first = { hostPort: 80, containerPort: 8080 };
  const again = { hostPort: 80, containerPort: 9090 };
  const effect = 'has no effect: an earlier entry of the request maps it';
  test.each<[Record<string, unknown>, Record<string, unknown>, string | undefined]>([
    [first, again, `tcp 80 to 9090 ${effect}`],
    [first, { ...again, hostPort: 81 }, undefined],
    [first, { ...again, protocol: 'udp' }, undefined],
    [first, { ...again, hostIP: '10.0.0.1' }, `10.0.0.1 tcp 80 to 9090 ${effect}`],
    [first, { ...again, hostIP: '::' }, `:: tcp 80 to 9090 ${effect}`],
    [{ ...first, hostIP: '10.0.0.1' }, again, undefined],
    [{ ...first, hostIP: '0.0.0.0' }, again, undefined],
    [{ ...first, hostIP: '0.0.0.0' }, { ...again, hostIP: '10.0.0.1' }, `10.0.0.1 tcp 80 to 9090 ${effect}`],
    [{ ...first, hostIP: '0.0.0.0' }, { ...again, hostIP: 'fd00::1' }, undefined],
    [{ ...first, hostIP: '::' }, { ...again, hostIP: '0.0.0.0' }, undefined],
    [{ ...first, hostIP: '::' }, { ...again, hostIP: '0::0' }, `0::0 tcp 80 to 9090 ${effect}`],
    [
      { ...first, hostIP: 'fd00::1' },
      { ...again, hostIP: 'fd00:0::1' },
      `fd00:0::1 tcp 80 to 9090 ${effect}`,
    ],
    [{ ...first, hostIP: '10.0.0.1' }, { ...again, hostIP: '10.0.0.2' }, undefined],
  ])('%j, then %j: %p', (one, two, text) => {
    const { portMappings, repeated } = parse({ runtimeConfig: { portMappings: [one, two] } });
    expect(repeated).toEqual(text === undefined ? [] : [text]);
    expect(portMappings.map(({ containerPort }) => containerPort)).toEqual(
      text === undefined ? [8080, 9090] : [8080],
    );
  });

  test('is remembered for all that follow', () => {
    const { portMappings, repeated } = parse({
      runtimeConfig: { portMappings: [first, { ...first, hostPort: 81 }, again, again] },
    });
    expect([portMappings.length, repeated.length]).toEqual([2, 2]);
  });
});

describe('refused, naming the field and the value', () => {
  test.each<[Record<string, unknown>, string, number]>([
    [mapping({ hostPort: 0 }), 'portMappings[0].hostPort must be a port between 1 and 65535, is 0', 7],
    [mapping({ hostPort: 65536 }), 'is 65536', 7],
    [mapping({ hostPort: 1e308 }), 'hostPort must be a port', 7],
    [mapping({ hostPort: '80' }), 'is "80"', 7],
    [mapping({ hostPort: 80.5 }), 'is 80.5', 7],
    [mapping({ containerPort: -1 }), 'containerPort must be a port', 7],
    [mapping({ protocol: 'icmp' }), 'protocol must be tcp, udp or sctp, is "icmp"', 7],
    [mapping({ protocol: 'tcp -j ACCEPT' }), 'protocol must be', 7],
    [mapping({ hostIP: '1.2.3' }), 'hostIP must be an IP address, is "1.2.3"', 7],
    [mapping({ hostIP: '1.2.3.4\n-F' }), 'hostIP must be an IP address', 7],
    [mapping({ hostIP: 7 }), 'hostIP must be an IP address, is 7', 7],
    [{ runtimeConfig: { portMappings: {} } }, 'portMappings must be a list', 7],
    [{ runtimeConfig: { portMappings: [null] } }, 'portMappings[0] must be an object', 7],
    [{ runtimeConfig: [] }, 'runtimeConfig must be an object', 7],
    [{ snat: 'yes' }, 'snat must be true or false, is "yes"', 7],
    [{ masqAll: 1 }, 'masqAll must be true or false', 7],
    [{ markMasqBit: 32 }, 'markMasqBit must be between 0 and 31, is 32', 7],
    [{ markMasqBit: -1 }, 'markMasqBit must be', 7],
    [{ markMasqBit: 1, externalSetMarkChain: 'X' }, 'cannot be used together', 7],
    [{ externalSetMarkChain: 'X\n-F' }, 'externalSetMarkChain must be the name', 7],
    [{ externalSetMarkChain: '-X' }, 'externalSetMarkChain must be the name', 7],
    [{ externalSetMarkChain: 'X'.repeat(29) }, 'externalSetMarkChain must be the name', 7],
    [
      { backend: 'nftables', externalSetMarkChain: 'X' },
      'externalSetMarkChain belongs to the iptables backend, but the backend is nftables',
      7,
    ],
    [
      { backend: 'nftables', conditionsV4: ['-s', '10.0.0.1'] },
      'conditionsV4 belongs to the iptables backend',
      7,
    ],
    [
      { backend: 'iptables', conditionsV6: ['ip6 saddr fd00::1'] },
      'conditionsV6 belongs to the nftables backend',
      7,
    ],
    [
      { conditionsV4: ['!', '-s', '10.0.0.1'], conditionsV6: ['ip6 saddr fd00::1'] },
      'conditionsV6 belongs to the nftables backend, but the backend is iptables',
      7,
    ],
    [{ backend: 'ebpf' }, 'backend "ebpf" is not supported', 2],
    [{ conditionsV4: '-s 1.2.3.4' }, 'conditionsV4 must be a list of words', 7],
    [{ conditionsV4: [''] }, 'conditionsV4[0] must be a word', 7],
    [{ conditionsV4: ['-s', '1.2.3.4\n-F'] }, 'conditionsV4[1] must not have control characters', 7],
    [{ conditionsV6: ['-j', 'ACCEPT'] }, 'conditionsV6[0] must be a match', 7],
    [{ conditionsV4: ['--jump', 'ACCEPT'] }, 'not a command, target or protocol', 7],
    [{ conditionsV4: ['--jum', 'ACCEPT'] }, 'not a command, target or protocol', 7],
    [{ conditionsV4: ['--jump=ACCEPT'] }, 'not a command, target or protocol', 7],
    [{ conditionsV4: ['--table', 'filter'] }, 'not a command, target or protocol', 7],
    [{ conditionsV4: ['-p', 'udp'] }, 'must be a match', 7],
    [{ conditionsV4: ['-sX'] }, 'must be a match', 7],
    [{ conditionsV4: ['--'] }, 'not a command', 7],
    [
      { backend: 'iptables', conditionsV4: ['ip saddr 10.0.0.1'] },
      'conditionsV4 belongs to the nftables backend, but the backend is iptables',
      7,
    ],
    [
      { conditionsV4: ['ip saddr 10.0.0.1'], externalSetMarkChain: 'X' },
      'conditionsV4 belongs to the nftables backend, but the backend is iptables',
      7,
    ],
    [{ backend: 7 }, 'backend 7 is not supported, only "iptables" and "nftables" are', 2],
    [{ backend: '' }, 'backend "" is not supported', 2],
    [{ backend: 'nftables', conditionsV4: ['tcp'] }, 'conditionsV4 must consist of nftables matches', 7],
    [{ backend: 'nftables', conditionsV6: ['ip saddr 10.0.0.1'] }, 'conditionsV6 must match only ipv6', 7],
    [{ markMasqBit: 1.5 }, 'markMasqBit must be between 0 and 31, is 1.5', 7],
    [
      { externalSetMarkChain: 'a b' },
      'externalSetMarkChain must be the name of an iptables chain, is "a b"',
      7,
    ],
    [{ externalSetMarkChain: 'ab ' }, 'externalSetMarkChain must be the name', 7],
    [{ externalSetMarkChain: ':ab' }, 'externalSetMarkChain must be the name', 7],
    [{ externalSetMarkChain: 7 }, 'externalSetMarkChain must be the name of an iptables chain, is 7', 7],
    [{ runtimeConfig: 7 }, 'runtimeConfig must be an object, is 7', 7],
    [{ runtimeConfig: { portMappings: [[]] } }, 'runtimeConfig.portMappings[0] must be an object, is []', 7],
    [{ runtimeConfig: { portMappings: [7] } }, 'runtimeConfig.portMappings[0] must be an object, is 7', 7],
    [
      { runtimeConfig: { portMappings: [{ hostPort: 1, containerPort: 1 }, { hostPort: 1 }] } },
      'runtimeConfig.portMappings[1].containerPort must be a port between 1 and 65535, is undefined',
      7,
    ],
    [{ strict: 'no' }, 'strict must be true or false, is "no"', 7],
  ])('%j', (extra, message, code) => {
    let thrown: unknown;
    try {
      parse(extra);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code });
    expect((thrown as Error).message).toContain(message);
  });
});

test.each([
  [['!', '-s', '10.0.0.0/8', '-d', '10.1.0.0/16', '-i', 'eth+']],
  [['-m', 'set', '--match-set', 'name', 'src']],
  [['-m', 'recent', '--set', '--name', 'x']],
  [['-m', 'mark', '--mark', '0x1/0x1']],
  [['-m', 'statistic', '--mode', 'random', '--probability', '0.5']],
])('conditions %j are taken as they are', (conditionsV4) => {
  expect(parse({ conditionsV4 }).conditionsV4).toEqual(conditionsV4);
});

test('masqAll marks every source, and only once', () => {
  const pod = { ip: { family: 'ipv4' as const, bytes: [10, 0, 0, 5] }, prefix: 24 };
  const rules = attachmentRules(
    parse({ ...mapping({}), masqAll: true }),
    { networkName: 'net', containerId: 'c' },
    pod,
  ).map(asPrinted);
  const chain = attachmentChain('net', 'c');
  expect(rules.map((rule) => command('-A', rule))).toEqual([
    `-A ${chain} -p tcp -m tcp --dport 80 -j CNI-HOSTPORT-SETMARK`,
    `-A ${chain} -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.5:8080`,
  ]);
});

test('an entry of the how-to is read with its owner', () => {
  const id = '08f719b16dccc6f5e7e51bd2d678ecf436c509e97a385a309938eb6ce1843a57';
  const line = `-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"cilium-portmap\\" id: \\"${id}\\"" -m multiport --dports 80 -j CNI-DN-468dd58cba3917282a108`;
  expect(parseEntries([line, '-A CNI-HOSTPORT-DNAT -j RETURN'])).toEqual([
    {
      line,
      chain: attachmentChain('cilium-portmap', id),
      protocol: 'tcp',
      ports: [80],
      owner: { networkName: 'cilium-portmap', containerId: id },
    },
  ]);
});

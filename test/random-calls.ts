import fc from 'fast-check';

// Random configurations and environments of portmap, most of them nearly valid.

const junk = fc.oneof(
  fc.constantFrom(
    null,
    '',
    0,
    -1,
    65_536,
    1e308,
    true,
    'x'.repeat(300),
    [],
    {},
    [[]],
    '\u0000',
    '-F',
    'a\nb',
  ),
  fc.jsonValue({ maxDepth: 2 }),
);
/** Mostly something that is meant. */
const nearly = <T>(arbitrary: fc.Arbitrary<T>, weight = 100) =>
  fc.oneof({ arbitrary, weight }, { arbitrary: junk as fc.Arbitrary<unknown>, weight: 1 });
/** Mostly nothing. */
const seldom = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ arbitrary: fc.constant(undefined), weight: 9 }, { arbitrary: nearly(arbitrary, 20), weight: 1 });

const mapping = fc.record(
  {
    hostPort: nearly(fc.integer({ min: 79, max: 83 })),
    containerPort: nearly(fc.integer({ min: 1, max: 65_535 })),
    protocol: nearly(fc.constantFrom('tcp', 'udp', 'sctp', 'TCP', '')),
    hostIP: nearly(
      fc.constantFrom('', '0.0.0.0', '::', '10.1.1.1', '127.0.0.1', 'fd01::1', '::1', '9.9.9.9'),
    ),
  },
  { requiredKeys: ['hostPort', 'containerPort'] },
);
const iptablesConditions = fc.constantFrom(
  ['-s', '10.0.0.0/8'],
  ['!', '-s', '10.0.0.0/8'],
  ['-i', 'eth0'],
  ['-m', 'comment', '--comment', 'it"s'],
  ['-j', 'ACCEPT'],
);
const nftConditions = fc.constantFrom(
  ['ip saddr 10.0.0.0/8'],
  ['ip', 'saddr', '!=', '10.0.0.0/8'],
  ['ip saddr 11.0.0.0/8 counter'],
  ['tcp flags syn / fin,syn', 'meta', 'hour', '"17:00"-"19:00"'],
  ['iifname', '"eth0"', 'meta', 'mark', '1'],
  ['tcp sport { 1, 2-9 }'],
  ['ip saddr 1.1.1.1 accept'],
);
const conditions = fc.oneof(iptablesConditions, nftConditions);
const address = nearly(
  fc.constantFrom('10.0.0.5/24', '10.0.0.6/32', 'fd00::5/64', 'fd00::6/128', '10.0.0.7/0'),
);
const prevResult = fc.record(
  {
    interfaces: fc.constantFrom([], [{ name: 'eth0', sandbox: '/run/netns/a' }]),
    ips: nearly(
      fc.array(fc.record({ address, interface: fc.constantFrom(0, 0, 1) }, { requiredKeys: ['address'] }), {
        minLength: 1,
        maxLength: 3,
      }),
    ),
  },
  { requiredKeys: ['ips'] },
);
const config = fc.record({
  cniVersion: nearly(
    fc.constantFrom('1.1.0', '1.1.0', '1.1.0', '1.1.0', '1.1.0', '1.0.0', '1.0.0', '0.4.0', '0.2.0'),
  ),
  name: nearly(fc.constantFrom('net', 'net', 'other', 'n'.repeat(70))),
  type: fc.constant('portmap'),
  backend: nearly(fc.constantFrom(undefined, 'iptables', 'nftables', 'nftables')),
  snat: seldom(fc.boolean()),
  masqAll: seldom(fc.boolean()),
  markMasqBit: seldom(fc.integer({ min: 0, max: 31 })),
  // Only chains that exist, or no chain's name: that a missing one is refused by iptables has a test of its own.
  externalSetMarkChain: fc.constantFrom(
    ...Array<undefined>(60).fill(undefined),
    ...['KUBE-MARK-MASQ', 'KUBE-MARK-MASQ', '', 7, '-F', 'A B', null],
  ),
  conditionsV4: seldom(conditions),
  conditionsV6: seldom(conditions),
  strict: seldom(fc.boolean()),
  capabilities: nearly(fc.constant({ portMappings: true })),
  runtimeConfig: nearly(
    fc.record({ portMappings: nearly(fc.array(mapping, { maxLength: 6, size: 'max' })) }),
  ),
  prevResult: nearly(prevResult),
  'cni.dev/valid-attachments': seldom(
    fc.constantFrom([], [{ containerID: 'a', ifname: 'eth0' }], [{ containerID: 'b', ifname: 'net1' }]),
  ),
  unknown: seldom(fc.constant(1)),
});

/** The text of a configuration: sometimes with keys in another case, sometimes cut or not JSON at all. */
const text = fc.tuple(config, fc.nat(40), fc.nat()).map(([value, kind, at]) => {
  const printed = JSON.stringify(value);
  if (kind === 0) return printed.slice(0, at % printed.length);
  if (kind === 1) return printed.replace(/"[a-z]/gi, (key) => key.toUpperCase());
  if (kind === 2)
    return `${printed.slice(0, at % printed.length)}\u0000${printed.slice(at % printed.length)}`;
  return printed;
});
/** One call: its verb, its environment and what is on standard input. */
export const call = fc.record({
  verb: fc.constantFrom('ADD', 'ADD', 'ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION', 'NONE'),
  id: fc.oneof({ arbitrary: fc.constantFrom('a', 'b', 'c'.repeat(64)), weight: 30 }, fc.string()),
  ifName: fc.oneof({ arbitrary: fc.constantFrom('eth0', 'net1', 'e"x'), weight: 30 }, fc.string()),
  text,
});
/** Calls after one another, and what the machine can do. */
export const history = fc.record({
  calls: fc.array(call, { minLength: 1, maxLength: 5, size: 'max' }),
  sandboxes: fc.record({
    a: fc.constantFrom('alive', 'alive', 'gone', 'unknown'),
    b: fc.constantFrom('alive', 'alive', 'gone', 'unknown'),
  }),
  unusable: fc.constantFrom(undefined, undefined, undefined, undefined, 'ipv4', 'ipv6', 'nft'),
});

export type History = typeof history extends fc.Arbitrary<infer T> ? T : never;
export type Call = History['calls'][number];

import fc from 'fast-check';
import type { NftFamily } from '../../../util/family.ts';
import type { TableFamily } from '../../read/model.ts';
import { addressOf, type Documents, type Origin, type Probe } from './kernel-trace.ts';

// Rule sets that the tools accept, of which packets meet some, and the packets. They shrink to fewer tables, chains, rules, conditions.

const PORTS = [80, 81, 8080, 8081, 9000];
const ADDRESSES: Record<NftFamily, string[]> = {
  ip: ['10.78.0.2', '10.78.0.3', '10.88.1.2', '10.88.2.2', '10.88.1.1'],
  ip6: ['fd78::2', 'fd78::3', 'fd88:1::2', 'fd88:2::2', 'fd88:1::1'],
};
const NETWORKS: Record<NftFamily, string[]> = {
  ip: ['10.78.0.0/24', '10.88.0.0/16', '10.88.1.2/32', '10.78.0.3/32', '127.0.0.0/8', '0.0.0.0/0'],
  ip6: ['fd78::/64', 'fd88::/16', 'fd88:1::2/128', 'fd78::3/128', '::1/128'],
};
const LOOPBACK = { ip: '127.0.0.1', ip6: '::1' } as const;
const UNROUTABLE = { ip: '10.99.0.1', ip6: 'fd99::1' } as const;
const LINKS = ['to-outside', 'to-a', 'to-b'];
const STATES = ['new', 'established', 'related', 'invalid', 'untracked'];

/** A rule set and packets for it. */
export interface Draw {
  documents: Documents;
  probes: Probe[];
}

const of = <T>(...values: T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
/** Texts with the values of arbitraries in them. */
function text(parts: TemplateStringsArray, ...values: fc.Arbitrary<string | number>[]): fc.Arbitrary<string> {
  return fc.tuple(...values).map((drawn) => String.raw({ raw: parts }, ...drawn));
}

export const draws: fc.Arbitrary<Draw> = fc.record({
  documents: fc
    .record(
      { nft: nftDocuments(), ip: iptablesDocuments('ip'), ip6: iptablesDocuments('ip6') },
      { requiredKeys: [] },
    )
    .filter((documents) => Object.keys(documents).length > 0),
  probes: fc.array(probes(), { minLength: 1, maxLength: 6, size: 'max' }),
});

function probes(): fc.Arbitrary<Probe> {
  return of<NftFamily>('ip', 'ip', 'ip6').chain((family) =>
    of<Origin>('outside', 'outside', 'a', 'b', 'node').chain((from) => {
      const mine = addressOf(from, family);
      const destinations = [...ADDRESSES[family], UNROUTABLE[family]].filter((address) => address !== mine);
      const names = [
        ...(['udp', 'udp', 'udp', 'tcp', 'tcp', 'sctp'] as const),
        // Each with a port or number of its own: the connection of another packet would be no new one.
        family === 'ip' ? ('icmp' as const) : ('icmpv6' as const),
      ];
      return fc
        .record({
          destination: from === 'node' ? of(...destinations, LOOPBACK[family]) : of(...destinations),
          protocol: of<Probe['protocol']>(...names),
          destinationPort: of(...PORTS),
          mark: from === 'node' ? of(0, 0, 1, 2, 3) : fc.constant(0),
          state: of<Probe['state']>('new', 'new', 'new', 'new', 'established', 'invalid'),
        })
        .map((drawn): Probe => {
          const source = drawn.destination === LOOPBACK[family] ? drawn.destination : mine;
          const { state, protocol, destination } = drawn;
          // A way back is needed, and the kernel looks at checksums of what comes in only.
          const possible =
            state === 'established'
              ? protocol === 'udp' && destination !== UNROUTABLE[family] && from !== 'node'
              : state === 'invalid'
                ? from !== 'node'
                : true;
          return { ...drawn, from, family, source, state: possible ? state : 'new' };
        });
    }),
  );
}

function nftDocuments(): fc.Arbitrary<string> {
  return fc
    .array(of<TableFamily>('ip', 'ip', 'ip6', 'inet', 'inet').chain(nftTable), { minLength: 1, maxLength: 2 })
    .map((tables) => tables.map((body, i) => body.replaceAll('NAME', `t${i}`)).join(''));
}

function nftTable(family: TableFamily): fc.Arbitrary<string> {
  const families: NftFamily[] = family === 'inet' ? ['ip', 'ip6'] : [family];
  const matches = families.flatMap(nftMatches);
  if (family === 'inet') matches.push(text`meta nfproto ${of('ipv4', 'ipv6')}`);
  const condition = fc.oneof(fc.constant([]), fc.array(fc.oneof(...matches), { maxLength: 2 }));
  /** Verdict maps name chains that come later only: the kernel refuses loops. */
  const verdicts = (below: string[]) =>
    of(
      'accept',
      'drop',
      'return',
      'continue',
      ...below.flatMap((chain) => [`jump ${chain}`, `goto ${chain}`]),
    );
  const plain = (below: string[]) => {
    const verdict = verdicts(below);
    const address = of(...families).chain((each) =>
      text`${of(`${each} saddr`, `${each} daddr`)} vmap { ${of(...ADDRESSES[each])} : ${verdict}, ${of(addressOf('outside', each), addressOf('a', each))} : ${verdict} }`.filter(
        hasDistinctKeys,
      ),
    );
    return fc.oneof(
      { weight: 6, arbitrary: verdict },
      { weight: 4, arbitrary: nftMarks(families) },
      { weight: 2, arbitrary: text`th dport vmap { 80 : ${verdict}, 8080-8081 : ${verdict} }` },
      {
        weight: 1,
        arbitrary: text`meta l4proto . th dport vmap { udp . 80 : ${verdict}, tcp . 81-8080 : ${verdict} }`,
      },
      { weight: 1, arbitrary: text`meta mark & 0x3 vmap { 0 : ${verdict}, 1 : ${verdict}, 2 : ${verdict} }` },
      {
        weight: 1,
        arbitrary: text`ct state vmap { new : ${verdict}, established : ${verdict}, invalid : ${verdict} }`,
      },
      {
        weight: 1,
        arbitrary: text`iifname vmap { "to-a" : ${verdict}, "to-outside" : ${verdict}, "lo" : ${verdict} }`,
      },
      { weight: 1, arbitrary: address },
      { weight: 2, arbitrary: odd(families) },
    );
  };
  const rules = (action: fc.Arbitrary<string>, maxLength: number) =>
    fc
      .array(
        fc
          .tuple(condition, action)
          .filter(([conditions, what]) => agrees([...conditions, what]))
          .map(([conditions, what]) => [...conditions, what].join(' ')),
        { maxLength, size: 'max' },
      )
      .map((lines) => lines.join('\n'));
  const filters = ['u1', 'u2', 'u3'];
  const dnats = fc.oneof(
    { weight: 2, arbitrary: plain(filters) },
    { weight: 3, arbitrary: destinations(families, family) },
  );
  const snats = (hook: string) =>
    fc.oneof(
      { weight: 2, arbitrary: plain(filters) },
      { weight: 3, arbitrary: sources(families, family, hook) },
    );
  const base = (hook: string, type: string, priorities: number[], action: fc.Arbitrary<string>) =>
    fc
      .tuple(
        of(...priorities),
        of('accept', 'accept', 'accept', 'accept', 'accept', 'drop'),
        rules(action, 3),
      )
      .map(
        ([priority, policy, lines]) =>
          `chain ${hook}-${type}${priority} { type ${type} hook ${hook} priority ${priority}; policy ${policy};\n${lines}\n}\n`,
      );
  const filter = plain(filters);
  const refusing = fc.oneof({ weight: 6, arbitrary: filter }, { weight: 1, arbitrary: rejects(family) });
  const raw = fc.oneof(
    { weight: 2, arbitrary: filter },
    { weight: 1, arbitrary: of('notrack', 'ct zone set 1', 'ct original zone set 2') },
  );
  const chains = fc.uniqueArray(
    fc.oneof(
      { weight: 3, arbitrary: base('prerouting', 'nat', [-110, -100, 50], dnats) },
      { weight: 2, arbitrary: base('output', 'nat', [-110, -100], dnats) },
      { weight: 3, arbitrary: base('postrouting', 'nat', [90, 100], snats('postrouting')) },
      { weight: 1, arbitrary: base('input', 'nat', [90, 100], snats('input')) },
      { weight: 1, arbitrary: base('prerouting', 'filter', [-310, -300], raw) },
      { weight: 1, arbitrary: base('output', 'filter', [-310, -300], raw) },
      { weight: 2, arbitrary: base('prerouting', 'filter', [-150, -99, 0], refusing) },
      { weight: 1, arbitrary: base('output', 'route', [-150, -90], filter) },
      ...['input', 'forward', 'output'].map((hook) => ({
        weight: 2,
        arbitrary: base(hook, 'filter', [-150, 0, 0, 10], refusing),
      })),
      { weight: 1, arbitrary: base('postrouting', 'filter', [-150, 0, 110], filter) },
    ),
    // A chain is named after what makes it a base chain.
    { maxLength: 6, size: 'max', selector: (chain) => chain.split(' ', 2)[1] },
  );
  return fc
    .tuple(chains, rules(plain(['u2', 'u3']), 2), rules(plain(['u3']), 2), rules(plain([]), 2))
    .map(([bases, u1, u2, u3]) => {
      // Before they are referred to.
      const others = `chain u3 {\n${u3}\n}\nchain u2 {\n${u2}\n}\nchain u1 {\n${u1}\n}\n`;
      return `table ${family} NAME {\n${sets(families)}${others}${bases.join('')}}\n`;
    });
}

/** nft wants one network layer and one transport in a rule; it derives them from what is asked. */
function agrees(parts: readonly string[]): boolean {
  const line = parts.join(' ');
  const layers = [/\b(ip (?!nexthdr)|nfproto ipv4|original ip )/, /\b(ip6 |nfproto ipv6)/].filter((pattern) =>
    pattern.test(line),
  );
  const transports = [...line.matchAll(/\b(udp|tcp|sctp) (?:[sd]port|flags|option)/g)].map(
    ([, name]) => name!,
  );
  const asked = [...line.matchAll(/(?:l4proto|ip protocol|nexthdr) (?:!= )?(\{[^}]*\}|[\w-]+)/g)].map(
    ([, name]) => name!,
  );
  return layers.length < 2 && new Set([...transports, ...asked]).size < 2;
}

function hasDistinctKeys(map: string): boolean {
  const keys = [...map.matchAll(/(\S+) : /g)].map(([, key]) => key);
  return new Set(keys).size === keys.length;
}

function sets(families: readonly NftFamily[]): string {
  const ofFamily = families.map((family) => {
    const [a, b, c, d] = ADDRESSES[family];
    const type = family === 'ip' ? 'ipv4_addr' : 'ipv6_addr';
    return `set addresses-${family} { type ${type}; elements = { ${b}, ${c} } }
set networks-${family} { type ${type}; flags interval; elements = { ${NETWORKS[family][0]}, ${d} } }
map hosts-${family} { type inet_proto . inet_service : ${type} . inet_service; elements = { udp . 80 : ${c} . 8080, udp . 81 : ${d} . 9000, tcp . 80 : ${d} . 8081 } }
map marks-${family} { type ${type} : mark; elements = { ${a} : 1, ${c} : 2 } }
map verdicts-${family} { type ${type} . inet_service : verdict; flags interval; elements = { ${a} . 80-81 : drop, ${c} . 8080 : accept, ${b} . 81 : return } }
`;
  });
  return `set ports { type inet_service; flags interval; elements = { 81, 8081-9000 } }
set marks { type mark; elements = { 1, 2 } }
set seen { type inet_service; flags dynamic; size 3; }
${ofFamily.join('')}`;
}

function nftMatches(family: NftFamily): fc.Arbitrary<string>[] {
  const op = of('', '', '', '!= ');
  const address = of(
    ...ADDRESSES[family],
    ...NETWORKS[family].filter((network) => network !== '0.0.0.0/0'),
    `${ADDRESSES[family][0]}-${ADDRESSES[family][1]}`,
    `@addresses-${family}`,
    `@networks-${family}`,
    `{ ${ADDRESSES[family][2]}, ${NETWORKS[family][0]} }`,
  );
  const port = of(...PORTS.map(String), '80-81', '{ 80, 8080-9000 }', '@ports', '>= 8080', '< 81');
  const portTest = fc.tuple(op, port).map(([not, value]) => (/^[<>]/.test(value) ? value : `${not}${value}`));
  const link = of(...LINKS.map((name) => `"${name}"`), '"to-*"', '"lo"', '{ "to-a", "lo" }');
  const direct = of(...ADDRESSES[family]);
  return [
    text`${family === 'ip' ? of('ip saddr', 'ip daddr') : of('ip6 saddr', 'ip6 daddr')} ${op}${address}`,
    text`${of('udp', 'udp', 'tcp', 'th', 'sctp')} dport ${portTest}`,
    text`${of('udp', 'tcp', 'th')} sport ${of('1-1023', '>= 1024', '!= 20000-65535')}`,
    text`${of(`${family} daddr . udp dport`)} { ${direct} . 80, ${direct} . 8080-8081 }`,
    text`${of(`${family} daddr . th dport`, `${family} saddr . th dport`)} ${op}{ ${direct} . ${of(...PORTS)} }`,
    text`meta mark & ${of('0x3', '0x1', '0xffffff02')} ${of('==', '!=')} ${of(0, 1, 2)}`,
    text`meta mark ${of('1', '!= 2', '1-2', '{ 1, 3 }', '@marks', '!= @marks', '>= 2')}`,
    text`fib ${of('daddr', 'saddr')} type ${op}${of('local', 'unicast', '{ local, multicast }', 'broadcast')}`,
    text`ct state ${op}${of(...STATES, 'established,related', '{ new, untracked }', '{ established, related }')}`,
    text`ct status ${of('dnat', 'snat', '!= dnat', 'confirmed', 'dnat,snat', 'seen-reply')}`,
    text`ct mark ${of('1', '!= 1', '0', '1-3', '{ 1, 2 }')}`,
    text`ct direction ${of('original', 'reply')}`,
    text`ct original ${of(family)} ${of('daddr', 'saddr')} ${op}${direct}`,
    text`meta l4proto ${of('udp', 'tcp')} ct original proto-dst ${op}${of(...PORTS)}`,
    text`${of('iifname', 'oifname')} ${op}${link}`,
    text`${of('iif', 'oif')} ${op}${of('"lo"', '"to-a"', '"to-outside"')}`,
    text`meta l4proto ${of('udp', 'tcp', '!= sctp', '{ tcp, udp }', 'icmp', 'ipv6-icmp', '99')}`,
    ...(family === 'ip'
      ? [text`ip protocol ${op}${of('udp', 'tcp', '99')}`]
      : [text`ip6 nexthdr ${op}${of('udp', 'tcp')}`]),
    // What is not modelled. (Not `ct l3proto` and `meta iiftype`: nft takes them for something that an address implies, and leaves them out.)
    of(
      'meta length < 40',
      'meta pkttype host',
      'ct expiration < 10s',
      'limit rate 100/second',
      'meta skuid 0',
      'ct bytes > 10',
    ),
    of(
      `${family === 'ip' ? 'ip ttl' : 'ip6 hoplimit'} 64`,
      'tcp flags syn',
      'meta random 0',
      'meta cpu 0',
      'limit rate over 1/hour',
    ),
    of('rt classid 0', 'meta l4proto udp ct reply proto-dst 80', 'quota over 1 mbytes'),
    of('numgen inc mod 2 0', 'jhash th dport mod 2 0'),
  ];
}

function nftMarks(families: readonly NftFamily[]): fc.Arbitrary<string> {
  return fc.oneof(
    text`meta mark set ${of(0, 1, 2, 3)}`,
    text`meta mark set meta mark ${of('|', '&', '^')} ${of('0x1', '0x2', '0xfffffffe')}`,
    text`meta mark set meta mark & 0xfffffffc | ${of(1, 2, 3)}`,
    text`ct mark set ${of(0, 1, 2)}`,
    of(
      'ct mark set meta mark',
      'meta mark set ct mark',
      'ct mark set meta mark & 0x1',
      'meta mark set ct mark & 0x2',
      'ct mark set ct mark | 0x2',
      'meta mark set ct mark | 0x1',
      'meta mark set th dport map { 80 : 1, 81 : 2, 8080-9000 : 3 }',
      'ct mark set meta mark map { 0 : 1, 1 : 2 }',
      'meta mark set meta mark << 1',
      'meta mark set numgen inc mod 4',
      ...families.map((family) => `meta mark set ${family} daddr map @marks-${family}`),
    ),
    text`meta mark set ${of(1, 2)} ${of('accept', 'drop', 'return')}`,
  );
}

/** Statements that change nothing, or what is not modelled. */
function odd(families: readonly NftFamily[]): fc.Arbitrary<string> {
  return of(
    'counter',
    'log',
    'counter accept',
    'meta priority set 1:1',
    'add @seen { th dport } drop',
    'update @seen { th dport } accept',
    'add @seen { th dport limit rate over 1/hour } drop',
    'ct event set new accept',
    'udp dport set 81',
    'tcp dport set 8080',
    'tcp sport set 80',
    'tcp option maxseg size set 1000',
    'udp dport 80 udp dport set 8080 accept',
    ...families.flatMap((family) => [
      `${family} daddr set ${ADDRESSES[family][3]}`,
      `${family} saddr set ${ADDRESSES[family][4]}`,
      `${family} ${family === 'ip' ? 'ttl' : 'hoplimit'} set 3`,
      `${family} daddr . th dport vmap @verdicts-${family}`,
    ]),
  );
}

function rejects(family: TableFamily): fc.Arbitrary<string> {
  return family === 'inet'
    ? of('reject', 'reject with icmpx admin-prohibited', 'meta l4proto tcp reject with tcp reset')
    : of('reject', 'meta l4proto tcp reject with tcp reset');
}

function written(each: NftFamily, address: string, port: string): string {
  const host = each === 'ip6' && port !== '' ? `[${address}]` : address;
  return `${host}${port}`;
}

function destinations(families: readonly NftFamily[], family: TableFamily): fc.Arbitrary<string> {
  return of(...families).chain((each) => {
    const named = family === 'inet' ? ` ${each}` : '';
    const [, , a, b] = ADDRESSES[each];
    const addresses = of(a!, b!, ADDRESSES[each][0]!, UNROUTABLE[each]);
    return fc.oneof(
      addresses.map((address) => `dnat${named} to ${address}`),
      fc
        .tuple(of('udp', 'tcp', '{ tcp, udp }'), addresses, of(':8080', ':81', ':8000-9000'))
        .map(
          ([protocol, address, port]) =>
            `meta l4proto ${protocol} dnat${named} to ${written(each, address, port)}`,
        ),
      of('redirect', 'meta l4proto { tcp, udp } redirect to :8081', 'meta l4proto tcp redirect to :80-81'),
      fc.constant(`meta l4proto { tcp, udp } dnat${named} to meta l4proto . th dport map @hosts-${each}`),
      fc.constant(`dnat${named} to udp dport map { 80 : ${a}, 8080 : ${b} }`),
      fc.constant(
        `dnat${named} to ${each} saddr map { ${addressOf('outside', each)} : ${a}, ${addressOf('b', each)} : ${a} }`,
      ),
      fc.constant(`dnat${named} to numgen inc mod 2 map { 0 : ${a}, 1 : ${b} }`),
      fc.constant(`dnat${named} to ${a}-${ADDRESSES[each][2]!.replace(/2$/, '9')}`),
      ...(family === 'inet' ? [] : [fc.constant('meta l4proto { tcp, udp } dnat to :8080')]),
    );
  });
}

function sources(families: readonly NftFamily[], family: TableFamily, hook: string): fc.Arbitrary<string> {
  return of(...families).chain((each) => {
    const named = family === 'inet' ? ` ${each}` : '';
    const address = each === 'ip' ? '10.78.0.88' : 'fd78::88';
    return fc.oneof(
      fc.constant(`snat${named} to ${address}`),
      fc.constant(`meta l4proto { tcp, udp } snat${named} to ${written(each, address, ':1024-65535')}`),
      fc.constant(
        `snat${named} to ${each} saddr map { ${addressOf('outside', each)} : ${address}, ${addressOf('a', each)} : ${addressOf('b', each)} }`,
      ),
      ...(hook === 'input'
        ? []
        : [of('masquerade', 'masquerade random', 'meta l4proto { tcp, udp } masquerade to :1024-65535')]),
    );
  });
}

const HOOKS_OF: Record<string, string[]> = {
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
};

function iptablesDocuments(family: NftFamily): fc.Arbitrary<string> {
  return fc
    .uniqueArray(
      of('nat', 'nat', 'filter', 'mangle', 'raw').chain((name) => iptablesTable(name, family)),
      {
        minLength: 1,
        maxLength: 3,
        selector: (document) => document.split('\n', 1)[0],
      },
    )
    .map((tables) => tables.join(''));
}

function iptablesTable(name: string, family: NftFamily): fc.Arbitrary<string> {
  const chain = (hook: string, maxLength: number, below: string[]) =>
    fc.array(
      iptablesRule(name, hook, family, below).map((rule) => `-A ${hook} ${rule}\n`),
      { maxLength, size: 'max' },
    );
  const hooks = HOOKS_OF[name]!;
  return fc
    .tuple(
      fc.tuple(...hooks.map(() => of('ACCEPT', 'ACCEPT', 'ACCEPT', 'ACCEPT', 'DROP'))),
      fc.tuple(...hooks.map((hook) => chain(hook, 3, ['U1', 'U2']))),
      chain('U1', 2, ['U2']),
      chain('U2', 2, []),
    )
    .map(([policies, rules, u1, u2]) => {
      const declared = hooks.map((hook, i) => `:${hook} ${name === 'nat' ? 'ACCEPT' : policies[i]} [0:0]\n`);
      return `*${name}\n${declared.join('')}:U1 - [0:0]\n:U2 - [0:0]\n${[...rules.flat(), ...u1, ...u2].join('')}COMMIT\n`;
    });
}

function iptablesRule(name: string, hook: string, family: NftFamily, below: string[]): fc.Arbitrary<string> {
  const not = of('', '', '', '! ');
  const network = of(...NETWORKS[family].filter((each) => each !== '0.0.0.0/0'), ...ADDRESSES[family]);
  const port = of(...PORTS.map(String), '80:81', '8080:9000');
  const [first, second] = ADDRESSES[family];
  const conditions: fc.Arbitrary<string>[] = [
    text`${not}${of('-s', '-d')} ${network}`,
    text`-m mark ${not}--mark ${of('0x0/0x3', '0x1/0x1', '0x2', '0x1/0x3')}`,
    text`-m connmark ${not}--mark ${of('0x0/0x3', '0x1/0x1', '0x2')}`,
    text`-m addrtype ${not}${of('--dst-type', '--src-type')} ${of('LOCAL', 'UNICAST', 'LOCAL,MULTICAST')}`,
    text`-m conntrack ${not}--ctstate ${of('NEW', 'DNAT', 'SNAT', 'RELATED,ESTABLISHED', 'ESTABLISHED,SNAT', 'INVALID,UNTRACKED')}`,
    text`-m conntrack ${not}${of('--ctorigdst', '--ctorigsrc')} ${of(...ADDRESSES[family], NETWORKS[family][0]!)}`,
    text`-m conntrack ${not}--ctorigdstport ${of(...PORTS)}`,
    text`-m conntrack --ctdir ${of('ORIGINAL', 'REPLY')}`,
    text`-m conntrack ${not}--ctstatus ${of('NONE', 'CONFIRMED', 'SEEN_REPLY', 'ASSURED,CONFIRMED')}`,
    text`-m state --state ${of('NEW', 'ESTABLISHED', 'INVALID')}`,
    text`-m iprange ${not}${of('--dst-range', '--src-range')} ${of(`${first}-${second}`)}`,
    text`-m pkttype ${not}--pkt-type ${of('host', 'unicast')}`,
    of(
      '-m limit --limit 10/sec',
      '-m statistic --mode nth --every 2 --packet 0',
      '-m length --length 0:40',
      '-m comment --comment "hello -j DROP"',
    ),
    of(
      '-m rpfilter',
      '-m socket --transparent',
      '-m physdev ! --physdev-is-bridged',
      '-m connbytes --connbytes 0:9 --connbytes-dir both --connbytes-mode packets',
      '-m dscp --dscp 0x2a',
    )
      .filter(
        (match) =>
          !match.includes('rpfilter') || (hook === 'PREROUTING' && (name === 'raw' || name === 'mangle')),
      )
      .filter(
        (match) =>
          !match.includes('socket') || ((hook === 'PREROUTING' || hook === 'INPUT') && name !== 'nat'),
      ),
  ];
  if (['PREROUTING', 'FORWARD', 'INPUT', 'U1', 'U2'].includes(hook)) {
    conditions.push(text`${not}-i ${of(...LINKS, 'to-+', 'lo')}`);
  }
  if (['POSTROUTING', 'FORWARD', 'OUTPUT', 'U1', 'U2'].includes(hook)) {
    conditions.push(text`${not}-o ${of(...LINKS, 'to-+', 'lo')}`);
  }
  const protocols = fc.oneof(
    { weight: 3, arbitrary: fc.constant('') },
    { weight: 1, arbitrary: text`${not}-p ${of('udp', 'tcp', '99', 'sctp')}` },
    {
      weight: 2,
      arbitrary: text`-p ${of('udp -m udp', 'tcp -m tcp', 'sctp -m sctp')} ${not}--dport ${port}`,
    },
    {
      weight: 2,
      arbitrary: text`-p ${of('udp', 'tcp')} -m multiport ${not}${of('--dports', '--ports')} ${of(...PORTS)},${port}`,
    },
    { weight: 1, arbitrary: text`-p tcp -m tcp ${of('--syn', '--tcp-flags SYN,ACK SYN', '! --syn')}` },
  );
  const always = [
    '-j RETURN',
    '-j ACCEPT',
    '-j DROP',
    '-j LOG',
    '',
    ...below.flatMap((chain) => [`-j ${chain}`, `-g ${chain}`]),
  ].filter((target) => target !== '-j DROP' || name !== 'nat');
  const marks = text`-j ${of('MARK --set-xmark', 'CONNMARK --set-xmark')} ${of('0x1/0x1', '0x2/0x3', '0x3/0x0', '0x0/0xffffffff')}`;
  const copies = of(
    '-j CONNMARK --save-mark',
    '-j CONNMARK --restore-mark',
    '-j CONNMARK --restore-mark --nfmask 0x1 --ctmask 0x1',
  );
  const targets: fc.Arbitrary<string>[] = [of(...always), of(...always)];
  const host = (address: string, ports: string) => written(family, address, ports);
  if (name === 'mangle') {
    targets.push(marks, marks, copies);
    if (hook === 'PREROUTING') {
      targets.push(of('-p tcp -j TPROXY --on-port 80 --tproxy-mark 0x1/0x1'));
    }
    targets.push(of('-j DSCP --set-dscp 0x2b', `-j ${family === 'ip' ? 'TTL --ttl-set' : 'HL --hl-set'} 9`));
    if (hook === 'POSTROUTING') targets.push(fc.constant('-j CLASSIFY --set-class 1:1'));
  } else if (name === 'raw') {
    if (hook !== 'U1' && hook !== 'U2')
      targets.push(of('-j CT --notrack', '-j NOTRACK', '-j CT --zone 1', '-j CT --zone-orig 1'));
    targets.push(copies);
  } else if (name === 'filter') {
    targets.push(of('-j REJECT', '-p tcp -j REJECT --reject-with tcp-reset'));
    targets.push(marks);
  } else if (hook === 'PREROUTING' || hook === 'OUTPUT') {
    const a = ADDRESSES[family][2]!;
    const b = ADDRESSES[family][3]!;
    targets.push(
      of(
        `-j DNAT --to-destination ${a}`,
        `-p udp -j DNAT --to-destination ${host(b, ':8080')}`,
        `-p tcp -j DNAT --to-destination ${host(a, ':81')}`,
        '-p udp -j REDIRECT --to-ports 81',
        '-j REDIRECT',
      ),
      of(
        `-p udp -j DNAT --to-destination ${host(a, ':8000-9000')}`,
        `-p tcp -j DNAT --to-destination :8080`,
        '-p tcp -j REDIRECT --to-ports 80-81',
        `-j NETMAP --to ${family === 'ip' ? '10.88.2.0/24' : 'fd88:2::/64'}`,
      ),
      marks,
    );
  } else if (hook === 'POSTROUTING' || hook === 'INPUT') {
    const address = family === 'ip' ? '10.78.0.88' : 'fd78::88';
    targets.push(
      of(`-j SNAT --to-source ${address}`, `-p udp -j SNAT --to-source ${host(address, ':1024-65535')}`),
      marks,
    );
    if (hook === 'POSTROUTING')
      targets.push(
        of('-j MASQUERADE', '-p tcp -j MASQUERADE --to-ports 1024-65535', '-j MASQUERADE --random-fully'),
      );
  }
  return fc

    .tuple(
      fc.oneof(fc.constant([]), fc.array(fc.oneof(...conditions), { maxLength: 2 })),
      protocols,
      fc.oneof(...targets),
    )
    .filter(([conditions, protocol, target]) => once([...conditions, protocol, target]))
    .map(([conditions, protocol, target]) =>
      [protocol, ...conditions, target].filter((part) => part !== '').join(' '),
    );
}

/** iptables takes each option and each match once. */
function once(parts: readonly string[]): boolean {
  const words = parts.join(' ').match(/(?<= |^)(-[sdiopm]( [a-z]+)?)(?= |$)/g) ?? [];
  const options = words.map((word) => (word.startsWith('-m') ? word : word.slice(0, 2)));
  return new Set(options).size === options.length;
}

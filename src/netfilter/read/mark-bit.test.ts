import { describe, expect, test } from 'bun:test';
import { comparesBit, markClashes, markField, markFields } from './mark-bit.ts';
import type { Rule, Ruleset } from './model.ts';
import { readRuleset } from './read-ruleset.ts';

/** Rules of iptables by table, and of nft. */
interface Foreign {
  raw?: string[];
  mangle?: string[];
  filter?: string[];
  /** Of nat, before portmap's and behind it. */
  nat?: string[];
  behind?: string[];
  nft?: unknown[];
  /** There is no mapping yet, and so nothing of portmap's. */
  unmapped?: true;
}

const BUILT_IN: Record<string, string[]> = {
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
};

const OWN = [
  ':CNI-HOSTPORT-DNAT - [0:0]',
  ':CNI-HOSTPORT-MASQ - [0:0]',
  ':CNI-HOSTPORT-SETMARK - [0:0]',
  '-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
  '-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
  '-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ',
  '-A CNI-HOSTPORT-DNAT -p tcp -m tcp --dport 80 -j CNI-HOSTPORT-SETMARK',
  '-A CNI-HOSTPORT-DNAT -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.2:8080',
  '-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE',
  '-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000',
];

function rulesetOf({ nat = [], behind = [], nft = [], unmapped, ...rest }: Foreign): Ruleset {
  const tables: Record<string, string[]> = {
    ...rest,
    nat: [...nat, ...(unmapped ? [] : OWN), ...behind],
  };
  const text = Object.entries(tables).flatMap(([name, rules]) => [
    `*${name}`,
    ...BUILT_IN[name]!.map((chain) => `:${chain} ACCEPT [0:0]`),
    ...rules.filter((rule) => rule.startsWith(':')),
    ...rules.filter((rule) => !rule.startsWith(':')),
    'COMMIT',
  ]);
  return readRuleset({
    iptables: [{ backend: 'iptables-nft', family: 'ip', text: `${text.join('\n')}\n` }],
    nft: JSON.stringify({ nftables: nft }),
  });
}

const isOwn = ({ location }: Rule) => location.chain.startsWith('CNI-') || location.table === 'hostport';

/** What rules do to portmap's bit, each with the chain that it is in. */
function clashes(foreign: Foreign, bit = 13, devices?: readonly string[]): string[] {
  return markClashes(rulesetOf(foreign), 'ip', bit, isOwn, devices).map(({ rule, does }) => {
    const { table, chain } = rule.location;
    return `${does} ${table} ${chain}`;
  });
}

const MARKED = '-m mark --mark 0x2000/0x2000';
const SET = '-j MARK --set-xmark 0x2000/0x2000';
const CLEAR = '-j MARK --set-xmark 0x0/0x2000';
const SAVE = '-j CONNMARK --save-mark';
const RESTORE = '-j CONNMARK --restore-mark';

type Table = 'raw' | 'mangle' | 'filter' | 'nat' | 'behind';

describe('a rule counts where packets of hostPorts pass with the bit, or would be given it before they are masqueraded', () => {
  const { raw, mangle, filter, nat } = BUILT_IN;
  const places: [Table, string, drop: string[], set: string[], clear: string[]][] = [
    ['raw', 'PREROUTING', [], ['sets'], []],
    ['raw', 'OUTPUT', [], ['sets'], []],
    ['mangle', 'PREROUTING', [], ['sets'], []],
    ['mangle', 'INPUT', [], [], []],
    ['mangle', 'FORWARD', ['acts'], ['sets'], ['clears']],
    ['mangle', 'OUTPUT', [], ['sets'], []],
    ['mangle', 'POSTROUTING', ['acts'], ['sets'], ['clears']],
    ['filter', 'INPUT', [], [], []],
    ['filter', 'FORWARD', ['acts'], ['sets'], ['clears']],
    ['filter', 'OUTPUT', ['acts'], ['sets'], ['clears']],
    ['nat', 'PREROUTING', [], ['sets'], []],
    ['nat', 'INPUT', [], [], []],
    ['nat', 'OUTPUT', [], ['sets'], []],
    ['nat', 'POSTROUTING', ['acts'], ['sets'], ['clears']],
    // What is masqueraded comes to no rule of nat behind that.
    ['behind', 'POSTROUTING', [], [], []],
  ];

  test('every place is in the table', () => {
    const all = [raw, mangle, filter, nat, ['POSTROUTING']].flat();
    expect(places.map(([, chain]) => chain)).toEqual(all as string[]);
  });

  test.each(places)('%s %s', (table, chain, drop, set, clear) => {
    const found = (rule: string) =>
      clashes({ [table]: [`-A ${chain} ${rule}`] }).map((each) => each.split(' ')[0]!);
    expect(found(`${MARKED} -j DROP`)).toEqual(drop);
    expect(found(SET)).toEqual(set);
    expect(found(CLEAR)).toEqual(clear);
  });

  test('a chain counts by who leads to it, and not at all when nobody does', () => {
    const chain = [':MINE - [0:0]', `-A MINE ${MARKED} -j DROP`];
    expect(clashes({ mangle: chain })).toEqual([]);
    expect(clashes({ mangle: [...chain, '-A PREROUTING -j MINE'] })).toEqual([]);
    expect(clashes({ mangle: [...chain, '-A PREROUTING -j MINE', '-A FORWARD -g MINE'] })).toEqual([
      'acts mangle MINE',
    ]);
  });

  test('where nothing is mapped yet, portmap will be first in nat', () => {
    expect(clashes({ unmapped: true, nat: [`-A POSTROUTING ${SET}`] })).toEqual([]);
    expect(clashes({ unmapped: true, nat: [`-A PREROUTING ${SET}`] })).toEqual(['sets nat PREROUTING']);
  });
});

describe('a comparison counts when it asks for the bit', () => {
  test.each<[string, boolean]>([
    ['--mark 0x2000/0x2000', true],
    ['! --mark 0x2000/0x2000', true],
    ['--mark 0x2000', true],
    ['! --mark 0x2000', true],
    ['--mark 0x2a00/0xfffffeff', true],
    ['! --mark 0x2a00/0xfffffeff', true],
    ['--mark 0x3000/0xf000', true],
    // Unset, as it is on most packets and not on these.
    ['--mark 0x0/0x2000', true],
    ['! --mark 0x0/0x2000', true],
    ['--mark 0x0/0xf000', true],
    ['! --mark 0x0/0xf000', true],
    // Unset, on packets that somebody else has marked.
    ['--mark 0xa00/0xfffffeff', false],
    ['! --mark 0xa00/0xfffffeff', false],
    ['--mark 0x1000/0xf000', false],
    ['--mark 0x1', false],
    // Another field.
    ['--mark 0x200/0xf00', false],
    ['! --mark 0xe00/0xf00', false],
    ['--mark 0x4000/0x4000', false],
    ['--mark 0x0/0xf00', false],
    // Any mark at all, or none: no choice of a bit changes that.
    ['--mark 0x0', false],
    ['! --mark 0x0', false],
  ])('%s', (match, counts) => {
    expect(clashes({ filter: [`-A FORWARD -m mark ${match} -j DROP`] })).toEqual(
      counts ? ['acts filter FORWARD'] : [],
    );
    expect(clashes({ filter: [`-A INPUT -m mark ${match} -j DROP`] })).toEqual([]);
  });

  test('also of the highest bit', () => {
    const rule = ['-A FORWARD -m mark --mark 0x80000000/0x80000000 -j DROP'];
    expect(clashes({ filter: rule }, 31)).toEqual(['acts filter FORWARD']);
    expect(clashes({ mangle: ['-A PREROUTING -j MARK --set-xmark 0x80000000/0x80000000'] }, 31)).toEqual([
      'sets mangle PREROUTING',
    ]);
    expect(clashes({ mangle: ['-A FORWARD -j MARK --set-xmark 0x0/0x80000000'] }, 31)).toEqual([
      'clears mangle FORWARD',
    ]);
    expect(clashes({ filter: rule }, 30)).toEqual([]);
  });
});

describe('a comparison counts when something is done then', () => {
  const chains = [
    ':LOGS - [0:0]',
    ':RETURNS - [0:0]',
    ':NESTS - [0:0]',
    ':DROPS - [0:0]',
    ':LOOPS - [0:0]',
    '-A LOGS -j LOG',
    '-A RETURNS -p tcp -j RETURN',
    '-A NESTS -j LOGS',
    '-A NESTS -j DROPS',
    '-A DROPS -p udp -j DROP',
    '-A LOOPS -j LOOPS',
  ];
  test.each<[string, boolean]>([
    ['-j DROP', true],
    ['-j ACCEPT', true],
    ['-j RETURN', true],
    ['-j REJECT --reject-with icmp-port-unreachable', true],
    ['-j QUEUE', true],
    ['-j MARK --set-xmark 0x1/0x1', true],
    ['-j MARK --set-xmark 0x0/0x0', false],
    ['-j MARK --set-xmark 0x1/0x0', true],
    ['-j MARK --set-xmark 0x0/0x1', true],
    ['-j CONNMARK --set-xmark 0x1/0x1', true],
    ['-j TPROXY --on-port 1 --on-ip 127.0.0.1 --tproxy-mark 0x1/0x1', true],
    ['-j MODULE', true],
    ['-j LOG --log-prefix "x "', false],
    ['-j CT --notrack', false],
    ['', false],
    ['-j DROPS', true],
    ['-g DROPS', true],
    ['-j NESTS', true],
    ['-j LOGS', false],
    ['-j RETURNS', false],
    ['-j LOOPS', false],
  ])('%s', (target, counts) => {
    expect(clashes({ filter: [...chains, `-A FORWARD ${MARKED} ${target}`.trim()] })).toEqual(
      counts ? ['acts filter FORWARD'] : [],
    );
  });
});

describe('a rule counts for packets that it can be for', () => {
  test.each<[string, Foreign, string[]]>([
    // NAT sees the first packet of a connection; these are translated by then.
    [
      'of connections that there are',
      { filter: [`-A FORWARD -m conntrack --ctstate ESTABLISHED ${MARKED} -j DROP`] },
      [],
    ],
    [
      'of new connections',
      { filter: [`-A FORWARD -m conntrack --ctstate NEW ${MARKED} -j DROP`] },
      ['acts filter FORWARD'],
    ],
    [
      'translated',
      { filter: [`-A FORWARD ${MARKED} -m conntrack --ctstate DNAT -j DROP`] },
      ['acts filter FORWARD'],
    ],
    ['not translated', { filter: [`-A FORWARD ${MARKED} -m conntrack ! --ctstate DNAT -j DROP`] }, []],
    [
      'given the bit in connections that there are',
      { mangle: [`-A PREROUTING -m conntrack --ctstate ESTABLISHED ${SET}`] },
      [],
    ],
    [
      'given the bit in related ones, too',
      { mangle: [`-A PREROUTING -m conntrack --ctstate RELATED,ESTABLISHED ${SET}`] },
      ['sets mangle PREROUTING'],
    ],
    [
      'given the bit when somebody else has translated them',
      { mangle: [`-A FORWARD -m conntrack --ctstate DNAT ${SET}`] },
      ['sets mangle FORWARD'],
    ],
    ['given the bit when they have it', { mangle: [`-A PREROUTING ${MARKED} ${SET}`] }, []],
    [
      'given the bit that they must have',
      { mangle: [`-A FORWARD ${MARKED} ${SET}`] },
      ['acts mangle FORWARD'],
    ],
    [
      'given the bit when they have any other',
      { mangle: [`-A PREROUTING -m mark ! --mark 0x0/0xf00 ${SET}`] },
      ['sets mangle PREROUTING'],
    ],
    [
      'given the bit when they have not all others',
      { mangle: [`-A PREROUTING -m mark ! --mark 0xf00/0xf00 ${SET}`] },
      ['sets mangle PREROUTING'],
    ],
    [
      'given the bit when they have another',
      { mangle: [`-A PREROUTING -m mark --mark 0x1/0x1 ${SET}`] },
      ['sets mangle PREROUTING'],
    ],
    [
      'relieved of the bit when they have none',
      { mangle: ['-A FORWARD -m mark --mark 0x200/0xfffffeff -j MARK --set-xmark 0x1/0xffffffff'] },
      [],
    ],
    [
      'relieved of the bit when they have another',
      { mangle: ['-A FORWARD -m mark --mark 0x200/0xf00 -j MARK --set-xmark 0x1/0xffffffff'] },
      ['clears mangle FORWARD'],
    ],
    [
      'relieved of the bit when they are not somebody else’s',
      { mangle: ['-A FORWARD -m mark ! --mark 0x200/0xf00 -j MARK --set-xmark 0x1/0xffffffff'] },
      ['clears mangle FORWARD'],
    ],
    [
      'relieved of the bit in connections that there are',
      { mangle: [`-A FORWARD -m conntrack --ctstate ESTABLISHED ${CLEAR}`] },
      [],
    ],
  ])('%s', (_, foreign, found) => {
    expect(clashes(foreign)).toEqual(found);
  });
});

describe('a rule that clears the bit counts for what comes in by the devices of marked packets', () => {
  const clearing = (match: string) => ({ mangle: [`-A FORWARD ${match} ${CLEAR}`] });
  test.each<[string, Foreign, readonly string[] | undefined, string[]]>([
    ['another device', clearing('-i tailscale0'), ['lxc1'], []],
    ['one of them', clearing('-i lxc2'), ['lxc1', 'lxc2'], ['clears mangle FORWARD']],
    ['all but them', clearing('! -i lxc+'), ['lxc1', 'lxc2'], ['clears mangle FORWARD']],
    ['devices of their kind', clearing('-i lxc+'), ['lxc1'], ['clears mangle FORWARD']],
    ['any device', clearing(''), ['lxc1'], ['clears mangle FORWARD']],
    ['a device, where they may come by any', clearing('-i tailscale0'), undefined, ['clears mangle FORWARD']],
    ['a device, where pods send none', clearing('-i lxc1'), [], []],
  ])('%s', (_, foreign, devices, found) => {
    expect(clashes(foreign, 13, devices)).toEqual(found);
  });

  test('one that gives packets the bit counts by whatever device they come', () => {
    expect(clashes({ mangle: [`-A FORWARD -i tailscale0 ${SET}`] }, 13, ['lxc1'])).toEqual([
      'sets mangle FORWARD',
    ]);
  });
});

describe('a change of the mark', () => {
  test.each<[string, before: string[], between: string[]]>([
    ['--set-xmark 0x2000/0x2000', ['sets'], ['sets']],
    ['--set-mark 0x3000/0xf000', ['sets'], ['sets']],
    ['--set-xmark 0x2000/0xffffffff', ['sets'], ['sets']],
    // What is not in the mask is flipped.
    ['--set-xmark 0x2000/0x0', ['sets'], ['sets']],
    ['--set-xmark 0x0/0x2000', [], ['clears']],
    ['--set-xmark 0x200/0xffffffff', [], ['clears']],
    ['--set-xmark 0xc00/0xf00', [], []],
    ['--set-xmark 0x4000/0x0', [], []],
    ['--set-xmark 0x0/0xffffdfff', [], []],
  ])('%s', (change, before, between) => {
    const found = (chain: string) =>
      clashes({ mangle: [`-A ${chain} -j MARK ${change}`] }).map((each) => each.split(' ')[0]!);
    expect(found('PREROUTING')).toEqual(before);
    expect(found('FORWARD')).toEqual(between);
  });

  test('to something that is not modelled clears the bit where there is one', () => {
    const target = '-j HMARK --hmark-tuple src --hmark-mod 2 --hmark-offset 1 --hmark-rnd 1';
    expect(clashes({ mangle: [`-A PREROUTING ${target}`] })).toEqual([]);
    expect(clashes({ mangle: [`-A FORWARD ${target}`] })).toEqual(['clears mangle FORWARD']);
  });
});

describe('a mark that is kept with the connection', () => {
  const saved = `-A POSTROUTING ${SAVE}`;
  const restored = `-A PREROUTING ${RESTORE}`;
  const dropped = `-A INPUT ${MARKED} -j DROP`;
  const connection = '-A INPUT -m connmark --mark 0x2000/0x2000 -j DROP';
  test.each<[string, Foreign, string[]]>([
    [
      'brings the bit to where packets would not have it',
      { mangle: [saved, restored], filter: [dropped] },
      ['acts filter INPUT'],
    ],
    [
      'in later packets as well',
      {
        mangle: [saved, restored],
        filter: [dropped.replace(MARKED, `-m conntrack --ctstate ESTABLISHED ${MARKED}`)],
      },
      ['acts filter INPUT'],
    ],
    [
      'but not where there is no connection yet',
      { mangle: [saved, restored], raw: [`-A PREROUTING ${MARKED} -j DROP`] },
      [],
    ],
    ['nor when it is restored there', { mangle: [saved], raw: [restored], filter: [dropped] }, []],
    [
      'nor to NAT, which later packets do not see',
      { mangle: [saved, restored], nat: [`-A INPUT ${MARKED} -j ACCEPT`] },
      [],
    ],
    ['nor unless it is restored', { mangle: [saved], filter: [dropped] }, []],
    ['nor unless it is saved', { mangle: [restored], filter: [dropped] }, []],
    [
      'nor when it is saved before the bit is set',
      { mangle: [`-A PREROUTING ${SAVE}`, restored], filter: [dropped] },
      [],
    ],
    [
      'nor when it is saved where packets for the node are',
      { mangle: [`-A INPUT ${SAVE}`, restored], filter: [dropped] },
      [],
    ],
    [
      'nor when other bits are saved',
      {
        mangle: ['-A POSTROUTING -j CONNMARK --save-mark --nfmask 0xff --ctmask 0xff', restored],
        filter: [dropped],
      },
      [],
    ],
    [
      'nor when other bits are restored',
      {
        mangle: [saved, '-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff'],
        filter: [dropped],
      },
      [],
    ],
    ['is compared itself', { mangle: [saved], filter: [connection] }, ['acts filter INPUT']],
    ['is compared itself, and has no bit of ours', { filter: [connection] }, []],
    [
      'is compared in another bit',
      { mangle: [saved], filter: [connection.replaceAll('0x2000', '0x4000')] },
      [],
    ],
    [
      'gives the bit to packets of others',
      { mangle: ['-A PREROUTING -j CONNMARK --set-xmark 0x2000/0x2000', restored] },
      ['sets mangle PREROUTING'],
    ],
    [
      'gives it to them where that is too late',
      { mangle: ['-A PREROUTING -j CONNMARK --set-xmark 0x2000/0x2000', `-A INPUT ${RESTORE}`] },
      [],
    ],
    [
      'gives it to none before there is a connection',
      { raw: ['-A PREROUTING -j CONNMARK --set-xmark 0x2000/0x2000'], mangle: [restored] },
      [],
    ],
    [
      'is another than that of the packet',
      { mangle: [`-A PREROUTING ${SET}`, restored] },
      ['sets mangle PREROUTING'],
    ],
    [
      'is not kept where it is only restored',
      { mangle: [`-A FORWARD ${RESTORE}`], filter: [dropped] },
      ['clears mangle FORWARD'],
    ],
    [
      'gives another bit to them',
      { mangle: ['-A PREROUTING -j CONNMARK --set-xmark 0x4000/0x4000', restored] },
      [],
    ],
    ['that is set and not restored', { mangle: ['-A PREROUTING -j CONNMARK --set-xmark 0x2000/0x2000'] }, []],
    [
      'that is restored while packets carry the bit clears it',
      { mangle: [`-A FORWARD ${RESTORE}`] },
      ['clears mangle FORWARD'],
    ],
    [
      'of other bits that is restored leaves it',
      { mangle: ['-A FORWARD -j CONNMARK --restore-mark --nfmask 0x80 --ctmask 0x80'] },
      [],
    ],
  ])('%s', (_, foreign, found) => {
    expect(clashes(foreign)).toEqual(found);
  });

  test('is reported with the rules that keep it', () => {
    const throughOf = (foreign: Foreign) =>
      markClashes(rulesetOf(foreign), 'ip', 13, isOwn).map(({ through }) => through.map(({ text }) => text));
    expect(throughOf({ mangle: [saved, restored], filter: [dropped] })).toEqual([[saved, restored]]);
    expect(throughOf({ mangle: [saved], filter: [connection] })).toEqual([[saved]]);
    expect(throughOf({ mangle: [restored, '-A PREROUTING -j CONNMARK --set-xmark 0x2000/0x2000'] })).toEqual([
      ['-A PREROUTING -j CONNMARK --set-xmark 0x2000/0x2000'],
    ]);
    expect(throughOf({ filter: [`-A FORWARD ${MARKED} -j DROP`] })).toEqual([[]]);
  });
});

const mark = { meta: { key: 'mark' } };
const connectionMark = { ct: { key: 'mark' } };
const masked = (operand: object, mask: number) => ({ '&': [operand, mask] });
const equals = (left: object, right: unknown, op = '==') => ({ match: { op, left, right } });
const change = (key: object, value: unknown) => ({ mangle: { key, value } });
const DROP = { drop: null };

/** A table of nft with a base chain and its rules. */
function chainOf(
  hook: string,
  prio: number,
  rules: object[][],
  { type = 'filter', family = 'inet', table = 'mine' } = {},
): unknown[] {
  return [
    { table: { family, name: table, handle: 1 } },
    { chain: { family, table, name: 'c', handle: 1, type, hook, prio, policy: 'accept' } },
    ...rules.map((expr, i) => ({ rule: { family, table, chain: 'c', handle: i + 2, expr } })),
  ];
}

describe('rules of nft', () => {
  const bitSet = equals(masked(mark, 0x2000), 0x2000);
  test.each<[string, unknown[], string[]]>([
    ['that ask for the bit', chainOf('forward', 0, [[bitSet, DROP]]), ['acts']],
    ['that ask for it ahead of the translation', chainOf('prerouting', -101, [[bitSet, DROP]]), []],
    ['that may come before or behind it', chainOf('prerouting', -100, [[bitSet, DROP]]), ['acts']],
    ['that ask for it behind the translation', chainOf('prerouting', -50, [[bitSet, DROP]]), ['acts']],
    ['that ask for it behind the masquerading', chainOf('postrouting', 150, [[bitSet, DROP]]), ['acts']],
    ['of another family', chainOf('forward', 0, [[bitSet, DROP]], { family: 'ip6' }), []],
    [
      'that want it to be unset, of a mark of somebody else',
      chainOf('forward', 0, [[equals(masked(mark, 0xfffffeff), 0xa00), DROP]]),
      [],
    ],
    ['that ask for another', chainOf('forward', 0, [[equals(masked(mark, 0x4000), 0x4000), DROP]]), []],
    [
      'that ask for any bit of a field',
      chainOf('forward', 0, [[equals(masked(mark, 0xf000), 0, '!='), DROP]]),
      ['acts'],
    ],
    ['that compare the whole mark', chainOf('forward', 0, [[equals(mark, 0x2000), DROP]]), ['acts']],
    ['that compare it with others', chainOf('forward', 0, [[equals(mark, { set: [1, 0x4000] }), DROP]]), []],
    [
      'that compare it with several',
      chainOf('forward', 0, [[equals(mark, { set: [1, 0x2000] }), DROP]]),
      ['acts'],
    ],
    [
      'that compare it with a range',
      chainOf('forward', 0, [[equals(mark, { range: [0x1fff, 0x2fff] }), DROP]]),
      ['acts'],
    ],
    [
      'that compare it with a range that ends elsewhere',
      chainOf('forward', 0, [[equals(mark, { range: [0x1000, 0x4fff] }), DROP]]),
      ['acts'],
    ],
    [
      'that compare it with another range',
      chainOf('forward', 0, [[equals(mark, { range: [0x10, 0xff] }), DROP]]),
      [],
    ],
    ['that ask for any mark', chainOf('forward', 0, [[equals(mark, 0, '>'), DROP]]), []],
    [
      'that compare it together with something else',
      chainOf('forward', 0, [
        [
          equals({ concat: [mark, { meta: { key: 'iifname' } }] }, { set: [{ concat: [0x2000, 'eth0'] }] }),
          DROP,
        ],
      ]),
      ['acts'],
    ],
    ['that only count', chainOf('forward', 0, [[bitSet, { counter: { packets: 0, bytes: 0 } }]]), []],
    [
      'that look a verdict up by it',
      chainOf('forward', 0, [[{ vmap: { key: mark, data: { set: [[0x2000, DROP]] } } }]]),
      ['acts'],
    ],
    [
      'that look a verdict up by it and something else',
      chainOf('forward', 0, [
        [
          {
            vmap: {
              key: { concat: [mark, { meta: { key: 'iifname' } }] },
              data: { set: [[{ concat: [0x2000, 'eth0'] }, DROP]] },
            },
          },
        ],
      ]),
      ['acts'],
    ],
    [
      'that look nothing up by it',
      chainOf('forward', 0, [[{ vmap: { key: mark, data: { set: [[0x4000, DROP]] } } }]]),
      [],
    ],
    [
      'that look up to go on',
      chainOf('forward', 0, [[{ vmap: { key: mark, data: { set: [[0x2000, { continue: null }]] } } }]]),
      [],
    ],
    ['that set it', chainOf('prerouting', -300, [[change(mark, { '|': [mark, 0x2000] })]]), ['sets']],
    ['that set it too late', chainOf('postrouting', 150, [[change(mark, { '|': [mark, 0x2000] })]]), []],
    [
      'that set it by a map',
      chainOf('prerouting', -150, [
        [change(mark, { map: { key: { meta: { key: 'iifname' } }, data: { set: [['eth0', 0x2000]] } } })],
      ]),
      ['sets'],
    ],
    [
      'that set another by a map',
      chainOf('prerouting', -150, [
        [change(mark, { map: { key: { meta: { key: 'iifname' } }, data: { set: [['eth0', 0x4000]] } } })],
      ]),
      [],
    ],
    [
      'that replace it by a map',
      chainOf('forward', 0, [
        [change(mark, { map: { key: { meta: { key: 'iifname' } }, data: { set: [['eth0', 0x4000]] } } })],
      ]),
      ['clears'],
    ],
    ['that clear it', chainOf('forward', 0, [[change(mark, masked(mark, 0xffffdfff))]]), ['clears']],
    ['that clear it too late', chainOf('postrouting', 150, [[change(mark, masked(mark, 0xffffdfff))]]), []],
    [
      'that may set it in time',
      chainOf('postrouting', 100, [[change(mark, { '|': [mark, 0x2000] })]]),
      ['sets'],
    ],
    [
      'that give connections what is not modelled',
      chainOf('forward', 0, [[change(connectionMark, { numgen: { mode: 'inc', mod: 2, offset: 0 } })]]),
      [],
    ],
    [
      'that look an address up by it',
      chainOf(
        'postrouting',
        99,
        [[{ snat: { family: 'ip', addr: { map: { key: mark, data: { set: [[0x2000, '10.0.0.1']] } } } } }]],
        { type: 'nat' },
      ),
      ['acts'],
    ],
    [
      'that set it by one element of a map',
      chainOf('prerouting', -150, [
        [
          change(mark, {
            map: {
              key: { meta: { key: 'iifname' } },
              data: {
                set: [
                  ['eth0', 0x2000],
                  ['eth1', 1],
                ],
              },
            },
          }),
        ],
      ]),
      ['sets'],
    ],
    ['that clear others', chainOf('forward', 0, [[change(mark, masked(mark, 0xfffffffe))]]), []],
    [
      'that restore the mark of the connection',
      chainOf('forward', 0, [[change(mark, connectionMark)]]),
      ['clears'],
    ],
    [
      'that restore a part of it, and make the rest 0',
      chainOf('forward', 0, [[change(mark, masked(connectionMark, 0xff))]]),
      ['clears'],
    ],
    [
      'that restore it ahead of the translation',
      chainOf('prerouting', -150, [[change(mark, connectionMark)]]),
      [],
    ],
    [
      'that keep a part of it with the connection, and go by that',
      chainOf('forward', 0, [
        [change(connectionMark, masked(mark, 0x2000))],
        [equals(masked(connectionMark, 0x2000), 0x2000), DROP],
      ]),
      ['acts'],
    ],
    [
      'that keep another part of it',
      chainOf('forward', 0, [
        [change(connectionMark, masked(mark, 0x4000))],
        [equals(masked(connectionMark, 0x2000), 0x2000), DROP],
      ]),
      [],
    ],
    [
      'that give it to connections by a map, and restore it',
      chainOf('prerouting', -150, [
        [
          change(connectionMark, {
            map: { key: { meta: { key: 'iifname' } }, data: { set: [['eth0', 0x2000]] } },
          }),
        ],
        [change(mark, connectionMark)],
      ]),
      ['sets'],
    ],
    [
      'that translate sources ahead of portmap',
      chainOf('postrouting', 99, [[bitSet, { masquerade: null }]], { type: 'nat' }),
      ['acts'],
    ],
    [
      'that translate sources at its priority, before or behind it',
      chainOf('postrouting', 100, [[bitSet, { masquerade: null }]], { type: 'nat' }),
      ['acts'],
    ],
    [
      'that translate sources behind it',
      chainOf('postrouting', 101, [[bitSet, { masquerade: null }]], { type: 'nat' }),
      [],
    ],
  ])('%s', (_, nft, found) => {
    expect(clashes({ nft }).map((each) => each.split(' ')[0]!)).toEqual(found);
  });

  test('are asked for beside portmap in nft, too', () => {
    const own = [
      ...chainOf('postrouting', 99, [[bitSet, { masquerade: null }]], { type: 'nat', table: 'hostport' }),
      ...chainOf('postrouting', 100, [[bitSet, { masquerade: null }]], { type: 'nat' }),
    ];
    expect(clashes({ unmapped: true, nft: own })).toEqual([]);
    expect(clashes({ unmapped: true, nft: own, filter: [`-A FORWARD ${MARKED} -j DROP`] })).toEqual([
      'acts filter FORWARD',
    ]);
  });
});

test('a chain that leads into itself, or very deep, is walked to its end', () => {
  const depth = 20_000;
  const deep = Array.from({ length: depth }, (_, i) => `:C${i} - [0:0]`);
  const jumps = Array.from({ length: depth - 1 }, (_, i) => `-A C${i} -j C${i + 1}`);
  const last = [`-A C${depth - 1} ${MARKED} -j DROP`, `-A C${depth - 1} -j C0`];
  expect(clashes({ filter: [...deep, '-A FORWARD -j C0', ...jumps, ...last] })).toEqual([
    `acts filter C${depth - 1}`,
  ]);
  expect(clashes({ filter: [...deep, `-A FORWARD ${MARKED} -j C0`, ...jumps, ...last] })).toHaveLength(2);
});

test.each<[value: number, mask: number, bit: number, compares: boolean]>([
  [0x200, 0xf00, 13, false],
  [0xa00, 0xfffffeff, 13, false],
  [0x2000, 0x2000, 13, true],
  [0x2000, WHOLE_MARK(), 13, true],
  [0x0, 0x2000, 13, true],
  [0x0, WHOLE_MARK(), 13, false],
  [0xca6c, WHOLE_MARK(), 13, false],
  [0x80000000, 0x80000000, 31, true],
])('a policy rule of mark %p/%p compares bit %p: %p', (value, mask, bit, compares) => {
  expect(comparesBit({ value, mask }, bit)).toBe(compares);
});

function WHOLE_MARK(): number {
  return 0xffffffff;
}

describe('the bits that somebody else gives a meaning to', () => {
  test.each<[string, Foreign, number]>([
    ['of a field', { filter: ['-A INPUT -m mark --mark 0x200/0xf00 -j ACCEPT'] }, 0xf00],
    [
      'of a field of half the mark',
      { filter: ['-A INPUT -m mark --mark 0x10000/0xffff0000 -j ACCEPT'] },
      0xffff0000,
    ],
    [
      'of the whole mark, those of the value',
      { raw: ['-A OUTPUT -m mark --mark 0xa00/0xfffffeff -j CT --notrack'] },
      0xa00,
    ],
    ['that are set', { mangle: ['-A PREROUTING -j MARK --set-xmark 0x4000/0x4000'] }, 0x4000],
    [
      'of a mask of more than half the mark, those of the value',
      { filter: ['-A INPUT -m mark --mark 0x10001/0x1ffff -j ACCEPT'] },
      0x10001,
    ],
    ['that are set among all', { mangle: ['-A PREROUTING -j MARK --set-xmark 0x200/0xffffffff'] }, 0x200],
    ['of the connection', { filter: ['-A INPUT -m connmark --mark 0x80/0x80 -j ACCEPT'] }, 0x80],
    [
      'that are copied',
      { mangle: ['-A PREROUTING -j CONNMARK --restore-mark --nfmask 0x80 --ctmask 0x80'] },
      0x80,
    ],
    ['that are copied with all', { mangle: [`-A PREROUTING ${RESTORE}`] }, 0],
    [
      'of a transparent proxy',
      {
        mangle: ['-A PREROUTING -p tcp -j TPROXY --on-port 1 --on-ip 0.0.0.0 --tproxy-mark 0x200/0xffffffff'],
      },
      0x200,
    ],
    [
      'in a chain that nobody comes by',
      { filter: [':X - [0:0]', '-A X -m mark --mark 0x1/0x1 -j DROP'] },
      0x1,
    ],
    [
      'in a map',
      { nft: chainOf('forward', 0, [[{ vmap: { key: mark, data: { set: [[0x30, DROP]] } } }]]) },
      0x30,
    ],
    [
      'by a map',
      {
        nft: chainOf('forward', 0, [
          [change(mark, { map: { key: { meta: { key: 'iifname' } }, data: { set: [['eth0', 0x41]] } } })],
        ]),
      },
      0x41,
    ],
    ['none of portmap’s own', {}, 0],
  ])('%s', (_, foreign, bits) => {
    expect(markFields(rulesetOf(foreign), 'ip', isOwn)).toBe(bits);
  });

  test('of a policy rule', () => {
    expect(markField({ value: 0x200, mask: 0xf00 })).toBe(0xf00);
    expect(markField({ value: 0xca6c, mask: 0xffffffff })).toBe(0xca6c);
  });
});

test('the rules of kube-proxy share its own bits, and none of portmap’s', () => {
  const foreign: Foreign = {
    nat: [
      ':KUBE-MARK-MASQ - [0:0]',
      ':KUBE-POSTROUTING - [0:0]',
      ':KUBE-SERVICES - [0:0]',
      '-A PREROUTING -j KUBE-SERVICES',
      '-A KUBE-SERVICES -p tcp -m tcp --dport 443 -j KUBE-MARK-MASQ',
      '-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000',
      '-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN',
      '-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0',
      '-A KUBE-POSTROUTING -j MASQUERADE --random-fully',
    ],
    filter: [
      ':KUBE-FIREWALL - [0:0]',
      ':KUBE-FORWARD - [0:0]',
      '-A FORWARD -j KUBE-FORWARD',
      '-A OUTPUT -j KUBE-FIREWALL',
      '-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT',
      '-A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP',
    ],
  };
  const behind = { ...foreign, behind: ['-A POSTROUTING -j KUBE-POSTROUTING'] };
  expect(clashes(behind)).toEqual([]);
  expect(clashes(behind, 14)).toEqual(['sets nat KUBE-MARK-MASQ', 'acts filter KUBE-FORWARD']);
  expect(clashes(behind, 15)).toEqual(['acts filter KUBE-FIREWALL']);
  const ahead = { ...foreign, nat: [...foreign.nat!, '-A POSTROUTING -j KUBE-POSTROUTING'] };
  expect(clashes(ahead, 14)).toContain('acts nat KUBE-POSTROUTING');
  expect(clashes(ahead)).toEqual([]);
});

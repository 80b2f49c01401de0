import { describe, expect, test } from 'bun:test';
import { validateNftConditions } from './nftables-conditions.ts';

describe('conditions of nftables are taken', () => {
  test.each<[unknown, string]>([
    [undefined, ''],
    [null, ''],
    [[], ''],
    [['ip', 'saddr', '10.0.0.0/8'], 'ip saddr 10.0.0.0/8'],
    [['ip saddr != 10.0.0.0/8'], 'ip saddr != 10.0.0.0/8'],
    [
      ['ip saddr', '{ 10.0.0.1, 10.1.0.0/16,10.2.0.1-10.2.0.9 }'],
      'ip saddr { 10.0.0.1 , 10.1.0.0/16 , 10.2.0.1-10.2.0.9 }',
    ],
    [['iifname "eth0" tcp sport 1024-65535'], 'iifname "eth0" tcp sport 1024-65535'],
    [['iifname != lo', 'meta mark and 0xff == 0x1'], 'iifname != lo meta mark and 0xff == 0x1'],
    [['ct', 'state', 'new,related'], 'ct state new , related'],
    [['fib saddr type local'], 'fib saddr type local'],
    [['counter'], 'counter'],
    [['counter packets 0 bytes 0 ip ttl 64 counter'], 'counter packets 0 bytes 0 ip ttl 64 counter'],
    [['meta length 40-1500'], 'meta length 40-1500'],
    [['meta hour "17:00"-"19:00"'], 'meta hour "17:00"-"19:00"'],
    [['meta day { "Monday",Tuesday }'], 'meta day { "Monday" , Tuesday }'],
    [['tcp flags & (fin|syn|rst|ack) == syn'], 'tcp flags & ( fin | syn | rst | ack ) == syn'],
    [['tcp flags syn / fin,syn,rst,ack'], 'tcp flags syn / fin , syn , rst , ack'],
    [['tcp flags { syn, ack }'], 'tcp flags { syn , ack }'],
    [['ct original ip saddr 10.0.0.0/8'], 'ct original ip saddr 10.0.0.0/8'],
    [['ct original packets > 3'], 'ct original packets > 3'],
    [
      ['tcp option sack-perm exists tcp option maxseg size 1-500'],
      'tcp option sack-perm exists tcp option maxseg size 1-500',
    ],
    [['fib saddr . iif oif missing'], 'fib saddr . iif oif missing'],
  ])('%j', (value, words) => {
    expect(validateNftConditions(value, 'conditionsV4').join(' ')).toBe(words);
  });
  test('IPv6 ones for IPv6', () => {
    const words = ['ip6', 'daddr', '!=', 'fd00::/8'];
    expect(validateNftConditions(words, 'conditionsV6')).toEqual(words);
  });
});

describe('refused with error 7, naming field and word', () => {
  test.each<[unknown, string]>([
    ['ip saddr 10.0.0.1', 'conditionsV4 must be a list of words'],
    [[1], 'conditionsV4[0] must be a word, is 1'],
    [['ip saddr 10.0.0.1\nflush ruleset'], 'must not have control characters'],
    [['ip saddr 10.0.0.1; flush ruleset'], 'must not have control characters, ;'],
    [['ip saddr @others'], 'must not have control characters'],
    [['ip saddr $x'], 'must not have'],
    [['ip saddr 10.0.0.1 # x'], 'must not have'],
    [['ip saddr 10.0.0.1 accept'], 'cannot have "accept": it is not a match'],
    [['ip saddr 10.0.0.1', 'dnat to 10.0.0.2'], 'cannot have "dnat": it is not a match'],
    [['jump input'], 'cannot have "jump": it is not a match'],
    [['limit rate 5/second'], 'cannot have "limit": it is counted or drawn for each rule by itself'],
    [['meta random 5'], 'cannot have "meta random": '],
    [['ct count 5'], 'cannot have "ct count": '],
    [['icmp type echo-request'], 'cannot have "icmp": a mapping is of tcp, udp or sctp, so it never matches'],
    [['rt classid 1'], 'cannot have "rt": it is not known before a packet is routed'],
    [['counter name x'], 'unknown field "name"'],
    [['counter packets 1'], 'must have bytes after the packets of a counter'],
    [['counter packets x bytes 1'], 'must have a number here, is "x"'],
    [['tcp flags'], 'ends where a value is expected'],
    [['tcp flags syn |'], 'ends where a value is expected'],
    [['tcp flags (syn'], 'has a parenthesis that is not closed'],
    [['tcp flags syn / accept'], 'must have a TCP flag here, is "accept"'],
    [['tcp flags syn) drop'], 'unknown field ")"'],
    [['tcp option sack == 1'], 'must have exists or missing here, is "=="'],
    [['meta hour "25"'], 'must have a time such as'],
    [['meta hour "17:00" - "x"'], 'unknown field "-"'],
    [['meta day "Monday accept"'], 'must have a day such as'],
    [['meta time "2026-01-01; drop"'], 'must not have control characters'],
    [['ct helper "a b"'], 'must have a name here'],
    [['ct expiration 5y'], 'must have a duration here'],
    [['ct original ip6 saddr fd00::1'], 'must match only ipv4'],
    [['ip saddr'], 'ends where a value is expected'],
    [['ip saddr !='], 'ends where a value is expected'],
    [['ip saddr 10.0.0.300'], 'must have an IPv4 address here, is "10.0.0.300"'],
    [['ip saddr fd00::1'], 'must have an IPv4 address'],
    [['ip6 saddr fd00::1'], 'conditionsV4 must match only ipv4, is "ip6 saddr"'],
    [['ip saddr { 10.0.0.1'], 'has a set without a closing }'],
    [['ip saddr 10.0.0.1 }'], 'unknown field'],
    [['tcp sport 70000'], 'must have a port here'],
    [['iifname "eth0 accept"'], 'must have an interface here'],
    [['iifname "eth0'], 'must have an interface here'],
    [['iifname accept'], 'must have an interface here'],
    [['ct state new accept'], 'cannot have "accept"'],
    [['ct state return'], 'must have a name here, is "return"'],
    [['meta mark set 1'], 'must have a number here, is "set"'],
    [['-s', '10.0.0.1'], 'unknown field "-s"'],
    [['constructor'], 'unknown field "constructor"'],
  ])('%j', (value, message) => {
    let thrown: unknown;
    try {
      validateNftConditions(value, 'conditionsV4');
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: 7 });
    expect((thrown as Error).message).toContain(message);
  });
});

// nft(8): what a field may be compared with, and what it may not.
const KINDS: Record<string, { good: string[]; bad: string[]; name: string; fields: string[] }> = {
  ipv4: {
    good: ['10.0.0.1', '10.0.0.0/8', '10.0.0.1-10.0.0.9', '0.0.0.0/0'],
    bad: [
      '10.0.0',
      '10.0.0.0/33',
      '10.0.0.1-10.0.0.5-10.0.0.9',
      '10.0.0.0/8-10.1.0.0',
      'fd00::1',
      '10.0.0.1-',
      '-',
      'x',
    ],
    name: 'an IPv4 address',
    fields: ['ip saddr', 'ip daddr'],
  },
  port: {
    good: ['0', '80', '65535', '1024-65535'],
    bad: ['65536', '1-65536', '99999', '123456', '1-2-3', '-1', '1-', 'http', '80x', 'x80'],
    name: 'a port',
    fields: [
      ...[
        'tcp sport',
        'tcp dport',
        'udp sport',
        'udp dport',
        'sctp sport',
        'sctp dport',
        'th sport',
        'th dport',
      ],
    ],
  },
  number: {
    good: ['0', '4294967295', '0x1', '0xDEADbeef', '1-0x10', '0x1-2'],
    bad: ['0x', '0x123456789', '12345678901', 'x', '1-2-3', '0xg', '-1', '1-', '0x1-', '1x'],
    name: 'a number',
    fields: ['ip ttl', 'ip6 hoplimit', 'meta mark', 'mark', 'meta cgroup', 'ct mark', 'ct zone'],
  },
  interface: {
    good: ['eth0', '"eth0"', '"eth0.1*"', '_x', 'a.b-c+d', 'abcdefghijklmno', '"abcdefghijklmno"'],
    bad: [
      '0eth',
      '"eth 0"',
      '"eth0',
      '""',
      'abcdefghijklmnop',
      '"abcdefghijklmnop"',
      '*',
      'eth0*',
      '"*"',
      'accept',
      'a/b',
      '"a/b"',
    ],
    name: 'an interface',
    fields: ['iifname', 'oifname', 'iif', 'oif', 'meta iifname', 'meta oifname', 'meta iif', 'meta oif'],
  },
  name: {
    good: ['tcp', '6', 'new', 'a-b', 'a_b', '00:11:22:33:44:55', 'x9'],
    bad: ['-a', '_a', 'a.b', '"a"', 'a/b', 'return', ':a'],
    name: 'a name',
    fields: [
      ...[
        'ip protocol',
        'ip dscp',
        'ether saddr',
        'ether daddr',
        'meta l4proto',
        'meta nfproto',
        'meta pkttype',
      ],
      ...[
        'meta skuid',
        'meta skgid',
        'meta iifgroup',
        'meta oifgroup',
        'meta iiftype',
        'ct state',
        'ct status',
      ],
      ...['ct direction', 'fib saddr type', 'fib daddr type', 'ip6 nexthdr', 'ip6 dscp'],
    ],
  },
};

function refusal(value: unknown, field: 'conditionsV4' | 'conditionsV6' = 'conditionsV4'): string {
  try {
    validateNftConditions(value, field);
  } catch (error) {
    expect(error).toMatchObject({ code: 7 });
    return (error as Error).message;
  }
  throw new Error(`${JSON.stringify(value)} is taken`);
}

describe.each(Object.entries(KINDS))('a field of kind %s', (_kind, { good, bad, name, fields }) => {
  const [first = ''] = fields;
  test.each(fields)('%s', (field) => {
    for (const [value, words] of [
      [`${field} ${good[0]}`, `${field} ${good[0]}`],
      [`${field} != ${good[0]}`, `${field} != ${good[0]}`],
      [`${field} {${good.join(',')}}`, `${field} { ${good.join(' , ')} }`],
    ] as const) {
      expect(validateNftConditions([value], 'conditionsV4')).toEqual(words.split(' '));
    }
    expect(refusal([`${field} ${bad[0]}`])).toBe(
      `conditionsV4 must have ${name} here, is ${JSON.stringify(bad[0])}`,
    );
    expect(refusal([field])).toBe('conditionsV4 ends where a value is expected, is undefined');
  });

  test.each(good)(`${first} %s is taken`, (value) => {
    expect(validateNftConditions([first, value], 'conditionsV4')).toEqual([...first.split(' '), value]);
  });
  test.each(bad)(`${first} %s is refused`, (value) => {
    expect(refusal([first, value])).toMatch(/must have|unknown field|closing/);
  });
});

test('addresses of the other family are refused, whatever follows', () => {
  for (const field of ['ip6 saddr', 'ip6 daddr']) {
    expect(refusal([field, '::1'])).toBe(`conditionsV4 must match only ipv4, is "${field}"`);
    expect(validateNftConditions([field, 'fd00::1-fd00::9'], 'conditionsV6')).toHaveLength(3);
    expect(refusal([field, '10.0.0.1'], 'conditionsV6')).toBe(
      'conditionsV6 must have an IPv6 address here, is "10.0.0.1"',
    );
  }
  for (const field of ['ip saddr', 'ip daddr']) {
    expect(refusal([field, '10.0.0.1'], 'conditionsV6')).toBe(
      `conditionsV6 must match only ipv6, is "${field}"`,
    );
  }
});

test.each(['==', '!=', '<', '>', '<=', '>=', 'eq', 'ne', 'lt', 'gt', 'le', 'ge'])(
  'the comparison %s',
  (operator) => {
    expect(validateNftConditions(['tcp dport', operator, '80'], 'conditionsV4')).toEqual([
      ...['tcp', 'dport', operator, '80'],
    ]);
    expect(refusal(['tcp dport', operator, operator, '80'])).toContain('must have a port here');
  },
);

test.each([
  ...['accept', 'drop', 'reject', 'continue', 'return', 'jump', 'goto', 'queue', 'counter', 'log', 'limit'],
  ...['dnat', 'snat', 'masquerade', 'redirect', 'set', 'map', 'vmap', 'add', 'delete', 'insert', 'flush'],
  ...['notrack', 'dup', 'fwd', 'comment', 'include', 'define', 'or', 'and', 'xor', 'quota', 'tproxy'],
])('%s is no value', (word) => {
  expect(refusal(['ct state', word])).toBe(`conditionsV4 must have a name here, is "${word}"`);
  expect(refusal(['iifname', word])).toBe(`conditionsV4 must have an interface here, is "${word}"`);
});

describe('bits of a number', () => {
  test.each<[string, string[]]>([
    ['meta mark and 0xff 1', ['meta', 'mark', 'and', '0xff', '1']],
    ['meta mark & 0xff != 1', ['meta', 'mark', '&', '0xff', '!=', '1']],
    ['ct mark & 1 1 tcp dport 80', ['ct', 'mark', '&', '1', '1', 'tcp', 'dport', '80']],
  ])('%s', (text, words) => expect(validateNftConditions([text], 'conditionsV4')).toEqual(words));
  test.each<[string, string]>([
    ['meta mark and', 'conditionsV4 ends where a value is expected, is undefined'],
    ['meta mark and x', 'conditionsV4 must have a number here, is "x"'],
    ['meta mark & 1', 'conditionsV4 ends where a value is expected, is undefined'],
    ['meta mark or 1 1', 'conditionsV4 must have a number here, is "or"'],
    ['tcp dport and 1 1', 'conditionsV4 must have a port here, is "and"'],
    ['ct state & new new', 'conditionsV4 must have a name here, is "&"'],
  ])('%s is refused', (text, message) => expect(refusal([text])).toBe(message));
});

describe('sets', () => {
  test.each<[string, string]>([
    ['tcp dport {80', 'conditionsV4 has a set without a closing }, is undefined'],
    ['tcp dport { 80 81 }', 'conditionsV4 has a set without a closing }, is "81"'],
    ['tcp dport {}', 'conditionsV4 must have a port here, is "}"'],
    ['tcp dport { 80, }', 'conditionsV4 must have a port here, is "}"'],
    ['tcp dport { { 80 } }', 'conditionsV4 must have a port here, is "{"'],
    ['tcp dport 80 } ct state new', 'conditionsV4 must consist of nftables matches, has unknown field "}"'],
    ['tcp dport 80,', 'conditionsV4 ends where a value is expected, is undefined'],
    ['tcp', 'conditionsV4 must consist of nftables matches, has unknown field "tcp"'],
  ])('%s is refused', (text, message) => expect(refusal([text])).toBe(message));
  test('one after the other', () => {
    const text = 'tcp dport { 80 } ct state { new , related } iif lo';
    expect(validateNftConditions([text], 'conditionsV4')).toEqual(text.split(' '));
  });
});

test.each([';', '#', '$', '\\', '`', '@', '\n', '\u0000', '\u001f', '\u007f'])(
  '%j is in no word',
  (character) => {
    expect(refusal(['ip saddr', `10.0.0.1${character}`])).toBe(
      `conditionsV4[1] must not have control characters, ; # $ \\ \` or @, is ${JSON.stringify(`10.0.0.1${character}`)}`,
    );
  },
);

test('values that are no words are named', () => {
  expect(refusal({})).toBe('conditionsV4 must be a list of words, is {}');
  expect(refusal(['ip saddr', null], 'conditionsV6')).toBe('conditionsV6[1] must be a word, is null');
});

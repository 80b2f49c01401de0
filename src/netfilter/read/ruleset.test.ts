import { describe, expect, test } from 'bun:test';
import { formatAddress } from '../../util/address.ts';
import { tracePacket } from '../trace/trace.ts';
import type { Environment, Outcome, Packet } from '../trace/trace-types.ts';
import { parseIptablesSave } from './iptables-save.ts';
import { type Ruleset, RulesetParseError } from './model.ts';
import { parseNftRuleset } from './nft-json.ts';
import { hookUses, translationsFor } from './queries.ts';
import { readRuleset } from './read-ruleset.ts';

const NODE: Environment = {
  isLocal: (address) => address === '172.17.0.2' || address === 'fd17::2',
  route: ({ destination }) =>
    destination === '172.17.0.2' || destination === 'fd17::2'
      ? { kind: 'local' }
      : { kind: 'forward', outputInterface: 'lxc1' },
};
const PACKET: Packet = {
  entry: 'prerouting',
  family: 'ip',
  protocol: 'tcp',
  source: '172.17.0.1',
  destination: '172.17.0.2',
  destinationPort: 80,
  inputInterface: 'eth0',
};

function iptables(text: string): Ruleset {
  return readRuleset({ iptables: [{ backend: 'iptables-nft', family: 'ip', text }] });
}

function chain(...rules: string[]): Ruleset {
  return iptables(
    ['*filter', ':INPUT ACCEPT [0:0]', ...rules.map((rule) => `-A INPUT ${rule}`), 'COMMIT'].join('\n'),
  );
}

describe('a condition of iptables', () => {
  // Whether `condition` drops the packet: true, false, or not known.
  test.each<[condition: string, drops: boolean | undefined]>([
    ['', true],
    ['-p tcp', true],
    ['! -p tcp', false],
    ['-p 6', true],
    ['-p udp -m udp --dport 80', false],
    ['-p tcp -m tcp --dport 79:80', true],
    ['-p tcp -m tcp ! --dport 81:', true],
    ['-p tcp -m tcp --dport 81:', false],
    ['-p tcp -m tcp --sport 1024:65535', undefined],
    ['-p tcp -m tcp --tcp-flags SYN,ACK SYN', undefined],
    ['-p udp -m udp --sport 1:2', false],
    ['-s 172.17.0.0/255.255.0.0', true],
    ['-s 172.17.0.0/255.0.255.0', undefined],
    ['! -s 172.17.0.1/32', false],
    ['-d 172.17.0.3/31', true],
    ['-i eth+', true],
    ['-i eth', false],
    ['! -i lxc+', true],
    ['-m addrtype --dst-type LOCAL', true],
    ['-m addrtype ! --dst-type LOCAL', false],
    ['-m addrtype --src-type LOCAL,BROADCAST', false],
    ['-m addrtype --dst-type LOCAL --limit-iface-in', undefined],
    ['-m mark --mark 0x0/0x2000', true],
    ['-m mark ! --mark 0x0', false],
    ['-m conntrack --ctstate NEW,ESTABLISHED', true],
    ['-m conntrack --ctstate DNAT', false],
    ['-m conntrack --ctorigdst 172.17.0.0/24 --ctorigdstport 80 --ctdir ORIGINAL', true],
    ['-m state --state RELATED', false],
    ['-m iprange --src-range 172.17.0.1-172.17.0.9', true],
    ['-p tcp -m multiport --dports 1,79:81', true],
    ['-p tcp -m multiport --ports 80', true],
    ['-p tcp -m multiport --ports 81', undefined],
    ['-m set --match-set pods src', undefined],
    ['-m comment --comment "-j ACCEPT \\"x\\""', true],
    ['-m comment --comment -j', true],
    ['-m string --string "-m" --algo bm', undefined],
    ['-m statistic --mode random --probability 0.5', undefined],
    ['-m unheard-of', undefined],
    ['-s fd00::1/128', undefined],
  ])('%s', (condition, drops) => {
    const { verdict } = tracePacket(chain(`${condition} -j DROP`), PACKET, NODE);
    expect(verdict.known ? verdict.value === 'drop' : undefined).toBe(drops as boolean);
  });
});

describe('what is not known', () => {
  test('does not matter where both ways lead to the same', () => {
    const trace = tracePacket(
      chain('-m recent --rcheck -j ACCEPT', '-m recent --set', '-j ACCEPT'),
      PACKET,
      NODE,
    );
    expect(trace.verdict).toEqual({ known: true, value: 'accept' });
    expect(trace.outcomes).toHaveLength(1);
    expect(trace.outcomes[0]!.assumed).toEqual([]);
  });

  test('is named with its rule where it does', () => {
    const { verdict } = tracePacket(chain('-m recent --rcheck -j DROP'), PACKET, NODE);
    expect(verdict).toMatchObject({
      known: false,
      because: [
        { kind: 'match', text: '-m recent --rcheck', rule: { location: { chain: 'INPUT', index: 0 } } },
      ],
    });
  });

  test.each([
    ['an unknown target', '-j UNHEARD-OF'],
    ['a transparent proxy', '-j TPROXY --on-port 1'],
  ])('%s', (_name, rule) => {
    expect(tracePacket(chain(rule), PACKET, NODE).verdict).toMatchObject({ known: false });
  });

  test('the order of tables of one priority', () => {
    const dnat = (target: string) =>
      `*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j DNAT --to-destination ${target}\nCOMMIT\n`;
    const ruleset = (a: string, b: string) =>
      readRuleset({
        iptables: [
          { backend: 'iptables-nft', family: 'ip', text: dnat(a) },
          { backend: 'iptables-legacy', family: 'ip', text: dnat(b) },
        ],
      });
    expect(tracePacket(ruleset('10.0.0.1', '10.0.0.2'), PACKET, NODE).translation).toMatchObject({
      known: false,
      because: [{ kind: 'order', hook: 'prerouting' }],
    });
    expect(tracePacket(ruleset('10.0.0.1', '10.0.0.1'), PACKET, NODE).translation.known).toBe(true);
  });
});

describe('documents that are broken', () => {
  const origin = { backend: 'iptables-legacy', family: 'ip' } as const;
  test.each<[string, RegExp]>([
    ['*nat\n:A - [0:0]\n-A A -j RETURN\n', /line 1: table nat has no COMMIT: the document is cut off/],
    ['*nat\n-A NONE -j RETURN\nCOMMIT\n', /line 2: chain "NONE" is not declared/],
    ['*nat\n*filter\n', /line 2: table .* inside table nat/],
    ['COMMIT\n', /line 1: COMMIT outside a table/],
    ['-A X -j Y\n', /line 1/],
    ['\u001b[31mred', /line 1: "\\u001b\[31mred" is not a line/],
    ['*nat\n:A - [0:0]\n[1:x] -A A -j RETURN\nCOMMIT\n', /line 3: .* has no counters/],
    ['*nat\n:A - [0:0]\n-A A -j\nCOMMIT\n', /line 3: -j at the end/],
    ['*nat\n:A - [0:0]\n-A A stray\nCOMMIT\n', /line 3: "stray" does not belong to an option/],
    [`*nat\n${'x'.repeat(70_000)}`, /line 2: is longer than/],
  ])('iptables-save %#', (text, message) => {
    expect(() => parseIptablesSave(text, origin)).toThrow(message);
    expect(() => parseIptablesSave(text, origin)).toThrow(RulesetParseError);
  });

  test.each<[string, RegExp]>([
    ['', /is not JSON/],
    ['{"nftables": [', /is not JSON/],
    ['[]', /has no list `nftables`/],
    ['{"nftables": [1]}', /nftables\[0\]: is not an object/],
    ['{"nftables": [{"chain": 1}]}', /nftables\[0\].chain: is not an object/],
    ['{"nftables": [{"table": {"family": "ip"}}]}', /nftables\[0\].table: has no text `name`/],
    [
      '{"nftables": [{"table": {"family": "ip", "name": "t"}}, {"rule": {"family": "ip", "table": "t", "chain": "c", "expr": []}}]}',
      /nftables\[1\].rule: belongs to chain c, which is not listed/,
    ],
  ])('nft %s', (text, message) => {
    expect(() => parseNftRuleset(text)).toThrow(message);
    expect(() => parseNftRuleset(text)).toThrow(RulesetParseError);
  });

  const nft = (...expressions: unknown[]) =>
    JSON.stringify({
      nftables: [
        { table: { family: 'ip', name: 't', handle: 1 } },
        {
          chain: {
            family: 'ip',
            table: 't',
            name: 'c',
            type: 'filter',
            hook: 'input',
            prio: 0,
            policy: 'accept',
          },
        },
        ...expressions.map((expr) => ({
          rule: { family: 'ip', table: 't', chain: 'c', expr: [expr, { drop: null }] },
        })),
      ],
    });

  test.each([
    [
      'deep',
      Array.from({ length: 500 }).reduce<unknown>((inner) => ({ '|': [inner, 1] }), {
        meta: { key: 'mark' },
      }),
    ],
    ['of wrong types', { match: { op: 7, left: [], right: { set: { concat: 4 } } } }],
    ['null', null],
    ['a number', 5],
    ['empty', {}],
    [
      'a set of nonsense',
      { match: { op: '==', left: { meta: { key: 'l4proto' } }, right: { set: [null, {}, [[]]] } } },
    ],
    [
      'a named set that is not there',
      { match: { op: '==', left: { meta: { key: 'mark' } }, right: '@gone' } },
    ],
  ])('an expression that is %s is opaque', (_name, expression) => {
    const ruleset = readRuleset({ iptables: [], nft: nft(expression) });
    expect(tracePacket(ruleset, PACKET, NODE).verdict.known).toBe(false);
  });

  test.each<[string, string, unknown]>([
    ['one', 'in', 'seen-reply'],
    ['by a mask', '==', 'confirmed'],
    ['among those that are known', 'in', { set: ['dnat', 'assured'] }],
  ])('a bit of a connection that is not modelled is opaque: %s', (_name, op, right) => {
    const status = { ct: { key: 'status' } };
    const left = op === '==' ? { '&': [status, right] } : status;
    const ruleset = readRuleset({ iptables: [], nft: nft({ match: { op, left, right } }) });
    expect(tracePacket(ruleset, PACKET, NODE).verdict.known).toBe(false);
  });

  test('chains that lead to themselves, and too many ways', () => {
    const loop = iptables('*filter\n:INPUT ACCEPT [0:0]\n:A - [0:0]\n-A INPUT -j A\n-A A -j A\nCOMMIT\n');
    expect(tracePacket(loop, PACKET, NODE).verdict).toMatchObject({
      known: false,
      because: [{ kind: 'bound' }],
    });
    const names = Array.from({ length: 40 }, (_, i) => `C${i}`);
    const text = [
      ...[
        '*nat',
        ':PREROUTING ACCEPT [0:0]',
        ...names.map((name) => `:${name} - [0:0]`),
        '-A PREROUTING -j C0',
      ],
      ...names.slice(0, -1).flatMap((name, i) => [`-A ${name} -j C${i + 1}`, `-A ${name} -j C${i + 1}`]),
      'COMMIT',
    ].join('\n');
    // Bounded by work, not by time: on a quiet machine a fraction of a second.
    expect(tracePacket(iptables(text), PACKET, NODE).verdict).toMatchObject({ known: false });
    expect(
      translationsFor(iptables(text), 'prerouting', {
        family: 'ip',
        protocol: 'tcp',
        address: '172.17.0.2',
        port: 80,
        local: true,
      }),
    ).toEqual({ candidates: [], complete: false });
  }, 60_000);
});

test.each<[types: string, drops: boolean | undefined]>([
  ['LOCAL', true],
  ['UNICAST', true],
  ['MULTICAST', false],
  ['LOCAL,MULTICAST', undefined],
  ['UNREACHABLE', undefined],
])('a local address of IPv6 is %s: %p', (types, drops) => {
  const text = `*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m addrtype --dst-type ${types} -j DROP\nCOMMIT\n`;
  const ruleset = readRuleset({ iptables: [{ backend: 'iptables-nft', family: 'ip6', text }] });
  const packet: Packet = { ...PACKET, family: 'ip6', source: 'fd17::1', destination: 'fd17::2' };
  const { verdict } = tracePacket(ruleset, packet, NODE);
  expect(verdict.known ? verdict.value === 'drop' : undefined).toBe(drops);
});

// Each of these was taken otherwise by a kernel that was asked (kernel.netns.test.ts).
describe('a rule of nft that ends, or may end, before its verdict', () => {
  const dropOf = (packet: Partial<Packet>, ...expressions: unknown[]) => {
    const place = { family: 'inet', table: 't', chain: 'c' };
    const base = { type: 'filter', hook: 'input', prio: 0, policy: 'accept' };
    const nftables = [
      { table: { family: 'inet', name: 't', handle: 1 } },
      { chain: { ...place, name: 'c', ...base } },
      { rule: { ...place, expr: [...expressions, { drop: null }] } },
    ];
    const ruleset = readRuleset({ iptables: [], nft: JSON.stringify({ nftables }) });
    const { verdict } = tracePacket(ruleset, { ...PACKET, ...packet }, NODE);
    return verdict.known ? verdict.value : undefined;
  };
  const payload = (protocol: string, field: string) => ({ payload: { protocol, field } });
  const set = (key: unknown, value: unknown) => ({ mangle: { key, value } });
  const meta = (key: string) => ({ meta: { key } });
  const ct = (key: string) => ({ ct: { key } });
  const INVALID: Partial<Packet> = { ctState: 'invalid' };

  test.each<[string, Partial<Packet>, unknown[], Outcome['verdict'] | undefined]>([
    // Without a connection its mark is not there to be read, but may be written in vain.
    ['mark from the connection', INVALID, [set(meta('mark'), ct('mark'))], 'accept'],
    ['mark from the connection', {}, [set(meta('mark'), ct('mark'))], 'drop'],
    ['mark from the connection and more', INVALID, [set(meta('mark'), { '|': [ct('mark'), 1] })], 'accept'],
    ['mark of the connection from itself', INVALID, [set(ct('mark'), { '|': [ct('mark'), 1] })], 'accept'],
    ['mark of the connection', INVALID, [set(ct('mark'), meta('mark'))], 'drop'],
    ['mark from the packet', {}, [set(meta('mark'), payload('udp', 'dport'))], undefined],
    // What is rewritten may go elsewhere.
    ['destination rewritten', {}, [set(payload('ip', 'daddr'), '10.0.0.1')], undefined],
    ['port rewritten', {}, [set(payload('tcp', 'dport'), 81)], undefined],
    ['type rewritten', {}, [set(meta('pkttype'), 'other')], undefined],
    ['time to live rewritten', {}, [set(payload('ip', 'ttl'), 3)], 'drop'],
    // nft's listing leaves out what statements imply.
    ['rewritten of the other family', {}, [set(payload('ip6', 'hoplimit'), 3)], 'accept'],
    ['rewritten of another protocol', {}, [set(payload('udp', 'dport'), 81)], 'accept'],
    ['an option of another protocol', { protocol: 'udp' }, [set({ 'tcp option': {} }, 1)], 'accept'],
    ['a reset', {}, [{ reject: { type: 'tcp reset' } }], 'reject'],
    ['a reset of another protocol', { protocol: 'udp' }, [{ reject: { type: 'tcp reset' } }], 'accept'],
    ['a refusal of a family', {}, [{ reject: { type: 'icmp', expr: 'host-unreachable' } }], 'reject'],
    ['a refusal of the other', {}, [{ reject: { type: 'icmpv6', expr: 'no-route' } }], 'accept'],
    // A set may be full, and an element may have a limit of its own.
    ['added to a set', {}, [{ set: { op: 'add', elem: payload('ip', 'saddr'), set: '@s' } }], undefined],
    ['offloaded', {}, [{ flow: { op: 'add', flowtable: '@f' } }], undefined],
    ['logged', {}, [{ log: null }], 'drop'],
  ])('%s, %o', (_name, packet, expressions, verdict) => {
    expect(dropOf(packet, ...expressions)).toBe(verdict);
  });
});

const PORTMAP = `*nat
:PREROUTING ACCEPT [5:300]
:POSTROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:CNI-HOSTPORT-MASQ - [0:0]
:CNI-DN-one - [0:0]
:CNI-DN-two - [0:0]
[3:180] -A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
[0:0] -A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
[0:0] -A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ
[0:0] -A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE
[2:120] -A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"net\\" id: \\"one\\"" -m multiport --dports 80 -j CNI-DN-one
[1:60] -A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"net\\" id: \\"two\\"" -m multiport --dports 80,81 -j CNI-DN-two
[2:120] -A CNI-DN-one -s 10.0.0.0/24 -p tcp -m tcp --dport 80 -j MARK --set-xmark 0x2000/0x2000
[2:120] -A CNI-DN-one -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.5:8080
[1:60] -A CNI-DN-two -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.6:8080
COMMIT
`;

describe('questions', () => {
  const ruleset = iptables(PORTMAP);
  test('who translates, in order, and by which rules', () => {
    const { candidates: found } = translationsFor(ruleset, 'prerouting', {
      family: 'ip',
      protocol: 'tcp',
      address: '172.17.0.2',
      port: 80,
      local: true,
    });
    expect(
      found.map(({ to, via, conditional, rule }) => ({
        port: to.port,
        by: via.at(-1)?.comment,
        conditional,
        counters: rule.counters,
      })),
    ).toEqual([
      {
        port: { from: 8080, to: 8080 },
        by: 'dnat name: "net" id: "one"',
        conditional: false,
        counters: { packets: 2, bytes: 120 },
      },
      {
        port: { from: 8080, to: 8080 },
        by: 'dnat name: "net" id: "two"',
        conditional: false,
        counters: { packets: 1, bytes: 60 },
      },
    ]);
    expect(
      translationsFor(ruleset, 'prerouting', {
        family: 'ip',
        protocol: 'tcp',
        address: '10.9.9.9',
        port: 80,
        local: false,
      }).candidates,
    ).toEqual([]);
  });

  const DNAT = '-p tcp -m tcp --dport 80 -j DNAT --to-destination';
  test.each<[string, string[], string[]]>([
    [
      'a return of all',
      ['-A PREROUTING -j A', `-A PREROUTING ${DNAT} 10.0.0.2`, '-A A -j RETURN', `-A A ${DNAT} 10.0.0.1`],
      ['10.0.0.2'],
    ],
    [
      'an accept of all',
      ['-A PREROUTING -j A', `-A PREROUTING ${DNAT} 10.0.0.2`, '-A A -j ACCEPT', `-A A ${DNAT} 10.0.0.1`],
      [],
    ],
    [
      'a return of the port',
      [`-A PREROUTING -p tcp -m tcp --dport 80 -j RETURN`, `-A PREROUTING ${DNAT} 10.0.0.1`],
      [],
    ],
    [
      'a return of another port',
      ['-A PREROUTING -p tcp -m tcp --dport 81 -j RETURN', `-A PREROUTING ${DNAT} 10.0.0.1`],
      ['10.0.0.1'],
    ],
    [
      'a return of some clients',
      ['-A PREROUTING -s 10.9.0.0/16 -j RETURN', `-A PREROUTING ${DNAT} 10.0.0.1`],
      ['10.0.0.1 of some'],
    ],
    [
      'an accept of some, in a chain',
      ['-A PREROUTING -j A', `-A PREROUTING ${DNAT} 10.0.0.2`, '-A A -s 10.9.0.0/16 -j ACCEPT'],
      ['10.0.0.2 of some'],
    ],
    [
      'a return of some, in a chain',
      [
        '-A PREROUTING -j A',
        `-A PREROUTING ${DNAT} 10.0.0.2`,
        '-A A -s 10.9.0.0/16 -j RETURN',
        `-A A ${DNAT} 10.0.0.1`,
      ],
      ['10.0.0.1 of some', '10.0.0.2'],
    ],
    [
      'a goto of all',
      ['-A PREROUTING -g A', `-A PREROUTING ${DNAT} 10.0.0.2`, `-A A ${DNAT} 10.0.0.1`],
      ['10.0.0.1'],
    ],
    [
      'some return and the rest is accepted, in a chain',
      [
        '-A PREROUTING -j A',
        `-A PREROUTING ${DNAT} 10.0.0.2`,
        '-A A -s 10.9.0.0/16 -j RETURN',
        '-A A -j ACCEPT',
      ],
      ['10.0.0.2 of some'],
    ],
    [
      'one that takes all hides what follows',
      [`-A PREROUTING ${DNAT} 10.0.0.1`, `-A PREROUTING ${DNAT} 10.0.0.2`],
      ['10.0.0.1', '10.0.0.2'],
    ],
  ])('what translates behind %s', (_, rules, want) => {
    const text = ['*nat', ':PREROUTING ACCEPT [0:0]', ':A - [0:0]', ...rules, 'COMMIT', ''].join('\n');
    const { candidates, complete } = translationsFor(iptables(text), 'prerouting', {
      family: 'ip',
      protocol: 'tcp',
      address: '172.17.0.2',
      port: 80,
      local: true,
    });
    const found = candidates.map(
      ({ to, conditional }) => `${formatAddress(to.address!.from)}${conditional ? ' of some' : ''}`,
    );
    expect(found).toEqual(want);
    expect(complete).toBe(true);
  });

  test('what is in use', () => {
    expect(hookUses(ruleset, 'ip').map(({ hook, type, backend }) => `${hook} ${type} ${backend}`)).toEqual([
      'prerouting nat iptables-nft',
      'output nat iptables-nft',
      'postrouting nat iptables-nft',
    ]);
  });
});

/** A node with this many mappings, as portmap writes them, three rules each. */
function busyNode(mappings: number): string {
  const lines = ['*nat', ':PREROUTING ACCEPT [0:0]', ':CNI-HOSTPORT-DNAT - [0:0]'];
  const rules = ['[0:0] -A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT'];
  for (let i = 0; i < mappings; i++) {
    lines.push(`:CNI-DN-${i} - [0:0]`);
    rules.push(
      `[0:0] -A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"net\\" id: \\"${i}\\"" -m multiport --dports ${1000 + i} -j CNI-DN-${i}`,
      `[0:0] -A CNI-DN-${i} -s 127.0.0.1/32 -p tcp -m tcp --dport ${1000 + i} -j MARK --set-xmark 0x2000/0x2000`,
      `[0:0] -A CNI-DN-${i} -p tcp -m tcp --dport ${1000 + i} -j DNAT --to-destination 10.0.${i >> 8}.${i & 255}:8080`,
    );
  }
  return [...lines, ...rules, 'COMMIT', ''].join('\n');
}

test('a node of 300 rules is read and traced in less than 3 ms, 5,000 rules are read in less than 100', () => {
  const best = (times: number, run: () => void) => {
    const taken = Array.from({ length: times }, () => {
      const started = process.cpuUsage();
      run();
      const { user, system } = process.cpuUsage(started);
      return (user + system) / 1000;
    });
    // Processor time, and the best of many: the machine may be busy with other things.
    return Math.min(...taken);
  };
  const small = busyNode(100);
  expect(
    best(60, () => {
      const { translation } = tracePacket(iptables(small), { ...PACKET, destinationPort: 1099 }, NODE);
      expect(translation).toMatchObject({ known: true, value: { to: { port: { from: 8080 } } } });
    }),
  ).toBeLessThan(3);
  const large = busyNode(1667);
  expect(best(8, () => parseIptablesSave(large, { backend: 'iptables-nft', family: 'ip' }))).toBeLessThan(
    100,
  );
}, 60_000);

describe('what both tools list', () => {
  const twin = { table: { family: 'ip', name: 'nat', handle: 4 } };
  const chain = {
    chain: { family: 'ip', table: 'nat', name: 'PREROUTING', type: 'nat', hook: 'prerouting', prio: -100 },
  };
  const rule = {
    rule: {
      family: 'ip',
      table: 'nat',
      chain: 'PREROUTING',
      expr: [{ xt: { type: 'target', name: 'DNAT' } }],
    },
  };
  const ingress = {
    chain: { family: 'netdev', table: 'x', name: 'in', type: 'filter', hook: 'ingress', prio: 0 },
  };
  const nft = JSON.stringify({ nftables: [twin, chain, rule, ingress] });

  test('counts once, by iptables’ word', () => {
    const ruleset = readRuleset({
      iptables: [{ backend: 'iptables-nft', family: 'ip', text: PORTMAP }],
      nft,
    });
    expect(ruleset.tables.map(({ backend, name, handle }) => [backend, name, handle])).toEqual([
      ['iptables-nft', 'nat', 4],
    ]);
    expect(ruleset.beyond).toEqual([
      { family: 'netdev', table: 'x', chain: 'in', hook: 'ingress', rules: 0 },
    ]);
  });

  test('is opaque without iptables’ word', () => {
    const ruleset = readRuleset({ iptables: [], nft });
    expect(tracePacket(ruleset, PACKET, NODE).verdict).toMatchObject({
      known: false,
      because: [{ kind: 'statement', text: 'xt target DNAT' }],
    });
  });
});

test('what has the name of something else in the engine, or is an object in place of a word, is not understood and harms nothing', () => {
  const rule = (match: object) => ({
    rule: { family: 'inet', table: 't', chain: 'c', handle: 1, expr: [{ match }, { accept: null }] },
  });
  const odd = { toString: 1 };
  const nftables = [
    { metainfo: { json_schema_version: 1 } },
    { table: { family: 'inet', name: 't', handle: 1 } },
    { chain: { family: 'inet', table: 't', name: 'c', handle: 1 } },
    rule({ op: odd, left: { meta: { key: 'mark' } }, right: 5 }),
    rule({ op: '==', left: { meta: { key: 'constructor' } }, right: 5 }),
    rule({ op: '==', left: { ct: { key: odd } }, right: 5 }),
    rule({ op: '==', left: { meta: { key: 'nfproto' } }, right: 'constructor' }),
  ];
  const [table] = parseNftRuleset(JSON.stringify({ nftables })).tables;
  expect([...table!.chains.values()].map(({ rules }) => rules.length)).toEqual([4]);
  const text = '*constructor\n:toString ACCEPT [0:0]\nCOMMIT\n';
  const [odder] = parseIptablesSave(text, { backend: 'iptables-nft', family: 'ip' }).tables;
  expect([...odder!.chains.values()].map(({ base }) => base)).toEqual([undefined]);
});

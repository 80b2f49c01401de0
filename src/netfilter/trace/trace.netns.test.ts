import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { type Ruleset, tracePacket } from '../index.ts';
import {
  arrivalOf,
  Bench,
  counted,
  ENVIRONMENT,
  placeOf,
  type Rules,
  type Sending,
} from './testing/bench.ts';
import { randomRules, randomSending, seededBelow } from './testing/random-rules.ts';

// The kernel is asked: real tools load rules, a real datagram is sent, and where it arrives and which counters it raised is
// compared with what the model says of what the same tools print.

/** How long a datagram may take that is said to arrive, and how long is waited for one that is not, in milliseconds. */
const PATIENCE = { arrives: 2000, isLost: 25 };

let bench: Bench;
beforeAll(async () => {
  bench = await Bench.create();
});
afterAll(() => bench?.dispose());

/** Sends a datagram and follows it; says where they differ. */
async function compare(
  sending: Sending,
  before: Ruleset,
): Promise<{ differences: string[]; known: boolean; arrived: boolean; after: Ruleset }> {
  const packet = bench.packet(sending);
  const trace = tracePacket(before, packet, ENVIRONMENT);
  const expected = trace.outcomes.map((outcome) => JSON.stringify(arrivalOf(outcome)));
  const mayArrive = expected.some((arrival) => arrival !== 'null');
  const actual = await bench.send(sending, mayArrive ? PATIENCE.arrives : PATIENCE.isLost);
  const differences: string[] = [];
  const unknown = trace.outcomes.some(({ verdict }) => verdict === 'unknown');
  if (!unknown && !expected.includes(JSON.stringify(actual))) {
    differences.push(`expected ${expected.join(' or ')}, saw ${JSON.stringify(actual)}`);
  }
  const after = await bench.ruleset();
  const [only] = trace.outcomes;
  // A refusal is a packet of its own, which other rules count.
  const silent = actual !== null || only?.verdict === 'drop';
  if (trace.outcomes.length === 1 && silent && packet.family === 'ip') {
    const steps = [...new Set(only!.steps.map(({ rule }) => placeOf(rule)))];
    const raised = counted(before, after).filter((place) => !isIdle(place));
    const shown = steps.filter((place) => place.startsWith('iptables') || place.includes('counter')).sort();
    // Where several ways lead to the same, only what they share is among the steps.
    const wanted = only!.several ? raised.filter((place) => shown.includes(place)) : raised;
    expect({ sending, steps: shown }).toEqual({ sending, steps: wanted });
  }
  return { differences, known: trace.outcomes.length === 1 && !unknown, arrived: actual !== null, after };
}

/** A rule that counts packets but does nothing to them, and is no step. */
function isIdle(place: string): boolean {
  if (place.startsWith('nft')) return place.endsWith('counter');
  return !/ -[jg] /.test(place) || place.includes(' -j LOG');
}

const nat = (...rules: string[]) => ['*nat', ...rules, 'COMMIT', ''].join('\n');
const filter = (...rules: string[]) => ['*filter', ...rules, 'COMMIT', ''].join('\n');
const OUTSIDE: Sending = { from: 'outside', to: '10.78.0.2', port: 80 };
const NODE: Sending = { from: 'node', to: '10.78.0.2', port: 80 };
const LOOPBACK: Sending = { from: 'node', to: '127.0.0.1', port: 80 };
const HAIRPIN: Sending = { from: 'a', to: '10.78.0.2', port: 80 };
const PEER: Sending = { from: 'b', to: '10.78.0.2', port: 80 };
const SECOND: Sending = { from: 'outside', to: '10.78.0.3', port: 80 };
const DIRECT: Sending = { from: 'outside', to: '10.88.1.2', port: 8080 };
const OTHER: Sending = { from: 'outside', to: '10.78.0.2', port: 81 };
const EVERY = [OUTSIDE, NODE, LOOPBACK, HAIRPIN, PEER, SECOND, DIRECT, OTHER];

const PORTMAP = nat(
  ':CNI-HOSTPORT-DNAT - [0:0]',
  ':CNI-HOSTPORT-SETMARK - [0:0]',
  ':CNI-HOSTPORT-MASQ - [0:0]',
  ':CNI-DN-0123456789abcdef01234 - [0:0]',
  '-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
  '-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
  '-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ',
  '-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000',
  '-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE',
  '-A CNI-HOSTPORT-DNAT -p udp -m comment --comment "dnat name: \\"net\\" id: \\"one\\"" -m multiport --dports 80,81 -j CNI-DN-0123456789abcdef01234',
  '-A CNI-DN-0123456789abcdef01234 -s 10.88.1.0/24 -p udp -m udp --dport 80 -j CNI-HOSTPORT-SETMARK',
  '-A CNI-DN-0123456789abcdef01234 -s 127.0.0.1/32 -p udp -m udp --dport 80 -j CNI-HOSTPORT-SETMARK',
  '-A CNI-DN-0123456789abcdef01234 -p udp -m udp --dport 80 -j DNAT --to-destination 10.88.1.2:8080',
  '-A CNI-DN-0123456789abcdef01234 -d 10.78.0.3/32 -p udp -m udp --dport 81 -j DNAT --to-destination 10.88.1.2:8081',
);

/** Chains and marks as kube-proxy makes them, for a Service with a cluster address and a node port. */
const KUBE_PROXY = nat(
  ':KUBE-SERVICES - [0:0]',
  ':KUBE-NODEPORTS - [0:0]',
  ':KUBE-POSTROUTING - [0:0]',
  ':KUBE-MARK-MASQ - [0:0]',
  ':KUBE-SVC-A - [0:0]',
  ':KUBE-SEP-A1 - [0:0]',
  ':KUBE-SEP-A2 - [0:0]',
  '-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
  '-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
  '-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',
  '-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000',
  '-A KUBE-NODEPORTS -p udp -m comment --comment default/a -m udp --dport 80 -j KUBE-SVC-A',
  '-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN',
  '-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0',
  '-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
  '-A KUBE-SEP-A1 -s 10.88.1.2/32 -j KUBE-MARK-MASQ',
  '-A KUBE-SEP-A1 -p udp -m udp -j DNAT --to-destination 10.88.1.2:8080',
  '-A KUBE-SEP-A2 -s 10.88.2.2/32 -j KUBE-MARK-MASQ',
  '-A KUBE-SEP-A2 -p udp -m udp -j DNAT --to-destination 10.88.2.2:8080',
  '-A KUBE-SERVICES -d 10.96.0.10/32 -p udp -m udp --dport 80 -j KUBE-SVC-A',
  '-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS',
  '-A KUBE-SVC-A ! -s 10.88.0.0/16 -m comment --comment "default/a cluster IP" -j KUBE-MARK-MASQ',
  '-A KUBE-SVC-A -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-A1',
  '-A KUBE-SVC-A -j KUBE-SEP-A2',
);

const DOCKER = `${nat(
  ':DOCKER - [0:0]',
  '-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER',
  '-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER',
  '-A POSTROUTING -s 10.88.2.0/24 ! -o to-b -j MASQUERADE',
  '-A DOCKER -i to-b -j RETURN',
  '-A DOCKER ! -i to-b -p udp -m udp --dport 80 -j DNAT --to-destination 10.88.2.2:9000',
)}${filter(
  ':FORWARD DROP [0:0]',
  ':DOCKER - [0:0]',
  ':DOCKER-USER - [0:0]',
  '-A FORWARD -j DOCKER-USER',
  '-A FORWARD -o to-b -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
  '-A FORWARD -o to-b -j DOCKER',
  '-A FORWARD -i to-b ! -o to-b -j ACCEPT',
  '-A DOCKER -d 10.88.2.2/32 ! -i to-b -o to-b -p udp -m udp --dport 9000 -j ACCEPT',
  '-A DOCKER-USER -j RETURN',
)}`;

const FIREWALLD = `table inet firewalld {
  chain filter_FORWARD { type filter hook forward priority filter + 10; policy accept;
    ct state { established, related } counter accept
    ct status dnat counter accept
    iifname "lo" counter accept
    counter jump zones
    ct state { invalid } counter drop
    counter reject with icmpx type admin-prohibited
  }
  chain zones { iifname "to-a" counter goto trusted
    counter goto public; }
  chain trusted { counter accept; }
  chain public { udp dport 8081 counter accept; }
  chain nat_PREROUTING { type nat hook prerouting priority dstnat + 10; policy accept;
    iifname != "to-a" counter jump redirects; }
  chain redirects { udp dport 81 counter redirect to :8080; }
  chain filter_INPUT { type filter hook input priority filter + 10; policy accept;
    udp dport { 80, 8080 } counter accept
    iifname "to-*" udp dport 80-90 counter drop; }
}
`;

/** The shape of portmap's own nftables backend and of others like it: a lookup instead of rules. */
const MAPS = `table inet maps {
  map ports { type inet_proto . inet_service : ipv4_addr . inet_service
    elements = { udp . 80 comment "one" : 10.88.1.2 . 8080, tcp . 80 : 10.88.2.2 . 8080 } }
  map addresses { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; flags interval
    elements = { 10.78.0.3 . udp . 80 : 10.88.2.2 . 8081, 10.78.0.2 . udp . 81-90 : 10.88.2.2 . 9000 } }
  set sources { type ipv4_addr; flags interval; elements = { 10.88.0.0/16, 127.0.0.1 } }
  chain translate { type nat hook prerouting priority dstnat; fib daddr type local counter jump lookup; }
  chain translate_local { type nat hook output priority -100; fib daddr type local counter jump lookup; }
  chain lookup {
    ip saddr @sources counter meta mark set meta mark or 0x2000
    meta l4proto { tcp, udp } dnat ip to ip daddr . meta l4proto . th dport map @addresses
    meta l4proto { tcp, udp } dnat ip to meta l4proto . th dport map @ports
  }
  chain masq { type nat hook postrouting priority srcnat;
    meta mark and 0x2000 == 0x2000 counter masquerade; }
}
`;

const RAW = (rule: string) => `*raw\n${rule}\nCOMMIT\n`;

const CASES: { name: string; rules: Rules; send: Sending[] }[] = [
  { name: 'no rules', rules: {}, send: EVERY },
  { name: 'portmap', rules: { 'iptables-nft': PORTMAP }, send: [...EVERY, { ...SECOND, port: 81 }] },
  { name: 'portmap, legacy', rules: { 'iptables-legacy': PORTMAP }, send: EVERY },
  {
    name: 'portmap, notrack before it',
    rules: { 'iptables-nft': `${RAW('-A PREROUTING -p udp -m udp --dport 80 -j CT --notrack')}${PORTMAP}` },
    send: EVERY,
  },
  {
    name: 'portmap, a policy that drops',
    rules: { 'iptables-nft': PORTMAP + filter(':FORWARD DROP [0:0]') },
    send: EVERY,
  },
  {
    name: 'portmap, translated packets are let through',
    rules: {
      'iptables-nft':
        PORTMAP + filter(':FORWARD DROP [0:0]', '-A FORWARD -m conntrack --ctstate DNAT -j ACCEPT'),
    },
    send: EVERY,
  },
  {
    name: 'a Service before portmap',
    rules: {
      'iptables-nft': nat(
        '-A PREROUTING -i to-outside -p udp --dport 80 -j DNAT --to-destination 10.88.2.2:8081',
      ),
      'iptables-legacy': PORTMAP,
    },
    send: [OUTSIDE, PEER],
  },
  {
    name: 'kube-proxy',
    rules: { 'iptables-nft': KUBE_PROXY },
    send: [...EVERY, { ...OUTSIDE, to: '10.96.0.10' }, { ...PEER, to: '10.96.0.10' }],
  },
  {
    name: 'kube-proxy and portmap',
    rules: { 'iptables-nft': KUBE_PROXY, 'iptables-legacy': PORTMAP },
    send: [OUTSIDE, OTHER],
  },
  { name: 'docker', rules: { 'iptables-nft': DOCKER }, send: EVERY },
  {
    name: 'firewalld',
    rules: { nft: FIREWALLD },
    send: [...EVERY, { ...DIRECT, port: 8081 }, { from: 'a', to: '10.88.2.2', port: 8080 }],
  },
  { name: 'firewalld and portmap', rules: { nft: FIREWALLD, 'iptables-nft': PORTMAP }, send: EVERY },
  { name: 'maps', rules: { nft: MAPS }, send: [...EVERY, { ...SECOND, port: 81 }] },
  {
    name: 'maps behind portmap, by priority',
    rules: {
      nft: MAPS.replace('priority dstnat', 'priority dstnat + 1').replace('priority -100', 'priority -99'),
      'iptables-nft': PORTMAP,
    },
    send: EVERY,
  },
  {
    name: 'a NAT chain runs at the kernel’s priority, whatever it says',
    rules: {
      nft: `table ip t {
        chain early { type filter hook prerouting priority -99; ip daddr 10.88.1.2 counter drop; }
        chain late { type nat hook prerouting priority 50; udp dport 80 counter dnat to 10.88.1.2:8080; }
        chain before { type filter hook prerouting priority -101; ip daddr 10.88.2.2 counter drop; }
        chain other { type nat hook prerouting priority 60; udp dport 81 counter dnat to 10.88.2.2:8080; }
      }`,
    },
    send: [OUTSIDE, OTHER, DIRECT],
  },
  {
    name: 'the first chain that translates ends it, an accept does not',
    rules: {
      nft: `table ip t {
        chain one { type nat hook prerouting priority -100; udp dport 80 counter accept; udp dport 81 counter dnat to 10.88.1.2:8080; }
        chain two { type nat hook prerouting priority -99; counter; udp dport { 80, 81 } counter dnat to 10.88.2.2:8081; }
      }`,
    },
    send: [OUTSIDE, OTHER],
  },
  {
    name: 'verdict maps, returns, gotos and policies',
    rules: {
      nft: `table ip t {
        chain in { type filter hook input priority 0; policy drop;
          udp dport vmap { 80 : jump eighty, 81 : goto eightyone, 8080 : accept, 9000 : drop }
          counter accept; }
        chain eighty { ip daddr 10.78.0.3 counter drop; counter return; }
        chain eightyone { ip saddr 10.88.0.0/16 counter accept; }
      }`,
    },
    send: [
      OUTSIDE,
      SECOND,
      OTHER,
      { ...PEER, port: 81 },
      { ...OUTSIDE, port: 9000 },
      { ...OUTSIDE, port: 8080 },
      { ...OUTSIDE, port: 8081 },
    ],
  },
  {
    name: 'interfaces that are not there',
    rules: {
      nft: `table ip t {
        chain out { type filter hook output priority 0;
          iifname != "to-b" counter drop; }
        chain pre { type filter hook prerouting priority 0; oifname != "to-b" udp dport 81 counter drop; }
        chain post { type filter hook postrouting priority 0; iifname "to-outside" udp dport 8081 counter drop; }
      }`,
    },
    send: [...EVERY, { ...DIRECT, port: 8081 }],
  },
  {
    name: 'a negated interface where there is none, iptables',
    rules: {
      'iptables-nft': filter(
        ':X - [0:0]',
        '-A OUTPUT -j X',
        '-A INPUT -j X',
        '-A X ! -i to-b -p udp -m udp --dport 80 -j DROP',
      ),
    },
    send: [OUTSIDE, NODE, PEER],
  },
  {
    name: 'a translation to the other family does nothing',
    rules: {
      nft: `table inet t { chain pre { type nat hook prerouting priority -100;
        udp dport 80 dnat ip6 to [fd88:1::2]:8080
        udp dport 80 dnat ip to 10.88.2.2:8081; }; }`,
    },
    send: [OUTSIDE, { ...OUTSIDE, to: 'fd78::2' }],
  },
  {
    name: 'marks set, kept and compared',
    rules: {
      'iptables-nft': `*mangle\n-A PREROUTING -i to-outside -j MARK --set-xmark 0xff/0xffffffff\n-A PREROUTING -p udp -m udp --dport 80 -j MARK --set-xmark 0x10/0x30\n-A PREROUTING -m mark --mark 0xdf -j CONNMARK --save-mark\n-A FORWARD -m connmark --mark 0xdf/0xff -j DROP\nCOMMIT\n${filter('-A INPUT -m mark --mark 0xdf/0xff -j DROP')}`,
      nft: `table ip t { chain pre { type filter hook prerouting priority -140; meta mark and 0x10 == 0x10 udp dport 81 meta mark set 0xef; meta mark 0xef counter meta mark set meta mark xor 0x30; }; }`,
    },
    send: [OUTSIDE, OTHER, DIRECT, PEER],
  },
  {
    name: 'a redirect, from outside and here',
    rules: {
      'iptables-nft': nat(
        '-A PREROUTING -p udp -m udp --dport 80 -j REDIRECT --to-ports 9000',
        '-A OUTPUT -p udp -m udp --dport 80 -j REDIRECT --to-ports 9000',
      ),
    },
    send: [OUTSIDE, NODE, LOOPBACK, { ...DIRECT, port: 80 }, { from: 'node', to: '10.88.1.2', port: 80 }],
  },
  {
    name: 'the source rewritten on the way in and out',
    rules: {
      'iptables-nft': nat(
        '-A INPUT -i to-outside -j SNAT --to-source 10.78.0.9',
        '-A POSTROUTING -o to-a -j SNAT --to-source 10.88.1.7-10.88.1.7',
        '-A POSTROUTING -o to-b -j MASQUERADE',
      ),
    },
    send: [
      OUTSIDE,
      DIRECT,
      { ...DIRECT, to: '10.88.2.2' },
      { from: 'node', to: '10.88.2.2', port: 80, source: '10.78.0.2' },
    ],
  },
  {
    name: 'refusals',
    rules: {
      'iptables-nft': filter(
        '-A INPUT -p udp -m udp --dport 80 -j REJECT --reject-with icmp-port-unreachable',
        '-A FORWARD -m iprange --src-range 10.78.0.1-10.78.0.5 -j REJECT',
      ),
    },
    send: [OUTSIDE, OTHER, DIRECT],
  },
  {
    name: 'multiport, both ends and negated',
    rules: {
      'iptables-legacy': filter(
        '-A INPUT -p udp -m multiport ! --dports 80,8080:8081 -j DROP',
        '-A INPUT -p udp -m multiport --ports 8081,70:75 -j DROP',
      ),
    },
    send: [OUTSIDE, OTHER, { ...OUTSIDE, port: 8080 }, { ...OUTSIDE, port: 8081 }],
  },
  {
    name: 'IPv6',
    rules: {
      'ip6tables-nft': nat(
        ':CNI-HOSTPORT-DNAT - [0:0]',
        '-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
        '-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
        '-A CNI-HOSTPORT-DNAT -p udp -m udp --dport 80 -j DNAT --to-destination [fd88:1::2]:8080',
        '-A POSTROUTING -s fd88:1::/64 -d fd88:1::/64 -j MASQUERADE',
      ),
    },
    send: [
      { ...OUTSIDE, to: 'fd78::2' },
      { ...PEER, to: 'fd88:2::1' },
      { ...HAIRPIN, to: 'fd78::2' },
      { ...OTHER, to: 'fd78::2' },
      { ...NODE, to: 'fd78::2' },
    ],
  },
  {
    name: 'no connection, and what of it is asked',
    rules: {
      'iptables-nft': `${RAW('-A PREROUTING -i to-b -j CT --notrack')}${filter('-A INPUT -m conntrack --ctstate UNTRACKED -j DROP', '-A INPUT -p udp -m udp --dport 81 -m conntrack ! --ctstate DNAT -j DROP', '-A INPUT -m connmark ! --mark 0x1 -p udp -m udp --dport 8080 -j DROP')}`,
      nft: 'table ip t { chain raw { type filter hook prerouting priority -300; ct state invalid udp dport 9000 counter drop; }; }',
    },
    send: [
      OUTSIDE,
      PEER,
      OTHER,
      { ...OUTSIDE, port: 8080 },
      { ...PEER, port: 8080 },
      { ...OUTSIDE, port: 9000 },
    ],
  },
];

test('the table has at least thirty packets through rules', () => {
  expect(CASES.flatMap(({ send }) => send).length).toBeGreaterThan(30);
});

describe.each(CASES)('$name', ({ rules, send }) => {
  test('goes where the model says', async () => {
    await bench.load(rules);
    let ruleset = await bench.ruleset();
    for (const sending of send) {
      const { differences, after } = await compare(sending, ruleset);
      ruleset = after;
      expect({ sending, differences }).toEqual({ sending, differences: [] });
    }
  });
});

test('random rules: what is known is true, and most is known', async () => {
  const random = seededBelow(20_241);
  let known = 0;
  let arrived = 0;
  let sent = 0;
  for (let round = 0; round < 30; round++) {
    const rules = randomRules(random);
    await bench.load(rules);
    let ruleset = await bench.ruleset();
    for (let i = 0; i < 5; i++) {
      const sending = randomSending(random);
      const result = await compare(sending, ruleset);
      ruleset = result.after;
      expect({ round, rules, sending, differences: result.differences }).toEqual({
        round,
        rules,
        sending,
        differences: [],
      });
      sent++;
      if (result.known) known++;
      if (result.arrived) arrived++;
    }
  }
  // Otherwise the comparison would say little.
  expect(known / sent).toBeGreaterThan(0.7);
  expect(arrived / sent).toBeGreaterThan(0.2);
  expect(arrived / sent).toBeLessThan(0.9);
}, 120_000);

import { describe, expect, test } from 'bun:test';
import type { Expression, Ruleset, Table } from '../read/model.ts';
import { readRuleset } from '../read/read-ruleset.ts';
import {
  accept,
  drop,
  goto,
  iptables,
  is,
  isNot,
  jump,
  leave,
  lookup,
  mark,
  nat,
  next,
  notrack,
  outcomeText,
  own,
  reason,
  ruleset,
  table,
  targetText,
  to,
  together,
  unknown,
  zone,
} from './testing/rules.ts';
import { traceAtDevices, tracePacket } from './trace.ts';
import type { Environment, Known, Packet, Route, Translation } from './trace-types.ts';

// Small rule sets, and everything that is said of a packet. What the kernel does with the same kinds of rules is in trace.netns.test.ts.

const PRIMARY: Record<string, string> = {
  ...{ 'eth0 ip': '172.17.0.2', 'lxc1 ip': '10.0.0.1', 'lo ip': '172.17.0.2' },
  ...{
    'eth0 ip6': 'fd17::2',
    'lxc1 ip6': 'fd10::1',
    'lo ip6': 'fd17::2',
    'odd ip': 'fd10::1',
    'bad ip': 'none',
  },
};
const OWN = ['172.17.0.2', '172.17.0.3', '10.0.0.1', 'fd17::2', 'fd10::1', '127.0.0.1', '::1'];

/** A node with `eth0` to its neighbours and `lxc1` to its pods. */
const NODE: Environment = {
  isLocal: (address) => OWN.includes(address),
  route({ destination, mark }): Route {
    if (OWN.includes(destination)) return { kind: 'local' };
    if (mark === 0x77) return { kind: 'forward', outputInterface: 'tunnel' };
    if (/^(10\.0\.0|fd10)/.test(destination)) return { kind: 'forward', outputInterface: 'lxc1' };
    if (/^(172\.17|fd17)/.test(destination)) return { kind: 'forward', outputInterface: 'eth0' };
    if (/^(192\.0\.2|2001:db8)/.test(destination))
      return { kind: 'unroutable', reason: `no route to ${destination}` };
    return { kind: 'unknown', reason: `the route to ${destination} was not read` };
  },
  primaryAddress: (name, family) => PRIMARY[`${name} ${family}`],
};
const IN: Packet = {
  ...{ entry: 'prerouting', family: 'ip', protocol: 'tcp', source: '172.17.0.1', sourcePort: 40000 },
  ...{ destination: '172.17.0.2', destinationPort: 80, inputInterface: 'eth0' },
};
const IN6: Packet = { ...IN, family: 'ip6', source: 'fd17::1', destination: 'fd17::2' };
const THROUGH: Packet = { ...IN, destination: '10.0.0.5' };
const OUT: Packet = {
  ...{ entry: 'output', family: 'ip', protocol: 'tcp', source: '172.17.0.2', sourcePort: 40000 },
  ...{ destination: '10.0.0.5', destinationPort: 80 },
};
const HERE: Packet = { ...OUT, source: '127.0.0.1', destination: '127.0.0.1' };
const HERE6: Packet = { ...HERE, family: 'ip6', source: '::1', destination: '::1' };

function follow(rules: Ruleset | Table, packet: Packet, environment = NODE): string[] {
  const set = 'tables' in rules ? rules : ruleset(rules);
  return tracePacket(set, packet, environment).outcomes.map(outcomeText);
}

/** Rules for what comes to the node, of a `filter` chain at the input hook. */
const input = (...rules: Expression[][]) => table({ 'inp filter input 0': rules, sub: [[mark(1), accept]] });

type Case = [name: string, rules: Ruleset | Table, packet: Packet, outcomes: string[]];

/** An answer of a pod to what came to the node's port 80 and was translated to its port 8080. */
const BACK: Packet = {
  ...{ entry: 'prerouting', family: 'ip', protocol: 'tcp', source: '10.0.0.5', sourcePort: 8080 },
  ...{ destination: '172.17.0.1', destinationPort: 40000, inputInterface: 'lxc1', ctState: 'established' },
  answers: {
    ...{ source: '172.17.0.1', destination: '172.17.0.2', destinationPort: 80 },
    ...{ translated: ['dnat'], mark: 0x80 },
  },
};
/** The same, where the node has put its own address in the client's place. */
const MASQUERADED: Packet = {
  ...BACK,
  destination: '172.17.0.2',
  answers: { ...BACK.answers!, translated: ['dnat', 'snat'] },
};

describe('an answer', () => {
  const drops = (chain: string, ...matches: Expression[]) => table({ [chain]: [[...matches, drop]] });
  const passed = ['accept by eth0; 172.17.0.2 > 172.17.0.1 :40000'];
  test.each<Case>([
    ['leaves with the address that was asked', ruleset(), BACK, passed],
    // The kernel finds the client again before it looks for a route, and its port with it, which is not known here.
    [
      'finds the client behind a masquerade',
      ruleset(),
      MASQUERADED,
      ['accept by eth0; 172.17.0.2 > 172.17.0.1'],
    ],
    [
      'to the node itself has the address that was asked',
      ruleset(),
      { ...BACK, destination: '172.17.0.3', answers: { ...BACK.answers!, source: '172.17.0.3' } },
      ['accept here; 172.17.0.2 > 172.17.0.3 :40000'],
    ],
    [
      'is not asked by rules of translation',
      table({ 'n nat postrouting 100': [[nat('snat', '1.2.3.4')]] }),
      BACK,
      passed,
    ],
    ['is established', drops('f filter forward 0', is('ct-state', 'established')), BACK, ['drop']],
    [
      'is of a connection that was translated',
      drops('f filter forward 0', is('ct-status', 'dnat')),
      BACK,
      ['drop'],
    ],
    ['is not of one whose source was', drops('f filter forward 0', is('ct-status', 'snat')), BACK, passed],
    [
      'goes in the direction of answers',
      drops('f filter forward 0', is('ct-direction', 'reply')),
      BACK,
      ['drop'],
    ],
    [
      'is not of the other direction',
      drops('f filter forward 0', is('ct-direction', 'original')),
      BACK,
      passed,
    ],
    [
      'knows who was asked',
      drops('f filter forward 0', is('ct-original-destination', '172.17.0.2')),
      BACK,
      ['drop'],
    ],
    [
      'knows at which port',
      drops('f filter forward 0', is('ct-original-destination-port', 80)),
      BACK,
      ['drop'],
    ],
    ['knows who asked', drops('f filter forward 0', is('ct-original-source', '172.17.0.1')), BACK, ['drop']],
    ['has the mark of its connection', drops('f filter forward 0', is('ct-mark', 0x80)), BACK, ['drop']],
    [
      'comes from the pod until it leaves',
      drops('p filter postrouting 50', is('source', '10.0.0.5')),
      BACK,
      ['drop'],
    ],
    [
      'does not any more behind NAT',
      drops('p filter postrouting 150', is('source', '10.0.0.5')),
      BACK,
      passed,
    ],
    [
      'leaves from the port that was asked',
      drops('p filter postrouting 150', is('source-port', 80)),
      BACK,
      ['drop'],
    ],
    [
      'goes to the node before NAT',
      drops('p filter prerouting -150', is('destination', '172.17.0.2')),
      MASQUERADED,
      ['drop'],
    ],
    [
      'goes to the client behind NAT',
      drops('p filter prerouting -50', is('destination', '172.17.0.1')),
      MASQUERADED,
      ['drop'],
    ],
    [
      'is forwarded by its mark',
      table({ 'm filter prerouting -150': [[mark(0x77)]] }),
      BACK,
      ['accept by tunnel'],
    ],
  ])('%s', (_name, rules, packet, outcomes) => {
    // Whole where all is said, else how it ends.
    const texts = follow(rules, packet);
    expect(texts.map((text, i) => text.slice(0, outcomes[i]?.length))).toEqual(outcomes);
  });

  test('has the mark that its connection gives it', () => {
    const copy: Expression = { kind: 'copy-mark', to: 'packet', mask: 0xff };
    const set = ruleset(table({ 'm filter prerouting -150': [[copy]] }));
    expect(
      tracePacket(set, BACK, NODE).outcomes.map((outcome) => [outcome.mark, outcome.connectionMark]),
    ).toEqual([[0x80, 0x80]]);
  });

  test.each<[string, Partial<Packet>]>([
    ['that the node sends', { entry: 'output' }],
    ['of a new connection', { ctState: 'new' }],
  ])('%s is no answer', (_, more) => {
    expect(() => tracePacket(ruleset(), { ...BACK, ...more }, NODE)).toThrow(
      'an answer comes in, of an established connection',
    );
  });
});

describe('the way back to the source', () => {
  const saved = (rule: string) => iptables('raw', [`-A PREROUTING ${rule} -j DROP`]);
  const fib = (right: boolean, ...flags: string[]) => {
    const where = { family: 'inet', table: 't' };
    const chain = { ...where, name: 'p', type: 'filter', hook: 'prerouting', prio: 0, policy: 'accept' };
    const expr = [{ match: { op: '==', left: { fib: { result: 'oif', flags } }, right } }, { drop: null }];
    const nftables = [
      { table: { family: 'inet', name: 't' } },
      { chain },
      { rule: { ...where, chain: 'p', expr } },
    ];
    return readRuleset({ iptables: [], nft: JSON.stringify({ nftables }) });
  };
  const ends = (rules: Ruleset, packet: Packet) =>
    tracePacket(rules, packet, NODE).outcomes.map(({ verdict }) => String(verdict));
  const ASTRAY: Packet = { ...IN, inputInterface: 'lxc1' };
  const STRANGER: Packet = { ...IN, source: '192.0.2.1' };
  const UNREAD: Packet = { ...IN, source: '198.51.100.1' };
  test.each<[string, Ruleset, Packet, string[]]>([
    ['the right one', saved('-m rpfilter --invert'), IN, ['accept']],
    ['another one', saved('-m rpfilter --invert'), ASTRAY, ['drop']],
    ['another one, loosely', saved('-m rpfilter --loose --invert'), ASTRAY, ['accept']],
    ['none', saved('-m rpfilter --loose --invert'), STRANGER, ['drop']],
    ['to the node itself', saved('-m rpfilter --loose --invert'), { ...IN, source: '172.17.0.3' }, ['drop']],
    ['unknown', saved('-m rpfilter --invert'), UNREAD, ['drop', 'accept']],
    ['by the mark', saved('-m rpfilter --validmark --invert'), { ...IN, mark: 0x77 }, ['drop']],
    ['whatever the mark', saved('-m rpfilter --invert'), { ...IN, mark: 0x77 }, ['accept']],
    ['the right one, not inverted', saved('-m rpfilter'), IN, ['drop']],
    [
      'with a condition that is not modelled',
      saved('-m rpfilter --accept-local --invert'),
      IN,
      ['drop', 'accept'],
    ],
    ['the right one, in nftables', fib(false, 'saddr', 'iif'), IN, ['accept']],
    ['another one, in nftables', fib(false, 'saddr', 'iif'), ASTRAY, ['drop']],
    ['that is there, in nftables', fib(true, 'iif', 'saddr'), IN, ['drop']],
    ['by the mark, in nftables', fib(false, 'saddr', 'mark', 'iif'), { ...IN, mark: 0x77 }, ['drop']],
    ['of any interface, in nftables', fib(false, 'saddr'), IN, ['drop', 'accept']],
    ['the right one, IPv6', fib(false, 'saddr', 'iif'), IN6, ['accept']],
    [
      'another one, IPv6, where a less specific one may be right',
      fib(false, 'saddr', 'iif'),
      { ...IN6, inputInterface: 'lxc1' },
      ['drop', 'accept'],
    ],
    ['none, IPv6', fib(false, 'saddr', 'iif'), { ...IN6, source: '2001:db8::1' }, ['drop']],
  ])('%s', (_, rules, packet, verdicts) => expect(ends(rules, packet).sort()).toEqual(verdicts.toSorted()));

  test('of what the node sends to itself is right', () => {
    expect(ends(saved('-m rpfilter --invert'), HERE)).toEqual(['accept']);
  });
});

describe('chains at devices', () => {
  const at = (devices: string[], ...rules: Expression[][]) => ({
    devices,
    table: table(
      { 'in filter prerouting -9000': rules, sub: [[is('destination-port', 80), drop]] },
      { family: 'inet' },
    ),
  });
  const arrive = (chain: ReturnType<typeof at>, devices: string[]) =>
    traceAtDevices({ tables: [], atDevices: [chain], beyond: [] }, devices, IN, NODE)?.outcomes.map(
      ({ verdict }) => verdict,
    );
  test.each<[string, Expression[][], string[]]>([
    ['drop', [[drop]], ['drop']],
    ['by chains that they lead to', [[jump('sub')]], ['drop']],
    ['let by', [[is('destination-port', 81), drop]], ['accept']],
    ['see no connection', [[is('ct-state', 'invalid'), drop]], ['drop']],
    ['are not known', [[unknown('?'), drop]], ['drop', 'accept']],
  ])('%s', (_, rules, verdicts) =>
    expect(arrive(at(['eth0', 'eth1'], ...rules), ['eth1'])?.map(String)).toEqual(verdicts),
  );

  test('of other devices do nothing', () => expect(arrive(at(['eth0'], [drop]), ['eth1'])).toBeUndefined());
});

describe('where a packet goes', () => {
  const none = ruleset();
  test.each<Case>([
    ['to the node', none, IN, ['accept here; 172.17.0.1 > 172.17.0.2 :80']],
    ['to the node, IPv6', none, IN6, ['accept here; fd17::1 > fd17::2 :80']],
    ['through it', none, THROUGH, ['accept by lxc1; 172.17.0.1 > 10.0.0.5 :80']],
    ['nowhere', none, { ...IN, destination: '192.0.2.1' }, ['unroutable; 172.17.0.1 > 192.0.2.1 :80']],
    [
      'where it is not known',
      none,
      { ...IN, destination: '198.51.100.1' },
      ['unknown; 172.17.0.1 > 198.51.100.1 :80; if route the route to 198.51.100.1 was not read'],
    ],
    ['from the node', none, OUT, ['accept by lxc1; 172.17.0.2 > 10.0.0.5 :80']],
    [
      'from the node, with a mark',
      none,
      { ...OUT, mark: 0x77 },
      ['accept by tunnel; 172.17.0.2 > 10.0.0.5 :80 mark 119'],
    ],
    ['from the node to itself', none, HERE, ['accept here; 127.0.0.1 > 127.0.0.1 :80']],
    [
      'from the node nowhere',
      none,
      { ...OUT, destination: '192.0.2.1' },
      ['unroutable; 172.17.0.2 > 192.0.2.1 :80'],
    ],
    [
      'from the node by an interface that is given',
      none,
      { ...OUT, outputInterface: 'eth7' },
      ['accept by eth7; 172.17.0.2 > 10.0.0.5 :80'],
    ],
    [
      'by an interface that is given, whatever the route',
      none,
      { ...OUT, destination: '192.0.2.1', outputInterface: 'eth7' },
      ['accept by eth7; 172.17.0.2 > 192.0.2.1 :80'],
    ],
  ])('%s', (_name, rules, packet, outcomes) => expect(follow(rules, packet)).toEqual(outcomes));
});

describe('hooks', () => {
  // Marks add up to the order in which the chains are passed: each shifts what is there.
  const note = (digit: number): Expression[] => [mark(digit, 0)];
  const every = table({
    'pre filter prerouting 0': [note(1)],
    'inp filter input 0': [note(2)],
    'fwd filter forward 0': [note(4)],
    'out filter output 0': [note(8)],
    'post filter postrouting 0': [note(16)],
  });
  test.each<Case>([
    [
      'of what comes in',
      every,
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 3; steps t:pre.0 t:inp.0'],
    ],
    [
      'of what passes',
      every,
      THROUGH,
      ['accept by lxc1; 172.17.0.1 > 10.0.0.5 :80 mark 21; steps t:pre.0 t:fwd.0 t:post.0'],
    ],
    [
      'of what goes out',
      every,
      OUT,
      ['accept by lxc1; 172.17.0.2 > 10.0.0.5 :80 mark 24; steps t:out.0 t:post.0'],
    ],
    [
      'of what stays here',
      every,
      HERE,
      ['accept here; 127.0.0.1 > 127.0.0.1 :80 mark 27; steps t:out.0 t:post.0 t:pre.0 t:inp.0'],
    ],
    [
      'of what stays here, whose translation was settled on the way out',
      table({
        'pre nat prerouting -100': [[nat('dnat', '10.0.0.5')]],
        'inp nat input 100': [[nat('snat', '10.0.0.9')]],
      }),
      HERE,
      ['accept here; 127.0.0.1 > 127.0.0.1 :80'],
    ],
    [
      'in order of priority',
      together(
        ruleset(table({ 'late filter input 10': [[is('mark', 7), drop]] }, { name: 'c' })),
        ruleset(table({ 'middle filter input 0': [[is('mark', 3), mark(7)]] }, { name: 'b' })),
        ruleset(table({ 'early filter input -10': [[mark(3)]] }, { name: 'a' })),
      ),
      IN,
      ['drop by c:late.0; 172.17.0.1 > 172.17.0.2 :80 mark 7; steps a:early.0 b:middle.0 c:late.0'],
    ],
    [
      'of the other family are not passed',
      ruleset(
        table({ 'inp filter input 0': [[drop]] }, { family: 'ip6' }),
        table({ 'both filter input 0': [[mark(1)]] }, { family: 'inet' }),
      ),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:both.0'],
    ],
    [
      'of a table of both families',
      table({ 'inp filter input 0': [[drop]] }, { family: 'inet' }),
      IN6,
      ['drop by t:inp.0; fd17::1 > fd17::2 :80; steps t:inp.0'],
    ],
  ])('%s', (_name, rules, packet, outcomes) => expect(follow(rules, packet)).toEqual(outcomes));
});

describe('verdicts', () => {
  const sub =
    (name: string, ...rules: Expression[][]) =>
    (...first: Expression[][]) =>
      table({ 'inp filter input 0': first, [name]: rules });
  test.each<Case>([
    ['accept', input([accept], [drop]), IN, ['accept here; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0']],
    ['drop', input([drop], [accept]), IN, ['drop by t:inp.0; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0']],
    [
      'reject',
      input([{ kind: 'reject' }]),
      IN,
      ['reject by t:inp.0; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0'],
    ],
    [
      'queue',
      input([{ kind: 'queue' }]),
      IN,
      ['queue by t:inp.0; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0'],
    ],
    ['return', input([leave], [drop]), IN, ['accept here; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0']],
    [
      'return, under a policy',
      table({ 'inp filter input 0 drop': [[leave], [accept]] }),
      IN,
      ['drop by policy of t:inp; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0'],
    ],
    [
      'continue',
      input([next], [drop]),
      IN,
      ['drop by t:inp.1; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0 t:inp.1'],
    ],
    [
      'a policy',
      table({ 'inp filter input 0 drop': [] }),
      IN,
      ['drop by policy of t:inp; 172.17.0.1 > 172.17.0.2 :80'],
    ],
    [
      'an accept under a policy',
      table({ 'inp filter input 0 drop': [[accept]] }),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0'],
    ],
    [
      'an accept of some under a policy',
      table({ 'inp filter input 0 drop': [[unknown('u'), accept]] }),
      IN,
      [
        'drop by policy of t:inp; 172.17.0.1 > 172.17.0.2 :80; unless u',
        'accept here; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0; if u',
      ],
    ],
    [
      'jump, and back',
      sub('sub', [mark(1)])([jump('sub')], [is('mark', 1), drop]),
      IN,
      ['drop by t:inp.1; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:inp.0 t:sub.0<inp t:inp.1'],
    ],
    [
      'jump, and back by a return',
      sub('sub', [leave], [drop])([jump('sub')], [mark(2)]),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 2; steps t:inp.0 t:sub.0<inp t:inp.1'],
    ],
    [
      'jump, and accepted',
      sub('sub', [accept])([jump('sub')], [drop]),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0 t:sub.0<inp'],
    ],
    [
      'goto, and out',
      sub('sub', [mark(1)])([goto('sub')], [drop]),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:inp.0 t:sub.0<inp'],
    ],
    [
      'goto, and accepted',
      sub('sub', [accept])([goto('sub')], [drop]),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0 t:sub.0<inp'],
    ],
    [
      'jump to nowhere',
      input([jump('none')], [drop]),
      IN,
      ['unknown; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0; if statement jump none: no such chain'],
    ],
    [
      'goto nowhere',
      input([goto('none')], [drop]),
      IN,
      ['unknown; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0; if statement goto none: no such chain'],
    ],
    [
      'a chain of another table',
      together(ruleset(input([jump('other')])), ruleset(table({ other: [] }, { name: 'u' }))),
      IN,
      ['unknown; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0; if statement jump other: no such chain'],
    ],
    [
      'neutral ones',
      input([{ kind: 'neutral', text: 'log' }], [{ kind: 'neutral', text: 'log' }, drop]),
      IN,
      ['drop by t:inp.1; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.1'],
    ],
    [
      'one that is not modelled',
      input([{ kind: 'opaque-statement', text: 'what' }], [mark(1)]),
      IN,
      [
        'unknown; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0; if statement what',
        'accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:inp.0 t:inp.1; unless statement what',
      ],
    ],
    [
      'a transparent proxy',
      input([{ kind: 'tproxy', text: 'tproxy' }], [drop]),
      IN,
      [
        'unknown; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0; if statement tproxy',
        'drop by t:inp.1; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0 t:inp.1; unless statement tproxy',
      ],
    ],
    [
      'a rule that does nothing',
      input([is('mark', 0)], []),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80'],
    ],
    [
      'a statement before a match',
      input([mark(1), is('destination-port', 81), drop], [is('mark', 1), accept]),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:inp.0 t:inp.1'],
    ],
    [
      'in a map',
      input([
        {
          kind: 'verdict-map',
          lookup: lookup(
            ['destination-port'],
            [
              [80, { verdict: jump('sub') }],
              [81, { verdict: drop }],
            ],
          ),
        },
      ]),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:inp.0[80] t:sub.0<inp'],
    ],
    [
      'in a map, none',
      input(
        [{ kind: 'verdict-map', lookup: lookup(['destination-port'], [[81, { verdict: drop }]]) }],
        [mark(1)],
      ),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:inp.1'],
    ],
    [
      'in a map, drop',
      input([{ kind: 'verdict-map', lookup: lookup(['destination-port'], [[[80, 90], { verdict: drop }]]) }]),
      IN,
      ['drop by t:inp.0[80,90]; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0[80,90]'],
    ],
    [
      'in a map, without one',
      input([{ kind: 'verdict-map', lookup: lookup(['mark'], [[0, {}]]) }], [drop]),
      IN,
      ['drop by t:inp.1; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0[0] t:inp.1'],
    ],
    [
      'in a map of what the packet lacks',
      input([
        {
          kind: 'verdict-map',
          lookup: lookup([{ field: 'destination-port', protocol: 17 }], [['*', { verdict: drop }]]),
        },
      ]),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80'],
    ],
    [
      'in a map whose contents are not known',
      input(
        [
          {
            kind: 'verdict-map',
            lookup: lookup(['mark'], [[1, { verdict: accept }]], { opaque: 'too long' }),
          },
        ],
        [drop],
      ),
      IN,
      [
        "unknown; 172.17.0.1 > 172.17.0.2 :80; if statement the packet's mark: too long",
        "drop by t:inp.1; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.1; unless statement the packet's mark: too long",
      ],
    ],
    [
      'in a map by a value that is not known',
      input(
        [
          {
            kind: 'verdict-map',
            lookup: lookup(
              ['source-port'],
              [
                [1, { verdict: accept }],
                [2, { verdict: drop }],
              ],
            ),
          },
        ],
        [mark(1)],
      ),
      { ...IN, sourcePort: undefined },
      [
        "drop by t:inp.0[2]; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0[2]; if the packet's source-port",
        "accept here; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0[1]; if the packet's source-port",
        "accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:inp.1; unless the packet's source-port",
      ],
    ],
    [
      'in a map by turns',
      input([
        {
          kind: 'verdict-map',
          lookup: lookup(
            undefined,
            [
              [0, { verdict: accept }],
              [1, { verdict: drop }],
            ],
            { random: true },
          ),
        },
      ]),
      IN,
      [
        'drop by t:inp.0[1]; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0[1]; if random any of the map',
        'accept here; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0[0]; if random any of the map',
      ],
    ],
    [
      'in a map by turns that is empty',
      input([{ kind: 'verdict-map', lookup: lookup(undefined, [], { random: true }) }]),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80'],
    ],
    [
      'in a map by something',
      input([{ kind: 'verdict-map', lookup: lookup(undefined, [[0, { verdict: drop }]]) }]),
      IN,
      [
        'drop by t:inp.0[0]; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0[0]; if any of the map',
        'accept here; 172.17.0.1 > 172.17.0.2 :80; unless any of the map',
      ],
    ],
  ])('%s', (_name, rules, packet, outcomes) => expect(follow(rules, packet)).toEqual(outcomes));
});

describe('matches', () => {
  /** Whether the rule took the packet: its mark becomes 1 where it did. */
  const took = (match: Expression, packet: Packet, hook = 'inp filter input 0') =>
    tracePacket(
      ruleset(table({ [hook]: [[match, mark(1)]] }, { family: 'inet' })),
      packet,
      NODE,
    ).outcomes.map((each) => each.mark === 1);
  const POST = 'post filter postrouting 0';
  const UDP: Packet = { ...IN, protocol: 'udp' };
  const ICMP: Packet = { ...IN, protocol: 'icmp' };
  const VAGUE: Packet = { ...IN, sourcePort: undefined };
  const SEEN: Packet = { ...IN, ctState: 'established' };
  const BROKEN: Packet = { ...IN, ctState: 'invalid' };

  const cases: [match: Expression, packet: Packet, took: boolean | undefined, hook?: string][] = [
    [is('family', 'ip'), IN, true],
    [is('family', 'ip6'), IN, false],
    [is('family', 'ip6'), IN6, true],
    [is('protocol', 6), IN, true],
    [is('protocol', 17), IN, false],
    [is('protocol', 17), UDP, true],
    [is('protocol', 47), { ...IN, protocol: 47 }, true],
    [is('source', '172.17.0.1'), IN, true],
    [is('source', '172.17.0.2'), IN, false],
    [isNot('source', '172.17.0.2'), IN, true],
    [is('source', ['172.17.0.0', '172.17.0.1']), IN, true],
    [is('source', ['172.17.0.1', '172.17.0.9']), IN, true],
    [is('source', ['172.17.0.2', '172.17.0.9']), IN, false],
    [is('source', ['172.16.0.0', '172.17.0.0']), IN, false],
    [is('source', ['fd17::', 'fd17::f']), IN6, true],
    [is('source', ['fd17::', 'fd17::f']), IN, false],
    [is('source', ['0.0.0.0', '255.255.255.255']), IN6, false],
    [is('destination', '172.17.0.2'), IN, true],
    [is('destination', '172.17.0.1'), IN, false],
    [is('source-port', 40000), IN, true],
    [is('source-port', 80), IN, false],
    [is('source-port', 80), VAGUE, undefined],
    [isNot('source-port', 80), VAGUE, undefined],
    [is('source-port', '*'), VAGUE, true],
    [isNot('source-port', '*'), VAGUE, false],
    [is('source-port', 40000), ICMP, undefined],
    [is('destination-port', 80), IN, true],
    [is('destination-port', 81), IN, false],
    [is('destination-port', 80), UDP, true],
    [is('destination-port', 80), { ...IN, protocol: 'sctp' }, true],
    [is('destination-port', 80), { ...IN, protocol: 33 }, true],
    [is('destination-port', 80), { ...IN, protocol: 136 }, true],
    [is('destination-port', 80), ICMP, undefined],
    [is({ field: 'destination-port', protocol: 6 }, 80), IN, true],
    [is({ field: 'destination-port', protocol: 17 }, 80), IN, false],
    [isNot({ field: 'destination-port', protocol: 17 }, 80), IN, false],
    [isNot({ field: 'destination-port', protocol: 17 }, 80, 81), IN, false],
    [is({ field: 'source', family: 'ip' }, '172.17.0.1'), IN, true],
    [is({ field: 'source', family: 'ip6' }, '*'), IN, false],
    [isNot({ field: 'source', family: 'ip6' }, '*'), IN, false],
    [is('input-interface', 'eth0'), IN, true],
    [is('input-interface', 'eth'), IN, false],
    [is('input-interface', 'eth*'), IN, true],
    [is('input-interface', 'lxc*'), IN, false],
    [isNot('input-interface', 'lxc*'), IN, true],
    [is('input-interface', ''), OUT, true, 'out filter output 0'],
    [is('input-interface', ''), OUT, true, POST],
    [is('input-interface', 'lo'), HERE, true],
    [is('input-interface', 'eth0'), THROUGH, true, 'fwd filter forward 0'],
    [is('output-interface', ''), IN, true],
    [is('output-interface', 'lxc1'), THROUGH, true, 'fwd filter forward 0'],
    [is('output-interface', 'lxc1'), THROUGH, true, POST],
    [is('output-interface', 'lxc1'), OUT, true, 'out filter output 0'],
    [is('output-interface', 'lxc1'), OUT, true, POST],
    [is('output-interface', 'eth7'), { ...OUT, outputInterface: 'eth7' }, true, 'out filter output 0'],
    [is('output-interface', 'lo'), HERE, true, POST],
    [is('output-interface', ''), HERE, true],
    [is('mark', 0), IN, true],
    [is('mark', 5), { ...IN, mark: 5 }, true],
    [is({ field: 'mark', mask: 4 }, 4), { ...IN, mark: 5 }, true],
    [is({ field: 'mark', mask: 4 }, 5), { ...IN, mark: 5 }, false],
    [is({ field: 'mark', mask: 0x80000000 }, 0x80000000), { ...IN, mark: 0xffffffff }, true],
    [is({ field: 'source', mask: 0xff }, 1), IN, true],
    [is({ field: 'source', mask: 0xff }, 1), IN6, undefined],
    [is({ field: 'input-interface', mask: 1 }, 'eth0'), IN, true],
    [is('source-type', 'local'), IN, false],
    [is('source-type', 'unicast'), IN, true],
    [is('source-type', 'local'), { ...IN, source: '172.17.0.3' }, true],
    [is('source-type', 'local'), { ...IN, source: '127.0.0.9' }, true],
    [is('source-type', 'multicast'), { ...IN, source: '224.0.0.1' }, true],
    [is('source-type', 'broadcast'), { ...IN, source: '255.255.255.255' }, true],
    [is('source-type', 'multicast'), { ...IN6, source: 'ff02::1' }, true],
    [is('destination-type', 'local'), IN, true],
    [is('destination-type', 'unicast'), THROUGH, true, 'fwd filter forward 0'],
    [is('destination-type', 'local', 'multicast'), IN, true],
    [is('ct-state', 'new'), IN, true],
    [is('ct-state', 'established', 'related'), IN, false],
    [isNot('ct-state', 'established', 'related'), IN, true],
    [isNot('ct-state', 'new'), IN, false],
    [is('ct-state', 'dnat'), IN, false],
    [is('ct-state', 'established'), SEEN, true],
    [is('ct-state', 'new'), SEEN, false],
    [is('ct-state', 'invalid'), BROKEN, true],
    [is('ct-state', 'new'), BROKEN, false],
    [is('ct-state', ['a', 'z']), IN, false],
    [is('ct-status', 'dnat'), IN, false],
    [isNot('ct-status', 'dnat'), IN, true],
    [isNot('ct-status', 'dnat'), BROKEN, false],
    [is('ct-mark', 0), IN, true],
    [is('ct-mark', 0), BROKEN, false],
    [isNot('ct-mark', 1), BROKEN, false],
    [is('ct-direction', 'original'), IN, true],
    [is('ct-direction', 'reply'), IN, false],
    [is('ct-direction', 'original'), SEEN, undefined],
    [is('ct-original-source', '172.17.0.1'), IN, true],
    [is('ct-original-source', '172.17.0.2'), IN, false],
    [is('ct-original-destination', '172.17.0.2'), IN, true],
    [is('ct-original-destination', '172.17.0.1'), IN, false],
    [is('ct-original-destination-port', 80), IN, true],
    [is('ct-original-destination-port', 81), IN, false],
    [is('ct-original-destination-port', 80), { ...IN, protocol: 'icmp' }, undefined],
    [is('source-type', 'unicast'), { ...IN, source: '192.0.2.1' }, true],
    [is('source-type', 'unicast'), { ...IN6, source: '2001:db8::1' }, false],
    [is('source-type', 'unicast'), IN6, true],
    [is('what' as 'mark', 1), IN, undefined],
    [is('what' as 'mark', 1), BROKEN, false],
    // A set of several.
    [is('mark', 1, 2, 0), IN, true],
    [is('mark', 1, 2), IN, false],
    [isNot('mark', 1, 2), IN, true],
    [isNot('mark', 1, 0), IN, false],
    [is('source-port', 1, 2), VAGUE, undefined],
    [isNot('source-port', 1, 2), VAGUE, undefined],
    [is('mark', 1, [3, 5], 9), { ...IN, mark: 4 }, true],
    // No value at all.
    [is('mark'), IN, false],
    [isNot('mark'), IN, true],
    // Several fields together.
    [concatenation(['source', 'destination-port'], ['172.17.0.1', 80]), IN, true],
    [concatenation(['source', 'destination-port'], ['172.17.0.1', 81]), IN, false],
    [concatenation(['source', 'destination-port'], ['172.17.0.9', 80]), IN, false],
    [concatenation(['source', 'destination-port'], ['172.17.0.1']), IN, false],
    [concatenation(['source-port', 'destination-port'], [1, 80]), VAGUE, undefined],
    [concatenation(['source-port', 'destination-port'], [1, 81]), VAGUE, false],
    [concatenation(['destination-port', 'source-port'], [81, 1]), VAGUE, false],
    [concatenation(['source-port', 'ct-mark'], [1, 0]), { ...VAGUE, ctState: 'invalid' }, false],
    // What of a set is not known.
    [inPart(1, 2), IN, undefined],
    [inPart(0), IN, true],
    [{ ...inPart(0), negated: true }, IN, false],
    [{ ...inPart(1), negated: true }, IN, undefined],
    // Any of several.
    [anyOf(false, is('mark', 1), is('protocol', 6)), IN, true],
    [anyOf(false, is('mark', 1), is('protocol', 17)), IN, false],
    [anyOf(true, is('mark', 1), is('protocol', 6)), IN, false],
    [anyOf(true, is('mark', 1), is('protocol', 17)), IN, true],
    [anyOf(false, is('source-port', 1), is('protocol', 17)), VAGUE, undefined],
    [anyOf(false, is('source-port', 1), is('protocol', 6)), VAGUE, true],
    [anyOf(true, is('source-port', 1), is('protocol', 17)), VAGUE, undefined],
    [anyOf(true, is('source-port', 1), is('protocol', 6)), VAGUE, false],
    [unknown('u'), IN, undefined],
  ];
  const named = cases.map(([match, ...rest]) => ({ name: inWords(match), match, rest }));
  test.each(named)('$name', ({ match, rest: [packet, wanted, hook] }) => {
    const found = took(match, packet, hook);
    expect(found.toSorted()).toEqual(wanted === undefined ? [false, true] : [wanted]);
  });

  test('what the rule that is not known asks for is said', () => {
    const asked = (match: Expression) => {
      const { outcomes } = tracePacket(ruleset(input([match, drop])), VAGUE, NODE);
      return outcomes.flatMap(({ assumed }) =>
        assumed.map((each) => `${each.holds} ${reason(each.unknown)}`),
      );
    };
    expect(asked(unknown('u'))).toEqual(['true u', 'false u']);
    expect(asked(unknown('u', true))).toEqual(['true random u', 'false random u']);
    expect(asked(unknown('u', false))).toEqual(['true u', 'false u']);
    expect(asked(concatenation(['source-port', 'mark'], [1, 0]))).toEqual([
      "true the packet's source-port and mark",
      "false the packet's source-port and mark",
    ]);
    expect(asked(anyOf(false, is('source-port', 1), is('mark', 1)))).toEqual([
      "true the packet's source-port or mark",
      "false the packet's source-port or mark",
    ]);
  });

  test('the node is asked once whether an address is its own, and not for loopback', () => {
    const asked: string[] = [];
    const isLocal = (address: string) => asked.push(address) > 0;
    const rules = input(
      [is('source-type', 'local')],
      [is('source-type', 'local'), is('destination-type', 'local')],
    );
    follow(rules, { ...IN, source: '127.0.0.5' }, { ...NODE, isLocal });
    expect(asked).toEqual(['172.17.0.2']);
    follow(rules, IN, { ...NODE, isLocal });
    expect(asked.slice(1)).toEqual(['172.17.0.1', '172.17.0.2']);
  });
});

describe('chains are those of their own table', () => {
  const jumping = (verdict: Expression) => ({ 'inp filter input 0': [[jump('sub')]], sub: [[verdict]] });
  const only = (verdict: Expression) => ({ sub: [[verdict]] });
  const legacy = iptables('filter', ['-A INPUT -j sub', '-A sub -j DROP'], { backend: 'iptables-legacy' });
  test.each<[string, Ruleset]>([
    ['not of another family', ruleset(table(only(accept), { family: 'inet' }), table(jumping(drop)))],
    ['not of another name', ruleset(table(only(accept), { name: 'u' }), table(jumping(drop)))],
    ['not of another backend', together(iptables('filter', ['-A sub -j ACCEPT']), legacy)],
    ['not of another program', together(ruleset(table(only(accept), { name: 'filter' })), legacy)],
  ])('%s', (_name, rules) => {
    expect(tracePacket(rules, IN, NODE).verdict).toEqual({ known: true, value: 'drop' });
  });
});

describe('marks', () => {
  const MARKED: Packet = { ...IN, mark: 0xf0 };
  const conn = (flip: number, clear?: number) => mark(flip, clear, 'connection');
  const save = (mask: number): Expression => ({ kind: 'copy-mark', to: 'connection', mask });
  const restore = (mask: number): Expression => ({ kind: 'copy-mark', to: 'packet', mask });
  const lost = (of: 'packet' | 'connection'): Expression => ({ kind: 'opaque-mark', of, text: 'what' });
  const fromMap = (of: 'packet' | 'connection', ...map: Parameters<typeof lookup>): Expression => ({
    ...{ kind: 'set-mark-from-map', of },
    lookup: lookup(...map),
  });
  test.each<Case>([
    ['set', input([mark(5)]), MARKED, ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 5; steps t:inp.0']],
    [
      'set in part',
      input([mark(0x0f, 0xff)]),
      { ...IN, mark: 0xff10 },
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 65295; steps t:inp.0'],
    ],
    [
      'flipped',
      input([mark(0x30, 0)]),
      MARKED,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 192; steps t:inp.0'],
    ],
    [
      'the highest bit',
      input([mark(0x80000000, 0x80000000)]),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 2147483648; steps t:inp.0'],
    ],
    [
      'of the connection',
      input([conn(5)], [is('ct-mark', 5), drop]),
      MARKED,
      ['drop by t:inp.1; 172.17.0.1 > 172.17.0.2 :80 mark 240; steps t:inp.0 t:inp.1'],
    ],
    [
      'of the connection, in part',
      input([conn(0xff)], [conn(0x01, 0x0f)], [is('ct-mark', 0xf1), drop]),
      IN,
      ['drop by t:inp.2; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0 t:inp.1 t:inp.2'],
    ],
    [
      'of a connection that is not there',
      table({ 'pre filter prerouting -300': [[conn(5)]], 'inp filter input 0': [[is('ct-mark', 0), drop]] }),
      IN,
      ['drop by t:inp.0; 172.17.0.1 > 172.17.0.2 :80; steps t:pre.0 t:inp.0'],
    ],
    [
      'saved',
      input([save(0xffffffff)], [mark(0)], [is('ct-mark', 0xf0), drop]),
      MARKED,
      ['drop by t:inp.2; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0 t:inp.1 t:inp.2'],
    ],
    [
      'saved in part',
      input([conn(0x0f)], [save(0x30)], [is('ct-mark', 0x3f), drop]),
      MARKED,
      ['drop by t:inp.2; 172.17.0.1 > 172.17.0.2 :80 mark 240; steps t:inp.0 t:inp.1 t:inp.2'],
    ],
    [
      'saved over',
      input([conn(0xff)], [save(0xfc)], [is('ct-mark', 0xf3), drop]),
      MARKED,
      ['drop by t:inp.2; 172.17.0.1 > 172.17.0.2 :80 mark 240; steps t:inp.0 t:inp.1 t:inp.2'],
    ],
    [
      'restored',
      input([conn(0x0f)], [restore(0xffffffff)]),
      MARKED,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 15; steps t:inp.0 t:inp.1'],
    ],
    [
      'restored of no connection',
      input([mark(1, 1)], [restore(0xffffffff)]),
      { ...IN, ctState: 'invalid' },
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:inp.0 t:inp.1'],
    ],
    [
      'restored in part',
      input([conn(0x0f)], [restore(0x13)]),
      MARKED,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 227; steps t:inp.0 t:inp.1'],
    ],
    [
      'restored with the highest bit',
      input([conn(0x80000000)], [restore(0xffffffff)]),
      MARKED,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 2147483648; steps t:inp.0 t:inp.1'],
    ],
    [
      'restored before there is a connection',
      table({ 'pre filter prerouting -300': [[restore(0xffffffff)]] }),
      MARKED,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 240; steps t:pre.0'],
    ],
    [
      'that are not modelled',
      input([lost('packet')]),
      MARKED,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark ?; steps t:inp.0'],
    ],
    [
      'that are not modelled, of the connection',
      input([lost('connection')], [is('ct-mark', 0), drop]),
      MARKED,
      [
        "drop by t:inp.1; 172.17.0.1 > 172.17.0.2 :80 mark 240; steps t:inp.0 t:inp.1; if the packet's ct-mark",
        "accept here; 172.17.0.1 > 172.17.0.2 :80 mark 240; steps t:inp.0; unless the packet's ct-mark",
      ],
    ],
    [
      'that are not modelled, changed',
      input([lost('packet')], [mark(1, 1)]),
      MARKED,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark ?; steps t:inp.0 t:inp.1'],
    ],
    [
      'that are not modelled, restored from',
      input([lost('connection')], [restore(1)]),
      MARKED,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark ?; steps t:inp.0 t:inp.1'],
    ],
    [
      'that are not modelled, restored to',
      input([lost('packet')], [restore(1)]),
      MARKED,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark ?; steps t:inp.0 t:inp.1'],
    ],
    [
      'of a map',
      input([
        fromMap(
          'packet',
          ['destination-port'],
          [
            [80, { value: 7 }],
            [81, { value: 8 }],
          ],
        ),
      ]),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 7; steps t:inp.0[80]'],
    ],
    [
      'of a map, of the connection',
      input([fromMap('connection', ['destination-port'], [[80, { value: 7 }]])], [is('ct-mark', 7), drop]),
      IN,
      ['drop by t:inp.1; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0[80] t:inp.1'],
    ],
    [
      'of a map that has none',
      input([fromMap('packet', ['destination-port'], [[81, { value: 7 }]]), drop], [mark(1)]),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:inp.1'],
    ],
    [
      'of a map, and on in the rule',
      input([fromMap('packet', ['protocol'], [[6, { value: 7 }]]), is('mark', 7), drop]),
      IN,
      ['drop by t:inp.0; 172.17.0.1 > 172.17.0.2 :80 mark 7; steps t:inp.0[6]'],
    ],
    [
      'of a map, and on in the rule until it ends',
      input([fromMap('packet', ['protocol'], [[6, { value: 7 }]]), is('mark', 8), drop], [mark(9)]),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 9; steps t:inp.0[6] t:inp.1'],
    ],
    [
      'of a map, and on with a statement',
      input([fromMap('packet', ['protocol'], [[6, { value: 7 }]]), mark(1, 1)], [drop]),
      IN,
      ['drop by t:inp.1; 172.17.0.1 > 172.17.0.2 :80 mark 7; steps t:inp.0[6] t:inp.1'],
    ],
    [
      'of a map by turns',
      input([
        fromMap(
          'packet',
          undefined,
          [
            [0, { value: 1 }],
            [1, { value: 2 }],
          ],
          { random: true },
        ),
      ]),
      IN,
      [
        'accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:inp.0[0]; if random any of the map',
        'accept here; 172.17.0.1 > 172.17.0.2 :80 mark 2; steps t:inp.0[1]; if random any of the map',
      ],
    ],
    [
      'of a map, without a value',
      input([fromMap('packet', ['protocol'], [[6, {}]])]),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark ?; steps t:inp.0[6]'],
    ],
  ])('%s', (_name, rules, packet, outcomes) => expect(follow(rules, packet)).toEqual(outcomes));
});

describe('tracking', () => {
  const isNew = [is('ct-state', 'new'), mark(1)];
  const isUntracked = [is('ct-state', 'untracked'), mark(2, 0)];
  const isInvalid = [is('ct-state', 'invalid'), mark(4, 0)];
  const states = [isNew, isUntracked, isInvalid];
  test.each<Case>([
    [
      'begins at its priority',
      table({ 'pre filter prerouting -200': states }),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:pre.0'],
    ],
    [
      'has not begun before',
      table({ 'pre filter prerouting -201': states }),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 4; steps t:pre.2'],
    ],
    [
      'begins at its priority, of what goes out',
      table({ 'out filter output -200': states }),
      OUT,
      ['accept by lxc1; 172.17.0.2 > 10.0.0.5 :80 mark 1; steps t:out.0'],
    ],
    [
      'has not begun before, of what goes out',
      table({ 'out filter output -201': states }),
      OUT,
      ['accept by lxc1; 172.17.0.2 > 10.0.0.5 :80 mark 4; steps t:out.2'],
    ],
    [
      'has begun where no chain is',
      table({ 'fwd filter forward -300': states }),
      THROUGH,
      ['accept by lxc1; 172.17.0.1 > 10.0.0.5 :80 mark 1; steps t:fwd.0'],
    ],
    [
      'has begun behind an earlier chain',
      table({ 'pre filter prerouting -300': [[mark(8)]], 'inp filter input -300': states }),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:pre.0 t:inp.0'],
    ],
    [
      'never begins after notrack',
      table({ 'pre filter prerouting -300': [[notrack]], 'inp filter input 0': states }),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 2; steps t:pre.0 t:inp.1; notrack by t:pre.0'],
    ],
    [
      'is not undone by notrack',
      table({ 'pre filter prerouting -200': [[notrack]], 'inp filter input 0': states }),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:pre.0 t:inp.0'],
    ],
    [
      'begins in a zone, too',
      table({ 'pre filter prerouting -300': [[zone(true)]], 'inp filter input 0': states }),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:pre.0 t:inp.0'],
    ],
    [
      'finds a connection of a zone, or none',
      table({ 'pre filter prerouting -300': [[zone(true)]], 'inp filter input 0': states }),
      { ...IN, ctState: 'established' },
      ['unknown; 172.17.0.1 > 172.17.0.2 :80; steps t:pre.0; if statement ct zone set 1'],
    ],
    [
      'finds a connection of no zone that comes too late',
      table({ 'pre filter prerouting -200': [[zone(true)]], 'inp filter input 0': states }),
      { ...IN, ctState: 'established' },
      ['accept here; 172.17.0.1 > 172.17.0.2 :80; steps t:pre.0'],
    ],
    [
      'begins in a zone in spite of notrack behind it',
      table({ 'pre filter prerouting -300': [[zone(true)], [notrack]], 'inp filter input 0': states }),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:pre.0 t:pre.1 t:inp.0'],
    ],
    [
      'begins by a zone of nftables behind notrack',
      table({ 'pre filter prerouting -300': [[notrack], [zone(true)]], 'inp filter input 0': states }),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:pre.0 t:pre.1 t:inp.0'],
    ],
    [
      'does not begin by a zone of iptables behind notrack',
      table({ 'pre filter prerouting -300': [[notrack], [zone(false)]], 'inp filter input 0': states }),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 2; steps t:pre.0 t:pre.1 t:inp.1; notrack by t:pre.0'],
    ],
    [
      'begins by a zone of what went through lo untracked, with both ends open',
      table({
        'out filter output -300': [[notrack]],
        'pre filter prerouting -310': [[zone(true)]],
        'inn nat input 100': [[nat('snat', '172.17.0.3')]],
      }),
      HERE,
      [
        'accept here; 172.17.0.3 > 127.0.0.1 :80; snat 172.17.0.3 at input by t:inn.0; steps t:out.0 t:pre.0 t:inn.0',
      ],
    ],
    [
      'begins so, and goes nowhere where its destination changes only then',
      table({
        'out filter output -300': [[notrack]],
        'pre filter prerouting -310': [[zone(true)]],
        'nat nat prerouting -100': [[nat('dnat', '172.17.0.2')]],
      }),
      HERE,
      [
        'unroutable; 127.0.0.1 > 172.17.0.2 :80; dnat 172.17.0.2 at prerouting by t:nat.0; steps t:out.0 t:pre.0 t:nat.0',
      ],
    ],
    [
      'begins so, and is redirected to where it goes already',
      table({
        'out filter output -300': [[notrack]],
        'pre filter prerouting -310': [[zone(true)]],
        'nat nat prerouting -100': [[{ kind: 'redirect', to: {} }]],
      }),
      HERE,
      [
        'accept here; 127.0.0.1 > 127.0.0.1 :80; redirect 127.0.0.1 at prerouting by t:nat.0; steps t:out.0 t:pre.0 t:nat.0',
      ],
    ],
    [
      'is new to the rules behind its zone',
      table({ 'pre filter prerouting -300': [[zone(true)], ...states] }),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:pre.0 t:pre.1'],
    ],
    [
      'is without a mark then',
      table({
        'pre filter prerouting -300': [[notrack]],
        'inp filter input 0': [
          [isNot('ct-mark', 9), drop],
          [isNot('ct-status', 'dnat'), drop],
        ],
      }),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80; steps t:pre.0; notrack by t:pre.0'],
    ],
    [
      'by another rule',
      table({
        'pre filter prerouting -300': [[is('mark', 1), notrack], [is('mark', 0), notrack], [notrack]],
      }),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80; steps t:pre.1 t:pre.2; notrack by t:pre.1'],
    ],
    [
      'keeps what goes through lo',
      table({ 'out filter output -300': [[notrack]], 'inp filter input 0': states }),
      HERE,
      ['accept here; 127.0.0.1 > 127.0.0.1 :80 mark 2; steps t:out.0 t:inp.1; notrack by t:out.0'],
    ],
    [
      'of what was seen before',
      table({ 'pre filter prerouting -300': [[notrack]] }),
      { ...IN, ctState: 'established' },
      ['accept here; 172.17.0.1 > 172.17.0.2 :80; steps t:pre.0; notrack by t:pre.0'],
    ],
  ])('%s', (_name, rules, packet, outcomes) => expect(follow(rules, packet)).toEqual(outcomes));
});

describe('translations', () => {
  const pre = (...rules: Expression[][]) => table({ 'pre nat prerouting -100': rules }, { family: 'inet' });
  const out = (...rules: Expression[][]) => table({ 'out nat output -100': rules }, { family: 'inet' });
  const post = (...rules: Expression[][]) => table({ 'post nat postrouting 100': rules }, { family: 'inet' });
  const inp = (...rules: Expression[][]) => table({ 'inp nat input 100': rules }, { family: 'inet' });
  const targets: [string, object][] = [
    ['10.0.0.5', to('10.0.0.5:8080')],
    ['172.17.0.2', to('10.0.0.6:9090')],
  ];
  const byAddress = lookup(['destination'], targets);
  test.each<Case>([
    [
      'of the destination',
      pre([nat('dnat', '10.0.0.5:8080')]),
      IN,
      [
        'accept by lxc1; 172.17.0.1 > 10.0.0.5 :8080; dnat 10.0.0.5:8080 at prerouting by t:pre.0; steps t:pre.0',
      ],
    ],
    [
      'of the destination, IPv6',
      pre([nat('dnat', '[fd10::5]:8080')]),
      IN6,
      ['accept by lxc1; fd17::1 > fd10::5 :8080; dnat fd10::5:8080 at prerouting by t:pre.0; steps t:pre.0'],
    ],
    [
      'of the address alone',
      pre([nat('dnat', '10.0.0.5')]),
      IN,
      ['accept by lxc1; 172.17.0.1 > 10.0.0.5 :80; dnat 10.0.0.5 at prerouting by t:pre.0; steps t:pre.0'],
    ],
    [
      'of the port alone',
      pre([nat('dnat', ':8080')]),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :8080; dnat :8080 at prerouting by t:pre.0; steps t:pre.0'],
    ],
    [
      'to one of several addresses',
      pre([nat('dnat', '10.0.0.5-10.0.0.9:8080')]),
      IN,
      [
        'unknown; 172.17.0.1 > ? :8080; dnat 10.0.0.5-10.0.0.9:8080 at prerouting by t:pre.0; steps t:pre.0; if route the kernel chooses the address',
      ],
    ],
    [
      'to one of several ports',
      pre([nat('dnat', '10.0.0.5:8080-8090')]),
      IN,
      [
        'accept by lxc1; 172.17.0.1 > 10.0.0.5 :?; dnat 10.0.0.5:8080-8090 at prerouting by t:pre.0; steps t:pre.0',
      ],
    ],
    [
      'to one of several ports, with its own the first',
      pre([nat('dnat', '10.0.0.5:80-90')]),
      IN,
      [
        'accept by lxc1; 172.17.0.1 > 10.0.0.5 :80; dnat 10.0.0.5:80-90 at prerouting by t:pre.0; steps t:pre.0',
      ],
    ],
    [
      'to one of several ports, with its own the last',
      pre([nat('dnat', '10.0.0.5:70-80')]),
      IN,
      [
        'accept by lxc1; 172.17.0.1 > 10.0.0.5 :80; dnat 10.0.0.5:70-80 at prerouting by t:pre.0; steps t:pre.0',
      ],
    ],
    [
      'to one of several ports, below its own',
      pre([nat('dnat', '10.0.0.5:70-79')]),
      IN,
      [
        'accept by lxc1; 172.17.0.1 > 10.0.0.5 :?; dnat 10.0.0.5:70-79 at prerouting by t:pre.0; steps t:pre.0',
      ],
    ],
    [
      'to one of several ports, above its own',
      pre([nat('dnat', '10.0.0.5:81-90')]),
      IN,
      [
        'accept by lxc1; 172.17.0.1 > 10.0.0.5 :?; dnat 10.0.0.5:81-90 at prerouting by t:pre.0; steps t:pre.0',
      ],
    ],
    [
      'of this family',
      pre([nat('dnat', '10.0.0.5', 'ip')]),
      IN,
      ['accept by lxc1; 172.17.0.1 > 10.0.0.5 :80; dnat 10.0.0.5 at prerouting by t:pre.0; steps t:pre.0'],
    ],
    [
      'of the other family',
      pre([nat('dnat', 'fd10::5', 'ip6')], [mark(1)]),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:pre.1'],
    ],
    [
      'of the other family, IPv6',
      pre([nat('dnat', '10.0.0.5', 'ip'), mark(3)], [nat('dnat', 'fd10::6', 'ip6')]),
      IN6,
      [
        'accept by lxc1; fd17::1 > fd10::6 :80 mark 3; dnat fd10::6 at prerouting by t:pre.1; steps t:pre.0 t:pre.1',
      ],
    ],
    [
      'that is not modelled',
      pre([{ kind: 'dnat', to: { opaque: 'what' } }]),
      IN,
      [
        'unknown; 172.17.0.1 > ? :?; dnat nothing at prerouting by t:pre.0; steps t:pre.0; if route the kernel chooses the address',
      ],
    ],
    [
      'that is not modelled, of the source',
      post([{ kind: 'snat', to: { opaque: 'what' } }]),
      THROUGH,
      ['accept by lxc1; ? > 10.0.0.5 :80; snat nothing at postrouting by t:post.0; steps t:post.0'],
    ],
    [
      'to what it is already',
      pre([nat('dnat', '172.17.0.2:80')], [drop]),
      IN,
      [
        'accept here; 172.17.0.1 > 172.17.0.2 :80; dnat 172.17.0.2:80 at prerouting by t:pre.0; steps t:pre.0',
      ],
    ],
    [
      'by the first rule',
      pre([nat('dnat', '10.0.0.5')], [nat('dnat', '10.0.0.6')]),
      IN,
      ['accept by lxc1; 172.17.0.1 > 10.0.0.5 :80; dnat 10.0.0.5 at prerouting by t:pre.0; steps t:pre.0'],
    ],
    [
      'by the first chain',
      table({
        'one nat prerouting -100': [[nat('dnat', '10.0.0.5')]],
        'two nat prerouting -99': [[nat('dnat', '10.0.0.6')]],
      }),
      IN,
      ['accept by lxc1; 172.17.0.1 > 10.0.0.5 :80; dnat 10.0.0.5 at prerouting by t:one.0; steps t:one.0'],
    ],
    [
      'by the second chain, where the first accepts',
      table({ 'one nat prerouting -100': [[accept]], 'two nat prerouting -99': [[nat('dnat', '10.0.0.6')]] }),
      IN,
      [
        'accept by lxc1; 172.17.0.1 > 10.0.0.6 :80; dnat 10.0.0.6 at prerouting by t:two.0; steps t:one.0 t:two.0',
      ],
    ],
    [
      'by a chain that is dropped in',
      table({ 'one nat prerouting -100': [[drop]], 'two nat prerouting -99': [[nat('dnat', '10.0.0.6')]] }),
      IN,
      ['drop by t:one.0; 172.17.0.1 > 172.17.0.2 :80; steps t:one.0'],
    ],
    [
      'not of what is established',
      pre([nat('dnat', '10.0.0.5')]),
      { ...IN, ctState: 'established' },
      ['accept here; 172.17.0.1 > 172.17.0.2 :80'],
    ],
    [
      'not of what is related',
      pre([nat('dnat', '10.0.0.5')]),
      { ...IN, ctState: 'related' },
      ['accept here; 172.17.0.1 > 172.17.0.2 :80'],
    ],
    [
      'not of what is not tracked',
      table({
        'raw filter prerouting -300': [[notrack]],
        'pre nat prerouting -100': [[nat('dnat', '10.0.0.5')]],
      }),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80; steps t:raw.0; notrack by t:raw.0'],
    ],
    [
      'is a state of the connection',
      table({
        'pre nat prerouting -100': [[nat('dnat', '10.0.0.5')]],
        'fwd filter forward 0': [
          [is('ct-state', 'dnat'), mark(1)],
          [is('ct-status', 'dnat'), mark(2, 0)],
          [is('ct-state', 'new'), mark(4, 0)],
          [is('ct-status', 'snat'), drop],
        ],
      }),
      IN,
      [
        'accept by lxc1; 172.17.0.1 > 10.0.0.5 :80 mark 7; dnat 10.0.0.5 at prerouting by t:pre.0; steps t:pre.0 t:fwd.0 t:fwd.1 t:fwd.2',
      ],
    ],
    [
      'keeps the original destination',
      table({
        'pre nat prerouting -100': [[nat('dnat', '10.0.0.5:8080')]],
        'fwd filter forward 0': [
          [is('ct-original-destination', '172.17.0.2'), is('ct-original-destination-port', 80), drop],
        ],
      }),
      IN,
      [
        'drop by t:fwd.0; 172.17.0.1 > 10.0.0.5 :8080; dnat 10.0.0.5:8080 at prerouting by t:pre.0; steps t:pre.0 t:fwd.0',
      ],
    ],
    [
      'to what it is already is no state',
      table({
        'pre nat prerouting -100': [[nat('dnat', '172.17.0.2:80')]],
        'inp filter input 0': [[is('ct-status', 'dnat'), drop]],
      }),
      IN,
      [
        'accept here; 172.17.0.1 > 172.17.0.2 :80; dnat 172.17.0.2:80 at prerouting by t:pre.0; steps t:pre.0',
      ],
    ],
    [
      'of the port is a state',
      table({
        'pre nat prerouting -100': [[nat('dnat', ':81')]],
        'inp filter input 0': [[is('ct-status', 'dnat'), drop]],
      }),
      IN,
      [
        'drop by t:inp.0; 172.17.0.1 > 172.17.0.2 :81; dnat :81 at prerouting by t:pre.0; steps t:pre.0 t:inp.0',
      ],
    ],
    [
      'of the source',
      post([nat('snat', '172.17.0.3')]),
      THROUGH,
      [
        'accept by lxc1; 172.17.0.3 > 10.0.0.5 :80; snat 172.17.0.3 at postrouting by t:post.0; steps t:post.0',
      ],
    ],
    [
      'of the source and its port',
      post([is('source-port', 40000), nat('snat', '172.17.0.3:5')], [is('source-port', 5), drop]),
      THROUGH,
      [
        'accept by lxc1; 172.17.0.3 > 10.0.0.5 :80; snat 172.17.0.3:5 at postrouting by t:post.0; steps t:post.0',
      ],
    ],
    [
      'of the source’s port alone',
      post([nat('snat', ':5')]),
      THROUGH,
      ['accept by lxc1; 172.17.0.1 > 10.0.0.5 :80; snat :5 at postrouting by t:post.0; steps t:post.0'],
    ],
    [
      'of the source before its way is known',
      pre([nat('snat', '10.0.0.1-10.0.0.2')]),
      IN,
      [
        'unknown; ? > 172.17.0.2 :80; snat 10.0.0.1-10.0.0.2 at prerouting by t:pre.0; steps t:pre.0; if route the kernel chooses the address',
      ],
    ],
    [
      'of the source is a state',
      table({
        'inp nat input 100': [[nat('snat', '172.17.0.3')]],
        'post filter input 200': [
          [is('ct-state', 'snat'), mark(1)],
          [is('ct-status', 'dnat'), drop],
        ],
      }),
      IN,
      [
        'accept here; 172.17.0.3 > 172.17.0.2 :80 mark 1; snat 172.17.0.3 at input by t:inp.0; steps t:inp.0 t:post.0',
      ],
    ],
    [
      'of the source on the way in',
      inp([nat('snat', '172.17.0.3')]),
      IN,
      ['accept here; 172.17.0.3 > 172.17.0.2 :80; snat 172.17.0.3 at input by t:inp.0; steps t:inp.0'],
    ],
    [
      'of both ends',
      together(ruleset(pre([nat('dnat', '10.0.0.5:8080')])), ruleset(post([own('masquerade')]))),
      IN,
      [
        'accept by lxc1; 10.0.0.1 > 10.0.0.5 :8080; dnat 10.0.0.5:8080 at prerouting by t:pre.0; masquerade 10.0.0.1 at postrouting by t:post.0; steps t:pre.0 t:post.0',
      ],
    ],
    [
      'masquerade',
      post([own('masquerade')]),
      THROUGH,
      [
        'accept by lxc1; 10.0.0.1 > 10.0.0.5 :80; masquerade 10.0.0.1 at postrouting by t:post.0; steps t:post.0',
      ],
    ],
    [
      'masquerade, IPv6',
      post([own('masquerade')]),
      { ...IN6, destination: 'fd10::5' },
      [
        'accept by lxc1; fd10::1 > fd10::5 :80; masquerade fd10::1 at postrouting by t:post.0; steps t:post.0',
      ],
    ],
    [
      'masquerade, IPv6, to an address of the node itself',
      post([own('masquerade')]),
      { ...HERE6, source: 'fd17::2', destination: 'fd10::1' },
      ['accept here; fd10::1 > fd10::1 :80; masquerade fd10::1 at postrouting by t:post.0; steps t:post.0'],
    ],
    [
      'masquerade to ports',
      post([own('masquerade', '1024-65535')]),
      THROUGH,
      [
        'accept by lxc1; 10.0.0.1 > 10.0.0.5 :80; masquerade 10.0.0.1:1024-65535 at postrouting by t:post.0; steps t:post.0',
      ],
    ],
    [
      'masquerade to other ports',
      post([own('masquerade', '1024-2048')], [drop]),
      THROUGH,
      [
        'accept by lxc1; 10.0.0.1 > 10.0.0.5 :80; masquerade 10.0.0.1:1024-2048 at postrouting by t:post.0; steps t:post.0',
      ],
    ],
    [
      'masquerade by an interface without an address',
      post([own('masquerade')]),
      { ...THROUGH, mark: 0x77 },
      [
        'accept by tunnel; ? > 10.0.0.5 :80 mark 119; masquerade nothing at postrouting by t:post.0; steps t:post.0',
      ],
    ],
    [
      'redirect',
      pre([own('redirect', '8080')]),
      THROUGH,
      [
        'accept here; 172.17.0.1 > 172.17.0.2 :8080; redirect 172.17.0.2:8080 at prerouting by t:pre.0; steps t:pre.0',
      ],
    ],
    [
      'redirect, IPv6',
      pre([own('redirect', '8080')]),
      { ...IN6, destination: 'fd10::5' },
      ['accept here; fd17::1 > fd17::2 :8080; redirect fd17::2:8080 at prerouting by t:pre.0; steps t:pre.0'],
    ],
    [
      'redirect without a port',
      pre([own('redirect')]),
      THROUGH,
      [
        'accept here; 172.17.0.1 > 172.17.0.2 :80; redirect 172.17.0.2 at prerouting by t:pre.0; steps t:pre.0',
      ],
    ],
    [
      'redirect to one of several ports',
      pre([own('redirect', '8080-8090')]),
      THROUGH,
      [
        'accept here; 172.17.0.1 > 172.17.0.2 :?; redirect 172.17.0.2:8080-8090 at prerouting by t:pre.0; steps t:pre.0',
      ],
    ],
    [
      'redirect where the address is not known',
      pre([own('redirect', '8080')]),
      { ...THROUGH, inputInterface: 'eth9' },
      ['accept here; 172.17.0.1 > ? :8080; redirect :8080 at prerouting by t:pre.0; steps t:pre.0'],
    ],
    [
      'redirect where the address is of the other family',
      pre([own('redirect')]),
      { ...THROUGH, inputInterface: 'odd' },
      ['accept here; 172.17.0.1 > ? :80; redirect nothing at prerouting by t:pre.0; steps t:pre.0'],
    ],
    [
      'redirect where the address is not one',
      pre([own('redirect')]),
      { ...THROUGH, inputInterface: 'bad' },
      ['accept here; 172.17.0.1 > ? :80; redirect nothing at prerouting by t:pre.0; steps t:pre.0'],
    ],
    [
      'redirect where the address is not known, asked',
      table({
        'pre nat prerouting -100': [[own('redirect', '8080')]],
        'inp filter input 0': [[is('destination-type', 'local'), is('destination', '10.0.0.5'), drop]],
      }),
      { ...THROUGH, inputInterface: 'eth9' },
      [
        "drop by t:inp.0; 172.17.0.1 > ? :8080; redirect :8080 at prerouting by t:pre.0; steps t:pre.0 t:inp.0; if the packet's destination",
        "accept here; 172.17.0.1 > ? :8080; redirect :8080 at prerouting by t:pre.0; steps t:pre.0; unless the packet's destination",
      ],
    ],
    [
      'redirect of what goes out',
      out([own('redirect', '8080')]),
      OUT,
      [
        'accept here; 172.17.0.2 > 127.0.0.1 :8080; redirect 127.0.0.1:8080 at output by t:out.0; steps t:out.0',
      ],
    ],
    [
      'redirect of what goes out, IPv6',
      out([own('redirect', '8080')]),
      { ...HERE6, destination: 'fd10::5', source: 'fd17::2' },
      ['accept here; fd17::2 > ::1 :8080; redirect ::1:8080 at output by t:out.0; steps t:out.0'],
    ],
    [
      'redirect of what goes out to 127.0.0.1',
      out([own('redirect', '8080')]),
      { ...HERE, destination: '127.0.0.1' },
      [
        'accept here; 127.0.0.1 > 127.0.0.1 :8080; redirect 127.0.0.1:8080 at output by t:out.0; steps t:out.0',
      ],
    ],
    [
      'of what goes out',
      out([nat('dnat', '172.17.0.9:8080')]),
      OUT,
      [
        'accept by eth0; 172.17.0.2 > 172.17.0.9 :8080; dnat 172.17.0.9:8080 at output by t:out.0; steps t:out.0',
      ],
    ],
    [
      'of what goes out, to the node',
      out([nat('dnat', '172.17.0.2:8080')]),
      OUT,
      [
        'accept here; 172.17.0.2 > 172.17.0.2 :8080; dnat 172.17.0.2:8080 at output by t:out.0; steps t:out.0',
      ],
    ],
    [
      'of what goes out, nowhere',
      out([nat('dnat', '192.0.2.1')]),
      OUT,
      ['unroutable; 172.17.0.2 > 192.0.2.1 :80; dnat 192.0.2.1 at output by t:out.0; steps t:out.0'],
    ],
    [
      'of what goes out, to one of several',
      out([nat('dnat', '10.0.0.5-10.0.0.6')]),
      OUT,
      [
        'unknown; 172.17.0.2 > ? :80; dnat 10.0.0.5-10.0.0.6 at output by t:out.0; steps t:out.0; if route the kernel chooses the address',
      ],
    ],
    [
      'of what stays here, once',
      together(ruleset(out([accept])), ruleset(pre([nat('dnat', '10.0.0.5')]))),
      HERE,
      ['accept here; 127.0.0.1 > 127.0.0.1 :80; steps t:out.0'],
    ],
    [
      'of what comes back by lo',
      together(
        ruleset(out([is('destination-port', 80), nat('dnat', '127.0.0.1:8080')])),
        ruleset(pre([nat('dnat', '10.0.0.5')])),
      ),
      HERE,
      ['accept here; 127.0.0.1 > 127.0.0.1 :8080; dnat 127.0.0.1:8080 at output by t:out.0; steps t:out.0'],
    ],
    [
      'of the source of what stays here, once',
      together(ruleset(post([accept])), ruleset(inp([nat('snat', '172.17.0.3')]))),
      HERE,
      ['accept here; 127.0.0.1 > 127.0.0.1 :80; steps t:post.0'],
    ],
    [
      'to one of several sources',
      table({
        'post nat postrouting 100': [[nat('snat', '172.17.0.3-172.17.0.4')]],
        'late filter postrouting 200': [
          [is('source', '172.17.0.3'), drop],
          [is('source-type', 'local'), mark(1)],
        ],
      }),
      THROUGH,
      [
        "drop by t:late.0; ? > 10.0.0.5 :80; snat 172.17.0.3-172.17.0.4 at postrouting by t:post.0; steps t:post.0 t:late.0; if the packet's source",
        "accept by lxc1; ? > 10.0.0.5 :80; snat 172.17.0.3-172.17.0.4 at postrouting by t:post.0; steps t:post.0; unless the packet's source; unless the packet's source-type",
        "accept by lxc1; ? > 10.0.0.5 :80 mark 1; snat 172.17.0.3-172.17.0.4 at postrouting by t:post.0; steps t:post.0 t:late.1; unless the packet's source; if the packet's source-type",
      ],
    ],
    [
      'by an address in a map',
      pre([{ kind: 'dnat', to: { address: byAddress } }]),
      IN,
      [
        'accept by lxc1; 172.17.0.1 > 10.0.0.6 :9090; dnat 10.0.0.6:9090 at prerouting by t:pre.0[172.17.0.2]; steps t:pre.0[172.17.0.2]',
      ],
    ],
    [
      'by an address that is not in a map',
      pre([{ kind: 'dnat', to: { address: byAddress } }], [nat('dnat', ':1')]),
      { ...IN, destination: '172.17.0.3' },
      ['accept here; 172.17.0.1 > 172.17.0.3 :1; dnat :1 at prerouting by t:pre.1; steps t:pre.1'],
    ],
    [
      'by an address in a map and a port',
      pre([
        {
          kind: 'dnat',
          to: {
            address: lookup(['destination'], [['172.17.0.2', to('10.0.0.6')]]),
            literal: { port: { from: 1, to: 1 } },
          },
        },
      ]),
      IN,
      [
        'accept by lxc1; 172.17.0.1 > 10.0.0.6 :1; dnat 10.0.0.6:1 at prerouting by t:pre.0[172.17.0.2]; steps t:pre.0[172.17.0.2]',
      ],
    ],
    [
      'by an address and a port in maps',
      pre([
        {
          kind: 'dnat',
          to: {
            address: lookup(['destination'], [['172.17.0.2', to('10.0.0.6')]]),
            port: lookup(
              ['destination-port'],
              [
                [80, to(':1')],
                [81, to(':2')],
              ],
            ),
          },
        },
      ]),
      IN,
      [
        'accept by lxc1; 172.17.0.1 > 10.0.0.6 :1; dnat 10.0.0.6:1 at prerouting by t:pre.0[172.17.0.2]; steps t:pre.0[172.17.0.2]',
      ],
    ],
    [
      'by an address in a map and a port in none',
      pre(
        [
          {
            kind: 'dnat',
            to: {
              address: lookup(['destination'], [['172.17.0.2', to('10.0.0.6')]]),
              port: lookup(['destination-port'], [[81, to(':2')]]),
            },
          },
        ],
        [mark(1)],
      ),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:pre.1'],
    ],
    [
      'by an address in no map and a port in one',
      pre(
        [
          {
            kind: 'dnat',
            to: {
              address: lookup(['destination'], [['172.17.0.9', to('10.0.0.6')]]),
              port: lookup(['destination-port'], [[80, to(':2')]]),
            },
          },
        ],
        [mark(1)],
      ),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:pre.1'],
    ],
    [
      'by turns',
      pre([
        {
          kind: 'dnat',
          to: {
            address: lookup(
              undefined,
              [
                [0, to('10.0.0.5')],
                [1, to('10.0.0.6')],
              ],
              { random: true },
            ),
          },
        },
      ]),
      IN,
      [
        'accept by lxc1; 172.17.0.1 > 10.0.0.5 :80; dnat 10.0.0.5 at prerouting by t:pre.0[0]; steps t:pre.0[0]; if random any of the map',
        'accept by lxc1; 172.17.0.1 > 10.0.0.6 :80; dnat 10.0.0.6 at prerouting by t:pre.0[1]; steps t:pre.0[1]; if random any of the map',
      ],
    ],
    [
      'by turns, of both',
      pre([
        {
          kind: 'dnat',
          to: {
            address: lookup(
              undefined,
              [
                [0, to('10.0.0.5')],
                [1, to('10.0.0.6')],
              ],
              { random: true },
            ),
            port: lookup(
              undefined,
              [
                [0, to(':1')],
                [1, to(':2')],
              ],
              { random: true },
            ),
          },
        },
      ]),
      IN,
      [
        'accept by lxc1; 172.17.0.1 > 10.0.0.5 :1; dnat 10.0.0.5:1 at prerouting by t:pre.0[0]; steps t:pre.0[0]; if random any of the map; if random any of the map',
        'accept by lxc1; 172.17.0.1 > 10.0.0.5 :2; dnat 10.0.0.5:2 at prerouting by t:pre.0[0]; steps t:pre.0[0]; if random any of the map; if random any of the map',
        'accept by lxc1; 172.17.0.1 > 10.0.0.6 :1; dnat 10.0.0.6:1 at prerouting by t:pre.0[1]; steps t:pre.0[1]; if random any of the map; if random any of the map',
        'accept by lxc1; 172.17.0.1 > 10.0.0.6 :2; dnat 10.0.0.6:2 at prerouting by t:pre.0[1]; steps t:pre.0[1]; if random any of the map; if random any of the map',
      ],
    ],
    [
      'by a source that is not known',
      pre([{ kind: 'dnat', to: { address: lookup(['source-port'], [[1, to('10.0.0.5')]]) } }]),
      { ...IN, sourcePort: undefined },
      [
        "accept here; 172.17.0.1 > 172.17.0.2 :80; unless the packet's source-port",
        "accept by lxc1; 172.17.0.1 > 10.0.0.5 :80; dnat 10.0.0.5 at prerouting by t:pre.0[1]; steps t:pre.0[1]; if the packet's source-port",
      ],
    ],
    [
      'in a list of several keys',
      pre([
        {
          kind: 'dnat',
          to: {
            address: lookup(
              ['protocol', 'destination-port'],
              [
                [[17, 80], to('10.0.0.5')],
                [[6, 80], to('10.0.0.6:1')],
              ],
            ),
          },
        },
      ]),
      IN,
      [
        'accept by lxc1; 172.17.0.1 > 10.0.0.6 :1; dnat 10.0.0.6:1 at prerouting by t:pre.0[6,80]; steps t:pre.0[6,80]',
      ],
    ],
  ])('%s', (_name, rules, packet, outcomes) => expect(follow(rules, packet)).toEqual(outcomes));

  test('without primary addresses a masquerade writes something that is not known', () => {
    const { primaryAddress: _, ...bare } = NODE;
    expect(follow(post([own('masquerade')]), THROUGH, bare)).toEqual([
      'accept by lxc1; ? > 10.0.0.5 :80; masquerade nothing at postrouting by t:post.0; steps t:post.0',
    ]);
  });
});

describe('what changes the way of a packet that goes out', () => {
  const chain = (type: string, ...rules: Expression[][]) =>
    table({
      [`out ${type} output 0`]: rules,
      'late filter output 10': [[is('output-interface', 'lxc1'), mark(1, 0)]],
    });
  test.each<Case>([
    [
      'a mark of a route chain',
      chain('route', [mark(0x77)]),
      OUT,
      ['accept by tunnel; 172.17.0.2 > 10.0.0.5 :80 mark 118; steps t:out.0 t:late.0'],
    ],
    [
      'a mark of a filter chain',
      chain('filter', [mark(0x77)]),
      OUT,
      ['accept by lxc1; 172.17.0.2 > 10.0.0.5 :80 mark 118; steps t:out.0 t:late.0'],
    ],
    [
      'a mark of a route chain that stays',
      chain('route', [mark(0)]),
      { ...OUT, outputInterface: 'eth7' },
      ['accept by eth7; 172.17.0.2 > 10.0.0.5 :80; steps t:out.0'],
    ],
    [
      'another mark of a route chain',
      chain('route', [mark(0x78)]),
      { ...OUT, outputInterface: 'eth7' },
      ['accept by lxc1; 172.17.0.2 > 10.0.0.5 :80 mark 120; steps t:out.0'],
    ],
    [
      'another destination',
      together(
        ruleset(chain('filter', [mark(2)])),
        ruleset(table({ 'out nat output -100': [[nat('dnat', '172.17.0.9')]] }, { name: 'n' })),
      ),
      OUT,
      [
        'accept by eth0; 172.17.0.2 > 172.17.0.9 :80 mark 3; dnat 172.17.0.9 at output by n:out.0; steps n:out.0 t:out.0 t:late.0',
      ],
    ],
    [
      'some of them',
      chain('route', [unknown('u'), mark(0x77)]),
      OUT,
      [
        'accept by lxc1; 172.17.0.2 > 10.0.0.5 :80 mark 1; steps t:late.0; unless u',
        'accept by tunnel; 172.17.0.2 > 10.0.0.5 :80 mark 118; steps t:out.0 t:late.0; if u',
      ],
    ],
    [
      'to nowhere, some of them',
      table({ 'out nat output -100': [[unknown('u'), nat('dnat', '192.0.2.1')]] }),
      OUT,
      [
        'unroutable; 172.17.0.2 > 192.0.2.1 :80; dnat 192.0.2.1 at output by t:out.0; steps t:out.0; if u',
        'accept by lxc1; 172.17.0.2 > 10.0.0.5 :80; unless u',
      ],
    ],
  ])('%s', (_name, rules, packet, outcomes) => expect(follow(rules, packet)).toEqual(outcomes));

  test('the route is asked with the packet as it is then', () => {
    const asked: unknown[] = [];
    const route: Environment['route'] = (query) => {
      asked.push(query);
      return NODE.route(query);
    };
    const rules = ruleset(
      table({ 'out nat output -100': [[nat('dnat', '10.0.0.6')]], 'mangle route output -150': [[mark(5)]] }),
    );
    follow(rules, OUT, { ...NODE, route });
    follow(rules, { ...IN, mark: 9 }, { ...NODE, route });
    const common = { family: 'ip', source: '172.17.0.2', inputInterface: undefined };
    expect(asked).toEqual([
      { ...common, destination: '10.0.0.5', mark: 0 },
      { ...common, destination: '10.0.0.5', mark: 5 },
      { ...common, destination: '10.0.0.6', mark: 5 },
      { ...common, source: '172.17.0.1', destination: '172.17.0.2', inputInterface: 'eth0', mark: 9 },
    ]);
  });
});

describe('what is not known', () => {
  const u = unknown('u');
  const v = unknown('v');
  test.each<Case>([
    [
      'makes two ways',
      input([u, drop]),
      IN,
      [
        'drop by t:inp.0; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0; if u',
        'accept here; 172.17.0.1 > 172.17.0.2 :80; unless u',
      ],
    ],
    [
      'makes two ways, with what comes before',
      input([mark(1), u, drop], [mark(2, 0)]),
      IN,
      [
        'drop by t:inp.0; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:inp.0; if u',
        'accept here; 172.17.0.1 > 172.17.0.2 :80 mark 3; steps t:inp.0 t:inp.1; unless u',
      ],
    ],
    [
      'makes four ways',
      input([u, mark(1, 1)], [v, mark(2, 2)]),
      IN,
      [
        'accept here; 172.17.0.1 > 172.17.0.2 :80; unless u; unless v',
        'accept here; 172.17.0.1 > 172.17.0.2 :80 mark 2; steps t:inp.1; unless u; if v',
        'accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:inp.0; if u; unless v',
        'accept here; 172.17.0.1 > 172.17.0.2 :80 mark 3; steps t:inp.0 t:inp.1; if u; if v',
      ],
    ],
    [
      'makes ways that meet again',
      input([u, mark(1)], [mark(1)]),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:inp.1; several'],
    ],
    [
      'makes ways that meet again behind more',
      input([mark(7)], [u, mark(1)], [v, mark(1)], [mark(1)], [mark(2, 0)]),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 3; steps t:inp.0 t:inp.3 t:inp.4; several'],
    ],
    [
      'makes ways that meet in another chain',
      table({ 'inp filter input 0': [[u, jump('sub')], [mark(1)]], sub: [[mark(5)]] }),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:inp.1; several'],
    ],
    [
      'makes ways that meet at the end',
      input([u, accept]),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80; several'],
    ],
    [
      'makes ways that meet at a verdict',
      table({ 'inp filter input 0': [[u, accept]], 'later filter input 10': [[mark(1)]] }),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:later.0; several'],
    ],
    [
      'does not matter in a rule that does nothing',
      input(
        [u],
        [u, { kind: 'neutral', text: 'log' }],
        [u, next],
        [u, is('mark', 0)],
        [u, anyOf(false, is('mark', 0))],
        [u, v],
      ),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80'],
    ],
    [
      'does not matter behind what a rule does',
      input([mark(1), u, { kind: 'neutral', text: 'log' }]),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps t:inp.0'],
    ],
    [
      'matters before a verdict',
      input([u, v, drop]),
      IN,
      [
        'drop by t:inp.0; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0; if u; if v',
        'accept here; 172.17.0.1 > 172.17.0.2 :80; several',
      ],
    ],
    [
      'does not matter before a match that fails',
      input([u, is('mark', 1), drop]),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80; several'],
    ],
    [
      'keeps a redirected way apart',
      table({ 'pre nat prerouting -100': [[u, own('redirect')]] }),
      IN,
      [
        'accept here; 172.17.0.1 > 172.17.0.2 :80; redirect 172.17.0.2 at prerouting by t:pre.0; steps t:pre.0; if u',
        'accept here; 172.17.0.1 > 172.17.0.2 :80; unless u',
      ],
    ],
    [
      'keeps an untracked way apart',
      table({ 'pre filter prerouting -300': [[u, notrack]] }),
      IN,
      [
        'accept here; 172.17.0.1 > 172.17.0.2 :80; unless u',
        'accept here; 172.17.0.1 > 172.17.0.2 :80; steps t:pre.0; notrack by t:pre.0; if u',
      ],
    ],
    [
      'keeps a way with a mark of its connection apart',
      input([u, mark(1, 1, 'connection')], [is('ct-mark', 1), drop]),
      IN,
      [
        'drop by t:inp.1; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0 t:inp.1; if u',
        'accept here; 172.17.0.1 > 172.17.0.2 :80; unless u',
      ],
    ],
    [
      'keeps a way with another source apart',
      table({ 'post nat postrouting 100': [[u, nat('snat', '172.17.0.3')]] }),
      THROUGH,
      [
        'accept by lxc1; 172.17.0.3 > 10.0.0.5 :80; snat 172.17.0.3 at postrouting by t:post.0; steps t:post.0; if u',
        'accept by lxc1; 172.17.0.1 > 10.0.0.5 :80; unless u',
      ],
    ],
    [
      'keeps ways of two translations apart',
      table({ 'pre nat prerouting -100': [[u, nat('dnat', '10.0.0.5')], [nat('dnat', '10.0.0.5')]] }),
      IN,
      [
        'accept by lxc1; 172.17.0.1 > 10.0.0.5 :80; dnat 10.0.0.5 at prerouting by t:pre.0; steps t:pre.0; if u',
        'accept by lxc1; 172.17.0.1 > 10.0.0.5 :80; dnat 10.0.0.5 at prerouting by t:pre.1; steps t:pre.1; unless u',
      ],
    ],
    [
      'keeps ways of two rules that drop apart',
      input([u, drop], [drop]),
      IN,
      [
        'drop by t:inp.0; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.0; if u',
        'drop by t:inp.1; 172.17.0.1 > 172.17.0.2 :80; steps t:inp.1; unless u',
      ],
    ],
  ])('%s', (_name, rules, packet, outcomes) => expect(follow(rules, packet)).toEqual(outcomes));

  test('what ways share is kept in its order, however many there are', () => {
    // Sixty rules of which each may be passed or not, between rules that all pass.
    const rules = Array.from({ length: 60 }, (_, i) => [[mark(i)], [unknown(`u${i}`), mark(99)]]).flat();
    expect(follow(input(...rules, [mark(1)]), IN)).toEqual([
      `accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps ${Array.from({ length: 60 }, (_, i) => `t:inp.${2 * i}`).join(' ')} t:inp.120; several`,
    ]);
  });

  test('what ways assumed alike is kept', () => {
    // Two marks that stay, then ways that meet again.
    const rules = [
      ...Array.from({ length: 5 }, (_, i) => [unknown(`u${i}`), mark(1 << i, 1 << i, 'connection')]),
    ] as Expression[][];
    const outcomes = tracePacket(
      ruleset(input(...rules, [unknown('v'), mark(1)], [mark(2)])),
      IN,
      NODE,
    ).outcomes;
    expect(outcomes).toHaveLength(32);
    expect(
      new Set(outcomes.map(({ assumed }) => assumed.map(({ holds }) => Number(holds)).join(''))),
    ).toHaveProperty('size', 32);
    for (const { assumed, several } of outcomes) {
      expect(assumed.map(({ unknown }) => reason(unknown))).toEqual(['u0', 'u1', 'u2', 'u3', 'u4']);
      expect(several).toBe(true);
    }
  });
});

describe('chains of one priority', () => {
  const one = (rules: Expression[][], handle?: number) =>
    table({ 'a filter input 0': rules }, { name: 'one', handle });
  const two = (rules: Expression[][], handle?: number) =>
    table({ 'b filter input 0': rules }, { name: 'two', handle });
  test.each<Case>([
    [
      'in either order',
      ruleset(one([[mark(1)]]), two([[mark(2)]])),
      IN,
      [
        'accept here; 172.17.0.1 > 172.17.0.2 :80 mark 2; steps one:a.0 two:b.0; if order at input of one:a two:b',
        'accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps two:b.0 one:a.0; unless order at input of one:a two:b',
      ],
    ],
    [
      'that drop in either order',
      ruleset(one([[drop]]), two([[drop]])),
      IN,
      [
        'drop by one:a.0; 172.17.0.1 > 172.17.0.2 :80; steps one:a.0; if order at input of one:a two:b',
        'drop by two:b.0; 172.17.0.1 > 172.17.0.2 :80; steps two:b.0; unless order at input of one:a two:b',
      ],
    ],
    [
      'the newer first',
      ruleset(one([[mark(1)]], 1), two([[mark(2)]], 2)),
      IN,
      [
        'accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps two:b.0 one:a.0; if order at input of two:b one:a',
        'accept here; 172.17.0.1 > 172.17.0.2 :80 mark 2; steps one:a.0 two:b.0; unless order at input of two:b one:a',
      ],
    ],
    [
      'of one table, the later first, beside a newer table',
      ruleset(
        table(
          { 'a filter input 0': [[mark(1)]], 'b filter input 0': [[mark(2)]] },
          { name: 'one', handle: 1 },
        ),
        two([[mark(3)]], 2),
      ),
      IN,
      [
        'accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps two:b.0 one:b.0 one:a.0; if order at input of two:b one:b one:a',
        'accept here; 172.17.0.1 > 172.17.0.2 :80 mark 3; steps one:a.0 one:b.0 two:b.0; unless order at input of two:b one:b one:a',
      ],
    ],
    [
      'that agree',
      ruleset(one([[mark(1)]]), two([[mark(1)]])),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 1; steps one:a.0 two:b.0; several'],
    ],
    [
      'that do not touch each other',
      ruleset(one([[mark(1, 1)]]), two([[mark(2, 2)]])),
      IN,
      ['accept here; 172.17.0.1 > 172.17.0.2 :80 mark 3; steps one:a.0 two:b.0; several'],
    ],
    [
      'that drop by policies',
      ruleset(
        table({ 'a filter input 0 drop': [] }, { name: 'one' }),
        table({ 'b filter input 0 drop': [] }, { name: 'two' }),
      ),
      IN,
      [
        'drop by policy of one:a; 172.17.0.1 > 172.17.0.2 :80; if order at input of one:a two:b',
        'drop by policy of two:b; 172.17.0.1 > 172.17.0.2 :80; unless order at input of one:a two:b',
      ],
    ],
    [
      'that drop in one rule',
      ruleset(one([[unknown('u'), drop]]), two([[mark(1)], [mark(0)]])),
      IN,
      [
        'drop by one:a.0; 172.17.0.1 > 172.17.0.2 :80; steps one:a.0; several',
        'accept here; 172.17.0.1 > 172.17.0.2 :80; steps two:b.0 two:b.1; several',
      ],
    ],
  ])('%s', (_name, rules, packet, outcomes) => expect(follow(rules, packet)).toEqual(outcomes));
});

describe('bounds', () => {
  const many = (count: number, expressions: Expression[]) => Array.from({ length: count }, () => expressions);
  const values = (count: number) => Array.from({ length: count }, (_, i) => [i, { value: i }] as const);
  const spread = (count: number, of: 'packet' | 'connection'): Expression[] => [
    { kind: 'set-mark-from-map', of, lookup: lookup(undefined, values(count), { random: true }) },
  ];
  /** The reasons why it was given up; empty when it was not. */
  const reasons = (rules: Table, packet = IN, budget?: { rules: number }) => {
    const { outcomes } = tracePacket(ruleset(rules), packet, NODE, budget);
    // Nothing is assumed behind it.
    const last = outcomes.map(({ assumed }) => assumed.at(-1)?.unknown);
    return [...new Set(last.flatMap((each) => (each?.kind === 'bound' ? [each.reason] : [])))];
  };
  const nested = (depth: number) =>
    table({
      'inp filter input 0': [[jump('c1')]],
      ...Object.fromEntries(
        Array.from({ length: depth }, (_, i) => [
          `c${i + 1}`,
          i + 1 < depth ? [[jump(`c${i + 2}`)]] : [[drop]],
        ]),
      ),
    });
  // A hundred ways more count as a thousand rules: 1001 with this one.
  const wide: Expression[] = [
    {
      kind: 'verdict-map',
      lookup: lookup(
        undefined,
        Array.from({ length: 101 }, (_, i) => [i, {}] as const),
        { random: true },
      ),
    },
  ];

  test.each<[name: string, rules: Table, reasons: string[]]>([
    ['so many rules', input(...many(199, wide), ...many(801, [is('mark', 9), drop])), []],
    [
      'too many rules',
      input(...many(199, wide), ...many(802, [is('mark', 9), drop])),
      ['more than 200000 rules'],
    ],
    ['so many chains in chains', nested(64), []],
    ['too many chains in chains', nested(65), ['chains nested deeper than 64']],
    ['so many ways', input(spread(16, 'packet'), spread(16, 'connection'), [mark(0x100, 0)]), []],
    [
      'too many ways',
      input(spread(16, 'packet'), spread(17, 'connection'), [mark(0x100, 0)]),
      ['more than 256 branches'],
    ],
    ['so many elements', input(spread(256, 'packet')), []],
    ['too many elements', input(spread(257, 'packet')), ['more than 256 possible elements']],
    [
      'so many elements, or none',
      input([{ kind: 'verdict-map', lookup: lookup(undefined, values(255)) }]),
      [],
    ],
    [
      'too many elements, or none',
      input([{ kind: 'verdict-map', lookup: lookup(undefined, values(256)) }]),
      ['more than 256 possible elements'],
    ],
    ['so many outcomes', input(...many(1024, [unknown('u'), drop]), [mark(1)]), []],
    ['too many outcomes', input(...many(1025, [unknown('u'), drop]), [mark(1)]), ['more than 1024 outcomes']],
    ['many ways out that are one', input(...many(600, [unknown('u'), accept])), []],
    [
      'many ways back that are one',
      table({ 'inp filter input 0': [[jump('sub')]], sub: many(600, [unknown('u'), leave]) }),
      [],
    ],
    [
      'so many ways out',
      input(...Array.from({ length: 512 }, (_, i) => [unknown('u'), mark(i + 1), accept]), [drop]),
      [],
    ],
    [
      'too many ways out',
      input(...Array.from({ length: 513 }, (_, i) => [unknown('u'), mark(i + 1), accept]), [drop]),
      ['more than 256 branches'],
    ],
    [
      'too many ways back',
      table({
        'inp filter input 0': [[jump('sub')]],
        sub: Array.from({ length: 513 }, (_, i) => [unknown('u'), mark(i + 1), leave]),
      }),
      ['more than 256 branches'],
    ],
  ])('%s', (_name, rules, wanted) => expect(reasons(rules)).toEqual(wanted), 20_000);

  test('a budget is for several packets', () => {
    const budget = { rules: 5 };
    const rules = input([is('mark', 9), drop], [is('mark', 9), drop]);
    const spent = 'too many rules to evaluate in the time available';
    expect([reasons(rules, IN, budget), budget.rules]).toEqual([[], 3]);
    expect([reasons(rules, IN, budget), budget.rules]).toEqual([[], 1]);
    expect([reasons(rules, IN, budget), budget.rules]).toEqual([[spent], -1]);
    const looked = { rules: 1 };
    expect(reasons(input([unknown('u'), mark(1)], [mark(2)]), IN, looked)).toEqual([spent]);
    expect(looked.rules).toBe(-2);
  });

  test('rules for other ports cost nothing', () => {
    const ports = (...rules: number[]) => rules.map((port) => [is('destination-port', port), mark(port)]);
    const rules = input(...ports(1, 2, 3, 4, 80, 81, 82, 83, 84, 85), [accept]);
    const spent = (packet: Packet) => {
      const budget = { rules: 100 };
      const { outcomes } = tracePacket(ruleset(rules), packet, NODE, budget);
      return [outcomes.length, outcomes[0]!.mark, 100 - budget.rules];
    };
    expect(spent(IN)).toEqual([1, 80, 2]);
    expect(spent({ ...IN, destinationPort: 7 })).toEqual([1, 0, 1]);
    // A port that is not the same on every way may match any of them.
    const both = table({
      'pre nat prerouting -100': [[unknown('u'), nat('dnat', ':81')]],
      'inp filter input 0': ports(1, 2, 3, 4, 80, 81, 82, 83, 84, 85),
    });
    expect(
      tracePacket(ruleset(both), IN, NODE)
        .outcomes.map((each) => each.mark)
        .sort(),
    ).toEqual([80, 81]);
  });

  test('what was given up is not known, but what was settled before is', () => {
    const rules = together(
      ruleset(table({ 'pre nat prerouting -100': [[nat('dnat', '172.17.0.3:81')]] })),
      ruleset(input(spread(257, 'packet'))),
    );
    const trace = tracePacket(rules, IN, NODE);
    expect(summary(trace.verdict)).toBe('not known: bound more than 256 possible elements');
    expect(summary(trace.translation)).toBe('dnat 172.17.0.3:81');
    expect(summary(trace.sourceTranslation)).toBe('not known: bound more than 256 possible elements');
  });
});

describe('what is said of a packet', () => {
  const pre = (...rules: Expression[][]) => table({ 'pre nat prerouting -100': rules });
  const post = (...rules: Expression[][]) => table({ 'post nat postrouting 100': rules });
  const u = unknown('u');
  test.each<
    [
      name: string,
      rules: Ruleset | Table,
      packet: Packet,
      verdict: string,
      destination: string,
      source: string,
    ]
  >([
    ['nothing happens', ruleset(), IN, 'accept', 'none', 'none'],
    ['dropped', input([drop]), IN, 'drop', 'none', 'none'],
    ['perhaps dropped', input([u, drop]), IN, 'not known: u', 'none', 'none'],
    ['dropped in any case', input([u, drop], [drop]), IN, 'drop', 'none', 'none'],
    ['dropped or refused', input([u, drop], [{ kind: 'reject' }]), IN, 'not known: u', 'none', 'none'],
    ['translated', pre([nat('dnat', '10.0.0.5:8080')]), IN, 'accept', 'dnat 10.0.0.5:8080', 'none'],
    ['perhaps translated', pre([u, nat('dnat', '10.0.0.5:8080')]), IN, 'accept', 'not known: u', 'none'],
    [
      'translated to one of two',
      pre([u, nat('dnat', '10.0.0.5:8080')], [nat('dnat', '10.0.0.6:8080')]),
      IN,
      'accept',
      'not known: u',
      'none',
    ],
    [
      'translated to one of two ports',
      pre([u, nat('dnat', '10.0.0.5:8080')], [nat('dnat', '10.0.0.5:8081')]),
      IN,
      'accept',
      'not known: u',
      'none',
    ],
    [
      'translated to one of two ranges',
      pre([u, nat('dnat', '10.0.0.5:8080-8081')], [nat('dnat', '10.0.0.5:8080-8082')]),
      IN,
      'accept',
      'not known: u',
      'none',
    ],
    [
      'translated to one of two networks',
      pre([u, nat('dnat', '10.0.0.5-10.0.0.6')], [nat('dnat', '10.0.0.5-10.0.0.7')]),
      IN,
      'not known: u, route the kernel chooses the address',
      'not known: u, route the kernel chooses the address',
      'not known: u, route the kernel chooses the address',
    ],
    [
      'translated to the same by two rules',
      pre([u, nat('dnat', '10.0.0.5:8080')], [nat('dnat', '10.0.0.5:8080')]),
      IN,
      'accept',
      'dnat 10.0.0.5:8080',
      'none',
    ],
    [
      'translated in two ways',
      pre([u, nat('dnat', '172.17.0.2')], [own('redirect')]),
      IN,
      'accept',
      'not known: u',
      'none',
    ],
    ['of its source', post([nat('snat', '172.17.0.3')]), THROUGH, 'accept', 'none', 'snat 172.17.0.3'],
    [
      'perhaps of its source',
      post([u, nat('snat', '172.17.0.3')]),
      THROUGH,
      'accept',
      'none',
      'not known: u',
    ],
    [
      'without a route that is known',
      pre([nat('dnat', '198.51.100.1')]),
      IN,
      'not known: route the route to 198.51.100.1 was not read',
      'dnat 198.51.100.1',
      'not known: route the route to 198.51.100.1 was not read',
    ],
    [
      'lost before it can be translated',
      table({ 'raw filter prerouting -300': [[jump('none')]] }),
      IN,
      'not known: statement jump none: no such chain',
      'not known: statement jump none: no such chain',
      'not known: statement jump none: no such chain',
    ],
    [
      'for two reasons',
      input([u, mark(1)], [unknown('v'), drop], [is('mark', 1), drop]),
      IN,
      'not known: u, v',
      'none',
      'none',
    ],
  ])('%s', (_name, rules, packet, verdict, destination, source) => {
    const trace = tracePacket('tables' in rules ? rules : ruleset(rules), packet, NODE);
    expect([summary(trace.verdict), summary(trace.translation), summary(trace.sourceTranslation)]).toEqual([
      verdict,
      destination,
      source,
    ]);
  });
});

describe('a packet that cannot be', () => {
  test.each<[Partial<Packet>, string]>([
    [{ protocol: 'what' as 'tcp' }, 'packet: what is not a protocol'],
    [{ source: 'fd17::1' }, '"fd17::1" is not an ip address'],
    [{ destination: '1.2.3' }, '"1.2.3" is not an ip address'],
    [{ family: 'ip6' }, '"172.17.0.1" is not an ip6 address'],
    [{ inputInterface: undefined }, 'packet: an incoming packet needs its input interface'],
  ])('%j: %s', (fields, message) => {
    expect(() => tracePacket(ruleset(), { ...IN, ...fields }, NODE)).toThrow(new Error(message));
  });

  test('one that goes out needs no interface', () => {
    expect(follow(ruleset(), { ...OUT, inputInterface: undefined })).toHaveLength(1);
  });
});

/** What is known, or why not. */
function summary(known: Known<string | Translation | undefined>): string {
  if (!known.known) return `not known: ${[...new Set(known.because.map(reason))].join(', ')}`;
  const { value } = known;
  return typeof value === 'string'
    ? value
    : value === undefined
      ? 'none'
      : `${value.kind} ${targetText(value.to)}`;
}

function concatenation(fields: Parameters<typeof is>[0][], values: (number | string)[]) {
  const key = fields.map((field) => is(field).key[0]!);
  return { ...is('mark'), key, set: lookup(fields, [[values, {}]]).map };
}

/** In a set of which only these values are known. */
function inPart(...values: number[]) {
  const match = is('mark', ...values);
  return { ...match, set: { ...match.set, opaque: 'not listed' } };
}

function inWords(expression: Expression): string {
  if (expression.kind === 'any-of') return expression.matches.map(inWords).join(' or ');
  if (expression.kind !== 'match') return expression.kind;
  const { key, negated, set } = expression;
  const values = set.elements.map(({ text }) => text).join(' or ');
  return `${key.map(({ field }) => field).join(' and ')} ${negated ? 'is not' : 'is'} ${values}`;
}

function anyOf(negated: boolean, ...matches: ReturnType<typeof is>[]): Expression {
  return { kind: 'any-of', negated, matches };
}

describe('what carries a zone and is not tracked yet is a connection of zeros to iptables', () => {
  const raw = (...rules: string[]) =>
    readRuleset({
      iptables: [
        {
          ...{ backend: 'iptables-nft', family: 'ip' },
          text: ['*raw', ':PREROUTING ACCEPT [0:0]', ...rules, 'COMMIT', ''].join('\n'),
        },
      ],
      nft: '{"nftables":[]}',
    });
  const zoned = (...rules: string[]) => raw('-A PREROUTING -j CT --zone 1', ...rules);
  test.each<[string, boolean]>([
    ['-m conntrack --ctorigdst 172.17.0.2', false],
    ['-m conntrack ! --ctorigdst 172.17.0.2', true],
    ['-m conntrack --ctorigsrc 0.0.0.0', true],
    ['-m conntrack --ctorigdstport 80', false],
    ['-m conntrack ! --ctorigdstport 80', true],
    ['-m conntrack --ctdir ORIGINAL', true],
    ['-m conntrack --ctdir REPLY', false],
    ['-m conntrack --ctstate NEW', true],
    ['-m connmark --mark 0x0/0x3', true],
    ['-m connmark ! --mark 0x1', true],
    ['-m connmark --mark 0x1', false],
  ])('%s', (match, holds) => {
    expect(follow(zoned(`-A PREROUTING ${match} -j DROP`), IN)).toEqual([
      holds
        ? 'drop by raw:PREROUTING.1; 172.17.0.1 > 172.17.0.2 :80; steps raw:PREROUTING.0 raw:PREROUTING.1'
        : 'accept here; 172.17.0.1 > 172.17.0.2 :80; steps raw:PREROUTING.0',
    ]);
    // Without a zone there is no connection.
    expect(follow(raw(`-A PREROUTING ${match} -j DROP`), IN)).toEqual([
      'accept here; 172.17.0.1 > 172.17.0.2 :80',
    ]);
  });

  test('whose mark is restored as none', () => {
    const restoring = zoned('-A PREROUTING -j CONNMARK --restore-mark --nfmask 0x1 --ctmask 0x1');
    expect(follow(restoring, { ...IN, mark: 3 })).toEqual([
      'accept here; 172.17.0.1 > 172.17.0.2 :80 mark 2; steps raw:PREROUTING.0 raw:PREROUTING.1',
    ]);
  });

  test('whose mark is not known where a rule writes it: one serves all packets', () => {
    const written = zoned(
      '-A PREROUTING -m connmark --mark 0x0/0x3 -j DROP',
      '-A PREROUTING -j CONNMARK --set-xmark 0x1/0x1',
    );
    expect(follow(written, IN).length).toBe(2);
  });
});

import { seeded } from '../../../util/seeded.ts';
import { type Place, PORTS, type Rules, type Sending } from './bench.ts';

export type Random = (below: number) => number;

/** Whole numbers that are the same for the same seed. */
export function seededBelow(seed: number): Random {
  const next = seeded(seed);
  return (below) => Math.floor(next() * below);
}

const ADDRESSES = ['10.78.0.2', '10.78.0.3', '10.88.1.2', '10.88.2.2'];
const NETWORKS = ['10.78.0.0/24', '10.88.0.0/16', '10.88.1.2/32', '10.78.0.3/32', '127.0.0.0/8'];
const LINKS = ['to-outside', 'to-a', 'to-b'];

/** A datagram between places of the bench. */
export function randomSending(random: Random): Sending {
  const from = (['outside', 'node', 'a', 'b'] as Place[])[random(4)]!;
  const others = ADDRESSES.filter(
    (address) => !(from === 'a' && address === '10.88.1.2') && !(from === 'b' && address === '10.88.2.2'),
  );
  return { from, to: others[random(others.length)]!, port: PORTS[random(PORTS.length)]! };
}

/** Rules for both worlds that the tools accept, of which each packet meets some. */
export function randomRules(random: Random): Rules {
  const rules: Rules = {};
  const kinds = 1 + random(7);
  if (kinds & 1) rules['iptables-nft'] = iptablesDocument(random);
  if (kinds & 2) rules['iptables-legacy'] = iptablesDocument(random);
  if (kinds & 4) rules.nft = nftDocument(random);
  return rules;
}

function pick<T>(random: Random, list: readonly T[]): T {
  return list[random(list.length)]!;
}

function some(random: Random, most: number, make: () => string): string[] {
  return Array.from({ length: random(most + 1) }, make);
}

function iptablesDocument(random: Random): string {
  const not = () => (random(4) === 0 ? '! ' : '');
  const port = () => pick(random, [...PORTS.map(String), '80:81', '8080:9000']);
  const match = (hook: string) => {
    const choices = [
      () => '',
      () => `${not()}-s ${pick(random, NETWORKS)}`,
      () => `${not()}-d ${pick(random, NETWORKS)}`,
      () => `-p udp -m udp ${not()}--dport ${port()}`,
      () => `-p udp -m multiport ${not()}--dports ${pick(random, PORTS)},${port()}`,
      () => `-m mark ${not()}--mark 0x${random(4)}/0x3`,
      () => `-m addrtype ${not()}--dst-type LOCAL`,
      () =>
        `-m conntrack ${not()}--ctstate ${pick(random, ['NEW', 'DNAT', 'ESTABLISHED,SNAT', 'INVALID,UNTRACKED'])}`,
    ];
    if (hook === 'PREROUTING' || hook === 'FORWARD' || hook === 'INPUT') {
      choices.push(() => `${not()}-i ${pick(random, [...LINKS, 'to-+'])}`);
    }
    if (hook === 'POSTROUTING' || hook === 'FORWARD' || hook === 'OUTPUT') {
      choices.push(() => `${not()}-o ${pick(random, [...LINKS, 'lo'])}`);
    }
    return pick(random, choices)();
  };
  /** A protocol may be given once. */
  const once = (rule: string) => (rule.split('-p udp').length > 2 ? rule.replace(/-p udp (?=-j)/, '') : rule);
  const table = (name: string, hooks: string[], targets: Record<string, string[]>, userTargets: string[]) => {
    const chains = ['U1', 'U2'];
    const lines = hooks.map(
      (hook) => `:${hook} ${name === 'filter' && random(6) === 0 ? 'DROP' : 'ACCEPT'} [0:0]`,
    );
    lines.push(...chains.map((chain) => `:${chain} - [0:0]`));
    for (const hook of hooks) {
      lines.push(
        ...some(random, 3, () =>
          once(`-A ${hook} ${match(hook)} ${pick(random, [...targets[hook]!, '-j U1', '-g U1', '-j U2'])}`),
        ),
      );
    }
    for (const chain of chains) {
      const more = chain === 'U1' ? ['-j U2'] : [];
      lines.push(
        ...some(random, 2, () => `-A ${chain} ${match(chain)} ${pick(random, [...userTargets, ...more])}`),
      );
    }
    return [`*${name}`, ...lines, 'COMMIT', ''].join('\n');
  };
  const marks = () => `-j MARK --set-xmark 0x${random(4)}/0x${random(4)}`;
  const dnat = () =>
    `-p udp -j DNAT --to-destination ${pick(random, ['10.88.1.2:8080', '10.88.2.2:8081', '10.88.2.2', '10.78.0.2:9000'])}`;
  const every = ['-j RETURN', '-j ACCEPT'];
  const drop = '-j DROP';
  const before = [...every, dnat(), dnat(), '-p udp -j REDIRECT --to-ports 81', marks()];
  const after = [...every, '-j MASQUERADE', '-j SNAT --to-source 10.78.0.77', marks()];
  const parts: string[] = [];
  if (random(4) === 0) {
    const raw = [...every, '-j CT --notrack', drop];
    parts.push(table('raw', ['PREROUTING', 'OUTPUT'], { PREROUTING: raw, OUTPUT: raw }, [...every, drop]));
  }
  if (random(2) === 0) {
    const all = [...every, marks(), marks(), drop];
    parts.push(
      table(
        'mangle',
        ['PREROUTING', 'FORWARD', 'INPUT', 'POSTROUTING'],
        { PREROUTING: all, FORWARD: all, INPUT: all, POSTROUTING: all },
        [...every, marks()],
      ),
    );
  }
  parts.push(
    table(
      'nat',
      ['PREROUTING', 'OUTPUT', 'POSTROUTING', 'INPUT'],
      { PREROUTING: before, OUTPUT: before, POSTROUTING: after, INPUT: every },
      [...every, marks()],
    ),
  );
  if (random(3) > 0) {
    const all = [...every, drop, '-j LOG'];
    parts.push(
      table('filter', ['INPUT', 'FORWARD', 'OUTPUT'], { INPUT: all, FORWARD: all, OUTPUT: all }, [
        ...every,
        drop,
      ]),
    );
  }
  return parts.join('');
}

function nftDocument(random: Random): string {
  const op = () => (random(4) === 0 ? '!= ' : '');
  const ports = () => pick(random, [...PORTS.map(String), '80-81', '{ 80, 8080-9000 }', '@ports']);
  const match = () =>
    pick(random, [
      () => '',
      () => `ip saddr ${op()}${pick(random, [...NETWORKS, '10.78.0.1-10.78.0.2'])}`,
      () => `ip daddr ${op()}${pick(random, NETWORKS)}`,
      () => `ip daddr ${op()}@addresses`,
      () => `udp dport ${op()}${ports()}`,
      () =>
        `ip daddr . udp dport { ${pick(random, ADDRESSES)} . 80, ${pick(random, ADDRESSES)} . 8080-8081 }`,
      () => `meta mark & 0x3 ${pick(random, ['==', '!='])} ${random(4)}`,
      () => `fib daddr type ${op()}local`,
      () => `fib saddr type ${op()}{ local, multicast }`,
      () => `ct state ${op()}${pick(random, ['new', '{ established, related }', 'untracked', 'invalid'])}`,
      () => 'ct status dnat',
      () =>
        `iifname ${op()}${pick(random, [...LINKS.map((link) => `"${link}"`), '"to-*"', '{ "to-a", "lo" }'])}`,
      () => `oifname ${op()}${pick(random, [...LINKS.map((link) => `"${link}"`), '"lo"'])}`,
      () => 'meta l4proto != sctp',
    ])();
  const mark = () =>
    pick(random, [
      `meta mark set ${random(4)}`,
      `meta mark set meta mark or ${random(4)}`,
      `meta mark set meta mark & 0xfffffffc | ${random(4)}`,
    ]);
  const plain = () => pick(random, ['accept', 'return', 'jump u1', 'goto u1', mark(), `${mark()} accept`]);
  const vmap = () =>
    `udp dport vmap { 80 : ${pick(random, ['accept', 'jump u1', 'continue'])}, 8080-8081 : ${pick(random, ['return', 'goto u1'])} }`;
  const rule = (actions: (() => string)[]) => {
    const chosen = pick(random, [...actions, vmap]);
    const text = chosen();
    const first = random(3) === 0 ? `${match()} ` : '';
    return text.includes('vmap') || text.includes(' map ')
      ? `${match()} ${text}`
      : `${first}${match()} counter ${text}`;
  };
  const lines = ['table ip rnd {'];
  lines.push('set ports { type inet_service; flags interval; elements = { 81, 8081-9000 } }');
  lines.push('set addresses { type ipv4_addr; elements = { 10.78.0.3, 10.88.1.2 } }');
  lines.push(
    'map hosts { type inet_proto . inet_service : ipv4_addr . inet_service; elements = { udp . 80 : 10.88.1.2 . 8080, udp . 81 : 10.88.2.2 . 9000 } }',
  );
  lines.push(
    `chain u1 { ${some(random, 2, () => rule([() => pick(random, ['accept', 'return', mark()])]))
      .filter((text) => !text.includes('u1'))
      .join('\n')}\n}`,
  );
  const chain = (name: string, type: string, hook: string, priority: number, actions: (() => string)[]) => {
    const policy = type === 'filter' && random(8) === 0 ? 'drop' : 'accept';
    lines.push(
      `chain ${name} { type ${type} hook ${hook} priority ${priority}; policy ${policy};`,
      ...some(random, 3, () => rule(actions)),
      '}',
    );
  };
  const translate = [
    plain,
    () => 'ip protocol udp dnat to 10.88.2.2:8080',
    () => 'ip protocol udp redirect to :8081',
    () => 'meta l4proto { tcp, udp } dnat ip to meta l4proto . th dport map @hosts',
    () => 'dnat to udp dport map { 80 : 10.88.1.2, 8080 : 10.88.2.2 }',
  ];
  const drop = () => 'drop';
  chain('pre', 'nat', 'prerouting', pick(random, [-101, -99, 50]), translate);
  chain('out', 'nat', 'output', pick(random, [-101, -99]), translate);
  chain('post', 'nat', 'postrouting', pick(random, [99, 101]), [
    plain,
    () => 'masquerade',
    () => 'snat to 10.78.0.88',
  ]);
  if (random(3) === 0) chain('raw', 'filter', 'prerouting', -310, [plain, () => 'notrack', drop]);
  chain('mangle', 'filter', 'prerouting', pick(random, [-140, -50]), [plain, plain, drop]);
  if (random(3) === 0) chain('route', 'route', 'output', -140, [plain]);
  chain('fw', 'filter', 'forward', pick(random, [-5, 5]), [plain, plain, drop]);
  chain('inp', 'filter', 'input', pick(random, [-5, 5]), [plain, plain, drop]);
  lines.push('}');
  return `${lines.join('\n')}\n`;
}

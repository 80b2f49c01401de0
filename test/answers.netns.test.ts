/**
 * What the rules of a node do to an answer, held against the kernel: rules that drop by what an answer has at each hook (addresses before and behind
 * NAT, state, direction, original ends, marks), at the device and before, and whether a client gets its answer then.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { readRuleset, tracePacket } from '../src/netfilter/index.ts';
import { traceAtDevices } from '../src/netfilter/trace/trace.ts';
import type { Environment, Packet } from '../src/netfilter/trace/trace-types.ts';
import { parseChainDevices } from '../src/node/report/netfilter.ts';
import { Topology } from '../src/portmap/testing/topology.ts';

// client (10.79.0.1) -- node (10.79.0.2, 10.88.0.1) -- pod (10.88.0.2), which answers at port 8080.
const SCRIPTS = join(import.meta.dir, '../src/portmap/testing');
/** How long is waited for an answer that is not expected to come: it is on this machine, and otherwise takes a millisecond. */
const PATIENCE_MS = '400';
const LINKS = { client: 'to-client', pod: 'to-pod' };
let lab: Topology;

beforeAll(async () => {
  lab = await Topology.create();
  for (const name of ['client', 'node', 'pod']) await lab.namespace(name);
  await lab.join('client', '10.79.0.1/24', 'node', '10.79.0.2/24');
  await lab.join('pod', '10.88.0.2/24', 'node', '10.88.0.1/24');
  await lab.ok('pod', ['ip', 'route', 'add', 'default', 'via', '10.88.0.1']);
  await lab.ok('node', ['sysctl', '-q', '-w', 'net.ipv4.ip_forward=1']);
  await lab.start('pod', join(SCRIPTS, 'responder.ts'), ['pod', '8080']);
});
afterAll(() => lab?.dispose());

const NODE: Environment = {
  isLocal: (address) => ['10.79.0.2', '10.88.0.1', '127.0.0.1'].includes(address),
  route({ destination }) {
    if (NODE.isLocal(destination)) return { kind: 'local' };
    return { kind: 'forward', outputInterface: destination.startsWith('10.79.') ? LINKS.client : LINKS.pod };
  },
  primaryAddress: (name) => (name === LINKS.client ? '10.79.0.2' : '10.88.0.1'),
};

/** A client's first packet, from the port that it is sent from. */
const packetFrom = (sourcePort: number): Packet => ({
  ...{ entry: 'prerouting', family: 'ip', protocol: 'udp', source: '10.79.0.1', sourcePort },
  ...{ destination: '10.79.0.2', destinationPort: 80, inputInterface: LINKS.client },
});

const TRANSLATION = [
  'add table ip t',
  'add chain ip t pre { type nat hook prerouting priority -100; }',
  'add rule ip t pre udp dport 80 dnat to 10.88.0.2:8080',
];
const MASQUERADE = [
  'add chain ip t post { type nat hook postrouting priority 100; }',
  'add rule ip t post masquerade',
];

/** Loads rules in the place of all others, and says what is expected and what is seen: whether the client gets an answer. */
async function ask(
  rules: readonly string[],
  sourcePort: number,
  masquerades: boolean,
): Promise<{ expected: boolean; seen: boolean }> {
  const document = ['flush ruleset', ...TRANSLATION, ...(masquerades ? MASQUERADE : []), ...rules, ''].join(
    '\n',
  );
  const loaded = await lab.run('node', ['nft', '-f', '-'], document);
  expect(loaded.stderr).toBe('');
  const ruleset = readRuleset({
    iptables: [],
    nft: await lab.ok('node', ['nft', '-j', 'list', 'ruleset']),
    chainDevices: parseChainDevices(await lab.ok('node', ['nft', 'list', 'chains'])),
  });
  const passes = (packet: Packet) => {
    const arrival = traceAtDevices(ruleset, [packet.inputInterface!], packet, NODE);
    const traces = [...(arrival === undefined ? [] : [arrival]), tracePacket(ruleset, packet, NODE)];
    // Everything here is modelled.
    expect(traces.map(({ verdict }) => verdict.known)).not.toContain(false);
    return {
      passes: traces.every(({ outcomes }) => outcomes[0]!.verdict === 'accept'),
      last: traces.at(-1)!.outcomes[0]!,
    };
  };
  const there = passes(packetFrom(sourcePort));
  const { source, connectionMark, destination } = there.last;
  const back = passes({
    ...{ entry: 'prerouting', family: 'ip', protocol: 'udp', source: destination!, sourcePort: 8080 },
    ...{
      destination: source!,
      destinationPort: sourcePort,
      inputInterface: LINKS.pod,
      ctState: 'established',
    },
    answers: {
      ...{ source: '10.79.0.1', destination: '10.79.0.2', destinationPort: 80 },
      ...{ translated: masquerades ? ['dnat', 'snat'] : ['dnat'], mark: connectionMark },
    },
  });
  const probe = ['udp', '10.79.0.2', '80', String(sourcePort), PATIENCE_MS];
  const { code } = await lab.run('client', [process.execPath, 'run', join(SCRIPTS, 'probe.ts'), ...probe]);
  return { expected: there.passes && back.passes, seen: code === 0 };
}

const chain = (name: string, hook: string, priority: number) =>
  `add chain ip t ${name} { type filter hook ${hook} priority ${priority}; }`;
/** A chain with one rule. */
const at = (hook: string, priority: number, rule: string) => [
  chain('x', hook, priority),
  `add rule ip t x ${rule}`,
];

const CASES: [string, string[]][] = [
  ['nothing', []],
  ['by source, before NAT at prerouting', at('prerouting', -150, 'ip saddr 10.88.0.2 drop')],
  [
    'by destination, before NAT at prerouting',
    at('prerouting', -150, `iifname "${LINKS.pod}" ip daddr 10.79.0.1 drop`),
  ],
  [
    'by destination, behind NAT at prerouting',
    at('prerouting', -50, `iifname "${LINKS.pod}" ip daddr 10.79.0.1 drop`),
  ],
  [
    'by the node as destination, behind NAT at prerouting',
    at('prerouting', -50, `iifname "${LINKS.pod}" ip daddr 10.88.0.1 drop`),
  ],
  ['by source at forward', at('forward', 0, 'ip saddr 10.88.0.2 udp sport 8080 drop')],
  ['by the address that was asked at forward', at('forward', 0, 'ip saddr 10.79.0.2 drop')],
  ['by source, before NAT at postrouting', at('postrouting', 50, 'ip saddr 10.88.0.2 drop')],
  ['by source, behind NAT at postrouting', at('postrouting', 150, 'ip saddr 10.88.0.2 drop')],
  [
    'by the address that was asked, behind NAT',
    at('postrouting', 150, 'ip saddr 10.79.0.2 udp sport 80 drop'),
  ],
  ['by the state', at('forward', 0, 'ct state established drop')],
  ['by the state, where only the new is let by', at('forward', 0, 'ct state != new drop')],
  ['by the status of the destination', at('forward', 0, `iifname "${LINKS.pod}" ct status dnat drop`)],
  ['by the status of the source', at('forward', 0, `iifname "${LINKS.pod}" ct status snat drop`)],
  ['by the direction', at('forward', 0, 'ct direction reply drop')],
  ['by who was asked', at('forward', 0, `iifname "${LINKS.pod}" ct original ip daddr 10.79.0.2 drop`)],
  ['by who asked', at('prerouting', -150, `iifname "${LINKS.pod}" ct original ip saddr 10.79.0.1 drop`)],
  [
    'by the port that was asked',
    at('forward', 0, `iifname "${LINKS.pod}" meta l4proto udp ct original proto-dst 80 drop`),
  ],
  [
    'by a mark of the connection',
    [
      ...at('prerouting', -150, 'ct state new ct mark set 0x80'),
      chain('y', 'forward', 0),
      'add rule ip t y ct state established ct mark 0x80 drop',
    ],
  ],
  [
    'by a mark that is restored',
    [
      ...at('prerouting', -150, 'ct state new ct mark set 0x80'),
      'add rule ip t x ct direction reply meta mark set ct mark',
      chain('y', 'postrouting', 50),
      'add rule ip t y meta mark 0x80 drop',
    ],
  ],
  [
    'by a way back that is there',
    at('prerouting', -250, `iifname "${LINKS.pod}" fib saddr . iif oif exists drop`),
  ],
  ['by a way back that is not there', at('prerouting', -250, 'fib saddr . iif oif missing drop')],
  [
    'by a way back of its mark',
    at('prerouting', -250, `iifname "${LINKS.pod}" fib saddr . mark . iif oif exists drop`),
  ],
  [
    'before connection tracking, where there is no state',
    at('prerouting', -250, 'ct state established drop'),
  ],
  [
    'at the device of the pod',
    [
      'add table netdev edge',
      `add chain netdev edge in { type filter hook ingress device "${LINKS.pod}" priority 0; }`,
      'add rule netdev edge in udp sport 8080 drop',
    ],
  ],
  [
    'at another device',
    [
      'add table netdev edge',
      `add chain netdev edge in { type filter hook ingress device "${LINKS.client}" priority 0; }`,
      'add rule netdev edge in udp sport 8080 drop',
    ],
  ],
];

describe.each([false, true])('where the node masquerades: %p', (masquerades) => {
  // Each from a port of its own, so that none meets the connection of another.
  test.each(CASES.map(([name, rules], i) => [name, rules, 41_000 + i * 2 + Number(masquerades)] as const))(
    'dropped %s',
    async (_, rules, port) => {
      const { expected, seen } = await ask([...rules], port, masquerades);
      expect(seen).toBe(expected);
    },
  );
});

import { describe, expect, test } from 'bun:test';
import type { NodeReport } from '../model/node-report.ts';
import { cniNode } from '../testing/cni-node.ts';
import { podOn, smallWorld } from '../testing/small-world.ts';
import { ownerOf } from './owned-mappings.ts';
import { Scene } from './scene.ts';
import { leadsToPod, type Origin, takerOf, takersOf, traceFrom } from './traces.ts';

const NODE = '172.17.0.2';
const POD = '10.1.0.2';

/** What a case changes of a node whose port 80 leads to the pod, masqueraded where portmap does. */
interface Otherwise {
  /** Of table nat, before portmap's jump. */
  before?: string[];
  /** In the place of the mapping's own chain. */
  own?: string[];
  masquerade?: string[];
  filter?: string[];
  raw?: string[];
  routes?: NodeReport['network']['routes'];
  rules?: { unknown: string };
  hostIP?: string;
}

const OWN = [
  `-A CNI-DN-a -s ${POD}/32 -p tcp -m tcp --dport 80 -j CNI-HOSTPORT-SETMARK`,
  '-A CNI-DN-a -s 127.0.0.1/32 -p tcp -m tcp --dport 80 -j CNI-HOSTPORT-SETMARK',
  `-A CNI-DN-a -p tcp -m tcp --dport 80 -j DNAT --to-destination ${POD}:8080`,
];
const MASQUERADE = ['-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE'];

function route(destination: string, device: string, table = 'main') {
  const type = table === 'local' ? 'local' : 'unicast';
  return { family: 'ipv4' as const, destination, device, table, type };
}

const ROUTES = [
  route(`${NODE}/32`, 'eth0', 'local'),
  route('127.0.0.0/8', 'lo', 'local'),
  route('172.17.0.0/16', 'eth0'),
  route(`${POD}/32`, 'lxc1'),
];

function table(name: string, builtIn: readonly string[], own: readonly string[], rules: readonly string[]) {
  return [
    `*${name}`,
    ...builtIn.map((chain) => `:${chain} ACCEPT [0:0]`),
    ...own.map((chain) => `:${chain} - [0:0]`),
    ...rules,
    'COMMIT',
    '',
  ].join('\n');
}

function seen({
  before = [],
  own = OWN,
  masquerade = MASQUERADE,
  filter = [],
  raw = [],
  routes = { value: ROUTES },
  rules,
  hostIP,
}: Otherwise) {
  const nat = table(
    'nat',
    ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
    ['CNI-DN-a', 'CNI-HOSTPORT-DNAT', 'CNI-HOSTPORT-MASQ', 'CNI-HOSTPORT-SETMARK'],
    [
      ...before,
      '-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
      '-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
      '-A POSTROUTING -j CNI-HOSTPORT-MASQ',
      '-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"net\\" id: \\"abc\\"" -m multiport --dports 80 -j CNI-DN-a',
      ...own,
      ...masquerade,
      '-A CNI-HOSTPORT-SETMARK -j MARK --set-xmark 0x2000/0x2000',
    ],
  );
  const text =
    nat +
    table('filter', ['INPUT', 'FORWARD', 'OUTPUT'], [], filter) +
    table('raw', ['PREROUTING', 'OUTPUT'], [], raw);
  const address = (device: string, text: string, scope: string) => ({
    device,
    family: 'ipv4' as const,
    address: text,
    prefix: 32,
    scope,
  });
  const report: NodeReport = {
    ...cniNode(
      {},
      {
        network: {
          addresses: { value: [address('lo', '127.0.0.1', 'host'), address('eth0', NODE, 'global')] },
          routes,
        },
      },
    ),
    netfilter: {
      tools: {},
      iptables: [{ variant: 'iptables-nft', family: 'ipv4', text: rules ?? { value: text } }],
      nft: { value: '{"nftables":[]}' },
    },
  };
  const pod = podOn('n1', 'a', 80);
  if (hostIP !== undefined) pod.spec!.containers[0]!.ports![0]!.hostIP = hostIP;
  const scene = new Scene(smallWorld([pod], { reports: new Map([['n1', { value: report }]]) }));
  return { scene, path: scene.paths[0]! };
}

/** What becomes of a packet to the mapping, in words: its verdict, where it is sent and whether its source is rewritten. */
function outcomeOf(origin: Origin, otherwise: Otherwise): string {
  const { path, scene } = seen(otherwise);
  const trace = traceFrom(origin, path, scene);
  if ('unknown' in trace) return `unknown: ${trace.unknown}`;
  const { verdict, translation, sourceTranslation } = trace.value;
  return [
    verdict.known ? verdict.value : 'not known',
    !translation.known
      ? 'perhaps translated'
      : leadsToPod(trace.value, path)
        ? 'to the pod'
        : translation.value === undefined
          ? 'not translated'
          : 'astray',
    !sourceTranslation.known ? 'perhaps masqueraded' : (sourceTranslation.value?.kind ?? 'source kept'),
  ].join(', ');
}

describe('a packet to a mapping', () => {
  const ELSEWHERE = '-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.0.2.1:80';
  test.each<[Origin, string, Otherwise, string]>([
    ['outside', 'of a healthy node', {}, 'accept, to the pod, source kept'],
    ['node', 'of a healthy node', {}, 'accept, to the pod, source kept'],
    ['loopback', 'of a healthy node', {}, 'accept, to the pod, masquerade'],
    ['pod', 'of a healthy node', {}, 'accept, to the pod, masquerade'],
    ['loopback', 'without masquerading', { masquerade: [] }, 'accept, to the pod, source kept'],
    ['pod', 'whose mark is gone', { own: OWN.slice(1) }, 'accept, to the pod, source kept'],
    ['outside', 'without its mapping', { own: [] }, 'accept, not translated, source kept'],
    [
      'outside',
      'to another port of the pod',
      { own: [`-A CNI-DN-a -p tcp -j DNAT --to-destination ${POD}:9090`] },
      'accept, astray, source kept',
    ],
    [
      'outside',
      'that another rule takes',
      { before: [ELSEWHERE], routes: { value: [...ROUTES, route('192.0.2.0/24', 'eth0')] } },
      'accept, astray, source kept',
    ],
    [
      'outside',
      'that is sent where no route leads',
      { before: [ELSEWHERE] },
      'unroutable, astray, source kept',
    ],
    [
      'node',
      'that another rule takes from others',
      { before: [ELSEWHERE] },
      'accept, to the pod, source kept',
    ],
    [
      'outside',
      'that is dropped on its way',
      { filter: [`-A FORWARD -d ${POD}/32 -j DROP`] },
      'drop, to the pod, source kept',
    ],
    [
      'node',
      'of the node, which is not forwarded',
      { filter: [`-A FORWARD -d ${POD}/32 -j DROP`] },
      'accept, to the pod, source kept',
    ],
    [
      'outside',
      'kept from connection tracking',
      { raw: ['-A PREROUTING -p tcp -j CT --notrack'] },
      'accept, not translated, source kept',
    ],
    [
      'outside',
      'about which a rule is not understood',
      { before: ['-A PREROUTING -m set --match-set x src -j ACCEPT'] },
      'accept, perhaps translated, source kept',
    ],
    ['outside', 'of a node whose rules are not known', { rules: { unknown: 'no root' } }, 'unknown: no root'],
    [
      'outside',
      'of a node whose routes are not known',
      { routes: { unknown: 'no ip' } },
      'unknown: no route to 172.17.0.3',
    ],
    [
      'pod',
      'of a pod without a route',
      { routes: { value: ROUTES.slice(0, 3) } },
      'unknown: no route to 10.1.0.2',
    ],
  ])('from %s %s', (origin, _, otherwise, outcome) => {
    expect(outcomeOf(origin, otherwise)).toBe(outcome);
  });
});

describe('who takes the packets to a mapping', () => {
  const FROM_ABROAD = '-A PREROUTING -s 192.0.2.0/24 -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 22';
  const FOR_ALL = '-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 22';

  test.each<[string, Otherwise, string[], string | undefined]>([
    ['its own rule', {}, ['dnat'], 'dnat'],
    ['its own rule, where another is for others', { before: [FROM_ABROAD] }, ['redirect if', 'dnat'], 'dnat'],
    ['another rule before it', { before: [FOR_ALL] }, ['redirect', 'dnat'], 'redirect'],
    ['nobody', { own: [] }, [], undefined],
  ])('%s', (_, otherwise, candidates, taker) => {
    const { path, scene } = seen(otherwise);
    expect(
      takersOf(path, scene)!.map(({ kind, conditional }) => (conditional ? `${kind} if` : kind)),
    ).toEqual(candidates);
    expect(takerOf(path, scene)?.kind).toBe(taker as 'dnat' | undefined);
  });

  test('the comment of the rule that leads there names its owner', () => {
    const { path, scene } = seen({});
    expect(ownerOf(takerOf(path, scene)!)).toEqual({ networkName: 'net', containerId: 'abc' });
  });

  test('is not known where the rules are not', () => {
    const { path, scene } = seen({ rules: { unknown: 'no root' } });
    expect(takersOf(path, scene)).toBeUndefined();
    expect(takerOf(path, scene)).toBeUndefined();
  });
});

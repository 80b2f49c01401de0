import { describe, expect, test } from 'bun:test';
import type { NodeReport } from '../model/node-report.ts';
import { cniNode } from '../testing/cni-node.ts';
import {
  type Otherwise as Changes,
  mapped,
  NODE as NODES,
  POD as PODS,
  SANDBOX,
  savedTable,
} from '../testing/mapped-node.ts';
import { podOn, smallWorld } from '../testing/small-world.ts';
import { mappingOwner } from './owned-mappings.ts';
import { Scene } from './scene.ts';
import {
  hiddenBy,
  leadsToPod,
  neighbourOf,
  type Origin,
  originsOf,
  podAddress,
  routedToPod,
  type ServedOrigin,
  takerOf,
  takersOf,
  traceFrom,
  translatesTo,
} from './traces.ts';

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
  const nat = savedTable(
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
    savedTable('filter', ['INPUT', 'FORWARD', 'OUTPUT'], [], filter) +
    savedTable('raw', ['PREROUTING', 'OUTPUT'], [], raw);
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
    expect(mappingOwner(takerOf(path, scene)!)).toEqual({ networkName: 'net', containerId: 'abc' });
  });

  test('is not known where the rules are not', () => {
    const { path, scene } = seen({ rules: { unknown: 'no root' } });
    expect(takersOf(path, scene)).toBeUndefined();
    expect(takerOf(path, scene)).toBeUndefined();
  });
});

const V6: Changes = { families: ['ipv6'] };
const BOTH: Changes = { families: ['ipv4', 'ipv6'] };
const unseen: Changes['report'] = (report) => {
  report.sandboxes = { unknown: 'EPERM' };
};
const nowhere: Changes['report'] = ({ network }) => {
  network.routes = { value: [] };
};
const podIPs =
  (...ips: (string | undefined)[]): Changes['pod'] =>
  (pod) => {
    pod.status!.podIPs = ips.map((ip) => (ip === undefined ? {} : { ip }));
  };
const onlyNode = (addresses: string[]) => [
  {
    metadata: { name: 'n1' },
    status: { addresses: addresses.map((address) => ({ type: 'InternalIP', address })) },
  },
];

test.each<[string | undefined, Origin[]]>([
  [undefined, ['outside', 'node']],
  [NODE, ['outside', 'node']],
  ['127.0.0.1', ['loopback']],
  ['127.0.0.9', ['loopback']],
  ['::1', ['outside', 'node']],
])('a mapping for %s serves %j', (hostIP, origins) => {
  expect(originsOf(mapped(hostIP === undefined ? {} : { hostIP }).path)).toEqual(origins as [ServedOrigin]);
});

describe("the pod's address", () => {
  test.each<[string, Changes, string | undefined]>([
    ['is what the runtime says', { pod: podIPs('10.9.0.9') }, PODS.ipv4],
    [
      'is what the API says, where the runtime does not',
      { report: unseen, pod: podIPs('10.9.0.9') },
      '10.9.0.9',
    ],
    [
      'is what the API says, where the runtime has none',
      {
        pod: podIPs('10.9.0.9'),
        report: ({ sandboxes }) => {
          if ('value' in sandboxes) sandboxes.value[0]!.ips = [];
        },
      },
      '10.9.0.9',
    ],
    [
      'is the first that is one',
      { report: unseen, pod: podIPs(undefined, '', '10.9', '10.9.0.9') },
      '10.9.0.9',
    ],
    ['is none where there is none', { report: unseen, pod: podIPs() }, undefined],
    ['is of the family of the mapping', { ...BOTH, hostIP: NODES.ipv6 }, PODS.ipv6],
    ['is of the other family for the other', { ...BOTH, hostIP: NODES.ipv4 }, PODS.ipv4],
    ['is not of the other family', { hostIP: NODES.ipv6 }, undefined],
    [
      'is any where the mapping has none',
      { hostIP: 'x', report: unseen, pod: podIPs('fd00:1::2') },
      'fd00:1::2',
    ],
  ])('%s', (_, otherwise, address) => {
    expect(podAddress(mapped(otherwise).path)).toBe(address as string);
  });

  test('is missing without a status, or with one that has none', () => {
    const { path } = mapped({ report: unseen });
    for (const status of [undefined, { phase: 'Pending' }]) {
      expect(podAddress({ ...path, pod: { ...path.pod, status } as never })).toBeUndefined();
    }
  });
});

describe('whether a translation leads to the pod', () => {
  const to = (own: string, change: Changes = {}) => {
    const { path, scene } = mapped({ own: [own], ...change });
    const trace = traceFrom('outside', path, scene);
    return 'value' in trace && leadsToPod(trace.value, path);
  };
  const dnat = (target: string) => `-A CNI-DN-a -p tcp -m tcp --dport 80 -j DNAT --to-destination ${target}`;
  const onSamePort: Changes['pod'] = (pod) => {
    pod.spec!.containers[0]!.ports![0]!.containerPort = 80;
  };

  test.each<[string, string, Changes, boolean]>([
    ['to its address and port', dnat('10.1.0.2:8080'), {}, true],
    ['to its address and another port', dnat('10.1.0.2:8081'), {}, false],
    ['to another address', dnat('10.1.0.3:8080'), {}, false],
    ['to its address, with the port as it is', dnat('10.1.0.2'), {}, false],
    ['to its address, with the port as it should be', dnat('10.1.0.2'), { pod: onSamePort }, true],
    ['of the port alone', '-A CNI-DN-a -p tcp -j REDIRECT --to-ports 8080', {}, false],
    ['by none', '-A CNI-DN-a -p tcp -j RETURN', {}, false],
    ['to its address of IPv6', dnat('[fd00:1::2]:8080'), V6, true],
    ['to a pod without an address', dnat('10.1.0.2:8080'), { report: unseen, pod: podIPs() }, false],
  ])('%s', (_, own, change, leads) => {
    expect(to(own, change)).toBe(leads);
  });

  test('writes an address in any spelling', () => {
    const { path, scene } = mapped(V6);
    const { to } = takerOf(path, scene)!;
    expect(['fd00:1::2', 'FD00:1:0::2', 'fd00:1::3'].map((address) => translatesTo(to, address))).toEqual([
      true,
      true,
      false,
    ]);
    expect(translatesTo({ port: { from: 80, to: 80 } }, PODS.ipv4)).toBe(false);
  });
});

describe('a packet cannot be followed', () => {
  test.each<[Origin, string, Changes, string]>([
    [
      'outside',
      'to a pod without a node',
      { world: { pods: [podOn(undefined, 'a', 80)] } },
      'the pod has no node yet',
    ],
    ['outside', 'without a report', { world: { reports: new Map([['n1', { unknown: 'EPERM' }]]) } }, 'EPERM'],
    ['outside', 'to what is no address', { hostIP: 'x' }, 'hostIP "x" is not an IP address'],
    [
      'node',
      'to all addresses of a family that the node has none of',
      { hostIP: '::' },
      'the address of n1 is not known',
    ],
    ['pod', 'from a pod without an address', { report: unseen, pod: podIPs() }, 'the pod has no address'],
    ['pod', 'from a pod without a route', { report: nowhere }, 'no route to 10.1.0.2'],
    ['outside', 'from outside without a route', { report: nowhere }, 'no route to 172.17.0.3'],
    [
      'outside',
      'from nowhere',
      { report: nowhere, world: { nodes: onlyNode([NODE]) } },
      'no address outside of n1 is known',
    ],
  ])('from %s: %s', (origin, _, otherwise, why) => {
    const { path, scene } = mapped(otherwise);
    expect(traceFrom(origin, path, scene)).toEqual({ unknown: why });
    expect(routedToPod(path, scene).length).toBe(podAddress(path) === undefined ? 0 : originsOf(path).length);
  });
});

describe('the packet', () => {
  /** Where a packet of an origin comes from and goes to in the end, with its port and mark. */
  const ended = (origin: Origin, otherwise: Changes) => {
    const { path, scene } = mapped(otherwise);
    const trace = traceFrom(origin, path, scene);
    if ('unknown' in trace) return trace.unknown;
    const [{ source, destination, destinationPort, delivery }] = trace.value.outcomes as [
      (typeof trace.value.outcomes)[number],
    ];
    const by = delivery?.kind === 'forward' ? delivery.outputInterface : delivery?.kind;
    return `${source} to ${destination} ${destinationPort}, ${by}`;
  };
  const MASQUERADE = ['-A POSTROUTING -j MASQUERADE'];
  const addressed =
    (...entries: [device: string, address: string, scope: string][]): Changes['report'] =>
    ({ network }) => {
      network.addresses = {
        value: entries.map(([device, address, scope]) => ({
          device,
          family: address.includes(':') ? 'ipv6' : 'ipv4',
          address,
          prefix: 64,
          scope,
        })),
      };
    };
  const LOCAL: Changes = {
    own: ['-A CNI-DN-a -p tcp -j RETURN'],
    before: MASQUERADE,
  };

  test.each<[Origin, string, Changes, string]>([
    ['outside', 'another node', {}, '172.17.0.3 to 10.1.0.2 8080, lxc1'],
    ['outside', 'another node of IPv6', V6, 'fd00::3 to fd00:1::2 8080, lxc1'],
    ['outside', 'another node, to all of IPv6', { ...V6, hostIP: '::' }, 'fd00::3 to fd00:1::2 8080, lxc1'],
    ['outside', 'a gateway', { world: { nodes: onlyNode([NODE]) } }, '172.17.0.1 to 10.1.0.2 8080, lxc1'],
    ['node', 'the node', {}, '172.17.0.2 to 10.1.0.2 8080, lxc1'],
    ['node', 'the node of IPv6', V6, 'fd00::2 to fd00:1::2 8080, lxc1'],
    ['loopback', 'the loopback', {}, '127.0.0.1 to 10.1.0.2 8080, lxc1'],
    ['pod', 'the pod', {}, '10.1.0.2 to 10.1.0.2 8080, lxc1'],
    ['outside', 'another node, of UDP', { protocol: 'UDP' }, '172.17.0.3 to 10.1.0.2 8080, lxc1'],
    ['outside', 'another node, of SCTP', { protocol: 'SCTP' }, '172.17.0.3 to 10.1.0.2 8080, lxc1'],
    ['outside', 'another node, to the node itself', { own: [] }, '172.17.0.3 to 172.17.0.2 80, local'],
    [
      'outside',
      'the first address of the device that it leaves by',
      {
        before: MASQUERADE,
        report: addressed(
          ['eth0', NODE, 'global'],
          ['lxc1', 'fe80::1', 'link'],
          ['lxc1', '10.7.0.1', 'link'],
          ['lxc1', '10.7.0.2', 'global'],
        ),
      },
      '10.7.0.1 to 10.1.0.2 8080, lxc1',
    ],
    [
      'outside',
      'the first address of IPv6 of the device that it leaves by',
      {
        ...V6,
        before: MASQUERADE,
        report: addressed(
          ['eth0', NODES.ipv6, 'global'],
          ['lxc1', '10.7.0.1', 'global'],
          ['lxc1', 'fd07::1', 'global'],
        ),
      },
      'fd07::1 to fd00:1::2 8080, lxc1',
    ],
    [
      'outside',
      'no known address of a device without one',
      { before: MASQUERADE },
      'undefined to 10.1.0.2 8080, lxc1',
    ],
    [
      'outside',
      'no known address of a node whose addresses are not known',
      {
        before: [...MASQUERADE, '-A PREROUTING -j CNI-HOSTPORT-DNAT'],
        report: ({ network }) => {
          network.addresses = { unknown: 'EPERM' };
        },
      },
      'undefined to 10.1.0.2 8080, lxc1',
    ],
    [
      'node',
      'the first global address, to the node itself',
      {
        ...LOCAL,
        report: addressed(
          ['lo', '127.0.0.1', 'host'],
          ['eth9', '10.8.0.1', 'global'],
          ['eth0', NODE, 'global'],
        ),
      },
      '10.8.0.1 to 172.17.0.2 80, local',
    ],
  ])('from %s has the address of %s', (origin, _, otherwise, end) => {
    expect(ended(origin, otherwise)).toBe(end);
  });
});

describe('a neighbour', () => {
  const route = (gateway: string | undefined, table = 'main') => ({
    family: 'ipv4' as const,
    destination: '0.0.0.0/0',
    device: 'eth0',
    table,
    type: 'unicast',
    ...(gateway === undefined ? {} : { gateway }),
  });
  const alone = (...routes: ReturnType<typeof route>[]): Changes => ({
    world: { nodes: onlyNode([NODE, NODES.ipv6]) },
    report: ({ network }) => {
      network.routes = { value: routes };
    },
  });

  test.each<[string, Changes, string | undefined]>([
    ['is another node', {}, '172.17.0.3'],
    ['is another node, of the family of the mapping', { ...BOTH, hostIP: NODES.ipv6 }, 'fd00::3'],
    ['is not a node without an address of the family', { hostIP: NODES.ipv6 }, undefined],
    ['is the gateway where there is no other node', alone(route('172.17.0.1')), '172.17.0.1'],
    ['is the gateway of the table main', alone(route('10.0.0.1', '2'), route('172.17.0.1')), '172.17.0.1'],
    ['is no gateway that is not there', alone(route(undefined), route('172.17.0.1')), '172.17.0.1'],
    ['is no gateway of the other family', alone(route('fe80::1'), route('172.17.0.1')), '172.17.0.1'],
    ['is no gateway that is no address', alone(route('gw'), route('172.17.0.1')), '172.17.0.1'],
    [
      'is the gateway of IPv6 for one of it',
      { ...alone(route('172.17.0.1'), route('fe80::1')), hostIP: NODES.ipv6 },
      'fe80::1',
    ],
    ['is one of IPv4 where the mapping has no address', { hostIP: 'x' }, '172.17.0.3'],
    ['is none where nothing is known', alone(), undefined],
    [
      'is missing of a pod and a cluster without a node',
      { world: { pods: [podOn(undefined, 'a', 80)], nodes: [] } },
      undefined,
    ],
    ['is not known of a node without a report', { world: { nodes: [], reports: new Map() } }, undefined],
    ['of a pod without a node is any', { world: { pods: [podOn(undefined, 'a', 80)] } }, NODE],
  ])('%s', (_, otherwise, address) => {
    const { path, scene } = mapped(otherwise);
    expect(neighbourOf(path, scene)).toBe(address as string);
  });

  test('is not known where the routes are not', () => {
    const { path, scene } = mapped({
      world: { nodes: onlyNode([NODE]) },
      report: ({ network }) => {
        network.routes = { unknown: 'EPERM' };
      },
    });
    expect(neighbourOf(path, scene)).toBeUndefined();
  });
});

describe('the packets whose route to the pod counts', () => {
  const packet = (source: string, inputInterface?: string) => ({
    family: 'ip',
    source,
    destination: PODS.ipv4,
    inputInterface,
    mark: 0,
  });
  const OUTSIDE = packet('172.17.0.3', 'eth0');
  const OWN = packet(NODE);

  test.each<[string, Changes, object[][]]>([
    ['are those of each origin', {}, [[OUTSIDE], [OWN]]],
    ['are those of the loopback', { hostIP: '127.0.0.1' }, [[packet('127.0.0.1')]]],
    ['are as they would be where they do not get so far', { own: [] }, [[OUTSIDE], [OWN]]],
    [
      'have the marks that rules give them',
      {
        before: [],
        own: [
          '-A CNI-DN-a -p tcp -j MARK --set-xmark 0x10/0x10',
          '-A CNI-DN-a -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.1.0.2:8080',
        ],
      },
      [[{ ...OUTSIDE, mark: 16 }], [{ ...OWN, mark: 16 }]],
    ],
    [
      'are not known of a node without a report',
      { world: { reports: new Map() }, pod: podIPs(PODS.ipv4) },
      [[{ destination: PODS.ipv4 }], [OWN]],
    ],
    [
      'are not known without a node',
      { world: { pods: [podOn(undefined, 'a', 80)] } },
      [[{ destination: PODS.ipv4 }], [{ destination: PODS.ipv4 }]],
    ],
    ['are none of a pod without an address', { report: unseen, pod: podIPs() }, []],
  ])('%s', (_, otherwise, packets) => {
    const { path, scene } = mapped(otherwise);
    expect(routedToPod(path, scene)).toEqual(packets as never);
  });

  test('are found by the address in any spelling', () => {
    const change: Changes['report'] = ({ sandboxes }) => {
      if ('value' in sandboxes) sandboxes.value[0]!.ips = ['FD00:1:0::2'];
    };
    const marked = [
      '-A CNI-DN-a -j MARK --set-xmark 0x10/0x10',
      '-A CNI-DN-a -p tcp -j DNAT --to-destination [fd00:1::2]:8080',
    ];
    const { path, scene } = mapped({ ...V6, own: marked, report: change });
    expect(
      routedToPod(path, scene)
        .flat()
        .map(({ mark }) => mark),
    ).toEqual([16, 16]);
  });
});

describe('a mapping is hidden', () => {
  const jump = (id: string) =>
    `-A PREROUTING -p tcp -m comment --comment "dnat name: \\"net\\" id: \\"${id}\\"" -m tcp --dport 80 -j DNAT --to-destination 10.1.0.9:80`;

  test.each<[string, Changes, string | undefined]>([
    ['by nobody', {}, undefined],
    ['by another container', { before: [jump('other')] }, 'other'],
    ['by nobody, where its own is twice', { before: [jump(SANDBOX)] }, undefined],
    [
      'by nobody who is named',
      { before: ['-A PREROUTING -p tcp -j DNAT --to-destination 10.1.0.9:80'] },
      undefined,
    ],
    ['by nobody, where nothing takes it', { own: [] }, undefined],
    ['by whoever, where its own sandbox is not known', { report: unseen }, SANDBOX],
  ])('%s', (_, otherwise, containerId) => {
    const { path, scene } = mapped(otherwise);
    expect(hiddenBy(path, scene)).toBe(containerId as string);
  });
});

describe('who takes packets', () => {
  const known = (otherwise: Changes) => {
    const { path, scene } = mapped(otherwise);
    return [takersOf(path, scene)?.length, takerOf(path, scene)?.kind as string | undefined];
  };

  test.each<[string, Changes, [number | undefined, string | undefined]]>([
    ['is its own rule', {}, [1, 'dnat']],
    ['is its own rule, over IPv6', V6, [1, 'dnat']],
    ['is its own rule, for the loopback', { hostIP: '127.0.0.1' }, [1, 'dnat']],
    [
      'is not known for sure',
      { before: ['-A PREROUTING -m set --match-set x src -j ACCEPT'] },
      [1, undefined],
    ],
    ['is nobody where packets are dropped before', { raw: ['-A PREROUTING -p tcp -j DROP'] }, [1, undefined]],
    ['is not known where the packet is not', { report: nowhere }, [undefined, undefined]],
    ['is not known without a node', { world: { pods: [podOn(undefined, 'a', 80)] } }, [undefined, undefined]],
    [
      'is nobody where the addresses of the node are not known',
      {
        report: ({ network }) => {
          network.addresses = { unknown: 'EPERM' };
        },
      },
      [0, undefined],
    ],
  ])('%s', (_, otherwise, takers) => {
    expect(known(otherwise)).toEqual(takers);
  });

  test('is not known where there are more rules than may be looked at', () => {
    const { path, scene } = mapped();
    path.node!.budget.rules = 0;
    expect(takersOf(path, scene)).toBeUndefined();
  });

  test('is the element of a map that is found', () => {
    const table = { family: 'ip', name: 'own', handle: 1 };
    const chain = {
      family: 'ip',
      table: 'own',
      name: 'pre',
      handle: 2,
      type: 'nat',
      hook: 'prerouting',
      prio: -110,
    };
    const map = {
      ...{ family: 'ip', table: 'own', name: 'targets', handle: 3, type: 'inet_service', map: 'ipv4_addr' },
      elem: [
        [81, '10.1.0.8'],
        [80, '10.1.0.9'],
      ],
    };
    const dport = { payload: { protocol: 'tcp', field: 'dport' } };
    const expr = [{ dnat: { addr: { map: { key: dport, data: '@targets' } } } }];
    const rule = { family: 'ip', table: 'own', chain: 'pre', handle: 4, expr };
    const nftables = [{ table }, { chain: { ...chain, policy: 'accept' } }, { map }, { rule }];
    const { path, scene } = mapped({
      report: ({ netfilter }) => {
        netfilter.nft = { value: JSON.stringify({ nftables }) };
      },
    });
    const taker = takerOf(path, scene)!;
    expect(translatesTo(taker.to, '10.1.0.9')).toBe(true);
  });
});

import { describe, expect, test } from 'bun:test';
import type { Event } from '../../kube/types.ts';
import type { NodeReport, Sandbox } from '../model/node-report.ts';
import { cniNode } from '../testing/cni-node.ts';
import { mapped, mappedWorld, NODE, POD } from '../testing/mapped-node.ts';
import { podOn, smallWorld } from '../testing/small-world.ts';
import { ownedMappings } from './owned-mappings.ts';
import { routeTo } from './routing.ts';
import { Scene } from './scene.ts';
import { traceFrom } from './traces.ts';

function sandboxOf(uid: string, id: string, rest: Partial<Sandbox> = {}): Sandbox {
  return {
    id,
    name: uid,
    namespace: 'default',
    uid,
    attempt: 0,
    ready: true,
    createdAt: '2026-01-01T00:00:00Z',
    hostNetwork: false,
    netnsExists: true,
    ips: ['10.1.0.2'],
    portMappings: [],
    ...rest,
  };
}

/** A scene of pod `a` on node n1, of which these sandboxes and attachments were seen. */
function sceneOf(
  sandboxes: readonly Sandbox[],
  attachments: readonly { containerId: string; ifName: string }[] = [],
) {
  const cached = attachments.map((entry) => ({
    file: `/var/lib/cni/results/net-${entry.containerId}-${entry.ifName}`,
    modified: '2026-01-01T00:00:00Z',
    networkName: 'net',
    config: '{}',
    portMappings: [],
    result: {},
    ...entry,
  }));
  const report: NodeReport = {
    ...cniNode({}, { cni: { attachments: { value: cached } } }),
    sandboxes: { value: [...sandboxes] },
  };
  return new Scene(smallWorld([podOn('n1', 'a', 80)], { reports: new Map([['n1', { value: report }]]) }));
}

describe("a mapping's sandbox", () => {
  const LATER = { createdAt: '2026-01-02T00:00:00Z' };
  test.each<[string, Sandbox[], string | undefined]>([
    ['is the one of the pod', [sandboxOf('uid-b', 'other'), sandboxOf('uid-a', 'own')], 'own'],
    ['is the newest', [sandboxOf('uid-a', 'new', LATER), sandboxOf('uid-a', 'old')], 'new'],
    [
      'is one that is ready',
      [sandboxOf('uid-a', 'dead', { ...LATER, ready: false }), sandboxOf('uid-a', 'old')],
      'old',
    ],
    ['is none where the pod has none', [sandboxOf('uid-b', 'other')], undefined],
  ])('%s', (_, sandboxes, id) => {
    expect(sceneOf(sandboxes).paths[0]!.sandbox?.id).toBe(id as string);
  });

  test('of a static pod is known by the hash of its manifest', () => {
    const pod = podOn('n1', 'a', 80);
    pod.metadata!.annotations = { 'kubernetes.io/config.hash': 'hash' };
    const report: NodeReport = { ...cniNode({}), sandboxes: { value: [sandboxOf('hash', 'own')] } };
    const scene = new Scene(smallWorld([pod], { reports: new Map([['n1', { value: report }]]) }));
    expect(scene.paths[0]!.sandbox?.id).toBe('own');
  });

  test('was attached by the chain, not by the loopback of the runtime', () => {
    const own = { containerId: 'own', ifName: 'eth0' };
    const [path] = sceneOf([sandboxOf('uid-a', 'own')], [{ ...own, ifName: 'lo' }, own]).paths;
    expect(path!.attachment?.ifName).toBe('eth0');
    const lo = { ...own, ifName: 'lo' };
    const attachedBy = (...attachments: (typeof own)[]) =>
      sceneOf([sandboxOf('uid-a', 'own')], attachments).paths[0]!.attachment?.ifName;
    expect([attachedBy(lo, { ...own, ifName: 'net1' }), attachedBy(lo)]).toEqual(['net1', undefined]);
  });

  test('was attached by the network of its own interface, not by a further one', () => {
    const own = { containerId: 'own', ifName: 'eth0' };
    const [path] = sceneOf([sandboxOf('uid-a', 'own')], [{ ...own, ifName: 'b1' }, own]).paths;
    expect(path!.attachment?.ifName).toBe('eth0');
  });
});

test('a pod that has ended has no mappings, and one without a node has them there', () => {
  const ended = podOn('n1', 'ended', 80);
  ended.status!.phase = 'Succeeded';
  const scene = new Scene(smallWorld([ended, podOn(undefined, 'waiting', 81)]));
  expect(scene.paths.map(({ subject, node, address }) => [subject.pod?.name, node, address])).toEqual([
    ['waiting', undefined, undefined],
  ]);
});

test.each<{ kind: string; shown: (string | undefined)[] }>([
  { kind: 'ReplicaSet', shown: ['other'] },
  { kind: 'Node', shown: ['refused', 'other'] },
])('a refused pod of a $kind: $shown have mappings', ({ kind, shown }) => {
  const ownerReferences = [{ apiVersion: 'v1', kind, name: 'n1', uid: 'owner', controller: true }];
  const [refused, other] = [podOn('n1', 'refused', 80), podOn('n1', 'other', 81)];
  for (const pod of [refused, other]) pod.metadata!.ownerReferences = ownerReferences;
  refused.status!.phase = 'Failed';
  refused.status!.reason = 'NodePorts';
  other.status!.phase = 'Running';
  const scene = new Scene(smallWorld([refused, other]));
  expect(scene.paths.map(({ subject }) => subject.pod?.name)).toEqual(shown);
});

test('the address of a mapping is its hostIP, else that of its node', () => {
  const own = podOn('n2', 'own', 81);
  own.spec!.containers[0]!.ports![0]!.hostIP = '127.0.0.1';
  const scene = new Scene(smallWorld([podOn('n1', 'a', 80), own]));
  expect(scene.paths.map(({ address }) => address)).toEqual(['172.17.0.2', '127.0.0.1']);
});

test('events of a pod are listed in the order of their times, whichever of them they have', () => {
  const event = (name: string, times: Partial<Event>): Event => ({
    metadata: { name },
    involvedObject: { uid: 'uid-a' },
    ...times,
  });
  const scene = new Scene(
    smallWorld([podOn('n1', 'a', 80)], {
      events: [
        event('third', { lastTimestamp: '2026-01-03T00:00:00Z', firstTimestamp: '2026-01-01T00:00:00Z' }),
        event('first', { firstTimestamp: '2026-01-01T00:00:00Z' }),
        event('second', { eventTime: '2026-01-02T00:00:00Z' }),
        { ...event('foreign', {}), involvedObject: { uid: 'uid-b' } },
      ],
    }),
  );
  const names = scene.eventsOf(scene.paths[0]!.pod).map(({ metadata }) => metadata.name);
  expect(names).toEqual(['first', 'second', 'third']);
});

test('its parts have each node and each mapping once, and know the whole cluster', () => {
  const scene = new Scene(
    smallWorld([podOn('n1', 'a', 80), podOn('n2', 'b', 80), podOn(undefined, 'c', 81)]),
  );
  const parts = [...scene.parts()];
  expect(parts.map(({ nodes }) => [...nodes.keys()])).toEqual([[], ['n1'], ['n2']]);
  expect(parts.map(({ paths }) => paths.map(({ subject }) => subject.pod?.name))).toEqual([
    ['c'],
    ['a'],
    ['b'],
  ]);
  const [, part] = parts;
  expect(part!.pathsOn(scene.nodes.get('n1')!)).toEqual([scene.paths[0]!]);
  expect(part!.pathsOn(scene.nodes.get('n2')!)).toEqual([]);
  expect(part!.addressOf('n2')).toBe('172.17.0.3');
});

test('what was worked out is let go of with a part, and of that part alone', () => {
  const report: NodeReport = {
    ...cniNode({}, { network: { routes: { value: [] }, addresses: { value: [] } } }),
    netfilter: { tools: {}, iptables: [], nft: { value: '{"nftables":[]}' } },
  };
  const reports = new Map([
    ['n1', { value: report }],
    ['n2', { value: { ...report, node: 'n2' } }],
  ]);
  const scene = new Scene(smallWorld([podOn('n1', 'a', 80), podOn('n2', 'b', 80)], { reports }));
  for (const path of scene.paths) {
    traceFrom('outside', path, scene);
    routeTo(path.node!, '10.0.0.1');
    ownedMappings(path.node!);
  }
  const remembered = () => scene.paths.map(({ memory, node }) => [memory.size > 0, node!.memory.size > 0]);
  expect(remembered()).toEqual([
    [true, true],
    [true, true],
  ]);
  const rulesBefore = scene.paths[0]!.node!.ruleset;
  [...scene.parts()][1]!.release();
  expect(remembered()).toEqual([
    [false, false],
    [true, true],
  ]);
  expect(scene.paths[0]!.node!.ruleset).not.toBe(rulesBefore);
  expect(scene.paths[0]!.node!.ruleset).toEqual(rulesBefore);
});

test('its nodes are those that objects, reports and pods name, by name', () => {
  const scene = new Scene(
    smallWorld([podOn('n9', 'a', 80), podOn(undefined, 'b', 80), podOn('', 'c', 80)], {
      nodes: [{ metadata: { name: 'n5' } }, {}, { metadata: { name: 'n1' } }],
      reports: new Map([
        ['n7', { unknown: 'EPERM' }],
        ['n1', { unknown: 'it does not answer' }],
      ]),
    }),
  );
  expect([...scene.nodes].map(([name, { report }]) => [name, report])).toEqual([
    ['n1', { unknown: 'it does not answer' }],
    ['n5', { unknown: 'no report of this node' }],
    ['n7', { unknown: 'EPERM' }],
    ['n9', { unknown: 'no report of this node' }],
  ]);
});

describe('the address of a node', () => {
  const nodes = [
    {
      metadata: { name: 'n1' },
      status: {
        addresses: [
          { type: 'Hostname', address: 'n1' },
          { type: 'InternalIP', address: 'nowhere' },
          { type: 'InternalIP', address: 'fd00::2' },
          { type: 'InternalIP', address: '172.17.0.2' },
        ],
      },
    },
    { metadata: { name: 'n2' }, status: { addresses: [{ type: 'InternalIP', address: 'nowhere' }] } },
    { metadata: { name: 'n3' } },
  ];
  const scene = new Scene(
    smallWorld(
      ['n1', 'n2', 'n3', 'n9'].map((node, i) => podOn(node, String(i), 80)),
      { nodes },
    ),
  );

  test('is the first of its family that is one', () => {
    expect([scene.addressOf('n1'), scene.addressOf('n1', 'IPv4'), scene.addressOf('n1', 'IPv6')]).toEqual([
      'fd00::2',
      '172.17.0.2',
      'fd00::2',
    ]);
    expect([scene.addressOf('n2'), scene.addressOf('n3'), scene.addressOf('n9')]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  test('is missing for a reason', () => {
    const [first, second, third, fourth] = scene.paths;
    expect([first, second, third].map((path) => path!.address)).toEqual(['172.17.0.2', undefined, undefined]);
    expect(scene.whyNoAddress(second!, second!.node!)).toBe(
      'the address of n2 is not known: the API says "nowhere", which is not an IP address',
    );
    expect(scene.whyNoAddress(third!, third!.node!)).toBe('the address of n3 is not known');
    expect(scene.whyNoAddress(fourth!, fourth!.node!)).toBe('the address of n9 is not known');
    const { path, scene: wrong } = mapped({ hostIP: 'x' });
    expect(wrong.whyNoAddress(path, path.node!)).toBe('hostIP "x" is not an IP address');
  });
});

describe('the paths of a mapping', () => {
  const BOTH = { families: ['ipv4', 'ipv6'] } as const;
  const seen = (otherwise: Parameters<typeof mapped>[0]) =>
    new Scene(mappedWorld(otherwise)).paths.map(({ address, family, subject, probes }) => [
      address,
      family,
      subject.family,
      [...probes.values()].map(({ target }) => target.address).join(' '),
    ]);
  const fromBoth = {
    outside: { target: { address: NODE.ipv6, port: 80 } },
    node: { target: { address: NODE.ipv4, port: 80 } },
    direct: { target: { address: POD.ipv6, port: 8080 } },
  };

  test.each<[string, Parameters<typeof mapped>[0], ReturnType<typeof seen>]>([
    ['are one of the family that there is', {}, [[NODE.ipv4, 'IPv4', undefined, '']]],
    ['are one of IPv6', { families: ['ipv6'] }, [[NODE.ipv6, 'IPv6', undefined, '']]],
    [
      'are one of each family, with its probes',
      { ...BOTH, probes: fromBoth },
      [
        [NODE.ipv4, 'IPv4', 'IPv4', NODE.ipv4],
        [NODE.ipv6, 'IPv6', 'IPv6', `${NODE.ipv6} ${POD.ipv6}`],
      ],
    ],
    [
      'are one of the one family, with all probes',
      { probes: fromBoth },
      [[NODE.ipv4, 'IPv4', undefined, `${NODE.ipv6} ${NODE.ipv4} ${POD.ipv6}`]],
    ],
    [
      'are one of the address that is asked for',
      { ...BOTH, hostIP: NODE.ipv6 },
      [[NODE.ipv6, 'IPv6', undefined, '']],
    ],
    ['are one of no address', { ...BOTH, hostIP: 'x' }, [[undefined, undefined, undefined, '']]],
    [
      'are one of the family that the pod has, too',
      {
        ...BOTH,
        report: ({ sandboxes }) => {
          if ('value' in sandboxes) sandboxes.value[0]!.ips = [POD.ipv6, 'x'];
        },
      },
      [[NODE.ipv6, 'IPv6', undefined, '']],
    ],
    [
      'are as the API says where the runtime has no addresses',
      {
        ...BOTH,
        report: ({ sandboxes }) => {
          if ('value' in sandboxes) sandboxes.value[0]!.ips = [];
        },
      },
      [
        [NODE.ipv4, 'IPv4', 'IPv4', ''],
        [NODE.ipv6, 'IPv6', 'IPv6', ''],
      ],
    ],
    [
      "are one of the node's first family while the pod has no address",
      {
        ...BOTH,
        pod: (pod) => {
          pod.status!.podIPs = [{}];
        },
        report: (report) => {
          report.sandboxes = { value: [] };
        },
      },
      [[NODE.ipv4, 'IPv4', undefined, '']],
    ],
  ])('%s', (_, otherwise, paths) => {
    expect(seen(otherwise)).toEqual(paths);
  });

  test('have all that is known of them', () => {
    for (const path of new Scene(mappedWorld(BOTH)).paths) {
      expect(path).toMatchObject({
        port: { hostPort: 80, containerPort: 8080, protocol: 'TCP' },
        subject: { node: 'n1', pod: { namespace: 'default', name: 'a', uid: 'uid-a' }, port: path.port },
        sandbox: { uid: 'uid-a' },
        attachment: { ifName: 'eth0' },
      });
      expect(path.memory.size).toBe(0);
      expect(path.node!.name).toBe('n1');
      expect(path.pod.metadata!.name).toBe('a');
    }
  });

  test.each<[string, object, boolean]>([
    ['of it', {}, true],
    ['of another pod', { podUid: 'uid-b' }, false],
    ['of another protocol', { protocol: 'UDP' }, false],
    ['of another port', { hostPort: 81 }, false],
    ['of one address', { hostIP: '127.0.0.1' }, false],
  ])('have probes %s', (_, probe, isOwn) => {
    expect(mapped({ probes: { outside: probe } }).path.probes.has('outside')).toBe(isOwn);
  });

  test('of one address have its probes', () => {
    const hostIP = '127.0.0.1';
    expect(mapped({ hostIP, probes: { loopback: {} } }).path.probes.size).toBe(1);
    expect(mapped({ hostIP, probes: { loopback: { hostIP: '127.0.0.2' } } }).path.probes.size).toBe(0);
  });

  test('of a pod without anything but its ports have empty names', () => {
    const pod = { ...podOn('n1', 'a', 80), metadata: {} };
    const [path] = new Scene(smallWorld([pod])).paths;
    expect(path!.subject.pod).toEqual({ namespace: '', name: '', uid: '' });
  });
});

test('a pod was attached by any network where none is of eth0', () => {
  const own = { containerId: 'own', ifName: 'net1' };
  const [path] = sceneOf(
    [sandboxOf('uid-a', 'own')],
    [{ containerId: 'other', ifName: 'eth0' }, own, { ...own, ifName: 'net2' }],
  ).paths;
  expect(path!.attachment?.ifName).toBe('net1');
  expect(sceneOf([], [own]).paths[0]!.attachment).toBeUndefined();
});

test('events of a pod without any are none, and one is itself', () => {
  const event: Event = { metadata: { name: 'one' }, involvedObject: { uid: 'uid-a' } };
  const nobodys: Event = { metadata: { name: 'nobodys' }, involvedObject: {} };
  const scene = new Scene(smallWorld([podOn('n1', 'a', 80)], { events: [nobodys, event] }));
  expect(scene.eventsOf(podOn('n1', 'a'))).toEqual([event]);
  expect(scene.eventsOf(podOn('n1', 'b'))).toEqual([]);
  expect(scene.eventsOf({ ...podOn('n1', 'a'), metadata: {} })).toEqual([nobodys]);
});

test('events without a time come first, and are sorted once', () => {
  const event = (name: string, lastTimestamp?: string): Event => ({
    metadata: { name },
    involvedObject: { uid: 'uid-a' },
    ...(lastTimestamp === undefined ? {} : { lastTimestamp }),
  });
  const events = [event('b', '2026-01-01T00:00:00Z'), event('a')];
  const pod = podOn('n1', 'a', 80);
  const scene = new Scene(smallWorld([pod], { events }));
  const sorted = scene.eventsOf(pod);
  expect(sorted.map(({ metadata }) => metadata.name)).toEqual(['a', 'b']);
  expect(scene.eventsOf(pod)).toBe(sorted);
  expect(events.map(({ metadata }) => metadata.name)).toEqual(['b', 'a']);
});

test('a part shows the events and the addresses of the whole', () => {
  const events: Event[] = [{ metadata: { name: 'one' }, involvedObject: { uid: 'uid-a' } }];
  const pod = podOn('n1', 'a', 80);
  const [, part] = new Scene(smallWorld([pod], { events })).parts();
  expect(part!.eventsOf(pod)).toEqual(events);
});

import { describe, expect, test } from 'bun:test';
import type { Event } from '../../kube/types.ts';
import type { NodeReport, Sandbox } from '../model/node-report.ts';
import { cniNode } from '../testing/cni-node.ts';
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
  const parts = scene.parts();
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
  scene.parts()[1]!.release();
  expect(remembered()).toEqual([
    [false, false],
    [true, true],
  ]);
  expect(scene.paths[0]!.node!.ruleset).not.toBe(rulesBefore);
  expect(scene.paths[0]!.node!.ruleset).toEqual(rulesBefore);
});

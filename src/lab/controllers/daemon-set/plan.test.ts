import { describe, expect, test } from 'bun:test';
import type { DaemonSet, Node, Pod, Taint } from '../../../kube/types.ts';
import {
  daemonSetStatus,
  daemonTolerations,
  eligibility,
  planPlacement,
  planUpdate,
  podForNode,
  REVISION_LABEL,
} from './plan.ts';

const NOW = Date.UTC(2026, 0, 1);
const daemonSet = (spec: object = {}, template: object = {}): DaemonSet =>
  ({
    metadata: { name: 'ds', generation: 2 },
    spec: { selector: {}, template: { spec: { containers: [], ...template } }, ...spec },
  }) as DaemonSet;
const node = (name: string, ...taints: Taint[]): Node => ({
  metadata: { name, labels: { name } },
  spec: { taints },
});
interface Traits {
  hash?: string;
  ready?: boolean;
  phase?: string;
  deleting?: boolean;
  age?: number;
}
let uid = 0;
function pod(
  on: string,
  { hash = 'new', ready = true, phase = 'Running', deleting = false, age = 100 }: Traits = {},
): Pod {
  return {
    metadata: {
      name: `${on}-${uid++}`,
      labels: { [REVISION_LABEL]: hash },
      creationTimestamp: new Date(NOW - age * 1000).toISOString() as never,
      ...(deleting ? { deletionTimestamp: '2026-01-01T00:00:00Z' as never } : {}),
    },
    spec: { containers: [], nodeName: on },
    status: { phase, conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
  };
}
const names = (pods: Pod[]) => pods.map((each) => each.spec!.nodeName);

test('a pod for a node can go nowhere else, and keeps what it prefers', () => {
  const preferred = [{ weight: 1, preference: { matchExpressions: [{ key: 'a', operator: 'Exists' }] } }];
  const affinity = {
    nodeAffinity: {
      preferredDuringSchedulingIgnoredDuringExecution: preferred,
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchExpressions: [{ key: 'b', operator: 'Exists' }] }],
      },
    },
  };
  const made = podForNode(
    { metadata: { labels: { a: 'b' } }, spec: { containers: [], affinity } },
    'n1',
    'h',
  );
  expect(made.metadata!.labels).toEqual({ a: 'b', [REVISION_LABEL]: 'h' });
  expect(made.spec!.affinity!.nodeAffinity).toEqual({
    preferredDuringSchedulingIgnoredDuringExecution: preferred,
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n1'] }] }],
    },
  });
});

test('tolerations are added once, and the network one for the host network only', () => {
  const network = (spec: object) =>
    daemonTolerations({ containers: [], ...spec }).some(
      ({ key }) => key === 'node.kubernetes.io/network-unavailable',
    );
  expect(network({})).toBe(false);
  expect(network({ hostNetwork: true })).toBe(true);
  const once = daemonTolerations({ containers: [], tolerations: [{ key: 'mine', operator: 'Exists' }] });
  expect(once).toHaveLength(7);
  expect(daemonTolerations({ containers: [], tolerations: once })).toEqual(once);
});

describe('eligibility', () => {
  const cases: [string, DaemonSet, Node, { run: boolean; stay: boolean }][] = [
    ['a plain node', daemonSet(), node('a'), { run: true, stay: true }],
    ['another nodeName', daemonSet({}, { nodeName: 'b' }), node('a'), { run: false, stay: false }],
    [
      'a selector that does not match',
      daemonSet({}, { nodeSelector: { name: 'b' } }),
      node('a'),
      { run: false, stay: false },
    ],
    [
      'NoSchedule: what is there stays',
      daemonSet(),
      node('a', { key: 'k', effect: 'NoSchedule' }),
      { run: false, stay: true },
    ],
    [
      'NoExecute: what is there goes',
      daemonSet(),
      node('a', { key: 'k', effect: 'NoExecute' }),
      { run: false, stay: false },
    ],
    [
      'cordoned and not ready',
      daemonSet(),
      node(
        'a',
        { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' },
        { key: 'node.kubernetes.io/not-ready', effect: 'NoExecute' },
      ),
      { run: true, stay: true },
    ],
  ];
  for (const [name, set, on, expected] of cases)
    test(name, () => expect(eligibility(set, on)).toEqual(expected));

  test('a node that is not ready takes no new pod by its NoSchedule taint', () => {
    const notReady = node('a', { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' });
    expect(eligibility(daemonSet(), notReady)).toEqual({ run: false, stay: true });
  });
});

describe('planPlacement', () => {
  test('fills what is empty, doubles nothing, clears what may not stay', () => {
    const nodes = [
      node('empty'),
      node('full'),
      node('twice'),
      node('barred', { key: 'k', effect: 'NoExecute' }),
      node('ended'),
      node('leaving'),
    ];
    const older = pod('twice', { age: 500 });
    const younger = pod('twice', { age: 5 });
    const pods = [
      pod('full'),
      younger,
      older,
      pod('barred'),
      pod('ended', { phase: 'Failed' }),
      pod('leaving', { deleting: true }),
    ];
    const plan = planPlacement(daemonSet(), nodes, pods, 'new');
    expect(plan.create).toEqual(['empty']);
    expect(names(plan.delete).sort()).toEqual(['barred', 'ended', 'twice']);
    expect(plan.delete).toContain(younger);
    expect(names(plan.ended)).toEqual(['ended']);
  });
});

describe('planUpdate', () => {
  const nodes = ['a', 'b', 'c', 'd'].map((name) => node(name));
  const rolling = (maxUnavailable?: number | string, maxSurge?: number | string) =>
    daemonSet({ updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable, maxSurge } } });
  const old = (on: string, ready = true) => pod(on, { hash: 'old', ready });
  const cases: { name: string; set: DaemonSet; pods: Pod[]; delete: string[]; create?: string[] }[] = [
    { name: 'one at a time', set: rolling(), pods: ['a', 'b', 'c', 'd'].map((n) => old(n)), delete: ['a'] },
    {
      name: 'half, rounded up',
      set: rolling('40%'),
      pods: ['a', 'b', 'c', 'd'].map((n) => old(n)),
      delete: ['a', 'b'],
    },
    {
      name: 'waits for the one that is not available yet',
      set: rolling(),
      pods: [pod('a', { ready: false }), old('b'), old('c'), old('d')],
      delete: [],
    },
    {
      name: 'waits for the one that is ending',
      set: rolling(),
      pods: [pod('a', { hash: 'old', deleting: true }), old('b'), old('c'), old('d')],
      delete: [],
    },
    {
      name: 'old ones that do not work go at once',
      set: rolling(),
      pods: [old('a', false), old('b', false), old('c'), old('d')],
      delete: ['a', 'b'],
    },
    {
      name: 'nothing when all are new',
      set: rolling(),
      pods: ['a', 'b', 'c', 'd'].map((n) => pod(n)),
      delete: [],
    },
    {
      name: 'surge: the new one comes first',
      set: rolling(0, 1),
      pods: ['a', 'b', 'c', 'd'].map((n) => old(n)),
      delete: [],
      create: ['a'],
    },
    {
      name: 'surge: the old one goes when the new one works',
      set: rolling(0, 1),
      pods: [old('a'), pod('a'), old('b'), old('c'), old('d')],
      delete: ['a'],
      create: ['b'],
    },
    {
      name: 'surge: waits while the new one does not',
      set: rolling(0, 1),
      pods: [old('a'), pod('a', { ready: false }), old('b'), old('c'), old('d')],
      delete: [],
      create: [],
    },
  ];
  for (const { name, set, pods, delete: deleted, create = [] } of cases) {
    test(name, () => {
      const plan = planUpdate(set, nodes, pods, 'new', NOW);
      expect(names(plan.delete)).toEqual(deleted);
      expect(plan.delete.every((each) => each.metadata!.labels![REVISION_LABEL] === 'old')).toBe(true);
      expect(plan.create).toEqual(create);
    });
  }
});

test('daemonSetStatus counts by node', () => {
  const nodes = [node('a'), node('b'), node('c'), node('barred', { key: 'k', effect: 'NoSchedule' })];
  const pods = [pod('a'), pod('b', { hash: 'old', ready: false }), pod('barred')];
  expect(daemonSetStatus(daemonSet(), nodes, pods, 'new', NOW)).toEqual({
    desiredNumberScheduled: 3,
    currentNumberScheduled: 2,
    numberReady: 1,
    numberAvailable: 1,
    numberUnavailable: 2,
    numberMisscheduled: 1,
    updatedNumberScheduled: 1,
    observedGeneration: 2,
  });
});

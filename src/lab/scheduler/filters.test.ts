import { describe, expect, test } from 'bun:test';
import { takenHostPorts } from '../../kube/host-ports.ts';
import type { Node, Pod, Taint } from '../../kube/types.ts';
import { ClusterState } from './cluster-state.ts';
import { refusal, unschedulableMessage } from './filters.ts';
import { podRequests } from './requests.ts';
import { decide } from './scheduler.ts';

const node = (name: string, change: Partial<Node> = {}): Node => ({
  metadata: { name, labels: {} },
  status: { allocatable: { cpu: '1', memory: '1Gi', pods: '2' } } as unknown as Node['status'],
  ...change,
});
const pod = (spec: Partial<NonNullable<Pod['spec']>> = {}, name = 'p'): Pod => ({
  metadata: { name, namespace: 'default', uid: name },
  spec: { containers: [], ...spec },
});
const asking = (requests: Record<string, string>, name = 'p'): Pod =>
  pod({ containers: [{ name: 'c', resources: { requests } }] }, name);
const taint = (key: string, effect = 'NoSchedule', value?: string): Taint => ({ key, effect, value });

test('a pod requests the sum of its containers, or its greatest init container', () => {
  const requests = (cpu: string) => ({ resources: { requests: { cpu } } });
  const containers = [
    { name: 'a', ...requests('100m') },
    { name: 'b', ...requests('200m') },
  ];
  expect(podRequests(pod({ containers })).milliCpu).toBe(300);
  expect(podRequests(pod({ containers, initContainers: [{ name: 'i', ...requests('1') }] })).milliCpu).toBe(
    1000,
  );
  const sidecar = { name: 's', restartPolicy: 'Always', ...requests('50m') };
  expect(podRequests(pod({ containers, initContainers: [sidecar] })).milliCpu).toBe(350);
});

describe('refusal', () => {
  const cases: { name: string; node: Node; pod: Pod; on?: Pod[]; reasons: string[]; resolvable?: boolean }[] =
    [
      {
        name: 'cordoned',
        node: node('n', { spec: { unschedulable: true } }),
        pod: pod(),
        reasons: ['node(s) were unschedulable'],
      },
      {
        name: 'taint with its value',
        node: node('n', { spec: { taints: [taint('a', 'NoExecute', 'v')] } }),
        pod: pod(),
        reasons: ['node(s) had untolerated taint {a: v}'],
      },
      {
        name: 'selector',
        node: node('n'),
        pod: pod({ nodeSelector: { a: 'b' } }),
        reasons: ["node(s) didn't match Pod's node affinity/selector"],
      },
      {
        name: 'ports',
        node: node('n'),
        pod: pod({ containers: [{ name: 'c', ports: [{ containerPort: 1, hostPort: 80 }] }] }),
        on: [
          pod(
            { containers: [{ name: 'c', ports: [{ containerPort: 2, hostPort: 80, hostIP: '10.0.0.1' }] }] },
            'q',
          ),
        ],
        reasons: ["node(s) didn't have free ports for the requested pod ports"],
        resolvable: true,
      },
      {
        name: 'too many pods',
        node: node('n'),
        pod: pod(),
        on: [pod({}, 'q'), pod({}, 'r')],
        reasons: ['Too many pods'],
        resolvable: true,
      },
      {
        name: 'two resources short',
        node: node('n'),
        pod: asking({ cpu: '600m', memory: '600Mi' }),
        on: [asking({ cpu: '500m', memory: '500Mi' }, 'q')],
        reasons: ['Insufficient cpu', 'Insufficient memory'],
        resolvable: true,
      },
      {
        name: 'more than the whole node',
        node: node('n'),
        pod: asking({ cpu: '2' }),
        reasons: ['Insufficient cpu'],
        resolvable: false,
      },
    ];
  for (const { name, node: target, pod: incoming, on = [], reasons, resolvable = false } of cases) {
    test(name, () => {
      const state = new ClusterState();
      state.setNode(target);
      for (const placed of on) state.setPod({ ...placed, spec: { ...placed.spec!, nodeName: 'n' } });
      const [snapshot] = state.snapshot();
      const demand = { pod: incoming, ports: takenHostPorts(incoming), requests: podRequests(incoming) };
      expect(refusal(demand, snapshot!)).toEqual({ reasons, resolvable });
    });
  }

  test('a tolerated taint, PreferNoSchedule and a fitting node are not reasons', () => {
    const state = new ClusterState();
    state.setNode(node('n', { spec: { taints: [taint('a'), taint('b', 'PreferNoSchedule')] } }));
    const incoming = pod({ tolerations: [{ key: 'a', operator: 'Exists' }] });
    expect(decide(incoming, state)).toEqual({ node: 'n' });
  });
});

test('the message is the one that kube-scheduler prints', () => {
  const state = new ClusterState();
  const controlPlane = { spec: { taints: [taint('node-role.kubernetes.io/control-plane')] } };
  state.setNode(node('kind-control-plane', controlPlane));
  const web = (name: string, nodeName?: string) =>
    pod({ nodeName, containers: [{ name: 'c', ports: [{ containerPort: 8080, hostPort: 80 }] }] }, name);
  for (const name of ['kind-worker', 'kind-worker2', 'kind-worker3']) {
    state.setNode(node(name));
    state.setPod(web(`on-${name}`, name));
  }
  const decision = decide(web('echo'), state);
  expect('refusals' in decision && unschedulableMessage(decision.refusals)).toBe(
    '0/4 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, ' +
      "3 node(s) didn't have free ports for the requested pod ports. " +
      'preemption: 0/4 nodes are available: 1 Preemption is not helpful for scheduling, ' +
      '3 No preemption victims found for incoming pod.',
  );
});

describe('where a pod goes', () => {
  const owned = (name: string, owner: string, nodeName?: string): Pod => ({
    metadata: {
      name,
      namespace: 'default',
      uid: name,
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: owner, uid: owner, controller: true },
      ],
    },
    spec: { containers: [], nodeName },
  });
  function cluster(...placed: Pod[]): ClusterState {
    const state = new ClusterState();
    for (const name of ['a', 'b', 'c']) {
      const allocatable = { pods: '10' };
      state.setNode(node(name, { status: { allocatable } as unknown as Node['status'] }));
    }
    for (const each of placed) state.setPod(each);
    return state;
  }

  test('away from its siblings, even onto the fuller node', () => {
    const state = cluster(
      owned('s', 'me', 'a'),
      owned('x', 'o1', 'b'),
      owned('y', 'o2', 'b'),
      owned('t', 'me', 'c'),
    );
    expect(decide(owned('new', 'me'), state)).toEqual({ node: 'b' });
  });

  test('to the emptiest, and then by name', () => {
    expect(decide(owned('new', 'me'), cluster(owned('x', 'o', 'a')))).toEqual({ node: 'b' });
    expect(decide(owned('new', 'me'), cluster())).toEqual({ node: 'a' });
  });

  test('assumed pods count, and no longer when forgotten', () => {
    const state = cluster();
    const first = owned('first', 'me');
    state.assume(first, 'a');
    state.setPod(first);
    expect(decide(owned('new', 'me'), state)).toEqual({ node: 'b' });
    state.forgetAssumed(first);
    expect(decide(owned('new', 'me'), state)).toEqual({ node: 'a' });
  });

  test('only where metadata.name allows it, as for a daemon pod', () => {
    const matchFields = [{ key: 'metadata.name', operator: 'In', values: ['c'] }];
    const required = {
      requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchFields }] },
    };
    expect(decide(pod({ affinity: { nodeAffinity: required } }), cluster())).toEqual({ node: 'c' });
  });
});

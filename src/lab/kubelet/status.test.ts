import { describe, expect, test } from 'bun:test';
import type { Container, Pod, PodStatus } from '../../kube/types.ts';
import type { ObservedContainer, ObservedPod } from './observe.ts';
import { goDuration, podStatus, type StatusInput } from './status.ts';

const NOW = Date.parse('2026-01-01T00:00:10Z');
const main: Container = { name: 'main', image: 'i' };

function pod(spec: Partial<NonNullable<Pod['spec']>> = {}, status?: PodStatus): Pod {
  return { metadata: { name: 'p', namespace: 'n', uid: 'u' }, spec: { containers: [main], ...spec }, status };
}

function run(over: Partial<ObservedContainer> = {}): ObservedContainer {
  return {
    id: `${over.name ?? 'main'}-${over.attempt ?? 0}`,
    name: 'main',
    attempt: 0,
    sandboxId: 's0',
    state: 'running',
    createdAt: NOW - 5_000,
    startedAt: NOW - 5_000,
    finishedAt: over.state === 'exited' ? NOW - 1_000 : 0,
    exitCode: 0,
    reason: '',
    message: '',
    image: 'docker.io/library/i:latest',
    imageRef: 'docker.io/library/i@sha256:1',
    hash: '',
    restartCount: over.attempt ?? 0,
    logPath: '',
    graceSeconds: 30,
    ...over,
  };
}

const up: ObservedPod = {
  sandboxes: [{ id: 's0', attempt: 0, ready: true, ips: ['10.0.0.1', 'fd00::1'] }],
  containers: [run()],
};

function status(of: Pod, observed: Partial<ObservedPod>, over: Partial<StatusInput> = {}): PodStatus {
  return podStatus({
    pod: of,
    observed: { sandboxes: [], containers: [], ...observed },
    now: NOW,
    hostIp: '172.17.0.2',
    waiting: new Map(),
    backingOff: new Map(),
    verdict: () => ({ started: true, ready: true, failed: undefined }),
    terminationMessage: () => '',
    terminating: false,
    ...over,
  });
}

const conditions = (of: PodStatus) =>
  Object.fromEntries((of.conditions ?? []).map(({ type, status: holds }) => [type, holds]));

test('the status and its conditions say which generation of the pod they are about', () => {
  const seen = status({ ...pod(), metadata: { ...pod().metadata, generation: 3 } }, up);
  expect(seen.observedGeneration).toBe(3);
  expect(new Set(seen.conditions!.map(({ observedGeneration }) => observedGeneration))).toEqual(new Set([3]));
});

describe('phase', () => {
  const ended = (exitCode: number) => ({ ...up, containers: [run({ state: 'exited', exitCode })] });
  test.each([
    ['nothing yet', pod(), {}, {}, 'Pending'],
    ['a sandbox only', pod(), { sandboxes: up.sandboxes }, {}, 'Pending'],
    ['running', pod(), up, {}, 'Running'],
    ['ended, will restart', pod(), ended(1), {}, 'Running'],
    ['ended well, policy OnFailure', pod({ restartPolicy: 'OnFailure' }), ended(0), {}, 'Succeeded'],
    ['ended badly, policy OnFailure', pod({ restartPolicy: 'OnFailure' }), ended(1), {}, 'Running'],
    ['ended badly, policy Never', pod({ restartPolicy: 'Never' }), ended(1), {}, 'Failed'],
    ['stopped because it is deleted', pod(), ended(143), { terminating: true }, 'Failed'],
    ['stopped well because it is deleted', pod(), ended(0), { terminating: true }, 'Succeeded'],
    ['being deleted, still running', pod({}, { phase: 'Running' }), up, { terminating: true }, 'Running'],
    ['refused', pod(), {}, { failure: { reason: 'NodePorts', message: 'm' } }, 'Failed'],
    ['has ended before: stays', pod({}, { phase: 'Failed' }), {}, {}, 'Failed'],
  ] as [string, Pod, Partial<ObservedPod>, Partial<StatusInput>, string][])(
    '%s',
    (_name, of, observed, over, phase) => {
      expect(status(of, observed, over).phase).toBe(phase);
    },
  );
});

test('a running pod has a full status', () => {
  expect(status(pod(), up)).toEqual({
    phase: 'Running',
    conditions: ['PodReadyToStartContainers', 'Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map(
      (type) => ({
        type,
        status: 'True',
        lastTransitionTime: '2026-01-01T00:00:10Z',
      }),
    ),
    hostIP: '172.17.0.2',
    hostIPs: [{ ip: '172.17.0.2' }],
    podIP: '10.0.0.1',
    podIPs: [{ ip: '10.0.0.1' }, { ip: 'fd00::1' }],
    startTime: '2026-01-01T00:00:10Z',
    containerStatuses: [
      {
        name: 'main',
        image: 'docker.io/library/i:latest',
        imageID: 'docker.io/library/i@sha256:1',
        containerID: 'containerd://main-0',
        restartCount: 0,
        ready: true,
        started: true,
        state: { running: { startedAt: '2026-01-01T00:00:05Z' } },
        lastState: {},
      },
    ],
    qosClass: 'BestEffort',
  } as PodStatus);
});

test('times stay while nothing changes, and move when it does', () => {
  const first = status(pod(), up);
  const later = status(pod({}, first), up, { now: NOW + 60_000 });
  expect(later).toEqual(first);
  const unready = status(pod({}, first), up, {
    now: NOW + 60_000,
    verdict: () => ({ started: true, ready: false, failed: undefined }),
  });
  const ready = unready.conditions?.find(({ type }) => type === 'Ready');
  expect(ready).toMatchObject({
    status: 'False',
    reason: 'ContainersNotReady',
    message: 'containers with unready status: [main]',
    lastTransitionTime: '2026-01-01T00:01:10Z',
  });
});

describe('a container', () => {
  const state = (observed: Partial<ObservedPod>, over: Partial<StatusInput> = {}, of = pod()) => {
    const { state: now, lastState, restartCount } = status(of, observed, over).containerStatuses![0]!;
    return { state: now, lastState, restartCount };
  };
  const exit = {
    exitCode: 1,
    reason: 'Error',
    startedAt: '2026-01-01T00:00:05Z',
    finishedAt: '2026-01-01T00:00:09Z',
    containerID: 'containerd://main-0',
  };
  const failed = { ...up, containers: [run({ state: 'exited', exitCode: 1 })] };

  test.each([
    [
      'is created',
      { sandboxes: up.sandboxes },
      {},
      { state: { waiting: { reason: 'ContainerCreating' } }, lastState: {} },
    ],
    [
      'waits for a reason',
      { sandboxes: up.sandboxes },
      { waiting: new Map([['main', { reason: 'ErrImagePull', message: 'why' }]]) },
      { state: { waiting: { reason: 'ErrImagePull', message: 'why' } } },
    ],
    ['has ended', failed, {}, { state: { terminated: exit } }],
    [
      'left a message',
      failed,
      { terminationMessage: () => 'last words' },
      { state: { terminated: { ...exit, message: 'last words' } } },
    ],
    [
      'waits for its restart',
      failed,
      { backingOff: new Map([['main', 80_000]]) },
      {
        state: {
          waiting: {
            reason: 'CrashLoopBackOff',
            message: 'back-off 1m20s restarting failed container=main pod=p_n(u)',
          },
        },
        lastState: { terminated: exit },
      },
    ],
    [
      'runs again',
      { ...up, containers: [run({ attempt: 1 }), run({ state: 'exited', exitCode: 1 })] },
      {},
      {
        state: { running: { startedAt: '2026-01-01T00:00:05Z' } },
        lastState: { terminated: exit },
        restartCount: 1,
      },
    ],
    [
      'lost its sandbox',
      {
        sandboxes: [{ id: 's1', attempt: 1, ready: true, ips: ['10.0.0.2'] }],
        containers: failed.containers,
      },
      {},
      { state: { waiting: { reason: 'ContainerCreating' } }, lastState: { terminated: exit } },
    ],
  ] as [string, Partial<ObservedPod>, Partial<StatusInput>, object][])(
    '%s',
    (_name, observed, over, expected) => {
      expect(state(observed, over)).toMatchObject(expected);
    },
  );
});

describe('init containers', () => {
  const init: Container = { name: 'init', image: 'i' };
  const of = pod({ initContainers: [init] });
  test('hold the others back, and say so', () => {
    const waiting = status(of, { sandboxes: up.sandboxes, containers: [run({ name: 'init' })] });
    expect(conditions(waiting)).toMatchObject({
      Initialized: 'False',
      Ready: 'False',
      PodReadyToStartContainers: 'True',
    });
    expect(waiting.containerStatuses?.[0]?.state).toEqual({ waiting: { reason: 'PodInitializing' } });
    expect(waiting.phase).toBe('Pending');
    expect(waiting.conditions?.find(({ type }) => type === 'Initialized')?.message).toBe(
      'containers with incomplete status: [init]',
    );
  });
  test('are ready when they have ended well', () => {
    const done = status(of, { ...up, containers: [run(), run({ name: 'init', state: 'exited' })] });
    expect(conditions(done).Initialized).toBe('True');
    expect(done.initContainerStatuses?.[0]).toMatchObject({
      ready: true,
      state: { terminated: { reason: 'Completed' } },
    });
  });
});

test('readiness gates hold Ready back, and the conditions of others are kept', () => {
  const others = { type: 'example.com/gate', status: 'False' };
  const of = pod({ readinessGates: [{ conditionType: 'example.com/gate' }] }, { conditions: [others] });
  const closed = status(of, up);
  expect(conditions(closed)).toMatchObject({
    Ready: 'False',
    ContainersReady: 'True',
    'example.com/gate': 'False',
  });
  const open = status(pod(of.spec, { conditions: [{ ...others, status: 'True' }] }), up);
  expect(conditions(open).Ready).toBe('True');
});

test('a pod that the node refused has no containers', () => {
  const refused = status(pod(), {}, { failure: { reason: 'NodePorts', message: 'm' } });
  expect(refused).toMatchObject({ reason: 'NodePorts', message: 'm', containerStatuses: [] });
  expect(status(pod({}, refused), {})).toMatchObject({
    phase: 'Failed',
    reason: 'NodePorts',
    containerStatuses: [],
  });
});

test('what is known of an ended pod outlives its containers', () => {
  const of = pod({ restartPolicy: 'Never' });
  const ended = status(of, { ...up, containers: [run({ state: 'exited', exitCode: 3 })] });
  const { phase, containerStatuses, podIP } = ended;
  expect(status(pod(of.spec, ended), {})).toMatchObject({ phase, containerStatuses, podIP });
});

test.each([
  [0, '0s'],
  [10_000, '10s'],
  [80_000, '1m20s'],
  [300_000, '5m0s'],
])('%d ms is %s', (ms, text) => {
  expect(goDuration(ms)).toBe(text);
});

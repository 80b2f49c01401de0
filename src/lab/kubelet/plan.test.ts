import { describe, expect, test } from 'bun:test';
import type { Container, Pod } from '../../kube/types.ts';
import { containerHash } from './names.ts';
import type { ObservedContainer, ObservedPod, ObservedSandbox } from './observe.ts';
import { type Action, type PlanInput, plan } from './plan.ts';

const NOW = 1_000_000;
const main: Container = { name: 'main', image: 'i' };
const init: Container = { name: 'init', image: 'i' };
const sidecar = { name: 'side', image: 'i', restartPolicy: 'Always' } as Container;

function pod(spec: Partial<NonNullable<Pod['spec']>> = {}): Pod {
  return { metadata: { name: 'p', namespace: 'n', uid: 'u' }, spec: { containers: [main], ...spec } };
}

function sandbox(over: Partial<ObservedSandbox> = {}): ObservedSandbox {
  return { id: 's0', attempt: 0, ready: true, ips: ['10.0.0.1'], ...over };
}

function run(over: Partial<ObservedContainer> = {}): ObservedContainer {
  const name = over.name ?? 'main';
  return {
    id: `${name}-${over.attempt ?? 0}`,
    name,
    attempt: 0,
    sandboxId: 's0',
    state: 'running',
    createdAt: 1,
    startedAt: 1,
    finishedAt: over.state === 'exited' ? NOW : 0,
    exitCode: 0,
    reason: '',
    message: '',
    image: 'i',
    imageRef: 'r',
    hash: containerHash({ name, image: 'i' }),
    restartCount: over.attempt ?? 0,
    logPath: '',
    graceSeconds: 30,
    ...over,
  };
}

function decide(wanted: Pod, observed: Partial<ObservedPod>, over: Partial<PlanInput> = {}) {
  return plan({
    pod: wanted,
    observed: { sandboxes: [], containers: [], ...observed },
    now: NOW,
    stop: undefined,
    networkReady: true,
    verdict: () => ({ started: true, failed: undefined }),
    restartDelayMs: () => 0,
    ...over,
  });
}

/** A plan in few words: `start main#1`, `stop s0`, … */
function words(result: ReturnType<typeof plan>): string[] {
  return result.actions.map(word);
}

function word(action: Action): string {
  switch (action.kind) {
    case 'create-sandbox':
      return `sandbox#${action.attempt}`;
    case 'stop-sandbox':
      return `stop ${action.id}`;
    case 'remove-sandbox':
      return `remove ${action.id}`;
    case 'start-container':
      return `start ${action.container.name}#${action.attempt}`;
    case 'kill-container':
      return `kill ${action.id} ${action.graceSeconds}s`;
    case 'remove-container':
      return `remove ${action.id}`;
  }
}

type Case = [
  name: string,
  pod: Pod,
  observed: Partial<ObservedPod>,
  over: Partial<PlanInput>,
  expected: string[],
];
const s0 = { sandboxes: [sandbox()] };
const CASES: Case[] = [
  ['nothing there: a sandbox', pod(), {}, {}, ['sandbox#0']],
  ['no network: nothing yet', pod(), {}, { networkReady: false }, []],
  [
    'no network but the node’s: a sandbox',
    pod({ hostNetwork: true }),
    {},
    { networkReady: false },
    ['sandbox#0'],
  ],
  [
    'the node’s network has no address of its own',
    pod({ hostNetwork: true }),
    { sandboxes: [sandbox({ ips: [] })] },
    {},
    ['start main#0'],
  ],
  ['sandbox there: the container', pod(), s0, {}, ['start main#0']],
  ['all there: nothing', pod(), { ...s0, containers: [run()] }, {}, []],
  [
    'a sandbox that failed is removed before the next',
    pod(),
    { sandboxes: [sandbox({ ready: false, ips: [] })] },
    {},
    ['stop s0', 'remove s0', 'sandbox#1'],
  ],
  [
    'a sandbox that died with its containers: their ends are kept',
    pod(),
    { sandboxes: [sandbox({ ready: false })], containers: [run({ state: 'exited', exitCode: 137 })] },
    {},
    ['stop s0', 'sandbox#1'],
  ],
  [
    'a sandbox that died under a running container',
    pod({ terminationGracePeriodSeconds: 7 }),
    { sandboxes: [sandbox({ ready: false })], containers: [run()] },
    {},
    ['kill main-0 7s', 'stop s0', 'sandbox#1'],
  ],
  [
    'in the second sandbox everything starts again at once',
    pod({ initContainers: [init] }),
    {
      sandboxes: [sandbox({ id: 's1', attempt: 1 }), sandbox({ ready: false })],
      containers: [run({ state: 'exited' }), run({ name: 'init', state: 'exited' })],
    },
    { restartDelayMs: () => 60_000 },
    ['start init#1'],
  ],
  [
    'policy Never: a pod that lost its sandbox is over',
    pod({ restartPolicy: 'Never', initContainers: [init] }),
    { sandboxes: [sandbox({ ready: false })], containers: [run({ name: 'init', state: 'exited' })] },
    {},
    [],
  ],
  [
    'an old sandbox that holds nothing goes',
    pod(),
    {
      sandboxes: [sandbox({ id: 's1', attempt: 1 }), sandbox({ ready: false })],
      containers: [run({ sandboxId: 's1' })],
    },
    {},
    ['stop s0', 'remove s0'],
  ],
  [
    'a container in a sandbox that was left is ended',
    pod(),
    {
      sandboxes: [sandbox({ id: 's1', attempt: 1 }), sandbox()],
      containers: [run({ attempt: 1, sandboxId: 's1' }), run()],
    },
    {},
    ['kill main-0 30s'],
  ],
  [
    'created but never started: recreated',
    pod(),
    { ...s0, containers: [run({ state: 'created' })] },
    {},
    ['remove main-0', 'start main#0'],
  ],
  ['ended, policy Always', pod(), { ...s0, containers: [run({ state: 'exited' })] }, {}, ['start main#1']],
  [
    'ended, in back-off',
    pod(),
    { ...s0, containers: [run({ state: 'exited' })] },
    { restartDelayMs: () => 10_000 },
    [],
  ],
  [
    'failed, policy OnFailure',
    pod({ restartPolicy: 'OnFailure' }),
    { ...s0, containers: [run({ state: 'exited', exitCode: 1 })] },
    {},
    ['start main#1'],
  ],
  [
    'succeeded, policy OnFailure: over, the network goes',
    pod({ restartPolicy: 'OnFailure' }),
    { ...s0, containers: [run({ state: 'exited' })] },
    {},
    ['stop s0'],
  ],
  [
    'failed, policy Never: over, the network goes',
    pod({ restartPolicy: 'Never' }),
    { ...s0, containers: [run({ state: 'exited', exitCode: 1 })] },
    {},
    ['stop s0'],
  ],
  [
    'one of two succeeded, policy OnFailure: the other keeps running',
    pod({ restartPolicy: 'OnFailure', containers: [main, { name: 'b', image: 'i' }] }),
    { ...s0, containers: [run({ state: 'exited' }), run({ name: 'b' })] },
    {},
    [],
  ],
  [
    'the image changed',
    pod({ containers: [{ name: 'main', image: 'other' }] }),
    { ...s0, containers: [run()] },
    {},
    ['kill main-0 30s'],
  ],
  [
    'liveness failed',
    pod(),
    { ...s0, containers: [run()] },
    { verdict: () => ({ started: true, failed: 'liveness' }) },
    ['kill main-0 30s'],
  ],
  [
    'liveness failed, with a grace period of its own',
    pod({ containers: [{ ...main, livenessProbe: { terminationGracePeriodSeconds: 2 } }] }),
    { ...s0, containers: [run()] },
    { verdict: () => ({ started: true, failed: 'liveness' }) },
    ['kill main-0 2s'],
  ],
  ['init first', pod({ initContainers: [init] }), s0, {}, ['start init#0']],
  ['init under way', pod({ initContainers: [init] }), { ...s0, containers: [run({ name: 'init' })] }, {}, []],
  [
    'init done',
    pod({ initContainers: [init] }),
    { ...s0, containers: [run({ name: 'init', state: 'exited' })] },
    {},
    ['start main#0'],
  ],
  [
    'init failed: again',
    pod({ initContainers: [init] }),
    { ...s0, containers: [run({ name: 'init', state: 'exited', exitCode: 1 })] },
    {},
    ['start init#1'],
  ],
  [
    'init failed, policy Never: over',
    pod({ initContainers: [init], restartPolicy: 'Never' }),
    { ...s0, containers: [run({ name: 'init', state: 'exited', exitCode: 1 })] },
    {},
    ['stop s0'],
  ],
  [
    'init gone from the runtime, main runs: nothing',
    pod({ initContainers: [init] }),
    { ...s0, containers: [run()] },
    {},
    [],
  ],
  ['sidecar first', pod({ initContainers: [sidecar] }), s0, {}, ['start side#0']],
  [
    'sidecar not started yet: wait',
    pod({ initContainers: [sidecar] }),
    { ...s0, containers: [run({ name: 'side' })] },
    { verdict: () => ({ started: false, failed: undefined }) },
    [],
  ],
  [
    'sidecar up: main',
    pod({ initContainers: [sidecar] }),
    { ...s0, containers: [run({ name: 'side' })] },
    {},
    ['start main#0'],
  ],
  [
    'sidecar ended beside main: again, even with policy Never',
    pod({ initContainers: [sidecar], restartPolicy: 'Never' }),
    { ...s0, containers: [run(), run({ name: 'side', state: 'exited' })] },
    {},
    ['start side#1'],
  ],
  [
    'two earlier runs are too many',
    pod(),
    {
      ...s0,
      containers: [
        run({ attempt: 2 }),
        run({ attempt: 1, state: 'exited' }),
        run({ attempt: 0, state: 'exited' }),
      ],
    },
    {},
    ['remove main-0'],
  ],
  [
    'stop: containers first, all at once',
    pod({ containers: [main, { name: 'b', image: 'i' }] }),
    { ...s0, containers: [run(), run({ name: 'b' })] },
    { stop: { graceSeconds: 5 } },
    ['kill main-0 5s', 'kill b-0 5s'],
  ],
  [
    'stop: sidecars after the others',
    pod({ initContainers: [sidecar] }),
    { ...s0, containers: [run(), run({ name: 'side' })] },
    { stop: { graceSeconds: 5 } },
    ['kill main-0 5s'],
  ],
  [
    'stop: then the sandbox',
    pod(),
    { ...s0, containers: [run({ state: 'exited' })] },
    { stop: { graceSeconds: 5 } },
    ['stop s0'],
  ],
  ['stop: nothing left', pod(), {}, { stop: { graceSeconds: 5 } }, []],
];

describe('plan', () => {
  test.each(CASES)('%s', (_name, wanted, observed, over, expected) => {
    const result = decide(wanted, observed, over);
    expect(words(result)).toEqual(expected);
    expect(words(decide(wanted, observed, over))).toEqual(expected);
  });

  test('every kind of action is in a case', () => {
    const kinds = new Set(
      CASES.flatMap(([, wanted, observed, over]) =>
        decide(wanted, observed, over).actions.map(({ kind }) => kind),
      ),
    );
    expect([...kinds].sort()).toEqual([
      'create-sandbox',
      'kill-container',
      'remove-container',
      'remove-sandbox',
      'start-container',
      'stop-sandbox',
    ]);
  });

  test('back-off says until when', () => {
    const observed = { ...s0, containers: [run({ state: 'exited', finishedAt: NOW - 4_000 })] };
    const result = decide(pod(), observed, { restartDelayMs: () => 10_000 });
    expect(result.backingOff).toEqual(new Map([['main', NOW + 6_000]]));
    expect(result.wakeAt).toBe(NOW + 6_000);
    expect(words(decide(pod(), observed, { restartDelayMs: () => 10_000, now: NOW + 6_000 }))).toEqual([
      'start main#1',
    ]);
    // The clock was set back since it ended.
    const ofTheFuture = { ...s0, containers: [run({ state: 'exited', finishedAt: NOW + 3_600_000 })] };
    expect(words(decide(pod(), ofTheFuture, { restartDelayMs: () => 10_000 }))).toEqual(['start main#1']);
  });

  test.each([
    ['waits for the network', pod(), {}, { networkReady: false }, { waitsForNetwork: true, ended: false }],
    [
      'has ended when it was stopped and nothing runs',
      pod(),
      {},
      { stop: { graceSeconds: 1 } },
      { ended: true },
    ],
    ['has not ended while its sandbox is up', pod(), s0, { stop: { graceSeconds: 1 } }, { ended: false }],
  ] as [string, Pod, Partial<ObservedPod>, Partial<PlanInput>, object][])(
    '%s',
    (_name, wanted, observed, over, expected) => {
      expect(decide(wanted, observed, over)).toMatchObject(expected);
    },
  );
});

import { describe, expect, test } from 'bun:test';
import type { ApplyResult } from '../node/apply/result.ts';
import { diagnose } from '../path/diagnose/diagnose.ts';
import type { HealStep, NodeAction } from '../path/model/action.ts';
import type { World } from '../path/model/world.ts';
import { containerNotRunning } from '../path/stages/answered/container-not-running.ts';
import type { Failure, Heal } from '../path/stages/failure.ts';
import { failureOn, podOn, smallWorld } from '../path/testing/small-world.ts';
import { leapingNow } from '../sys/clock.fake.ts';
import { type HealOptions, heal, type Patient } from './heal.ts';

/** A node whose only trouble is the value of one sysctl, and what was done to it. */
class Node implements Patient {
  value: string;
  readonly done: string[] = [];
  looks = 0;
  readonly #apply: (node: Node, value: string) => ApplyResult['outcome'];
  readonly #world: (node: Node) => World;

  constructor(
    value: string,
    apply: (node: Node, value: string) => ApplyResult['outcome'] = (node, wanted) => {
      node.value = wanted;
      return 'done';
    },
    world: (node: Node) => World = () => smallWorld([podOn('n1', 'a', 80)]),
  ) {
    this.value = value;
    this.#apply = apply;
    this.#world = world;
  }

  async observe(): Promise<World> {
    this.looks++;
    return this.#world(this);
  }

  async apply(node: string, actions: readonly NodeAction[]): Promise<ApplyResult[]> {
    return actions.map((action) => {
      const value = 'value' in action ? action.value : '';
      this.done.push(`${node} ${value}`);
      return { action: action.do, outcome: this.#apply(this, value), detail: 'as the test says' };
    });
  }

  async deletePod({ name }: { name: string }): Promise<void> {
    this.done.push(`delete ${name}`);
  }
}

function step(value: string): HealStep {
  return {
    on: 'node',
    node: 'n1',
    why: 'so',
    action: { do: 'set-sysctl', name: 'net.ipv4.ip_forward', value },
  };
}

/** Failures that are found while the node's value is one of theirs, and healed by the next. */
function chain(node: Node, ways: Record<string, Heal>): Failure[] {
  return Object.entries(ways).map(([value, way]) =>
    failureOn((scene) => (node.value === value ? scene.paths.map(({ subject }) => subject) : []), {
      code: `value-${value}`,
      stage: 'forwarded',
      heal: () => way,
    }),
  );
}

async function run(node: Node, failures: readonly Failure[], options: Partial<HealOptions> = {}) {
  const { signal } = new AbortController();
  const first = diagnose(await node.observe(), failures);
  const report = await heal(node, first, { restart: false, signal, failures, ...options });
  return { ...report, outcomes: report.healed.map(({ finding, outcome }) => `${finding.code} ${outcome}`) };
}

test('what a fix reveals is fixed in the next round', async () => {
  const node = new Node('a');
  const failures = chain(node, {
    a: { by: 'steps', steps: [step('2')] },
    2: { by: 'steps', steps: [step('3')] },
  });
  const { outcomes, rounds, after } = await run(node, failures);
  expect(node.done).toEqual(['n1 2', 'n1 3']);
  expect(outcomes).toEqual(['value-a healed', 'value-2 healed']);
  expect(rounds).toBe(2);
  expect(after.cases).toEqual([]);
});

test('what is still there when it is looked at again has not been healed, and is not tried for ever', async () => {
  const node = new Node('a', () => 'done');
  const { healed, rounds } = await run(node, chain(node, { a: { by: 'steps', steps: [step('2')] } }));
  expect(healed.map(({ outcome, reason }) => [outcome, reason])).toEqual([
    ['failed', 'still found after the fix: value-a!'],
  ]);
  expect(rounds).toBe(1);
});

test('what another fix has undone is fixed once more', async () => {
  const node = new Node('a');
  // Gone only when it is fixed after the other.
  const undone = failureOn(
    (scene) => (node.done.length < 3 ? scene.paths.map(({ subject }) => subject) : []),
    {
      code: 'undone',
      stage: 'declared',
      heal: () => ({ by: 'steps', steps: [step('c')] }),
    },
  );
  const [other] = chain(node, { a: { by: 'steps', steps: [step('b')] } });
  const { outcomes, rounds } = await run(node, [undone, other!]);
  expect(outcomes).toEqual(['value-a healed', 'undone healed']);
  expect(rounds).toBe(2);
});

test('a step that fails ends the plan of its finding', async () => {
  const node = new Node('a', () => 'failed');
  const { healed } = await run(node, chain(node, { a: { by: 'steps', steps: [step('1'), step('2')] } }));
  expect(node.done).toEqual(['n1 1']);
  expect(healed[0]).toMatchObject({ outcome: 'failed', reason: 'as the test says' });
});

test.each<[string, Heal, boolean, string[], string[]]>([
  ['by hand is left', { by: 'hand', why: 'yours' }, true, ['value-a left'], []],
  [
    'by a restart is left without consent',
    { by: 'restart', why: 'new', steps: [step('2')] },
    false,
    ['value-a left'],
    [],
  ],
  [
    'by a restart is done with it',
    { by: 'restart', why: 'new', steps: [step('2')] },
    true,
    ['value-a healed'],
    ['n1 2'],
  ],
])('what is fixed %s', async (_, way, restart, outcomes, done) => {
  const node = new Node('a');
  const result = await run(node, chain(node, { a: way }), { restart });
  expect(result.outcomes).toEqual(outcomes);
  expect(node.done).toEqual(done);
});

describe('pods that come up once they are not held up any more', () => {
  /** A node that looks at a pod until it is ready, which it is after some looks; how often it has looked then. */
  async function looks(readyAfter: number, settleMs: number, starting: Partial<World>, also: Failure[] = []) {
    const node: Node = new Node('a', undefined, (self) => {
      const pod = podOn('n1', 'a', 80);
      const isReady = self.looks > readyAfter;
      const [before] = starting.pods ?? [pod];
      const conditions = isReady ? [{ type: 'Ready', status: 'True' as const }] : [];
      const shown = { ...pod, status: { ...(isReady ? pod : before!).status, conditions } };
      return smallWorld([shown], { events: starting.events ?? [] });
    });
    let now = 0;
    const clock = {
      now: leapingNow(),
      monotonic: () => now,
      sleep: async (ms: number) => {
        now += ms;
      },
    };
    const failures = [...chain(node, { a: { by: 'steps', steps: [step('2')] } }), ...also];
    const { outcomes } = await run(node, failures, { clock, settleMs });
    expect(outcomes).toContain('value-a healed');
    return { looked: node.looks, outcomes };
  }

  test.each([
    [3, 30_000, 4],
    [1000, 1500, 7],
    [1000, 0, 2],
  ])(
    'are waited for, and no longer than was said: ready after %d looks',
    async (readyAfter, settleMs, looked) => {
      expect(await looks(readyAfter, settleMs, {})).toMatchObject({ looked });
    },
  );

  test('are waited for also when their newest event is from before the fix', async () => {
    const pod = podOn('n1', 'a', 80);
    const containerStatuses = [
      {
        name: 'c',
        image: '',
        imageID: '',
        restartCount: 0,
        ready: false,
        state: { waiting: { reason: 'ContainerCreating' } },
      },
    ];
    const starting: Partial<World> = {
      pods: [{ ...pod, status: { phase: 'Pending', containerStatuses } }],
      events: [
        {
          metadata: { name: 'e', namespace: 'default' },
          involvedObject: { kind: 'Pod', namespace: 'default', name: 'a', uid: 'uid-a' },
          type: 'Warning',
          reason: 'FailedMount',
          message: 'not yet',
        },
      ],
    };
    expect(await looks(3, 30_000, starting, [containerNotRunning])).toEqual({
      looked: 4,
      outcomes: ['value-a healed'],
    });
    const left = ['value-a healed', 'container-not-running left'];
    expect((await looks(1000, 1500, starting, [containerNotRunning])).outcomes).toEqual(left);
    // What the kubelet itself says is of now: there is nothing to wait for.
    containerStatuses[0]!.state.waiting.reason = 'ErrImagePull';
    expect(await looks(3, 30_000, starting, [containerNotRunning])).toEqual({ looked: 2, outcomes: left });
  });
});

test('an interruption ends it between two findings', async () => {
  const node = new Node('a');
  const stop = new AbortController();
  stop.abort(new Error('interrupted'));
  let thrown: unknown;
  try {
    await run(node, chain(node, { a: { by: 'steps', steps: [step('2')] } }), { signal: stop.signal });
  } catch (error) {
    thrown = error;
  }
  expect(String(thrown)).toContain('interrupted');
  expect(node.done).toEqual([]);
});

describe('what is found in both address families, and then in one of them', () => {
  const ips = [{ ip: '10.1.0.2' }, { ip: 'fd00:1::2' }];
  const addresses = ['172.17.0.2', 'fd00::2'].map((address) => ({ type: 'InternalIP', address }));
  const pod = podOn('n1', 'a', 80);
  const world = smallWorld([{ ...pod, status: { ...pod.status, podIPs: ips } }], {
    nodes: [{ metadata: { name: 'n1' }, status: { addresses } }],
  });

  test.each<[string, Heal, string[], string[]]>([
    [
      'is healed once that is',
      { by: 'steps', steps: [step('none')] },
      ['IPv6 healed'],
      ['n1 half', 'n1 none'],
    ],
    [
      'has failed when that does, which is not tried again',
      { by: 'steps', steps: [step('half')] },
      ['IPv6 failed'],
      ['n1 half', 'n1 half'],
    ],
    ['is left when that is', { by: 'hand', why: 'yours' }, ['IPv6 left'], ['n1 half']],
  ])('%s', async (_, ofHalf, outcomes, done) => {
    const node = new Node('both', undefined, () => world);
    const failure = failureOn(
      ({ paths }) =>
        paths
          .filter(({ family }) => node.value === 'both' || (node.value === 'half' && family === 'IPv6'))
          .map(({ subject }) => subject),
      {
        code: 'x',
        stage: 'forwarded',
        heal: ({ subject }) =>
          subject.family === undefined ? { by: 'steps', steps: [step('half')] } : ofHalf,
      },
    );
    const { healed } = await run(node, [failure]);
    expect(healed.map(({ finding, outcome }) => `${finding.subject.family ?? 'both'} ${outcome}`)).toEqual(
      outcomes,
    );
    expect(node.done).toEqual(done);
  });

  test('has failed when that may not be tried', async () => {
    const node = new Node('both', undefined, () => world);
    const failure = failureOn(
      ({ paths }) =>
        paths
          .filter(({ family }) => node.value === 'both' || family === 'IPv6')
          .map(({ subject }) => subject),
      { code: 'x', stage: 'forwarded', heal: () => ({ by: 'steps', steps: [step('half')] }) },
    );
    const { healed } = await run(node, [failure], {
      mayTry: ({ finding }) => finding.subject.family === undefined,
    });
    expect(healed.map(({ finding, outcome, reason }) => [finding.subject.family, outcome, reason])).toEqual([
      [undefined, 'failed', 'still found after the fix: x!'],
    ]);
  });
});

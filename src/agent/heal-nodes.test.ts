import { describe, expect, test } from 'bun:test';
import { emptyReport } from '../collect/reader/cluster.fake.ts';
import { diagnose } from '../path/diagnose/diagnose.ts';
import type { PlannedHeal } from '../path/heal/plan.ts';
import type { HealStep } from '../path/model/action.ts';
import type { World } from '../path/model/world.ts';
import type { Failure } from '../path/stages/failure.ts';
import { failureOn, podOn, smallWorld } from '../path/testing/small-world.ts';
import { type HealNodesOptions, healNodes, type OpenNodes } from './heal-nodes.ts';

/** A cluster whose nodes are each broken, fixed, or worse than before. */
class Nodes {
  readonly state = new Map<string, 'broken' | 'fixed' | 'worse'>();
  /** What was opened, done and expected, in order. */
  readonly seen: string[] = [];
  /** On which node the step is that fixes a node. */
  stepsOn = (node: string): string => node;
  /** What a fix does to a node. */
  readonly #fix: (node: string) => 'broken' | 'fixed' | 'worse';

  constructor(names: readonly string[], fix: (node: string) => 'broken' | 'fixed' | 'worse' = () => 'fixed') {
    for (const name of names) this.state.set(name, 'broken');
    this.#fix = fix;
  }

  world(): World {
    const names = [...this.state.keys()];
    const pods = names.flatMap((name) => [podOn(name, `${name}-a`, 80), podOn(name, `${name}-b`, 81)]);
    return smallWorld(pods, { nodes: names.map((name) => ({ metadata: { name } })) });
  }

  /** The pod `a` of a node that is broken or worse; and of one that is worse, its pod `b` as well. */
  get failures(): Failure[] {
    const about = (states: readonly string[], pod: string) =>
      failureOn(
        (scene) =>
          scene.paths
            .filter(({ subject }) => states.includes(this.state.get(subject.node ?? '') ?? ''))
            .filter(({ subject }) => subject.pod?.name === `${subject.node}-${pod}`)
            .map(({ subject }) => subject),
        {
          code: `is-${pod}`,
          stage: 'forwarded',
          heal: ({ subject }) => ({ by: 'steps', steps: [stepOn(this.stepsOn(subject.node!))] }),
        },
      );
    return [about(['broken'], 'a'), { ...about(['worse'], 'b'), heal: () => ({ by: 'hand', why: 'so' }) }];
  }

  readonly open: OpenNodes = (nodes, use) => {
    this.seen.push(`open ${nodes.join(' ')}`);
    return use(
      {
        expect: (plan) => this.seen.push(`expect ${plan.map(nodeOf).join(' ')}`),
        observe: async () => this.world(),
        apply: async (node, actions) => {
          this.seen.push(`apply ${node}`);
          this.state.set(node, this.#fix(node));
          return actions.map(({ do: action }) => ({ action, outcome: 'done', detail: 'done' }));
        },
        deletePod: async () => {},
      },
      this.world(),
    );
  };
}

const nodeOf = ({ finding }: PlannedHeal) => finding.subject.node;

function stepOn(node: string): HealStep {
  return {
    on: 'node',
    node,
    why: 'so',
    action: { do: 'set-sysctl', name: 'net.ipv4.ip_forward', value: node.replace(/\D/g, '') },
  };
}

async function run(
  given: Nodes | { nodes: Nodes; open: OpenNodes },
  options: Partial<HealNodesOptions> = {},
) {
  const { nodes, open } = given instanceof Nodes ? { nodes: given, open: given.open } : given;
  const { failures } = nodes;
  const world = nodes.world();
  const begun: string[] = [];
  const report = await healNodes(
    open,
    { world, diagnosed: diagnose(world, failures) },
    {
      restart: false,
      signal: new AbortController().signal,
      maxUnavailable: 1,
      failures,
      onNodes: (names, left) => begun.push(`${names.join(' ')} +${left}`),
      ...options,
    },
  );
  return {
    begun,
    outcomes: report.healed.map(({ finding, outcome }) => `${finding.subject.node} ${outcome}`),
    stopped: report.stopped,
    rounds: report.rounds,
    error: report.error,
  };
}

const REPORT = { ...emptyReport('n1'), takenAt: '2026-01-01T00:00:00Z' };
const FOUR = ['n1', 'n2', 'n3', 'n4'];

test('nodes are healed one after the other, and looked at after each', async () => {
  const nodes = new Nodes(FOUR);
  const { begun, outcomes, stopped, rounds } = await run(nodes);
  expect(begun).toEqual(['n1 +3', 'n2 +2', 'n3 +1', 'n4 +0']);
  expect(nodes.seen.slice(0, 6)).toEqual([
    ...['open n1', 'expect n1', 'apply n1'],
    ...['open n2', 'expect n2', 'apply n2'],
  ]);
  expect(outcomes).toEqual(FOUR.map((name) => `${name} healed`));
  expect({ stopped, rounds }).toEqual({ stopped: undefined, rounds: 4 });
});

test('of 200 nodes, ten at a time, the first bad one leaves the rest as it was', async () => {
  const names = Array.from({ length: 200 }, (_, i) => `n${String(i).padStart(3, '0')}`);
  const nodes = new Nodes(names, (name) => (name === 'n057' ? 'worse' : 'fixed'));
  const { begun, stopped } = await run(nodes, { maxUnavailable: 10 });
  expect(begun).toHaveLength(6);
  expect(stopped).toMatchObject({ node: 'n057', undone: names.slice(60) });
  expect([...nodes.state.values()].filter((state) => state === 'broken')).toHaveLength(140);
});

test('several at once, as many as are wanted', async () => {
  const { begun } = await run(new Nodes(FOUR), { maxUnavailable: 3 });
  expect(begun).toEqual(['n1 n2 n3 +1', 'n4 +0']);
});

describe('it stops on the first node that got worse, and names what is not begun', () => {
  test.each([
    ['one at a time', 1, 'n2', ['n3', 'n4']],
    ['three at a time', 3, 'n2', ['n4']],
    ['all at once', 9, 'n2', []],
  ] as const)('%s', async (_, maxUnavailable, node, undone) => {
    const nodes = new Nodes(FOUR, (name) => (name === 'n2' ? 'worse' : 'fixed'));
    const { stopped } = await run(nodes, { maxUnavailable });
    expect(stopped).toEqual({
      node,
      why: 'port 81 of pod default/n2-b was not broken before (is-b)',
      undone: [...undone],
    });
    expect(undone.map((name) => nodes.state.get(name))).toEqual(undone.map(() => 'broken'));
  });
});

test('a node that only a step was on got worse', async () => {
  const nodes = new Nodes(['n1', 'n2'], (node) => (node === 'n9' ? 'worse' : 'fixed'));
  nodes.state.set('n9', 'fixed');
  nodes.stepsOn = (node) => (node === 'n1' ? 'n9' : node);
  const { stopped } = await run(nodes);
  expect(stopped).toMatchObject({ node: 'n9', undone: ['n2'] });
});

test('a node that only a step is on counts as one that is changed', async () => {
  const nodes = new Nodes(FOUR);
  nodes.state.set('n9', 'fixed');
  nodes.stepsOn = (node) => (node === 'n1' ? 'n9' : node);
  const { begun } = await run(nodes, { maxUnavailable: 2 });
  expect(begun).toEqual(['n1 +3', 'n2 n3 +1', 'n4 +0']);
});

describe('what was done is reported when something keeps it from going on', () => {
  test('an interruption', async () => {
    const stop = new AbortController();
    const nodes = new Nodes(FOUR, (node) => {
      if (node === 'n2') stop.abort(new Error('interrupted'));
      return 'fixed';
    });
    const { open } = nodes;
    const failing: OpenNodes = (names, use) =>
      open(names, (patient, now) =>
        use(
          {
            ...patient,
            observe: async (signal) => {
              signal.throwIfAborted();
              return patient.observe(signal);
            },
          },
          now,
        ),
      );
    const { outcomes, stopped, error } = await run({ nodes, open: failing }, { signal: stop.signal });
    // What was done on the second is not known to have helped.
    expect(outcomes).toEqual(['n1 healed', 'n2 failed']);
    expect(stopped).toEqual({ why: 'interrupted', undone: ['n3', 'n4'] });
    expect(error).toBe(stop.signal.reason);
  });

  test('nodes that cannot be opened', async () => {
    const nodes = new Nodes(FOUR);
    const open: OpenNodes = (names, use) => {
      if (names.includes('n2')) throw new Error('no pods');
      return nodes.open(names, use);
    };
    const { outcomes, stopped } = await run({ nodes, open });
    expect(outcomes).toEqual(['n1 healed']);
    expect(stopped).toEqual({ why: 'no pods', undone: ['n2', 'n3', 'n4'] });
  });

  test('what was created cannot be removed', async () => {
    const nodes = new Nodes(FOUR);
    const open: OpenNodes = async (names, use) => {
      await nodes.open(names, use);
      throw new Error('not removed');
    };
    const { outcomes, stopped } = await run({ nodes, open });
    expect(outcomes).toEqual(['n1 healed']);
    expect(stopped).toEqual({ why: 'not removed', undone: ['n2', 'n3', 'n4'] });
  });
});

test('a fix without effect makes nothing worse, and the others are healed', async () => {
  const nodes = new Nodes(FOUR, (name) => (name === 'n2' ? 'broken' : 'fixed'));
  const { stopped, outcomes } = await run(nodes);
  expect(stopped).toBeUndefined();
  expect(outcomes).toEqual(['n1 healed', 'n2 failed', 'n3 healed', 'n4 healed']);
});

describe('what is about no node comes last, a few nodes at a time', () => {
  /** Four pods without a node, for each of which a node has to be fixed. */
  const homeless = (nodes: Nodes) => ({
    ...failureOn(
      (scene) =>
        scene.paths
          .map(({ subject }) => subject)
          .filter(({ node, pod }) => node === undefined && nodes.state.get(pod!.name) === 'broken'),
      { code: 'waits', stage: 'scheduled' },
    ),
    heal: ({ subject }: { subject: { pod?: { name: string } } }) => ({
      by: 'steps' as const,
      steps: [stepOn(subject.pod!.name)],
    }),
  });
  const healWaiting = async (nodes: Nodes, maxUnavailable: number) => {
    const failures = [homeless(nodes)];
    const { nodes: objects } = nodes.world();
    const pods = FOUR.map((name) => podOn(undefined, name, 80));
    nodes.world = () => smallWorld(pods, { nodes: objects });
    const begun: string[] = [];
    const { healed, stopped } = await healNodes(
      nodes.open,
      { world: nodes.world(), diagnosed: diagnose(nodes.world(), failures) },
      {
        ...{ restart: false, signal: new AbortController().signal, maxUnavailable, failures },
        onNodes: (names, left) => begun.push(`${names.join(' ')} +${left}`),
      },
    );
    return {
      begun,
      stopped,
      healed: healed.map(({ finding, outcome }) => `${finding.subject.pod?.name} ${outcome}`),
    };
  };

  test.each([
    [1, ['n1 +3', 'n2 +2', 'n3 +1', 'n4 +0']],
    [3, ['n1 n2 n3 +1', 'n4 +0']],
  ])('%d', async (maxUnavailable, expected) => {
    const nodes = new Nodes(FOUR);
    const { begun, healed, stopped } = await healWaiting(nodes, maxUnavailable);
    expect(begun).toEqual(expected);
    expect(healed).toEqual(FOUR.map((name) => `${name} healed`));
    expect(stopped).toBeUndefined();
    // No step is taken on a node that is not ready for it.
    const opened = nodes.seen.flatMap((line, i) =>
      line.startsWith('apply ')
        ? [nodes.seen.slice(0, i).findLast((before) => before.startsWith('open'))]
        : [],
    );
    const applied = nodes.seen.filter((line) => line.startsWith('apply '));
    for (const [i, line] of applied.entries()) expect(opened[i]).toContain(line.replace('apply ', ''));
  });
});

test('only the nodes of the scope are opened', async () => {
  const { begun } = await run(new Nodes(FOUR), { nodes: ['n3'] });
  expect(begun).toEqual(['n3 +0']);
});

test('a node that cannot be looked at any more got worse', async () => {
  const nodes = new Nodes(['n1', 'n2']);
  const { failures } = nodes;
  const withReports = (world: World, unknown?: string): World => ({
    ...world,
    reports: new Map([['n1', unknown === undefined ? { value: REPORT } : { unknown }]]),
  });
  let looks = 0;
  const open: OpenNodes = (names, use) =>
    nodes.open(names, (patient, now) =>
      use(
        {
          ...patient,
          observe: async (signal) =>
            withReports(await patient.observe(signal), looks++ > 0 ? 'x' : 'gone dark'),
        },
        withReports(now),
      ),
    );
  const world = withReports(nodes.world());
  const { stopped } = await healNodes(
    open,
    { world, diagnosed: diagnose(world, failures) },
    { restart: false, signal: new AbortController().signal, maxUnavailable: 1, failures },
  );
  expect(stopped).toEqual({
    node: 'n1',
    why: 'it cannot be examined any more: gone dark',
    undone: ['n2'],
  });
});

import { describe, expect, test } from 'bun:test';
import type { Deployment, ReplicaSet } from '../../../kube/types.ts';
import {
  intOrPercent,
  newReplicaSetSize,
  rollingStep,
  rolloutBounds,
  scaleInProportion,
  wasScaled,
} from './rolling.ts';

type Bound = number | string | undefined;
const deployment = (
  replicas: number,
  maxSurge?: Bound,
  maxUnavailable?: Bound,
  type = 'RollingUpdate',
): Deployment =>
  ({ spec: { replicas, strategy: { type, rollingUpdate: { maxSurge, maxUnavailable } } } }) as Deployment;

let created = 0;
/** A ReplicaSet of `replicas`, `available` of them available, made for a Deployment of `desired` (and `max` with surge). */
const set = (
  name: string,
  replicas: number,
  available = replicas,
  desired?: number,
  max?: number,
): ReplicaSet => ({
  metadata: {
    name,
    creationTimestamp: new Date(1e12 + 1000 * created++).toISOString() as never,
    annotations:
      desired === undefined
        ? {}
        : {
            'deployment.kubernetes.io/desired-replicas': String(desired),
            'deployment.kubernetes.io/max-replicas': String(max ?? desired),
          },
  },
  spec: { replicas, selector: {} },
  status: { replicas, availableReplicas: available },
});
const asObject = (scalings: { replicaSet: ReplicaSet; replicas: number }[]) =>
  Object.fromEntries(scalings.map(({ replicaSet, replicas }) => [replicaSet.metadata!.name, replicas]));

test.each([
  [3, 10, 'up', 3],
  ['25%', 4, 'up', 1],
  ['25%', 3, 'up', 1],
  ['25%', 3, 'down', 0],
  ['100%', 3, 'down', 3],
  ['0%', 3, 'up', 0],
  [undefined, 3, 'up', 0],
] as const)('%p of %p rounded %s is %p', (value, total, round, expected) => {
  expect(intOrPercent(value, total, round)).toBe(expected);
});

test.each([
  [deployment(3), { maxSurge: 1, maxUnavailable: 0 }],
  [deployment(4), { maxSurge: 1, maxUnavailable: 1 }],
  [deployment(10, '25%', '25%'), { maxSurge: 3, maxUnavailable: 2 }],
  [deployment(10, 0, 0), { maxSurge: 0, maxUnavailable: 1 }],
  [deployment(3, '0%', '1%'), { maxSurge: 0, maxUnavailable: 1 }],
  [deployment(2, 1, 5), { maxSurge: 1, maxUnavailable: 2 }],
  [deployment(0, 1, 1), { maxSurge: 1, maxUnavailable: 0 }],
  [deployment(3, 1, 1, 'Recreate'), { maxSurge: 0, maxUnavailable: 0 }],
])('bounds of %j', (of, expected) => expect(rolloutBounds(of)).toEqual(expected));

describe('rollingStep', () => {
  const cases: {
    name: string;
    of: Deployment;
    current: ReplicaSet;
    old: ReplicaSet[];
    step: Record<string, number>;
  }[] = [
    {
      name: 'grows by the surge first',
      of: deployment(4, 1, 0),
      current: set('new', 0),
      old: [set('old', 4)],
      step: { new: 1 },
    },
    {
      name: 'shrinks when the new one works',
      of: deployment(4, 1, 0),
      current: set('new', 1),
      old: [set('old', 4)],
      step: { old: 3 },
    },
    {
      name: 'waits for the new one',
      of: deployment(4, 1, 0),
      current: set('new', 1, 0),
      old: [set('old', 4)],
      step: {},
    },
    {
      name: 'shrinks first without surge',
      of: deployment(3, 0, 1),
      current: set('new', 0),
      old: [set('old', 3)],
      step: { old: 2 },
    },
    {
      name: 'then grows',
      of: deployment(3, 0, 1),
      current: set('new', 0),
      old: [set('old', 2)],
      step: { new: 1 },
    },
    {
      name: 'takes broken old pods although none may be unavailable',
      of: deployment(4, 1, 0),
      current: set('new', 1),
      old: [set('old', 4, 1)],
      step: { old: 3 },
    },
    {
      name: 'oldest first',
      of: deployment(4, 0, 2),
      current: set('new', 0),
      old: [set('a', 1), set('b', 3)],
      step: { a: 0, b: 2 },
    },
    {
      name: 'does not shrink below what is available elsewhere',
      of: deployment(4, 2, 0),
      current: set('new', 2, 1),
      old: [set('old', 4)],
      step: { old: 3 },
    },
    {
      name: 'a new one that is too large shrinks',
      of: deployment(2, 1, 0),
      current: set('new', 5),
      old: [],
      step: { new: 2 },
    },
    {
      name: 'a finished one rests',
      of: deployment(2, 1, 0),
      current: set('new', 2),
      old: [set('old', 0)],
      step: {},
    },
  ];
  for (const { name, of, current, old, step } of cases) {
    test(name, () => expect(asObject(rollingStep(of, current, old))).toEqual(step));
  }

  test('always ends, whatever the bounds, and never leaves them', () => {
    for (const [surge, unavailable] of [
      [0, 1],
      [1, 0],
      ['25%', '25%'],
      ['100%', 0],
      [0, '100%'],
      [3, 2],
    ] as const) {
      for (const replicas of [1, 2, 5, 9]) {
        const of = deployment(replicas, surge, unavailable);
        const bounds = rolloutBounds(of);
        let old = set('old', replicas);
        let current = set('new', 0);
        let steps = 0;
        while (current.spec!.replicas !== replicas || old.spec!.replicas !== 0) {
          const step = asObject(rollingStep(of, current, [old]));
          expect(Object.keys(step)).not.toEqual([]);
          expect(++steps).toBeLessThan(50);
          // Every pod that is asked for becomes available before the next step.
          if (step.old !== undefined)
            old = {
              ...old,
              spec: { ...old.spec!, replicas: step.old },
              status: { replicas: step.old, availableReplicas: step.old },
            };
          if (step.new !== undefined)
            current = {
              ...current,
              spec: { ...current.spec!, replicas: step.new },
              status: { replicas: step.new, availableReplicas: step.new },
            };
          const total = old.spec!.replicas! + current.spec!.replicas!;
          expect(total).toBeLessThanOrEqual(replicas + bounds.maxSurge);
          expect(total).toBeGreaterThanOrEqual(replicas - bounds.maxUnavailable);
        }
      }
    }
  });
});

test.each([
  [deployment(3, 1, 0), 0, undefined, 3],
  [deployment(3, 1, 0), 3, undefined, 1],
  [deployment(3, 0, 1), 3, undefined, 0],
  [deployment(3, 1, 0, 'Recreate'), 3, undefined, 3],
])('a new ReplicaSet of %j beside %p old replicas starts with %p: %p', (of, old, current, expected) => {
  expect(newReplicaSetSize(of, old === 0 ? [] : [set('old', old)], current)).toBe(expected);
});

describe('scaleInProportion', () => {
  const cases: {
    name: string;
    of: Deployment;
    current?: ReplicaSet;
    old: ReplicaSet[];
    sizes: Record<string, number>;
  }[] = [
    {
      name: 'one takes all',
      of: deployment(5),
      current: set('new', 3, 3, 3),
      old: [set('old', 0)],
      sizes: { new: 5 },
    },
    {
      name: 'the only one with pods, though old',
      of: deployment(5),
      current: set('new', 0),
      old: [set('old', 3)],
      sizes: { old: 5 },
    },
    { name: 'nothing to do', of: deployment(3), current: set('new', 3, 3, 3), old: [], sizes: {} },
    {
      name: 'a finished rollout empties the old ones',
      of: deployment(3),
      current: set('new', 3, 3, 3),
      old: [set('old', 1, 1, 3)],
      sizes: { old: 0 },
    },
    {
      name: 'in proportion',
      of: deployment(20, 0, '25%'),
      current: set('new', 4, 4, 10, 10),
      old: [set('old', 6, 6, 10, 10)],
      sizes: { new: 8, old: 12 },
    },
    {
      name: 'in proportion downwards',
      of: deployment(5, 0, '25%'),
      current: set('new', 4, 4, 10, 10),
      old: [set('old', 6, 6, 10, 10)],
      sizes: { new: 2, old: 3 },
    },
    {
      name: 'what rounding leaves goes to the largest',
      of: deployment(11, 0, 1),
      current: set('new', 5, 5, 10, 10),
      old: [set('old', 5, 5, 10, 10)],
      sizes: { new: 6 },
    },
    {
      name: 'to nothing',
      of: deployment(0, 1, 1),
      current: set('new', 2, 2, 3, 4),
      old: [set('old', 2, 2, 3, 4)],
      sizes: { new: 0, old: 0 },
    },
  ];
  for (const { name, of, current, old, sizes } of cases) {
    test(name, () => expect(asObject(scaleInProportion(of, current, old))).toEqual(sizes));
  }
});

test('the size that ReplicaSets were created for distinguishes a scaling from a rollout', () => {
  expect(wasScaled(deployment(3), [set('a', 2, 2, 3)])).toBe(false);
  expect(wasScaled(deployment(4), [set('a', 2, 2, 3)])).toBe(true);
  expect(wasScaled(deployment(4), [set('empty', 0, 0, 3), set('unmarked', 1)])).toBe(false);
});

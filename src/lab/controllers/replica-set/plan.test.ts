import { describe, expect, test } from 'bun:test';
import type { Pod, ReplicaSet } from '../../../kube/types.ts';
import { deletionOrder, planReplicas, replicaSetStatus } from './plan.ts';

const NOW = Date.UTC(2026, 0, 2);
const ago = (seconds: number) => new Date(NOW - seconds * 1000).toISOString();
interface Traits {
  node?: string;
  phase?: string;
  readyFor?: number;
  cost?: string;
  restarts?: number;
  age?: number;
}
function pod(name: string, traits: Traits = {}): Pod {
  const { node = 'n', phase = 'Running', readyFor, cost, restarts = 0, age = 1000 } = traits;
  return {
    metadata: {
      name,
      uid: name,
      creationTimestamp: ago(age) as never,
      annotations: cost === undefined ? {} : { 'controller.kubernetes.io/pod-deletion-cost': cost },
    },
    spec: { containers: [], nodeName: node },
    status: {
      phase,
      conditions:
        readyFor === undefined
          ? []
          : [{ type: 'Ready', status: 'True', lastTransitionTime: ago(readyFor) as never }],
      containerStatuses: [{ name: 'c', restartCount: restarts }] as never,
    },
  };
}

describe('the first of two to be given up', () => {
  const cases: [string, Traits, Traits][] = [
    ['the one without a node', { node: '', phase: 'Pending' }, { phase: 'Pending' }],
    ['the one that is pending', { phase: 'Pending' }, { phase: 'Running' }],
    ['the one that is not ready', {}, { readyFor: 10 }],
    ['the cheaper one', { readyFor: 10, cost: '-5' }, { readyFor: 10 }],
    ['the one ready for a shorter time', { readyFor: 10 }, { readyFor: 1000 }],
    ['the one restarted more often', { readyFor: 10, restarts: 3 }, { readyFor: 10, restarts: 1 }],
    ['the younger one', { readyFor: 10, age: 20 }, { readyFor: 10, age: 2000 }],
  ];
  for (const [name, loser, winner] of cases) {
    test(name, () => {
      // Named so that the order of names would give the other answer.
      const order = deletionOrder([pod('a', winner), pod('b', loser)], [], NOW);
      expect(order.map((each) => each.metadata!.name)).toEqual(['b', 'a']);
    });
  }

  test('the one with more relatives on its node', () => {
    const crowded = pod('z', { node: 'crowded', readyFor: 10 });
    const alone = pod('a', { node: 'alone', readyFor: 10 });
    const order = deletionOrder([alone, crowded], [alone, crowded, pod('cousin', { node: 'crowded' })], NOW);
    expect(order[0]).toBe(crowded);
  });
});

test('planReplicas', () => {
  const set = (replicas: number, deleting = false): ReplicaSet => ({
    metadata: { name: 'r', ...(deleting ? { deletionTimestamp: ago(1) as never } : {}) },
    spec: { replicas, selector: {} },
  });
  const own = [pod('a', { readyFor: 10 }), pod('b')];
  expect(planReplicas(set(5), own, own, NOW)).toEqual({ create: 3, delete: [] });
  expect(planReplicas(set(2), own, own, NOW)).toEqual({ create: 0, delete: [] });
  expect(planReplicas(set(1), own, own, NOW).delete.map((each) => each.metadata!.name)).toEqual(['b']);
  expect(planReplicas(set(0, true), own, own, NOW)).toEqual({ create: 0, delete: [] });
  expect(planReplicas(set(1000), [], [], NOW).create).toBe(500);
});

test('replicaSetStatus counts, and dates a failure once', () => {
  const set: ReplicaSet = {
    metadata: { generation: 3 },
    spec: { replicas: 2, minReadySeconds: 60, selector: {} },
  };
  const own = [pod('a', { readyFor: 100 }), pod('b', { readyFor: 10 }), pod('c')];
  const failure = { reason: 'FailedCreate' as const, message: 'quota' };
  const status = replicaSetStatus(set, own, failure, NOW);
  expect(status).toMatchObject({
    replicas: 3,
    readyReplicas: 2,
    availableReplicas: 1,
    observedGeneration: 3,
  });
  expect(status.conditions).toHaveLength(1);
  const later = replicaSetStatus({ ...set, status }, own, { ...failure, message: 'again' }, NOW + 5000);
  expect(later.conditions).toEqual(status.conditions!);
  expect(replicaSetStatus({ ...set, status }, own, undefined, NOW).conditions).toBeUndefined();
});

import { expect, test } from 'bun:test';
import { conditionOf } from '../../../kube/conditions.ts';
import type { Deployment, ReplicaSet } from '../../../kube/types.ts';
import { deadlineAt, deploymentStatus, sameStatus, withCondition } from './status.ts';

const T0 = Date.UTC(2026, 0, 1);
const current = (available: number): ReplicaSet => ({
  metadata: { name: 'd-x' },
  spec: { replicas: 2, selector: {} },
  status: { replicas: 2, readyReplicas: available, availableReplicas: available },
});
const deployment = (status: Deployment['status'], spec: object = {}): Deployment =>
  ({
    metadata: { name: 'd', generation: 1 },
    spec: {
      replicas: 2,
      progressDeadlineSeconds: 60,
      strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      ...spec,
    },
    status,
  }) as Deployment;
const progressing = (reason: string, at = T0) =>
  withCondition({}, { type: 'Progressing', status: 'True', reason, message: 'm' }, at);

test('progress moves the deadline, the lack of it passes it, and success ends it', () => {
  const started = deployment(progressing('NewReplicaSetCreated'));
  const first = deploymentStatus(started, [current(1)], current(1), T0 + 50_000, true);
  expect(conditionOf(first, 'Progressing')).toMatchObject({
    status: 'True',
    reason: 'ReplicaSetUpdated',
    message: 'ReplicaSet "d-x" is progressing.',
    lastUpdateTime: '2026-01-01T00:00:50Z',
    lastTransitionTime: '2026-01-01T00:00:00Z',
  });
  expect(deadlineAt(started, first)).toBe(T0 + 110_000);

  const waiting = deployment(first);
  const early = deploymentStatus(waiting, [current(1)], current(1), T0 + 109_000, true);
  expect(conditionOf(early, 'Progressing')?.reason).toBe('ReplicaSetUpdated');
  const late = deploymentStatus(waiting, [current(1)], current(1), T0 + 110_000, true);
  expect(conditionOf(late, 'Progressing')).toMatchObject({
    status: 'False',
    reason: 'ProgressDeadlineExceeded',
    message: 'ReplicaSet "d-x" has timed out progressing.',
  });
  expect(deadlineAt(waiting, late)).toBeUndefined();

  const done = deploymentStatus(deployment(late), [current(2)], current(2), T0 + 200_000, true);
  expect(conditionOf(done, 'Progressing')).toMatchObject({
    status: 'True',
    reason: 'NewReplicaSetAvailable',
    message: 'ReplicaSet "d-x" has successfully progressed.',
  });
});

test('a pod that fails after the rollout does not start it again', () => {
  const done = deployment({ ...progressing('NewReplicaSetAvailable'), updatedReplicas: 2, replicas: 2 });
  const after = deploymentStatus(done, [current(1)], current(1), T0 + 1000, true);
  expect(conditionOf(after, 'Progressing')?.reason).toBe('NewReplicaSetAvailable');
  expect(conditionOf(after, 'Available')).toMatchObject({
    status: 'False',
    reason: 'MinimumReplicasUnavailable',
  });
});

test('without a deadline there is no Progressing condition', () => {
  const endless = deployment(progressing('NewReplicaSetCreated'), { progressDeadlineSeconds: 2 ** 31 - 1 });
  expect(
    conditionOf(deploymentStatus(endless, [current(1)], current(1), T0, true), 'Progressing'),
  ).toBeUndefined();
});

test("the ReplicaSet's failure is the Deployment's, until it is over", () => {
  const failure = { type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: 'quota' };
  const broken = { ...current(0), status: { replicas: 0, conditions: [failure] } };
  const status = deploymentStatus(deployment({}), [broken], broken, T0, true);
  expect(conditionOf(status, 'ReplicaFailure')).toMatchObject(failure);
  expect(
    conditionOf(deploymentStatus(deployment(status), [current(2)], current(2), T0, true), 'ReplicaFailure'),
  ).toBeUndefined();
});

test('numbers', () => {
  const old: ReplicaSet = { ...current(1), metadata: { name: 'd-old' } };
  expect(deploymentStatus(deployment({}), [old, current(2)], current(2), T0, false)).toMatchObject({
    replicas: 4,
    updatedReplicas: 2,
    readyReplicas: 3,
    availableReplicas: 3,
    unavailableReplicas: 1,
    observedGeneration: 1,
  });
});

test('statuses are compared by what they say', () => {
  const condition = (type: string) => ({ type, status: 'True' });
  expect(sameStatus(undefined, { replicas: 0, conditions: [] })).toBe(true);
  expect(
    sameStatus(
      { replicas: 1, conditions: [condition('A'), condition('B')] },
      { replicas: 1, readyReplicas: 0, conditions: [condition('B'), condition('A')] },
    ),
  ).toBe(true);
  expect(sameStatus({ replicas: 1 }, { replicas: 2, conditions: [] })).toBe(false);
});

import { conditionOf } from '../../../kube/conditions.ts';
import { timestamp } from '../../../kube/time.ts';
import type { Deployment, DeploymentCondition, ReplicaSet } from '../../../kube/types.ts';
import { milliseconds } from '../context.ts';
import { canonical } from '../template-hash.ts';
import { replicasOf, rolloutBounds, sum } from './rolling.ts';

export type DeploymentStatus = NonNullable<Deployment['status']>;

/** A condition as the controller states it; the times are added where it changes. */
type Statement = Pick<DeploymentCondition, 'type' | 'status' | 'reason' | 'message'>;

const NO_DEADLINE = 2 ** 31 - 1;

/** The numbers of a Deployment's status, from its ReplicaSets. Conditions are kept as they are. */
function numbers(
  deployment: Deployment,
  all: readonly ReplicaSet[],
  current: ReplicaSet | undefined,
): DeploymentStatus {
  const total = sum(all, replicasOf);
  const available = sum(all, (replicaSet) => replicaSet.status?.availableReplicas ?? 0);
  return {
    observedGeneration: deployment.metadata?.generation,
    replicas: sum(all, (replicaSet) => replicaSet.status?.replicas ?? 0),
    updatedReplicas: current?.status?.replicas ?? 0,
    readyReplicas: sum(all, (replicaSet) => replicaSet.status?.readyReplicas ?? 0),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, total - available),
    collisionCount: deployment.status?.collisionCount,
    conditions: deployment.status?.conditions ?? [],
  };
}

/**
 * A status with a condition stated: unchanged when it says the same already; the transition time moves only when its
 * status does.
 */
export function withCondition(status: DeploymentStatus, statement: Statement, now: number): DeploymentStatus {
  const before = conditionOf(status, statement.type);
  if (
    before?.status === statement.status &&
    before.reason === statement.reason &&
    before.message === statement.message
  ) {
    return status;
  }
  const condition: DeploymentCondition = {
    ...statement,
    lastUpdateTime: timestamp(now),
    lastTransitionTime:
      before?.status === statement.status ? (before.lastTransitionTime ?? timestamp(now)) : timestamp(now),
  };
  const others = (status.conditions ?? []).filter(({ type }) => type !== statement.type);
  return { ...status, conditions: [...others, condition] };
}

function withoutCondition(status: DeploymentStatus, type: string): DeploymentStatus {
  return { ...status, conditions: (status.conditions ?? []).filter((condition) => condition.type !== type) };
}

/** Whether a rollout is over: all pods are the current template's, none are left over, and all are available. */
export function isComplete(deployment: Deployment, status: DeploymentStatus): boolean {
  const wanted = replicasOf(deployment);
  return (
    (status.updatedReplicas ?? 0) === wanted &&
    (status.replicas ?? 0) === wanted &&
    (status.availableReplicas ?? 0) === wanted &&
    (status.observedGeneration ?? 0) >= (deployment.metadata?.generation ?? 0)
  );
}

function isProgressing(deployment: Deployment, status: DeploymentStatus): boolean {
  const before = deployment.status ?? {};
  const oldReplicas = (of: DeploymentStatus) => (of.replicas ?? 0) - (of.updatedReplicas ?? 0);
  return (
    (status.updatedReplicas ?? 0) > (before.updatedReplicas ?? 0) ||
    oldReplicas(status) < oldReplicas(before) ||
    (status.readyReplicas ?? 0) > (before.readyReplicas ?? 0) ||
    (status.availableReplicas ?? 0) > (before.availableReplicas ?? 0)
  );
}

export function hasDeadline(deployment: Deployment): boolean {
  return (deployment.spec?.progressDeadlineSeconds ?? 600) !== NO_DEADLINE;
}

/** When a rollout that shows no more progress is given up, milliseconds since the epoch. Undefined when it is not under way. */
export function deadlineAt(deployment: Deployment, status: DeploymentStatus): number | undefined {
  const condition = conditionOf(status, 'Progressing');
  if (condition === undefined || !hasDeadline(deployment) || isComplete(deployment, status)) return undefined;
  if (condition.reason === 'NewReplicaSetAvailable' || condition.reason === 'ProgressDeadlineExceeded')
    return undefined;
  if (deployment.spec?.paused) return undefined;
  const since = milliseconds(condition.lastUpdateTime);
  return since === undefined ? undefined : since + (deployment.spec?.progressDeadlineSeconds ?? 600) * 1000;
}

/**
 * The status of a Deployment. With `rollout` the Progressing condition is judged as well (a paused or only scaled
 * Deployment does not progress). Types and reasons are Kubernetes' (deployment_util.go, progress.go).
 */
export function deploymentStatus(
  deployment: Deployment,
  all: readonly ReplicaSet[],
  current: ReplicaSet | undefined,
  now: number,
  rollout: boolean,
): DeploymentStatus {
  let status = numbers(deployment, all, current);
  const enough =
    (status.availableReplicas ?? 0) >= replicasOf(deployment) - rolloutBounds(deployment).maxUnavailable;
  status = withCondition(
    status,
    enough
      ? {
          type: 'Available',
          status: 'True',
          reason: 'MinimumReplicasAvailable',
          message: 'Deployment has minimum availability.',
        }
      : {
          type: 'Available',
          status: 'False',
          reason: 'MinimumReplicasUnavailable',
          message: 'Deployment does not have minimum availability.',
        },
    now,
  );
  if (!rollout) return status;
  status = withProgress(deployment, status, current, now);
  const failed = [current, ...all]
    .flatMap((replicaSet) => replicaSet?.status?.conditions ?? [])
    .find((condition) => condition.type === 'ReplicaFailure');
  if (failed === undefined) return withoutCondition(status, 'ReplicaFailure');
  const { type, reason, message } = failed;
  return withCondition(status, { type, status: failed.status, reason, message }, now);
}

function withProgress(
  deployment: Deployment,
  status: DeploymentStatus,
  current: ReplicaSet | undefined,
  now: number,
): DeploymentStatus {
  if (!hasDeadline(deployment)) return withoutCondition(status, 'Progressing');
  const before = conditionOf(status, 'Progressing');
  // A finished rollout whose pods come and go is not a rollout again.
  const finished =
    before?.reason === 'NewReplicaSetAvailable' && (status.replicas ?? 0) === (status.updatedReplicas ?? 0);
  if (finished) return status;
  const subject =
    current === undefined
      ? `Deployment "${deployment.metadata?.name}"`
      : `ReplicaSet "${current.metadata?.name}"`;
  const state = (value: 'True' | 'False', reason: string, what: string): Statement => ({
    type: 'Progressing',
    status: value,
    reason,
    message: `${subject} ${what}`,
  });
  if (isComplete(deployment, status)) {
    return withCondition(
      status,
      state('True', 'NewReplicaSetAvailable', 'has successfully progressed.'),
      now,
    );
  }
  if (isProgressing(deployment, status)) {
    const statement = state('True', 'ReplicaSetUpdated', 'is progressing.');
    // The time of the last progress is what the deadline counts from: it moves although the words are the same.
    return withCondition(withoutTime(status), statement, now);
  }
  const deadline = deadlineAt(deployment, status);
  if (deadline !== undefined && now >= deadline) {
    return withCondition(
      status,
      state('False', 'ProgressDeadlineExceeded', 'has timed out progressing.'),
      now,
    );
  }
  return status;
}

/** Makes the next statement about progress a change, without moving its transition time. */
function withoutTime(status: DeploymentStatus): DeploymentStatus {
  const conditions = (status.conditions ?? []).map((condition) =>
    condition.type === 'Progressing' ? { ...condition, message: '' } : condition,
  );
  return { ...status, conditions };
}

/** Whether two statuses say the same: zeros may be left out, and the order of conditions means nothing. */
export function sameStatus(a: DeploymentStatus | undefined, b: DeploymentStatus): boolean {
  const plain = (status: DeploymentStatus | undefined) => {
    const { conditions = [], ...rest } = status ?? {};
    const set = Object.entries(rest).filter(([, value]) => value);
    const sorted = [...conditions].sort((x, y) => (x.type < y.type ? -1 : 1));
    return canonical([Object.fromEntries(set), sorted]);
  };
  return plain(a) === plain(b);
}

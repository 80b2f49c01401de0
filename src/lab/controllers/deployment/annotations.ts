import type { Deployment, ReplicaSet } from '../../../kube/types.ts';

/** The label that distinguishes the pods of one ReplicaSet of a Deployment from another's. */
export const HASH_LABEL = 'pod-template-hash';
export const REVISION = 'deployment.kubernetes.io/revision';
const REVISION_HISTORY = 'deployment.kubernetes.io/revision-history';
export const DESIRED_REPLICAS = 'deployment.kubernetes.io/desired-replicas';
export const MAX_REPLICAS = 'deployment.kubernetes.io/max-replicas';

/** Annotations of a Deployment that say something about it alone and are not handed to its ReplicaSets. */
const OWN = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  REVISION,
  REVISION_HISTORY,
  DESIRED_REPLICAS,
  MAX_REPLICAS,
  'deprecated.deployment.rollback.to',
]);

export function revisionOf(object: Deployment | ReplicaSet): number {
  return Number(object.metadata?.annotations?.[REVISION] ?? 0) || 0;
}

/**
 * The annotations that the Deployment's current ReplicaSet must have at `revision`: its own, the Deployment's (a
 * `kubernetes.io/change-cause` gets into the history this way), and the revision; a revision it had before goes into its
 * history. `kubectl rollout history` and `undo` read these.
 */
export function newReplicaSetAnnotations(
  deployment: Deployment,
  existing: ReplicaSet | undefined,
  revision: number,
): Record<string, string> {
  const annotations = { ...existing?.metadata?.annotations };
  for (const [key, value] of Object.entries(deployment.metadata?.annotations ?? {})) {
    if (!OWN.has(key)) annotations[key] = value;
  }
  const before = existing === undefined ? 0 : revisionOf(existing);
  if (before < revision) {
    if (before > 0) {
      const history = (annotations[REVISION_HISTORY] ?? '').split(',').filter((entry) => entry !== '');
      if (!history.includes(String(before))) history.push(String(before));
      annotations[REVISION_HISTORY] = history.join(',');
    }
    annotations[REVISION] = String(revision);
  }
  return annotations;
}

/** Annotations that record which size this ReplicaSet was created for: by them the next sync distinguishes a scaling from a rollout. */
export function replicasAnnotations(desired: number, max: number): Record<string, string> {
  return { [DESIRED_REPLICAS]: String(desired), [MAX_REPLICAS]: String(max) };
}

import type { KindInfo } from '../../kube/kinds.ts';
import { timestamp } from '../../kube/time.ts';
import { type ApiObject, targetOf } from './objects.ts';
import { badRequest, conflict } from './status-error.ts';

/** The part of `v1` DeleteOptions that is obeyed. */
export interface DeleteOptions {
  gracePeriodSeconds?: number;
  propagationPolicy?: string;
  orphanDependents?: boolean;
  preconditions?: { uid?: string; resourceVersion?: string };
  dryRun?: string[];
}

const ORPHAN = 'orphan';
const FOREGROUND = 'foregroundDeletion';
const DEFAULT_POD_GRACE_SECONDS = 30;

/** Whether the object goes now, is written with its deletion begun, or stays as it is. */
export type DeletionStep = 'remove' | 'write' | 'nothing';

/** Throws a Conflict when the object is not the one that is meant. */
export function checkPreconditions(info: KindInfo, object: ApiObject, options: DeleteOptions): void {
  const { uid, resourceVersion } = options.preconditions ?? {};
  const { metadata } = object;
  if (uid !== undefined && uid !== metadata.uid) {
    const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${metadata.uid}`;
    throw conflict(targetOf(info), metadata.name ?? '', why);
  }
  if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion) {
    const why = `Precondition failed: ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${metadata.resourceVersion}`;
    throw conflict(targetOf(info), metadata.name ?? '', why);
  }
}

/**
 * Begins or hastens the deletion of `object` and says what to do with it. Pods that a kubelet may be running are given
 * their grace period; finalizers, and the propagation policies that work by them, keep an object until they are gone.
 * Changes `object`.
 */
export function beginDeletion(
  info: KindInfo,
  object: ApiObject,
  options: DeleteOptions,
  nowMs: number,
): DeletionStep {
  const { metadata } = object;
  const finalizersBefore = metadata.finalizers ?? [];
  const finalizers = finalizersFor(finalizersBefore, options);
  metadata.finalizers = finalizers.length === 0 ? undefined : finalizers;
  const changedFinalizers =
    finalizers.length !== finalizersBefore.length ||
    finalizers.some((item, at) => item !== finalizersBefore[at]);
  const namespaceBusy = info.kind === 'Namespace' && (object.spec?.finalizers ?? []).length > 0;

  const grace = info.kind === 'Pod' ? podGraceSeconds(object, options) : 0;
  if (metadata.deletionTimestamp !== undefined) {
    const pending = metadata.deletionGracePeriodSeconds ?? 0;
    if (grace < pending) {
      // Sooner than was said before: the end moves to now plus the shorter grace, never later than it was.
      const started = Date.parse(metadata.deletionTimestamp) - pending * 1000;
      metadata.deletionTimestamp = timestamp(Math.max(started, nowMs) + grace * 1000);
      metadata.deletionGracePeriodSeconds = grace;
    } else if (pending > 0) return changedFinalizers ? 'write' : 'nothing';
    if ((metadata.deletionGracePeriodSeconds ?? 0) > 0) return 'write';
    if (finalizers.length === 0 && !namespaceBusy) return 'remove';
    return grace < pending || changedFinalizers ? 'write' : 'nothing';
  }
  if (grace === 0 && finalizers.length === 0 && !namespaceBusy) return 'remove';
  metadata.deletionTimestamp = timestamp(nowMs + grace * 1000);
  metadata.deletionGracePeriodSeconds = grace;
  if (metadata.generation !== undefined) metadata.generation++;
  if (info.kind === 'Namespace') object.status = { ...object.status, phase: 'Terminating' };
  return 'write';
}

/** Whether an object whose deletion has begun has nothing left that keeps it. */
export function isReadyToGo(info: KindInfo, object: ApiObject): boolean {
  const { metadata } = object;
  return (
    metadata.deletionTimestamp !== undefined &&
    (metadata.deletionGracePeriodSeconds ?? 0) === 0 &&
    (metadata.finalizers ?? []).length === 0 &&
    !(info.kind === 'Namespace' && (object.spec?.finalizers ?? []).length > 0)
  );
}

function finalizersFor(finalizers: readonly string[], options: DeleteOptions): string[] {
  const { propagationPolicy, orphanDependents } = options;
  if (propagationPolicy !== undefined && orphanDependents !== undefined) {
    throw badRequest('orphanDependents and propagationPolicy cannot be both set');
  }
  if (propagationPolicy === undefined && orphanDependents === undefined) return [...finalizers];
  const rest = finalizers.filter((item) => item !== ORPHAN && item !== FOREGROUND);
  if (orphanDependents === true || propagationPolicy === 'Orphan') return [...rest, ORPHAN];
  if (propagationPolicy === 'Foreground') return [...rest, FOREGROUND];
  if (propagationPolicy !== undefined && propagationPolicy !== 'Background') {
    throw badRequest(
      `invalid propagationPolicy ${JSON.stringify(propagationPolicy)}: supported values are "Background", "Foreground", "Orphan"`,
    );
  }
  return rest;
}

function podGraceSeconds(pod: ApiObject, options: DeleteOptions): number {
  const asked =
    options.gracePeriodSeconds ?? pod.spec?.terminationGracePeriodSeconds ?? DEFAULT_POD_GRACE_SECONDS;
  // Nothing runs (any more), so no kubelet would confirm the end of the grace period.
  if ((pod.spec?.nodeName ?? '') === '') return 0;
  if (pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded') return 0;
  return Math.max(0, asked);
}

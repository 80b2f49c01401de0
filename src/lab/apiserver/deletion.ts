import { type KindInfo, ownKind } from '../../kube/kinds.ts';
import { timestamp } from '../../kube/time.ts';
import { invalid, notSupported } from '../kubernetes/validation/field-error.ts';
import type { ApiObject } from './objects.ts';
import { invalidOptions } from './options-errors.ts';
import { conflict } from './status-error.ts';

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
/** Keeps a CustomResourceDefinition until its objects are gone. */
export const CUSTOM_CLEANUP = 'customresourcecleanup.apiextensions.k8s.io';
const DEFAULT_POD_GRACE_SECONDS = 30;

/** Whether the object goes now, is written with its deletion begun, or stays as it is. */
export type DeletionStep = 'remove' | 'write' | 'nothing';

/** Throws a Conflict when the object is not the one that is meant. */
export function checkPreconditions(info: KindInfo, object: ApiObject, options: DeleteOptions): void {
  const { uid, resourceVersion } = options.preconditions ?? {};
  const { metadata } = object;
  if (uid !== undefined && uid !== metadata.uid) {
    const why = `the UID in the precondition (${uid}) does not match the UID in record (${metadata.uid}). The object might have been deleted and then recreated`;
    throw conflict({ group: '', plural: info.kind }, metadata.name ?? '', why);
  }
  if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion) {
    const why = `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${metadata.resourceVersion}). The object might have been modified`;
    throw conflict({ group: '', plural: info.kind }, metadata.name ?? '', why);
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
  const finalizers = finalizersFor(info, finalizersBefore, options);
  const isDefinition = ownKind(info) === 'CustomResourceDefinition';
  // Its objects go first.
  if (isDefinition && metadata.deletionTimestamp === undefined && !finalizers.includes(CUSTOM_CLEANUP)) {
    finalizers.push(CUSTOM_CLEANUP);
  }
  metadata.finalizers = finalizers.length === 0 ? undefined : finalizers;
  const changedFinalizers =
    finalizers.length !== finalizersBefore.length ||
    finalizers.some((item, at) => item !== finalizersBefore[at]);
  const namespaceBusy = ownKind(info) === 'Namespace' && (object.spec?.finalizers ?? []).length > 0;

  const grace = ownKind(info) === 'Pod' ? podGraceSeconds(object, options) : 0;
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
  if (ownKind(info) !== 'Namespace') metadata.deletionGracePeriodSeconds = grace;
  if (metadata.generation !== undefined) metadata.generation++;
  if (ownKind(info) === 'Namespace') object.status = { ...object.status, phase: 'Terminating' };
  return 'write';
}

/** Whether an object whose deletion has begun has nothing left that keeps it. */
export function isReadyToGo(info: KindInfo, object: ApiObject): boolean {
  const { metadata } = object;
  return (
    metadata.deletionTimestamp !== undefined &&
    (metadata.deletionGracePeriodSeconds ?? 0) === 0 &&
    (metadata.finalizers ?? []).length === 0 &&
    !(ownKind(info) === 'Namespace' && (object.spec?.finalizers ?? []).length > 0)
  );
}

function finalizersFor(info: KindInfo, finalizers: readonly string[], options: DeleteOptions): string[] {
  const { propagationPolicy, orphanDependents } = options;
  if (propagationPolicy !== undefined && orphanDependents !== undefined) {
    throw invalidOptions('DeleteOptions', [
      invalid(
        'propagationPolicy',
        propagationPolicy,
        'orphanDependents and deletionPropagation cannot be both set',
      ),
    ]);
  }
  if (propagationPolicy === undefined && orphanDependents === undefined) {
    // The oldest kind of this sort: whoever deleted one deleted its pods, or did not.
    const orphans =
      ownKind(info) === 'ReplicationController' &&
      !finalizers.some((item) => [ORPHAN, FOREGROUND].includes(item));
    return orphans ? [...finalizers, ORPHAN] : [...finalizers];
  }
  const rest = finalizers.filter((item) => item !== ORPHAN && item !== FOREGROUND);
  if (orphanDependents === true || propagationPolicy === 'Orphan') return [...rest, ORPHAN];
  if (propagationPolicy === 'Foreground') return [...rest, FOREGROUND];
  if (propagationPolicy !== undefined && propagationPolicy !== 'Background') {
    throw invalidOptions('DeleteOptions', [
      notSupported('propagationPolicy', propagationPolicy, ['Foreground', 'Background', 'Orphan', 'nil']),
    ]);
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

import type { Pod } from '../../kube/types.ts';

/**
 * The uid of the controller that made a pod; undefined when a person, or a static manifest, did. The mirrors of all static
 * pods of a node name that Node as their controller, and none of them replaces another.
 */
export function controllerOf({ metadata }: Pod): string | undefined {
  return metadata?.ownerReferences?.find(({ controller, kind }) => controller && kind !== 'Node')?.uid;
}

/**
 * Whether a running pod stands in for one that the kubelet refused, both of one controller. A refused pod is `Failed`, which no controller
 * counts: it makes another, and leaves the refused one lying about until the garbage collector has enough of them
 * (`--terminated-pod-gc-threshold`). One that was there before is a sibling, and stands in for nobody.
 */
export function replaces(other: Pod, refused: Pod): boolean {
  if (refused.status?.phase !== 'Failed' || !canReplace(other)) return false;
  return madeAt(other) >= madeAt(refused);
}

/** Of each controller, the pod that stands in for a refused one when any of its pods does: the youngest that could. */
export function replacementsIn(pods: readonly Pod[]): ReadonlyMap<string | undefined, Pod> {
  const youngest = new Map<string | undefined, Pod>();
  for (const pod of pods) {
    const controller = controllerOf(pod);
    if (controller === undefined || !canReplace(pod)) continue;
    const before = youngest.get(controller);
    if (before === undefined || madeAt(pod) > madeAt(before)) youngest.set(controller, pod);
  }
  return youngest;
}

function canReplace({ status, metadata }: Pod): boolean {
  return status?.phase === 'Running' && metadata?.deletionTimestamp === undefined;
}

function madeAt({ metadata }: Pod): string {
  return metadata?.creationTimestamp ?? '';
}

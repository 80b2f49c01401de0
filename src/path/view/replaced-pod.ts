import type { Pod } from '../../kube/types.ts';

/**
 * The uid of the controller that created a pod; undefined when a person, or a static manifest, did. The mirrors of all static
 * pods of a node name that Node as their controller, and none of them replaces another.
 */
export function controllerOf({ metadata }: Pod): string | undefined {
  return metadata?.ownerReferences?.find(({ controller, kind }) => controller && kind !== 'Node')?.uid;
}

/**
 * Whether a running pod replaces one that the kubelet rejected, both of one controller. A rejected pod is `Failed`, which controllers do not
 * count: the controller creates another and leaves the rejected one until the garbage collector removes it (`--terminated-pod-gc-threshold`). A pod
 * that existed before is a sibling, and replaces none.
 */
export function replaces(other: Pod, refused: Pod): boolean {
  if (refused.status?.phase !== 'Failed' || !canReplace(other)) return false;
  return madeAt(other) >= madeAt(refused);
}

/** For each controller, the pod that replaces a rejected one when any of its pods does: the youngest candidate. */
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

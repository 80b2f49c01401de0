import type { Pod } from '../kube/types.ts';

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
  if (refused.status?.phase !== 'Failed' || other.status?.phase !== 'Running') return false;
  if (other.metadata?.deletionTimestamp !== undefined) return false;
  const [made, before] = [other, refused].map(({ metadata }) => metadata?.creationTimestamp ?? '');
  return made! >= before!;
}

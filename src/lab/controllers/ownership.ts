import { type ApiClient, hasReason } from '../../kube/client.ts';
import { apiVersionOf, type Resource } from '../../kube/resources.ts';
import type { KubeObject, OwnerReference } from '../../kube/types.ts';

/** The reference of the one controller that manages `object`. */
export function controllerOf(object: KubeObject): OwnerReference | undefined {
  return object.metadata?.ownerReferences?.find((owner) => owner.controller === true);
}

export function isControlledBy(object: KubeObject, owner: KubeObject): boolean {
  return controllerOf(object)?.uid === owner.metadata?.uid;
}

/** The reference that a controller puts into what it creates. */
export function controllerReference(resource: Resource<KubeObject>, owner: KubeObject): OwnerReference {
  return {
    apiVersion: apiVersionOf(resource),
    kind: resource.kind,
    name: owner.metadata!.name!,
    uid: owner.metadata!.uid!,
    controller: true,
    blockOwnerDeletion: true,
  };
}

/**
 * What belongs to an owner with a selector: objects it controls and that still match are kept; those that no longer match
 * are let go; matching orphans are adopted, unless owner or orphan is being deleted.
 * Source: ControllerRefManager in Kubernetes.
 */
export function claim<T extends KubeObject>(
  owner: KubeObject,
  matches: (labels: Record<string, string> | undefined) => boolean,
  objects: readonly T[],
): { keep: T[]; adopt: T[]; release: T[] } {
  const result: { keep: T[]; adopt: T[]; release: T[] } = { keep: [], adopt: [], release: [] };
  const ownerEnds = owner.metadata?.deletionTimestamp !== undefined;
  for (const object of objects) {
    const controller = controllerOf(object);
    const match = matches(object.metadata?.labels);
    if (controller !== undefined) {
      if (controller.uid !== owner.metadata?.uid) continue;
      if (match) result.keep.push(object);
      else if (!ownerEnds) result.release.push(object);
    } else if (match && !ownerEnds && object.metadata?.deletionTimestamp === undefined) {
      result.adopt.push(object);
    }
  }
  return result;
}

/**
 * Carries out a {@link claim} and returns what the owner then has. Before the first adoption the owner is read again: the
 * cache may not know yet that it is being deleted, and then the garbage collector would delete what was just adopted.
 */
export async function claimObjects<O extends KubeObject, T extends KubeObject>(
  client: ApiClient,
  ownerResource: Resource<O>,
  owner: O,
  resource: Resource<T>,
  matches: (labels: Record<string, string> | undefined) => boolean,
  objects: readonly T[],
): Promise<T[]> {
  const { keep, adopt, release } = claim(owner, matches, objects);
  for (const object of release) {
    await setOwners(client, resource, object, withoutOwner(object, owner.metadata!.uid!));
  }
  if (adopt.length > 0) {
    const fresh = await client.get(ownerResource, owner.metadata!.name!, owner.metadata!.namespace);
    if (fresh.metadata?.uid !== owner.metadata?.uid || fresh.metadata?.deletionTimestamp !== undefined)
      return keep;
  }
  for (const object of adopt) {
    const owners = [...(object.metadata?.ownerReferences ?? []), controllerReference(ownerResource, owner)];
    const adopted = await setOwners(client, resource, object, owners);
    if (adopted !== undefined) keep.push(adopted);
  }
  return keep;
}

function withoutOwner(object: KubeObject, uid: string): OwnerReference[] {
  return (object.metadata?.ownerReferences ?? []).filter((owner) => owner.uid !== uid);
}

/** Replaces the owners of an object as it was seen; a change in between is a Conflict. Undefined when it is gone. */
async function setOwners<T extends KubeObject>(
  client: ApiClient,
  resource: Resource<T>,
  object: T,
  ownerReferences: OwnerReference[],
): Promise<T | undefined> {
  const { name, namespace, uid, resourceVersion } = object.metadata!;
  try {
    const patch = { metadata: { uid, resourceVersion, ownerReferences } };
    return await client.patch(resource, name!, namespace, 'merge', patch);
  } catch (error) {
    if (hasReason(error, 'NotFound')) return undefined;
    throw error;
  }
}

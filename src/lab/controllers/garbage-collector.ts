import { hasReason } from '../../kube/client.ts';
import { apiVersionOf, keyOf, type Resource } from '../../kube/resources.ts';
import type { KubeObject, OwnerReference } from '../../kube/types.ts';
import { type Controller, type ControllerContext, ControllerQueue } from './context.ts';
import { SERVED } from './served.ts';

const FOREGROUND = 'foregroundDeletion';
const ORPHAN = 'orphan';

/**
 * Deletes what has lost all its owners (background), holds an owner back until what blocks it is gone (foreground), or lets
 * its dependents go first (orphan). Works on every kind that is served, from their informers; before it deletes anything
 * it asks the API whether the owner is really gone.
 * Source: https://kubernetes.io/docs/concepts/architecture/garbage-collection/
 */
export function garbageCollector(context: ControllerContext): Controller {
  const { client, informers } = context;
  const byKind = new Map(
    SERVED.map((resource) => [kindKey(apiVersionOf(resource), resource.kind), resource]),
  );
  /** Uid of an owner to the queue keys of what names it. */
  const dependents = new Map<string, Set<string>>();
  const queue = new ControllerQueue(context, 'garbage-collector', sync);

  const queueKey = (resource: Resource<KubeObject>, object: KubeObject) =>
    `${kindKey(apiVersionOf(resource), resource.kind)}|${keyOf(object)}`;
  const link = (key: string, object: KubeObject) => {
    for (const { uid } of object.metadata?.ownerReferences ?? []) {
      dependents.set(uid, (dependents.get(uid) ?? new Set()).add(key));
    }
  };
  const unlink = (key: string, object: KubeObject) => {
    for (const { uid } of object.metadata?.ownerReferences ?? []) {
      const keys = dependents.get(uid);
      keys?.delete(key);
      if (keys?.size === 0) dependents.delete(uid);
    }
  };
  const ownersChanged = (object: KubeObject) => {
    for (const owner of object.metadata?.ownerReferences ?? []) {
      const resource = byKind.get(kindKey(owner.apiVersion, owner.kind));
      if (resource !== undefined)
        queue.add(`${kindKey(owner.apiVersion, owner.kind)}|${ownerKey(resource, object, owner)}`);
    }
  };

  for (const resource of SERVED) {
    informers.of(resource).handle({
      onAdd: (object) => {
        const key = queueKey(resource, object);
        link(key, object);
        if (concerns(object)) queue.add(key);
      },
      onUpdate: (object, old) => {
        const key = queueKey(resource, object);
        const replaced = object.metadata?.uid !== old.metadata?.uid;
        if (replaced || ownersOf(object) !== ownersOf(old)) {
          unlink(key, old);
          link(key, object);
          ownersChanged(old);
          if (concerns(object)) queue.add(key);
        }
        if (replaced) for (const dependent of dependents.get(old.metadata!.uid!) ?? []) queue.add(dependent);
        if (object.metadata?.deletionTimestamp !== undefined) queue.add(key);
      },
      onDelete: (object) => {
        const key = queueKey(resource, object);
        unlink(key, object);
        for (const dependent of dependents.get(object.metadata!.uid!) ?? []) queue.add(dependent);
        // An owner that is deleted in the foreground may have waited for this one.
        ownersChanged(object);
      },
    });
  }

  async function sync(key: string): Promise<void> {
    const bar = key.indexOf('|');
    const resource = byKind.get(key.slice(0, bar))!;
    const object = informers.of(resource).store.get(key.slice(bar + 1));
    if (object === undefined) return;
    if (object.metadata?.deletionTimestamp !== undefined) await finish(resource, object);
    else await judge(resource, object);
  }

  /** Carries out what the finalizers of an object that is being deleted ask for. */
  async function finish(resource: Resource<KubeObject>, owner: KubeObject): Promise<void> {
    const finalizers = owner.metadata!.finalizers ?? [];
    if (finalizers.includes(ORPHAN)) {
      for (const [kind, dependent] of dependentsOf(owner))
        await removeOwners(kind, dependent, [owner.metadata!.uid!]);
      await removeFinalizer(resource, owner, ORPHAN);
    } else if (finalizers.includes(FOREGROUND)) {
      const blocking = dependentsOf(owner).filter(([, dependent]) => blocks(dependent, owner));
      for (const [kind, dependent] of dependentsOf(owner)) {
        if (dependent.metadata?.deletionTimestamp === undefined) await judge(kind, dependent);
      }
      if (blocking.length === 0) await removeFinalizer(resource, owner, FOREGROUND);
    }
  }

  /** Deletes an object whose owners are all gone or going, or lets go of those that are when others stay. */
  async function judge(resource: Resource<KubeObject>, object: KubeObject): Promise<void> {
    const owners = object.metadata?.ownerReferences ?? [];
    if (owners.length === 0) return;
    const gone: OwnerReference[] = [];
    let waiting = 0;
    for (const owner of owners) {
      const state = await ownerState(object, owner);
      if (state === 'gone') gone.push(owner);
      if (state === 'waiting') waiting++;
    }
    if (gone.length + waiting < owners.length) {
      if (gone.length > 0)
        await removeOwners(
          resource,
          object,
          gone.map(({ uid }) => uid),
        );
      return;
    }
    const { name, namespace, uid, finalizers = [] } = object.metadata!;
    // A deletion in the foreground goes down through what depends on this one; otherwise what a finalizer asked before holds.
    const hasDependents = (dependents.get(uid!)?.size ?? 0) > 0;
    const propagationPolicy = finalizers.includes(ORPHAN)
      ? 'Orphan'
      : (waiting > 0 && hasDependents) || finalizers.includes(FOREGROUND)
        ? 'Foreground'
        : 'Background';
    try {
      await client.delete(resource, name!, namespace, { propagationPolicy, preconditions: { uid } });
      context.log(`garbage-collector: deleted ${resource.kind} ${keyOf(object)}: its owners are gone`);
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error;
    }
  }

  /** Whether an owner is there, gone, or there and waiting for its dependents to be deleted. */
  async function ownerState(
    object: KubeObject,
    owner: OwnerReference,
  ): Promise<'there' | 'gone' | 'waiting'> {
    const resource = byKind.get(kindKey(owner.apiVersion, owner.kind));
    // A kind that this API server does not serve: whether the owner exists is unknown, so nothing is deleted.
    if (resource === undefined) return 'there';
    const cached = informers.of(resource).store.get(ownerKey(resource, object, owner));
    let found = cached?.metadata?.uid === owner.uid ? cached : undefined;
    if (found === undefined) {
      try {
        const namespace = resource.namespaced ? object.metadata?.namespace : undefined;
        const live = await client.get(resource, owner.name, namespace);
        if (live.metadata?.uid === owner.uid) found = live;
      } catch (error) {
        if (!hasReason(error, 'NotFound')) throw error;
      }
    }
    if (found === undefined) return 'gone';
    const ends = found.metadata?.deletionTimestamp !== undefined;
    return ends && found.metadata?.finalizers?.includes(FOREGROUND) ? 'waiting' : 'there';
  }

  function dependentsOf(owner: KubeObject): [Resource<KubeObject>, KubeObject][] {
    const found: [Resource<KubeObject>, KubeObject][] = [];
    for (const key of dependents.get(owner.metadata!.uid!) ?? []) {
      const bar = key.indexOf('|');
      const resource = byKind.get(key.slice(0, bar))!;
      const object = informers.of(resource).store.get(key.slice(bar + 1));
      if (object !== undefined) found.push([resource, object]);
    }
    return found;
  }

  async function removeOwners(
    resource: Resource<KubeObject>,
    object: KubeObject,
    uids: string[],
  ): Promise<void> {
    const { name, namespace, uid, resourceVersion } = object.metadata!;
    const ownerReferences = (object.metadata?.ownerReferences ?? []).filter(
      (owner) => !uids.includes(owner.uid),
    );
    await patchMetadata(resource, name!, namespace, { uid, resourceVersion, ownerReferences });
  }

  async function removeFinalizer(
    resource: Resource<KubeObject>,
    object: KubeObject,
    name: string,
  ): Promise<void> {
    const { uid, resourceVersion, namespace } = object.metadata!;
    const finalizers = object.metadata!.finalizers!.filter((finalizer) => finalizer !== name);
    await patchMetadata(resource, object.metadata!.name!, namespace, { uid, resourceVersion, finalizers });
  }

  /** On the object as it was seen; a change in between is a Conflict and is looked at again. */
  async function patchMetadata(
    resource: Resource<KubeObject>,
    name: string,
    namespace: string | undefined,
    metadata: object,
  ): Promise<void> {
    try {
      await client.patch(resource, name, namespace, 'merge', { metadata });
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error;
    }
  }

  return { start: () => queue.start() };
}

function kindKey(apiVersion: string, kind: string): string {
  return `${apiVersion}/${kind}`;
}

/** The store key of an owner: in the namespace of its dependent, unless its kind has none. */
function ownerKey(resource: Resource<KubeObject>, dependent: KubeObject, owner: OwnerReference): string {
  const namespace = dependent.metadata?.namespace;
  return resource.namespaced && namespace !== undefined ? `${namespace}/${owner.name}` : owner.name;
}

function ownersOf(object: KubeObject): string {
  return JSON.stringify(object.metadata?.ownerReferences ?? []);
}

function blocks(dependent: KubeObject, owner: KubeObject): boolean {
  return Boolean(
    dependent.metadata?.ownerReferences?.some(
      (reference) => reference.uid === owner.metadata?.uid && reference.blockOwnerDeletion,
    ),
  );
}

/** Whether the collector has anything to decide about an object: most have no owner and are not being deleted. */
function concerns(object: KubeObject): boolean {
  return (
    Boolean(object.metadata?.ownerReferences?.length) || object.metadata?.deletionTimestamp !== undefined
  );
}

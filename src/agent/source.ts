import { describeRights, missingRights, type Right } from '../collect/reader/preflight.ts';
import type { ApiClient } from '../kube/client.ts';
import { hasReason } from '../kube/client.ts';
import type { Resource } from '../kube/resources.ts';
import type { KubeObject } from '../kube/types.ts';
import type { ChangeAtSource } from '../path/source/at-source.ts';
import {
  type Patched,
  type PatchedObject,
  type PatchTarget,
  patchOf,
  targetOfPatch,
} from '../path/source/patch.ts';
import { messageOf } from '../util/errors.ts';

/** A change at the source that this program can make, as far as the cluster permits. */
export interface PlannedPatch {
  change: ChangeAtSource;
  target: PatchTarget;
  patched: Patched;
}

type Source = KubeObject & PatchedObject;

function resourceOf({ group, version, plural, kind }: PatchTarget): Resource<Source> {
  return { group, version, plural, kind, namespaced: true };
}

/**
 * Computes the patches of changes from the objects as they are, and checks that the user may make them; changes that have none are left out. Changes
 * nothing.
 */
export async function planPatches(
  client: ApiClient,
  changes: readonly ChangeAtSource[],
  signal: AbortSignal,
): Promise<PlannedPatch[]> {
  const planned = changes.map(async (change): Promise<PlannedPatch[]> => {
    const { patch } = change.change;
    if (patch === undefined) return [];
    const target = targetOfPatch(patch);
    const { name, namespace } = target;
    try {
      const object = await client.get(resourceOf(target), name, namespace).catch(unlessMissing);
      const patched = patchOf(patch, object);
      const missing =
        patched.is === 'patch' ? await missingRights(client, [rightTo(target)], { signal }) : [];
      if (missing.length === 0) return [{ change, target, patched }];
      return [{ change, target, patched: { is: 'refused', why: `you may not ${describeRights(missing)}` } }];
    } catch (cause) {
      return [{ change, target, patched: { is: 'refused', why: messageOf(cause) } }];
    }
  });
  return (await Promise.all(planned)).flat();
}

/**
 * Makes a planned change. The object must be the one that the patch was computed from: it is read once more, and refused when another patch would
 * follow from it.
 * @returns why it was not made; undefined when it was.
 */
export async function applyPatch(
  client: Pick<ApiClient, 'get' | 'patch'>,
  { change, target, patched }: PlannedPatch,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const { patch } = change.change;
  if (patch === undefined || patched.is !== 'patch') return undefined;
  const { name, namespace } = target;
  const object = await client.get(resourceOf(target), name, namespace);
  // Between the two: a patch that was sent is waited for.
  signal?.throwIfAborted();
  const now = patchOf(patch, object);
  if (now.is !== 'patch' || now.shown !== patched.shown) return `${namespace}/${name} has changed meanwhile`;
  // With the version that it was read at: whoever writes in between wins.
  const body = { ...patched.body, metadata: { resourceVersion: object.metadata?.resourceVersion } };
  try {
    await client.patch(resourceOf(target), name, namespace, 'merge', body);
    return undefined;
  } catch (cause) {
    if (!hasReason(cause, 'Conflict')) throw cause;
    return `${namespace}/${name} has changed meanwhile`;
  }
}

function rightTo({ group, plural, namespace, name }: PatchTarget): Right {
  return { verb: 'patch', resource: plural, namespace, name, ...(group !== '' && { group }) };
}

function unlessMissing(cause: unknown): undefined {
  if (!hasReason(cause, 'NotFound')) throw cause;
  return undefined;
}

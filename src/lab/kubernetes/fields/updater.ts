import { jsonEqual } from '../../../kube/patch/json.ts';
import type { Json } from '../../../util/json.ts';
import type { Atom } from './atoms.ts';
import { type Comparison, compare } from './compare.ts';
import { FieldSet, type Path } from './field-set.ts';
import { merge } from './merge.ts';
import { Owned } from './owned.ts';
import { fieldsOf, withNamedFields } from './owned-fields.ts';
import { reconcile } from './reconcile.ts';
import { removeFields } from './remove.ts';

/** What one manager owns, in the fields of the API version that it wrote in. */
export interface VersionedSet {
  readonly owned: Owned;
  readonly apiVersion: string;
  /** Whether by apply; otherwise by another kind of write. */
  readonly applied: boolean;
}

/** Manager identifier -> what it owns. */
export type Managers = ReadonlyMap<string, VersionedSet>;

/** How objects of a kind are compared, by API version. Versions of a kind have the same fields here, but may differ in types. */
export interface Versions {
  /** The type of objects in a version; undefined for a version that is not served any more. */
  atomOf(apiVersion: string): Atom | undefined;
  /** Fields that the write that is under way cannot change. */
  readonly ignored: FieldSet;
  /** Fields that a write does not make anybody's, as those that say which object it is. */
  readonly nobodys: FieldSet;
  /** Whether types may have changed since the managers were written. */
  readonly mayChange: boolean;
}

/** Somebody else owns a field that an apply would change. */
export interface Conflict {
  readonly manager: string;
  readonly path: Path;
}

/** An apply without force would change what others own. */
export class ConflictError extends Error {
  readonly conflicts: readonly Conflict[];

  constructor(conflicts: readonly Conflict[]) {
    super(`${conflicts.length} fields are owned by others`);
    this.name = 'ConflictError';
    this.conflicts = conflicts;
  }
}

/** Comparisons of two objects in the versions of their managers, each made once. */
function comparing(
  versions: Versions,
  live: Json,
  object: Json,
): (apiVersion: string) => Comparison | undefined {
  const made = new Map<Atom, Comparison>();
  return (apiVersion) => {
    const atom = versions.atomOf(apiVersion);
    if (atom === undefined) return undefined;
    let found = made.get(atom);
    if (found === undefined) {
      const { added, modified, removed } = compare(atom, live, object);
      found = {
        added: added.recursiveDifference(versions.ignored),
        modified: modified.recursiveDifference(versions.ignored),
        removed: removed.recursiveDifference(versions.ignored),
      };
      made.set(atom, found);
    }
    return found;
  };
}

/**
 * What managers but the writer own once a write is done: nothing that it changes or removes. Throws {@link ConflictError}
 * where they own what it changes, unless `force`.
 */
function others(
  compareIn: (apiVersion: string) => Comparison | undefined,
  managers: Managers,
  writer: string,
  force: boolean,
): Map<string, VersionedSet> {
  const left = new Map<string, VersionedSet>();
  const conflicts: Conflict[] = [];
  for (const [manager, versioned] of managers) {
    if (manager === writer) continue;
    const comparison = compareIn(versioned.apiVersion);
    // Of a version that is not served any more nothing is known.
    if (comparison === undefined) continue;
    const { added, modified, removed } = comparison;
    const { owned } = versioned;
    if (!owned.meets(added) && !owned.meets(modified) && !owned.meets(removed)) {
      left.set(manager, versioned);
      continue;
    }
    const lost = owned.set.intersection(modified.union(added));
    if (!lost.isEmpty) conflicts.push(...lost.paths().map((path) => ({ manager, path })));
    const set = owned.set.difference(lost).difference(removed);
    if (!set.isEmpty) left.set(manager, { ...versioned, owned: Owned.of(set) });
  }
  if (!force && conflicts.length > 0) throw new ConflictError(conflicts);
  return left;
}

function reconciled(versions: Versions, managers: Managers): Map<string, VersionedSet> {
  const found = new Map<string, VersionedSet>();
  for (const [manager, versioned] of managers) {
    const atom = versions.atomOf(versioned.apiVersion);
    if (atom === undefined) continue;
    if (!versions.mayChange) found.set(manager, versioned);
    else {
      const set = reconcile(versioned.owned.set, atom);
      found.set(manager, set === versioned.owned.set ? versioned : { ...versioned, owned: Owned.of(set) });
    }
  }
  return found;
}

/**
 * Who owns what once `live` has been changed to `object` by a write other than an apply; `wrote` says whether the writer
 * changed anything that can be owned.
 */
export function afterUpdate(
  versions: Versions,
  live: Json,
  object: Json,
  apiVersion: string,
  managers: Managers,
  writer: string,
): { managers: Map<string, VersionedSet>; wrote: boolean } {
  const compareIn = comparing(versions, live, object);
  const { added, modified, removed } = compareIn(apiVersion)!;
  const changed = modified.union(added).difference(versions.nobodys);
  const wrote = !changed.isEmpty;
  const before = reconciled(versions, managers);
  const left = others(compareIn, before, wrote ? writer : '', true);
  if (!wrote) return { managers: left, wrote };
  const own = before.get(writer);
  const isSame = own?.owned.includes(changed) && !own.owned.meets(removed);
  const set = (): FieldSet => (own?.owned.set ?? new FieldSet()).difference(removed).union(changed);
  left.set(writer, { owned: isSame ? own!.owned : Owned.of(set()), apiVersion, applied: false });
  return { managers: left, wrote };
}

/**
 * `live` with `config` applied to it by `writer`, and who owns what then: fields are set, and those that it applied before and
 * does not any more are removed where nobody else owns them. `object` is undefined when nothing changes. Throws
 * {@link ConflictError}, unless `force`.
 */
export function afterApply(
  versions: Versions,
  live: Json,
  config: Json,
  apiVersion: string,
  managers: Managers,
  writer: string,
  force: boolean,
): { object: Json | undefined; managers: Map<string, VersionedSet> } {
  const atom = versions.atomOf(apiVersion)!;
  const before = reconciled(versions, managers);
  const last = before.get(writer);
  const set = fieldsOf(atom, config).recursiveDifference(versions.ignored);
  before.set(writer, { owned: Owned.of(set), apiVersion, applied: true });
  const merged = merge(atom, live, config) ?? {};
  const object = prune(versions, merged, before, last);
  const left = others(comparing(versions, live, object), before, writer, force);
  const own = set.difference(versions.nobodys);
  if (!own.isEmpty) left.set(writer, { owned: Owned.of(own), apiVersion, applied: true });
  return { object: jsonEqual(live, object) ? undefined : object, managers: left };
}

/** Removes what the writer applied last, does not apply any more and nobody owns. */
function prune(versions: Versions, merged: Json, managers: Managers, last: VersionedSet | undefined): Json {
  if (last === undefined || last.owned.set.isEmpty) return merged;
  const atom = versions.atomOf(last.apiVersion);
  if (atom === undefined) return merged;
  const lastNamed = withNamedFields(last.owned.set, atom);
  let pruned = removeFields(atom, merged, lastNamed) ?? {};
  // What others own, or the writer's new configuration has, comes back: first in the version that was pruned.
  const byVersion = new Map([[last.apiVersion, new FieldSet()]]);
  for (const { apiVersion, owned } of managers.values()) {
    byVersion.set(apiVersion, (byVersion.get(apiVersion) ?? new FieldSet()).union(owned.set));
  }
  for (const [apiVersion, owned] of byVersion) {
    const type = versions.atomOf(apiVersion);
    if (type === undefined) continue;
    const all = withNamedFields(fieldsOf(type, merged), type);
    const kept = withNamedFields(fieldsOf(type, pruned), type).union(withNamedFields(owned, type));
    pruned = removeFields(type, merged, all.difference(kept)) ?? {};
  }
  // So does what the writer never owned but went with it.
  const kept = withNamedFields(fieldsOf(atom, pruned), atom);
  const all = withNamedFields(fieldsOf(atom, merged), atom);
  return removeFields(atom, merged, all.difference(kept).intersection(lastNamed)) ?? {};
}

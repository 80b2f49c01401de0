import { jsonEqual } from '../../../kube/patch/json.ts';
import { isObject, type Json, type JsonObject } from '../../../util/json.ts';
import type { Atom } from './atoms.ts';
import { compare } from './compare.ts';
import { FieldSet } from './field-set.ts';
import {
  decodeManagedFields,
  encodeManagedFields,
  identifierOf,
  isReset,
  type Managed,
  type ManagedFieldsEntry,
  nothingManaged,
  secondsOf,
} from './managed-fields.ts';
import { Owned } from './owned.ts';
import { fieldsOf } from './owned-fields.ts';
import { fieldElement } from './path-element.ts';
import { typeProblem } from './type-problems.ts';
import { afterApply, afterUpdate, type Conflict, ConflictError, type Versions } from './updater.ts';

/** A Kubernetes object as the manager of its fields sees it. */
export type ManagedObject = JsonObject & { metadata?: JsonObject };

/** A kind that is written, and through what. */
export interface Writing {
  readonly apiVersion: string;
  readonly kind: string;
  /** '' for the object itself. */
  readonly subresource: string;
  /** The type of objects in a version of the kind; undefined for a version that is not served. */
  atomOf(apiVersion: string): Atom | undefined;
  /** Fields that a write through this cannot change. */
  readonly ignored: FieldSet;
  /** Whether types may have changed since managers were noted, as those of custom kinds may. */
  readonly mayChange: boolean;
  /** What an object is compared with that is new: structs of the kind's type that are always there. */
  readonly empty: ManagedObject;
  /** When it is written: RFC 3339, whole seconds. */
  readonly now: string;
}

/** A configuration that cannot be applied to an object. `code` is the HTTP status that Kubernetes answers with. */
export class ApplyError extends Error {
  readonly code: 400 | 500;

  constructor(code: 400 | 500, message: string) {
    super(message);
    this.name = 'ApplyError';
    this.code = code;
  }
}

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
/** The sum of annotations may not be larger: what is too long is left out. */
const ANNOTATIONS_LIMIT = 256 * 1024;
/** The manager that kubectl applies as: only its last-applied annotation is looked at and kept up to date. */
const KUBECTL = 'kubectl';
/** So many managers of updates are kept apart; those before share one entry. */
const MAX_UPDATE_MANAGERS = 10;
const ANCIENT_MANAGER = 'ancient-changes';
const BEFORE_FIRST_APPLY = 'before-first-apply';

/** Fields that say which object it is, or that only the server sets: nobody owns them. */
const NOBODYS = FieldSet.of(
  ['f:apiVersion'],
  ['f:kind'],
  ['f:metadata'],
  ...[
    'name',
    'namespace',
    'creationTimestamp',
    'selfLink',
    'uid',
    'clusterName',
    'generation',
    'managedFields',
    'resourceVersion',
  ].map((name) => [fieldElement('metadata'), fieldElement(name)]),
);

function entriesOf(object: ManagedObject | undefined): ManagedFieldsEntry[] | undefined {
  return object?.metadata?.managedFields as ManagedFieldsEntry[] | undefined;
}

function withoutManagedFields(object: ManagedObject): ManagedObject {
  if (object.metadata?.managedFields === undefined) return object;
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}

/** Notes in `managed` who changed `live` (undefined: nothing was there) into `object` by an ordinary write. */
function noteUpdate(
  writing: Writing,
  live: ManagedObject | undefined,
  object: ManagedObject,
  managed: Managed,
  manager: string,
): Managed {
  const id = identifierOf({
    manager: manager === '' ? 'unknown' : manager,
    operation: 'Update',
    apiVersion: writing.apiVersion,
    subresource: writing.subresource,
  });
  const { managers, wrote } = afterUpdate(
    versionsOf(writing),
    live === undefined ? writing.empty : withoutManagedFields(live),
    withoutManagedFields(object),
    writing.apiVersion,
    managed.managers,
    id,
  );
  const times = new Map(managed.times);
  if (wrote) times.set(id, writing.now);
  return capped({ managers, times });
}

function versionsOf({ atomOf, ignored, mayChange }: Writing): Versions {
  return { atomOf, ignored, mayChange, nobodys: NOBODYS };
}

/** Merges the oldest managers of updates, those of a version each into one, until there are few enough. */
function capped(managed: Managed): Managed {
  const { managers, times } = managed;
  const updaters = [...managers].filter(([, { applied }]) => !applied).map(([id]) => id);
  let count = updaters.length;
  if (count <= MAX_UPDATE_MANAGERS) return managed;
  const oldestFirst = updaters.sort(
    (a, b) => secondsOf(times.get(a)) - secondsOf(times.get(b)) || (a < b ? -1 : 1),
  );
  const firstOfVersion = new Map<string, string>();
  for (const id of oldestFirst) {
    if (count <= MAX_UPDATE_MANAGERS) break;
    const versioned = managers.get(id)!;
    const { apiVersion } = versioned;
    const first = firstOfVersion.get(apiVersion);
    if (first === undefined) {
      firstOfVersion.set(apiVersion, id);
      continue;
    }
    const bucket = identifierOf({ manager: ANCIENT_MANAGER, operation: 'Update', apiVersion });
    // The oldest of a version becomes what the next ones are merged into, unless there is such a one from before.
    const into = managers.has(bucket) && id !== bucket ? bucket : first;
    const set = versioned.owned.set.union(managers.get(into)!.owned.set);
    if (into !== bucket) managers.delete(into);
    managers.delete(id);
    managers.set(bucket, { ...versioned, owned: Owned.of(set) });
    firstOfVersion.set(apiVersion, bucket);
    const time = times.get(id);
    if (time !== undefined) times.set(bucket, time);
    count--;
  }
  return managed;
}

/** What `read` says is managed; nothing where it does not say so in a form that can be read. */
function readable(entries: readonly ManagedFieldsEntry[] | undefined, stored: boolean): Managed {
  try {
    return decodeManagedFields(entries ?? [], stored);
  } catch {
    // Entries are the clients' to write: as in Kubernetes, those that make no sense are as none.
    return nothingManaged();
  }
}

/** What is managed before an ordinary write, which may say so itself. */
function managedBefore(writing: Writing, live: ManagedObject | undefined, object: ManagedObject): Managed {
  const stored = entriesOf(live);
  if (writing.subresource === '') {
    const entries = entriesOf(object);
    if (isReset(entries)) return nothingManaged();
    if (!jsonEqual(entries as unknown as Json, stored as unknown as Json)) {
      const given = readable(entries, false);
      if (given.managers.size > 0) return given;
    }
  }
  return readable(stored, true);
}

/**
 * `metadata.managedFields` of `object`, which an ordinary write by `manager` makes of `live` (undefined: it creates it).
 * Undefined where nothing is managed, as for objects that were stored before anybody was noted.
 */
export function managedAfterUpdate(
  writing: Writing,
  live: ManagedObject | undefined,
  object: ManagedObject,
  manager: string,
): ManagedFieldsEntry[] | undefined {
  const managed = managedBefore(writing, live, object);
  if (managed.managers.size === 0 && live !== undefined) return undefined;
  return encodeManagedFields(noteUpdate(writing, live, object, managed, manager));
}

/**
 * What `manager` makes of `live` (undefined: nothing is there) by applying `config`, with `metadata.managedFields`. Throws
 * {@link ApplyError}, and {@link ConflictError} where others own what it would change, unless `force`.
 */
export function applyConfiguration(
  writing: Writing,
  live: ManagedObject | undefined,
  config: ManagedObject,
  manager: string,
  force: boolean,
): ManagedObject {
  checkConfiguration(writing, config);
  let managed = readable(entriesOf(live), true);
  if (live !== undefined && managed.managers.size === 0) {
    managed = noteUpdate(writing, undefined, live, managed, BEFORE_FIRST_APPLY);
  }
  const before: ManagedObject =
    live === undefined ? { apiVersion: writing.apiVersion, kind: writing.kind } : withoutManagedFields(live);
  const apply = (forced: boolean) => {
    const id = identifierOf({ manager, operation: 'Apply', subresource: writing.subresource });
    const result = afterApply(
      versionsOf(writing),
      before,
      config,
      writing.apiVersion,
      managed.managers,
      id,
      forced,
    );
    const times = new Map(managed.times);
    if (result.object !== undefined) times.set(id, writing.now);
    const object = (result.object ?? before) as ManagedObject;
    const managedFields = encodeManagedFields({ managers: result.managers, times });
    const metadata: JsonObject = isObject(object.metadata) ? { ...object.metadata } : {};
    if (managedFields !== undefined) metadata.managedFields = managedFields as unknown as Json;
    return { ...object, metadata };
  };
  return withLastApplied(config, manager, () => {
    try {
      return apply(force);
    } catch (error) {
      if (!(error instanceof ConflictError) || manager !== KUBECTL) throw error;
      const left = notFromLastApplied(writing, before, error.conflicts);
      if (left.length > 0) throw new ConflictError(left);
      return apply(true);
    }
  });
}

function checkConfiguration(writing: Writing, config: ManagedObject): void {
  const { apiVersion = '', kind = '' } = config;
  if (apiVersion !== writing.apiVersion || kind !== writing.kind) {
    throw new ApplyError(400, `invalid object type: ${kindText(String(apiVersion), String(kind))}`);
  }
  const metadata = config.metadata;
  if (isObject(metadata) && metadata.managedFields !== undefined && metadata.managedFields !== null) {
    throw new ApplyError(400, 'metadata.managedFields must be nil');
  }
  const problem = typeProblem(writing.atomOf(writing.apiVersion)!, config);
  if (problem === undefined) return;
  const { namespace = '', name = '' } = isObject(metadata) ? metadata : {};
  const what = `${namespace}/${name}; ${kindText(writing.apiVersion, writing.kind)}`;
  throw new ApplyError(500, `failed to create typed patch object (${what}): ${problem}`);
}

/** A group, version and kind as Go prints them: `apps/v1, Kind=Deployment`, `/v1, Kind=Pod`. */
function kindText(apiVersion: string, kind: string): string {
  return `${apiVersion.includes('/') ? apiVersion : `/${apiVersion}`}, Kind=${kind}`;
}

/** Conflicts that client-side apply does not explain: what it applied last and is still so is kubectl's own. */
function notFromLastApplied(
  writing: Writing,
  live: ManagedObject,
  conflicts: readonly Conflict[],
): readonly Conflict[] {
  const annotation = annotationsOf(live)[LAST_APPLIED];
  if (typeof annotation !== 'string' || annotation === '') return conflicts;
  let last: Json;
  try {
    last = JSON.parse(annotation) as Json;
  } catch {
    // Whoever wrote it, kubectl did not: it explains nothing.
    return conflicts;
  }
  const atom = writing.atomOf(writing.apiVersion)!;
  if (!isObject(last) || last.apiVersion !== writing.apiVersion || typeProblem(atom, last) !== undefined) {
    return conflicts;
  }
  const { modified, added, removed } = compare(atom, last, live);
  const own = fieldsOf(atom, last).difference(modified).difference(added).difference(removed);
  return conflicts.filter(({ path }) => !own.has(path));
}

function annotationsOf(object: ManagedObject): JsonObject {
  const annotations = object.metadata?.annotations;
  return isObject(annotations) ? annotations : {};
}

/** Keeps the last-applied annotation of an object that has one up to date, for users who go back to client-side apply. */
function withLastApplied(config: ManagedObject, manager: string, apply: () => ManagedObject): ManagedObject {
  const object = apply();
  const annotations = annotationsOf(object);
  if (manager !== KUBECTL || !annotations[LAST_APPLIED]) return object;
  const { [LAST_APPLIED]: _, ...others } = annotations;
  const metadata: JsonObject = { ...config.metadata };
  if (isObject(metadata.annotations)) {
    const { [LAST_APPLIED]: __, ...kept } = metadata.annotations;
    metadata.annotations = kept;
    if (Object.keys(kept).length === 0) delete metadata.annotations;
  }
  const text = `${JSON.stringify(sortedKeys({ ...config, metadata }))}\n`;
  const size = Object.entries({ ...others, [LAST_APPLIED]: text }).reduce(
    (sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(String(value)),
    0,
  );
  const kept = size > ANNOTATIONS_LIMIT ? others : { ...others, [LAST_APPLIED]: text };
  return { ...object, metadata: { ...object.metadata, annotations: kept } };
}

/** As Go's encoder writes maps. */
function sortedKeys(value: Json): Json {
  if (Array.isArray(value)) return value.map(sortedKeys);
  if (!isObject(value)) return value;
  const keys = Object.keys(value).sort();
  return Object.fromEntries(keys.map((key) => [key, sortedKeys(value[key]!)]));
}

import { groupVersionOf, KINDS, type KindInfo, ownKind } from '../../kube/kinds.ts';
import { timestamp } from '../../kube/time.ts';
import type { JsonObject } from '../../util/json.ts';
import { isCustom } from '../kubernetes/custom/custom-kind.ts';
import type { Atom } from '../kubernetes/fields/atoms.ts';
import { builtinAtom } from '../kubernetes/fields/builtin-atoms.ts';
import { type ManagedObject, managedAfterUpdate, type Writing } from '../kubernetes/fields/field-manager.ts';
import { FieldSet, type Path } from '../kubernetes/fields/field-set.ts';
import { ListItemError } from '../kubernetes/fields/list-items.ts';
import type { ManagedFieldsEntry } from '../kubernetes/fields/managed-fields.ts';
import { fieldElement } from '../kubernetes/fields/path-element.ts';
import type { ApiObject } from './objects.ts';

/** Who writes fields of an object, and through which subresource ('' for the object itself). */
export interface FieldWriter {
  readonly manager: string;
  readonly subresource: string;
}

const path = (dotted: string): Path => dotted.split('.').map(fieldElement);
const SPEC_AND_LABELS = FieldSet.of(path('spec'), path('metadata.labels'));
const SPEC = FieldSet.of(path('spec'));
/** Through the status of a custom resource, nothing else is changed. */
const CUSTOM_STATUS_IGNORES = FieldSet.of(path('spec'), path('metadata'));
const STATUS = FieldSet.of(path('status'));
const NONE = new FieldSet();

/** What a write through `status` cannot change, where it is more than the specification. */
const STATUS_IGNORES: Readonly<Record<string, FieldSet>> = {
  Pod: FieldSet.of(path('spec'), path('metadata.deletionTimestamp'), path('metadata.ownerReferences')),
  Deployment: SPEC_AND_LABELS,
};

const NO_TEMPLATE = { metadata: {}, spec: { containers: null } };
/**
 * Structs that Go's types of a kind always have, and lists that are null in them: who creates an object owns what is within,
 * not the struct.
 */
const EMPTY: Readonly<Record<string, ManagedObject>> = {
  CustomResourceDefinition: { spec: { names: {} }, status: {} },
  DaemonSet: { spec: { template: NO_TEMPLATE, updateStrategy: {} } },
  Deployment: { spec: { strategy: {}, template: NO_TEMPLATE } },
  Event: { involvedObject: {}, source: {} },
  Lease: { spec: {} },
  Namespace: { spec: {} },
  Node: { spec: {} },
  Pod: { spec: { containers: null } },
  ReplicaSet: { spec: { template: NO_TEMPLATE } },
  ReplicationController: { spec: {} },
  Service: { spec: {} },
};

/** Fields that a write cannot change, as each kind's strategy declares them (`GetResetFields`). */
function ignoredFields(info: KindInfo, subresource: string): FieldSet {
  if (isCustom(info) && subresource === 'status') return CUSTOM_STATUS_IGNORES;
  if (subresource === 'status') return STATUS_IGNORES[info.kind] ?? SPEC;
  return info.subresources.includes('status') ? STATUS : NONE;
}

/** The type of a kind's objects in a version, `group/version`; undefined when it is not served in it. */
function atomOf(info: KindInfo, apiVersion: string): Atom | undefined {
  if (isCustom(info)) return info.versions.get(apiVersion)?.atom;
  if (apiVersion === groupVersionOf(info)) return builtinAtom(info.definition);
  const other = KINDS.find((kind) => kind.kind === info.kind && groupVersionOf(kind) === apiVersion);
  return other === undefined ? undefined : builtinAtom(other.definition);
}

/** A write of a kind's objects, for the manager of fields. */
export function writingOf(info: KindInfo, subresource: string, nowMs: number): Writing {
  return {
    apiVersion: groupVersionOf(info),
    kind: info.kind,
    subresource,
    atomOf: (apiVersion) => atomOf(info, apiVersion),
    ignored: ignoredFields(info, subresource),
    mayChange: isCustom(info),
    empty: EMPTY[ownKind(info)] ?? {},
    now: timestamp(nowMs),
  };
}

/** Notes in `object`, which a write makes of `live` (undefined: it creates it), who changed which fields. */
export function trackFields(
  info: KindInfo,
  live: ApiObject | undefined,
  object: ApiObject,
  writer: FieldWriter,
  nowMs: number,
): void {
  const writing = writingOf(info, writer.subresource, nowMs);
  let managedFields: ManagedFieldsEntry[] | undefined;
  try {
    managedFields = managedAfterUpdate(
      writing,
      live as ManagedObject | undefined,
      object as ManagedObject,
      writer.manager,
    );
  } catch (error) {
    // Nobody owns a list whose items have no keys; as in Kubernetes, it is for validation to refuse it.
    if (!(error instanceof ListItemError)) throw error;
  }
  object.metadata.managedFields = managedFields as ApiObject['metadata']['managedFields'];
}

/** The time of an entry says when it changed last: two lists that differ in nothing else say the same. */
export function withoutTimes(object: JsonObject): JsonObject {
  const metadata = object.metadata as JsonObject | undefined;
  const entries = metadata?.managedFields as ManagedFieldsEntry[] | undefined;
  if (metadata === undefined || entries === undefined) return object;
  const managedFields = entries.map(({ time: _, ...entry }) => entry) as unknown as JsonObject[];
  return { ...object, metadata: { ...metadata, managedFields } };
}

import { conditionOf } from '../../kube/conditions.ts';
import { type KindInfo, ownKind } from '../../kube/kinds.ts';
import { qosClass } from '../../kube/pods.ts';
import type { Pod } from '../../kube/types.ts';
import { type ApiObject, sameJson } from './objects.ts';

/** Kinds whose `metadata.generation` counts changes of what is wanted. */
const COUNTS_GENERATION = new Set([
  'Pod',
  'CustomResourceDefinition',
  'Deployment',
  'ReplicaSet',
  'ReplicationController',
  'DaemonSet',
  'EndpointSlice',
]);

/** Fields that are not what is wanted: a change of only these does not count in the generation. */
const NOT_WANTED = ['apiVersion', 'kind', 'metadata', 'status'];

function wanted(object: ApiObject): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([field]) => !NOT_WANTED.includes(field)));
}

/** Of a custom resource all but its metadata is wanted where no subresource has its status. */
function wantedOf(info: KindInfo, object: ApiObject): Record<string, unknown> {
  const { status } = object;
  return info.custom && !hasStatus(info) && status !== undefined
    ? { ...wanted(object), status }
    : wanted(object);
}

function countsGeneration(info: KindInfo): boolean {
  return info.custom === true || COUNTS_GENERATION.has(info.kind);
}

function hasStatus(info: KindInfo): boolean {
  return info.subresources.includes('status');
}

/** What a new object cannot bring along: its kind's status, and what the server decides. Changes `object`. */
export function prepareCreate(info: KindInfo, object: ApiObject): void {
  if (countsGeneration(info)) object.metadata.generation = 1;
  else object.metadata.generation = undefined;
  dropEmpty(object.metadata);
  if (info.custom) {
    if (hasStatus(info)) delete object.status;
    return;
  }
  switch (info.kind) {
    case 'Node':
      // A kubelet registers its node together with what it has seen of it.
      break;
    case 'Pod':
      object.status = { phase: 'Pending', qosClass: qosClass(object as Pod) };
      break;
    case 'Namespace':
      object.status = { phase: 'Active' };
      object.spec = { ...object.spec, finalizers: withItem(object.spec?.finalizers, 'kubernetes') };
      break;
    case 'Service':
      object.status = { loadBalancer: {} };
      break;
    case 'Secret':
      foldStringData(object);
      break;
    case 'ReplicaSet':
    case 'ReplicationController':
      object.status = { replicas: 0 };
      break;
    case 'DaemonSet':
      object.status = {
        ...{ currentNumberScheduled: 0, numberMisscheduled: 0, desiredNumberScheduled: 0, numberReady: 0 },
      };
      break;
    case 'CustomResourceDefinition':
      object.status = {
        acceptedNames: { kind: '', plural: '' },
        conditions: [],
        storedVersions: storageVersions(object),
      };
      break;
    default:
      if (hasStatus(info)) object.status = {};
  }
  if (info.kind === 'Namespace') {
    object.metadata.labels = {
      ...object.metadata.labels,
      // Without a name it is refused, with the name's own error.
      'kubernetes.io/metadata.name': object.metadata.name ?? '',
    };
  }
}

/**
 * Keeps from `old` what this kind of write cannot change. `subresource` is '' for the object itself, `status`,
 * `finalize` or `binding`. Changes `object`.
 */
export function prepareUpdate(info: KindInfo, object: ApiObject, old: ApiObject, subresource: string): void {
  const meta = object.metadata;
  const before = old.metadata;
  meta.name = before.name;
  meta.namespace = before.namespace;
  meta.uid = before.uid;
  meta.creationTimestamp = before.creationTimestamp;
  meta.deletionTimestamp = before.deletionTimestamp;
  meta.deletionGracePeriodSeconds = before.deletionGracePeriodSeconds;
  meta.generateName = before.generateName;
  meta.generation = before.generation;
  dropEmpty(meta);
  if (subresource === 'status') {
    for (const field of Object.keys(wanted(object))) delete object[field];
    Object.assign(object, wanted(old));
    // Nothing but the status of a custom resource is changed through it.
    if (info.custom) Object.assign(meta, { ...before, managedFields: meta.managedFields });
    meta.ownerReferences = before.ownerReferences;
    meta.finalizers = before.finalizers;
    const kind = ownKind(info);
    if (kind !== 'Pod' && kind !== 'Node') {
      meta.labels = before.labels;
      meta.annotations = before.annotations;
    }
    if (kind === 'Pod') keepObservedGeneration(object as Pod, old as Pod);
    return;
  }
  if (ownKind(info) === 'Namespace') {
    const finalizers = subresource === 'finalize' ? (object.spec?.finalizers ?? []) : old.spec?.finalizers;
    object.spec = { ...object.spec, finalizers };
    meta.labels = { ...meta.labels, 'kubernetes.io/metadata.name': before.name! };
  }
  if (ownKind(info) === 'Secret') foldStringData(object);
  // A binding says in the status that the pod is scheduled.
  if (hasStatus(info) && subresource !== 'binding') {
    if (old.status === undefined) delete object.status;
    else object.status = old.status;
  }
  if (ownKind(info) === 'CustomResourceDefinition') {
    const stored = new Set([...(old.status?.storedVersions ?? []), ...storageVersions(object)]);
    object.status = { ...object.status, storedVersions: [...stored] };
  }
  // A binding only carries out what was wanted before.
  if (
    countsGeneration(info) &&
    subresource !== 'binding' &&
    !sameJson(wantedOf(info, object), wantedOf(info, old))
  ) {
    meta.generation = (before.generation ?? 0) + 1;
  }
}

/** The version in which objects of a CustomResourceDefinition are stored from now on. */
function storageVersions(definition: ApiObject): string[] {
  const versions: { name: string; storage?: boolean }[] = definition.spec?.versions ?? [];
  return versions.filter(({ storage }) => storage).map(({ name }) => name);
}

/** A writer of a status that knows nothing of observed generations leaves them. */
function keepObservedGeneration({ status }: Pod, old: Pod): void {
  if (status === undefined) return;
  status.observedGeneration ||= old.status?.observedGeneration;
  for (const condition of status.conditions ?? []) {
    condition.observedGeneration ||= conditionOf(old.status, condition.type)?.observedGeneration;
  }
}

/** Lists and maps of metadata that have nothing in them are not written. */
function dropEmpty(meta: ApiObject['metadata']): void {
  for (const field of ['labels', 'annotations', 'finalizers', 'ownerReferences'] as const) {
    if (meta[field] !== undefined && Object.keys(meta[field]).length === 0) delete meta[field];
  }
}

function withItem(list: string[] | undefined, item: string): string[] {
  return list?.includes(item) ? list : [...(list ?? []), item];
}

function foldStringData(secret: ApiObject): void {
  const plain = secret.stringData as Record<string, string> | undefined;
  if (plain === undefined) return;
  const encoded = Object.entries(plain).map(([key, text]) => [key, Buffer.from(text).toString('base64')]);
  secret.data = { ...secret.data, ...Object.fromEntries(encoded) };
  delete secret.stringData;
}

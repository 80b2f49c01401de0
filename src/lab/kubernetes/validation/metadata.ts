import type { KindInfo } from '../../../kube/kinds.ts';
import {
  dnsLabelErrors,
  dnsSubdomainErrors,
  labelValueErrors,
  pathSegmentErrors,
  qualifiedNameErrors,
} from '../../../kube/names.ts';
import type { ObjectMeta } from '../../../kube/types.ts';
import { type FieldError, forbidden, invalid, required, tooLong } from './field-error.ts';

/** The sum of an object's annotations may not be larger. */
const ANNOTATIONS_LIMIT = 256 * 1024;

/** What a kind's names must look like. */
export function nameErrors(info: KindInfo, name: string): string[] {
  if (info.group === 'rbac.authorization.k8s.io') return pathSegmentErrors(name);
  if (info.group !== '') return dnsSubdomainErrors(name);
  switch (info.kind) {
    case 'Namespace':
    case 'Service':
      return dnsLabelErrors(name);
    default:
      return dnsSubdomainErrors(name);
  }
}

export function validateLabels(labels: Record<string, string> | undefined, path: string): FieldError[] {
  return Object.entries(labels ?? {}).flatMap(([key, value]) => [
    ...qualifiedNameErrors(key).map((detail) => invalid(path, key, detail)),
    ...labelValueErrors(value).map((detail) => invalid(path, value, detail)),
  ]);
}

export function validateAnnotations(
  annotations: Record<string, string> | undefined,
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  let size = 0;
  for (const [key, value] of Object.entries(annotations ?? {})) {
    errors.push(...qualifiedNameErrors(key.toLowerCase()).map((detail) => invalid(path, key, detail)));
    size += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (size > ANNOTATIONS_LIMIT) errors.push(tooLong(path, ANNOTATIONS_LIMIT));
  return errors;
}

/** Rules for metadata that hold for every kind. */
export function validateMetadata(info: KindInfo, metadata: ObjectMeta | undefined): FieldError[] {
  const meta = metadata ?? {};
  const errors: FieldError[] = [];
  if (meta.generateName !== undefined && meta.generateName !== '') {
    // A generated suffix follows: a trailing dash or dot is made good by it.
    const prefix = meta.generateName.replace(/[-.]$/, 'a');
    errors.push(
      ...nameErrors(info, prefix).map((detail) =>
        invalid('metadata.generateName', meta.generateName, detail),
      ),
    );
  }
  if (meta.name === undefined || meta.name === '') {
    errors.push(required('metadata.name', 'name or generateName is required'));
  } else {
    errors.push(...nameErrors(info, meta.name).map((detail) => invalid('metadata.name', meta.name, detail)));
  }
  if (info.namespaced) {
    if (meta.namespace === undefined || meta.namespace === '') errors.push(required('metadata.namespace'));
    else {
      errors.push(
        ...dnsLabelErrors(meta.namespace).map((detail) =>
          invalid('metadata.namespace', meta.namespace, detail),
        ),
      );
    }
  } else if (meta.namespace !== undefined && meta.namespace !== '') {
    errors.push(forbidden('metadata.namespace', 'not allowed on this type'));
  }
  errors.push(...validateLabels(meta.labels, 'metadata.labels'));
  errors.push(...validateAnnotations(meta.annotations, 'metadata.annotations'));
  errors.push(...validateOwners(meta));
  for (const finalizer of meta.finalizers ?? []) {
    errors.push(
      ...qualifiedNameErrors(finalizer).map((detail) => invalid('metadata.finalizers', finalizer, detail)),
    );
  }
  return errors;
}

function validateOwners(meta: ObjectMeta): FieldError[] {
  const errors: FieldError[] = [];
  let controller: string | undefined;
  for (const [index, owner] of (meta.ownerReferences ?? []).entries()) {
    const path = `metadata.ownerReferences[${index}]`;
    for (const field of ['apiVersion', 'kind', 'name', 'uid'] as const) {
      if (!owner[field]) {
        errors.push(
          field === 'apiVersion'
            ? invalid(`${path}.apiVersion`, owner.apiVersion ?? '', 'version must not be empty')
            : invalid(`${path}.${field}`, owner[field] ?? '', `${field} must not be empty`),
        );
      }
    }
    if (owner.controller !== true) continue;
    if (controller !== undefined) {
      errors.push(
        invalid(
          'metadata.ownerReferences',
          meta.ownerReferences,
          `Only one reference can have Controller set to true. Found "true" in references for ${controller} and ${owner.name}`,
        ),
      );
    }
    controller = owner.name;
  }
  return errors;
}

/** Metadata that an update must leave alone. */
export function validateMetadataUpdate(metadata: ObjectMeta, old: ObjectMeta): FieldError[] {
  const errors: FieldError[] = [];
  for (const field of ['name', 'namespace', 'uid', 'creationTimestamp'] as const) {
    if ((metadata[field] ?? '') !== (old[field] ?? '')) {
      errors.push(invalid(`metadata.${field}`, metadata[field] ?? '', 'field is immutable'));
    }
  }
  if (old.deletionTimestamp !== undefined) {
    const before = new Set(old.finalizers ?? []);
    const added = (metadata.finalizers ?? []).filter((finalizer) => !before.has(finalizer));
    if (added.length > 0) {
      errors.push(
        forbidden(
          'metadata.finalizers',
          `no new finalizers can be added if the object is being deleted, found new finalizers []string{${added.map((item) => JSON.stringify(item)).join(', ')}}`,
        ),
      );
    }
  }
  return errors;
}

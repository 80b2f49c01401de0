import type { KindInfo } from '../schema/kinds.ts';
import type { KubeObject } from '../types.ts';
import type { FieldError } from './field-error.ts';
import { validateMetadata, validateMetadataUpdate } from './metadata.ts';

/**
 * What is wrong with a new object, in Kubernetes' words; nothing when it is good. Expects defaults to be applied and types to
 * be right (`typeErrors`), the name to be set (after generateName).
 */
export function validateCreate(info: KindInfo, object: KubeObject): FieldError[] {
  return validateMetadata(info, object.metadata);
}

/** What is wrong with changing `old` into `object`: the rules for a new object and for what may change. */
export function validateUpdate(info: KindInfo, object: KubeObject, old: KubeObject): FieldError[] {
  return [
    ...validateMetadataUpdate(object.metadata ?? {}, old.metadata ?? {}),
    ...validateMetadata(info, object.metadata),
  ];
}

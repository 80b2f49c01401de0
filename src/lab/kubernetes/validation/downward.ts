import { qualifiedNameErrors } from '../../../kube/names.ts';
import { type FieldError, invalid, notSupported, required } from './field-error.ts';
import { allInvalid } from './rules.ts';

/** What an environment variable may take from its pod. */
export const ENV_FIELDS: readonly string[] = [
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
  'spec.nodeName',
  'spec.serviceAccountName',
  'status.hostIP',
  'status.hostIPs',
  'status.podIP',
  'status.podIPs',
];

/** What a file of a downward API volume may take from its pod. */
export const VOLUME_FIELDS: readonly string[] = [
  'metadata.annotations',
  'metadata.labels',
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
];

/** The rules of a `fieldRef`: a field of the pod, or one label or annotation (`metadata.labels['key']`). */
export function fieldPathErrors(
  ref: { apiVersion?: string; fieldPath: string },
  path: string,
  supported: readonly string[],
): FieldError[] {
  if (!ref.apiVersion) return [required(`${path}.apiVersion`)];
  if (!ref.fieldPath) return [required(`${path}.fieldPath`)];
  if (ref.apiVersion !== 'v1') {
    return [
      invalid(
        `${path}.fieldPath`,
        ref.fieldPath,
        `error converting fieldPath: unsupported pod version: ${ref.apiVersion}`,
      ),
    ];
  }
  const subscript = /^(.*)\['(.*)'\]$/.exec(ref.fieldPath);
  if (subscript !== null) {
    const [, field, key] = subscript as unknown as [string, string, string];
    if (field !== 'metadata.labels' && field !== 'metadata.annotations') {
      return [
        invalid(
          `${path}.fieldPath`,
          ref.fieldPath,
          'error converting fieldPath: field label does not support subscript',
        ),
      ];
    }
    return allInvalid(
      `${path}.fieldPath`,
      ref.fieldPath,
      qualifiedNameErrors(field.endsWith('labels') ? key : key.toLowerCase()),
    );
  }
  if (supported.includes(ref.fieldPath)) return [];
  if (ENV_FIELDS.includes(ref.fieldPath) || VOLUME_FIELDS.includes(ref.fieldPath)) {
    return [notSupported(`${path}.fieldPath`, ref.fieldPath, supported)];
  }
  return [
    invalid(
      `${path}.fieldPath`,
      ref.fieldPath,
      `error converting fieldPath: field label not supported: ${ref.fieldPath}`,
    ),
  ];
}

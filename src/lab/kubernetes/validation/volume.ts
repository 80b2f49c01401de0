import { configMapKeyErrors, dnsLabelErrors } from '../../../kube/names.ts';
import { quantityNanos } from '../../../kube/quantity.ts';
import type { Volume } from '../../../kube/types.ts';
import { fieldPathErrors, VOLUME_FIELDS } from './downward.ts';
import { duplicate, type FieldError, forbidden, invalid, notSupported, required } from './field-error.ts';
import { allInvalid } from './rules.ts';

const HOST_PATH_TYPES = [
  '',
  'BlockDevice',
  'CharDevice',
  'Directory',
  'DirectoryOrCreate',
  'File',
  'FileOrCreate',
  'Socket',
];

function modeErrors(path: string, mode: number | undefined): FieldError[] {
  return mode !== undefined && (mode < 0 || mode > 0o777)
    ? [invalid(path, mode, 'must be a number between 0 and 0777 (octal), both inclusive')]
    : [];
}

/** A path inside a volume: relative, and never upwards. */
export function localPathErrors(field: string, value: string): FieldError[] {
  const errors: FieldError[] = [];
  if (value.startsWith('/')) errors.push(invalid(field, value, 'must be a relative path'));
  return [...errors, ...backstepErrors(field, value)];
}

function backstepErrors(field: string, value: string): FieldError[] {
  return value.split('/').includes('..') ? [invalid(field, value, "must not contain '..'")] : [];
}

interface KeyToPath {
  key: string;
  path: string;
  mode?: number;
}

function itemErrors(items: readonly KeyToPath[] | undefined, at: string): FieldError[] {
  return (items ?? []).flatMap(({ key, path, mode }, index) => [
    ...(key
      ? allInvalid(`${at}.items[${index}].key`, key, configMapKeyErrors(key))
      : [required(`${at}.items[${index}].key`)]),
    ...(path
      ? localPathErrors(`${at}.items[${index}].path`, path)
      : [required(`${at}.items[${index}].path`)]),
    ...modeErrors(`${at}.items[${index}].mode`, mode),
  ]);
}

interface DownwardItem {
  path: string;
  fieldRef?: { apiVersion?: string; fieldPath: string };
  resourceFieldRef?: { resource: string; containerName?: string };
  mode?: number;
}

function downwardErrors(items: readonly DownwardItem[] | undefined, at: string): FieldError[] {
  return (items ?? []).flatMap((item, index) => {
    const path = `${at}.items[${index}]`;
    const errors = item.path ? localPathErrors(`${path}.path`, item.path) : [required(`${path}.path`)];
    if (item.fieldRef !== undefined) {
      errors.push(...fieldPathErrors(item.fieldRef, `${path}.fieldRef`, VOLUME_FIELDS));
      if (item.resourceFieldRef !== undefined) {
        errors.push(
          invalid(path, 'resource', 'fieldRef and resourceFieldRef can not be specified simultaneously'),
        );
      }
    } else if (item.resourceFieldRef !== undefined) {
      if (!item.resourceFieldRef.containerName)
        errors.push(required(`${path}.resourceFieldRef.containerName`));
    } else {
      errors.push(required(`${path}.fieldRef`, 'one of fieldRef and resourceFieldRef is required'));
    }
    return [...errors, ...modeErrors(`${path}.mode`, item.mode)];
  });
}

/** Items of the sources that Kubernetes calls by one field and that are checked here; the others are taken as they are. */
function sourceErrors(volume: Volume, at: string): FieldError[] {
  const errors: FieldError[] = [];
  const { hostPath, configMap, secret, emptyDir, downwardAPI, projected } = volume;
  if (hostPath !== undefined) {
    const path = `${at}.hostPath`;
    errors.push(
      ...(hostPath.path ? backstepErrors(`${path}.path`, hostPath.path) : [required(`${path}.path`)]),
    );
    if (hostPath.type !== undefined && !HOST_PATH_TYPES.includes(hostPath.type)) {
      errors.push(notSupported(`${path}.type`, hostPath.type, HOST_PATH_TYPES));
    }
  }
  if (configMap !== undefined) {
    const path = `${at}.configMap`;
    if (!configMap.name) errors.push(required(`${path}.name`));
    errors.push(
      ...modeErrors(`${path}.defaultMode`, configMap.defaultMode),
      ...itemErrors(configMap.items, path),
    );
  }
  if (secret !== undefined) {
    const path = `${at}.secret`;
    if (!secret.secretName) errors.push(required(`${path}.secretName`));
    errors.push(...modeErrors(`${path}.defaultMode`, secret.defaultMode), ...itemErrors(secret.items, path));
  }
  if (emptyDir?.sizeLimit !== undefined && quantityNanos(emptyDir.sizeLimit) < 0n) {
    errors.push(forbidden(`${at}.emptyDir.sizeLimit`, 'SizeLimit field must be a valid resource quantity'));
  }
  if (downwardAPI !== undefined) {
    const path = `${at}.downwardAPI`;
    errors.push(...modeErrors(`${path}.defaultMode`, downwardAPI.defaultMode));
    errors.push(...downwardErrors(downwardAPI.items, path));
  }
  if (projected !== undefined) errors.push(...projectedErrors(projected, `${at}.projected`));
  return errors;
}

function projectedErrors(projected: NonNullable<Volume['projected']>, at: string): FieldError[] {
  const errors = modeErrors(`${at}.defaultMode`, projected.defaultMode);
  for (const [index, source] of (projected.sources ?? []).entries()) {
    const path = `${at}.sources[${index}]`;
    const kinds = Object.entries(source).filter(([, value]) => value !== undefined && value !== null);
    for (const [kind] of kinds.slice(1)) {
      errors.push(forbidden(`${path}.${kind}`, 'may not specify more than 1 volume type'));
    }
    const { configMap, secret, downwardAPI, serviceAccountToken: token } = source;
    if (configMap !== undefined) {
      if (!configMap.name) errors.push(required(`${path}.configMap.name`));
      errors.push(...itemErrors(configMap.items, `${path}.configMap`));
    }
    if (secret !== undefined) {
      if (!secret.name) errors.push(required(`${path}.secret.name`));
      errors.push(...itemErrors(secret.items, `${path}.secret`));
    }
    if (downwardAPI !== undefined) errors.push(...downwardErrors(downwardAPI.items, `${path}.downwardAPI`));
    if (token !== undefined) {
      const seconds = token.expirationSeconds;
      if (seconds !== undefined && seconds < 600) {
        errors.push(
          invalid(
            `${path}.serviceAccountToken.expirationSeconds`,
            seconds,
            'may not specify a duration less than 10 minutes',
          ),
        );
      }
      if (!token.path) errors.push(required(`${path}.serviceAccountToken.path`));
      else errors.push(...localPathErrors(`${path}.serviceAccountToken.path`, token.path));
    }
  }
  return errors;
}

/** The volumes of a pod: names, one source each, and the sources this program mounts. */
export function validateVolumes(volumes: readonly Volume[] | undefined, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const names = new Set<string>();
  for (const [index, volume] of (volumes ?? []).entries()) {
    const at = `${path}[${index}]`;
    const sources = Object.entries(volume).filter(
      ([key, value]) => key !== 'name' && value !== undefined && value !== null,
    );
    if (sources.length === 0) errors.push(required(at, 'must specify a volume type'));
    for (const [source] of sources.slice(1)) {
      errors.push(forbidden(`${at}.${source}`, 'may not specify more than 1 volume type'));
    }
    errors.push(...sourceErrors(volume, at));
    if (!volume.name) errors.push(required(`${at}.name`));
    else if (names.has(volume.name)) errors.push(duplicate(`${at}.name`, volume.name));
    else errors.push(...allInvalid(`${at}.name`, volume.name, dnsLabelErrors(volume.name)));
    names.add(volume.name);
  }
  return errors;
}

import type { KindInfo } from '../../../kube/kinds.ts';
import { canonicalQuantity } from '../../../kube/quantity.ts';
import { isObject } from '../../../util/json.ts';
import { definitionOf, type FieldType, type Scalar } from '../schema/schema.ts';

/** Collects the paths of fields that their struct's definition does not know. */
function collectUnknown(value: unknown, type: FieldType, path: string, found: string[]): void {
  if (type.form === 'list') {
    if (Array.isArray(value))
      for (const [i, item] of value.entries()) collectUnknown(item, type.of, `${path}[${i}]`, found);
    return;
  }
  if (!isObject(value)) return;
  if (type.form === 'map') {
    for (const [key, item] of Object.entries(value)) collectUnknown(item, type.of, join(path, key), found);
  } else if (type.form === 'struct') {
    const definition = definitionOf(type.definition);
    for (const [key, item] of Object.entries(value)) {
      const field = definition.get(key);
      if (field === undefined) found.push(join(path, key));
      else collectUnknown(item, field.type, join(path, key), found);
    }
  }
}

const join = (path: string, field: string): string => (path === '' ? field : `${path}.${field}`);

/** Fields the kind does not have, by the paths Kubernetes' strict decoder prints (`spec.containers[0].foo`). */
export function unknownFields(info: KindInfo, object: unknown): string[] {
  const found: string[] = [];
  collectUnknown(object, { form: 'struct', definition: info.definition }, '', found);
  return found;
}

/**
 * Removes the fields that the kind does not have, and those that are null, which mean the same as absent ones
 * (`creationTimestamp: null` is in many a manifest); writes quantities, which may come as numbers, in their one form.
 * Changes `object`, which has no type errors.
 */
export function prune(info: KindInfo, object: unknown): void {
  pruned(object, { form: 'struct', definition: info.definition });
}

function pruned(value: unknown, type: FieldType): unknown {
  if (type.form === 'list') {
    if (Array.isArray(value))
      for (const [i, item] of value.entries()) value[i] = pruned(item ?? zeroOf(type.of), type.of);
  } else if (type.form === 'map') {
    if (isObject(value))
      for (const [key, item] of Object.entries(value)) value[key] = pruned(item ?? zeroOf(type.of), type.of);
  } else if (type.form === 'struct') {
    if (!isObject(value)) return value;
    const definition = definitionOf(type.definition);
    for (const [key, item] of Object.entries(value)) {
      const field = definition.get(key);
      if (field === undefined || item === null) delete value[key];
      else value[key] = pruned(item, field.type);
    }
  } else if (type.scalar === 'quantity' && value !== null) return canonicalQuantity(String(value));
  return value;
}

/** What Go's decoder makes of a null in a list or a map: the zero value of its items' type. */
function zeroOf(type: FieldType): unknown {
  if (type.form === 'list') return [];
  if (type.form !== 'scalar') return {};
  const zeros: Partial<Record<Scalar, unknown>> = {
    ...{ string: '', bytes: '', quantity: '0', bool: false },
    ...{ int32: 0, int64: 0, double: 0, intOrString: 0, object: {} },
  };
  return zeros[type.scalar] ?? null;
}

/** What Go's decoder calls a JSON value. */
function jsonKind(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}

const GO_SCALARS: Readonly<Record<Scalar, string>> = {
  string: 'string',
  bool: 'bool',
  int32: 'int32',
  int64: 'int64',
  double: 'float64',
  bytes: '[]uint8',
  time: 'string',
  microTime: 'string',
  quantity: 'string',
  intOrString: 'int32',
  object: 'map[string]interface {}',
  any: 'interface {}',
};

/** The published names of string types, which Go prints instead of `string`. */
const GO_STRING_TYPES: Readonly<Record<string, string>> = {
  'core.v1.Container.imagePullPolicy': 'v1.PullPolicy',
  'core.v1.Container.terminationMessagePolicy': 'v1.TerminationMessagePolicy',
  'core.v1.ContainerPort.protocol': 'v1.Protocol',
  'core.v1.PodSpec.dnsPolicy': 'v1.DNSPolicy',
  'core.v1.PodSpec.restartPolicy': 'v1.RestartPolicy',
  'core.v1.Secret.type': 'v1.SecretType',
  'core.v1.ServicePort.protocol': 'v1.Protocol',
  'core.v1.ServiceSpec.sessionAffinity': 'v1.ServiceAffinity',
  'core.v1.ServiceSpec.type': 'v1.ServiceType',
  'core.v1.Taint.effect': 'v1.TaintEffect',
  'core.v1.Toleration.effect': 'v1.TaintEffect',
  'core.v1.Toleration.operator': 'v1.TolerationOperator',
  'apps.v1.DeploymentStrategy.type': 'v1.DeploymentStrategyType',
  'apps.v1.DaemonSetUpdateStrategy.type': 'v1.DaemonSetUpdateStrategyType',
};

function goType(type: FieldType): string {
  switch (type.form) {
    case 'list':
      return `[]${goType(type.of)}`;
    case 'map':
      return `map[string]${goType(type.of)}`;
    case 'struct': {
      const [, version, name] = type.definition.split('.');
      return `${version}.${name}`;
    }
    case 'scalar':
      return GO_SCALARS[type.scalar];
  }
}

const LIMITS = { int32: 2n ** 31n, int64: 2n ** 63n };

/** A number that Go decodes into an integer type: no fraction, in range. */
function isInteger(value: number, scalar: 'int32' | 'int64'): boolean {
  if (!Number.isInteger(value)) return false;
  const limit = LIMITS[scalar];
  const big = BigInt(value);
  return big >= -limit && big < limit;
}

const QUANTITY = /^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$/;
const QUANTITY_VALUE = /^[+-]?(\d+\.?\d*|\.\d+)(([KMGTPE]i)|[numkMGTPE]|[eE][+-]?\d+)?$/;

/** What is wrong with a quantity, in Kubernetes' words; undefined when it is good. */
export function quantityError(value: string): string | undefined {
  if (value === '' || !QUANTITY.test(value)) {
    return `quantities must match the regular expression '${QUANTITY.source}'`;
  }
  return QUANTITY_VALUE.test(value) ? undefined : "unable to parse quantity's suffix";
}

const RFC3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/;

/** Where a value stands: the struct and its field as Go's decoder reports them. */
interface Place {
  /** Definition of the innermost struct, and the field of it that we are in. */
  definition: string;
  field: string;
  /** JSON names from the root, without list positions. */
  path: string;
}

function mismatch(value: unknown, place: Place, type: string, described = jsonKind(value)): string {
  const struct = place.definition.slice(place.definition.lastIndexOf('.') + 1);
  return place.path === ''
    ? `json: cannot unmarshal ${described} into Go value of type ${type}`
    : `json: cannot unmarshal ${described} into Go struct field ${struct}.${place.path} of type ${type}`;
}

function checkScalar(value: unknown, scalar: Scalar, place: Place): string | undefined {
  const wrong = (described?: string): string =>
    mismatch(
      value,
      place,
      (scalar === 'string' && GO_STRING_TYPES[`${place.definition}.${place.field}`]) || GO_SCALARS[scalar],
      described,
    );
  switch (scalar) {
    case 'string':
      return typeof value === 'string' ? undefined : wrong();
    case 'bool':
      return typeof value === 'boolean' ? undefined : wrong();
    case 'double':
      return typeof value === 'number' ? undefined : wrong();
    case 'int32':
    case 'int64':
      if (typeof value !== 'number') return wrong();
      return isInteger(value, scalar) ? undefined : wrong(`number ${value}`);
    case 'intOrString':
      if (typeof value === 'string') return undefined;
      if (typeof value !== 'number')
        return `json: cannot unmarshal ${jsonKind(value)} into Go value of type int32`;
      return isInteger(value, 'int32')
        ? undefined
        : `json: cannot unmarshal number ${value} into Go value of type int32`;
    case 'bytes':
      if (typeof value !== 'string') return wrong();
      return base64Error(value);
    case 'time':
    case 'microTime':
      if (typeof value !== 'string') return wrong();
      if (RFC3339.test(value) && !Number.isNaN(Date.parse(value))) return undefined;
      return `parsing time ${JSON.stringify(value)} as "2006-01-02T15:04:05Z07:00": cannot parse ${JSON.stringify(value)} as "2006"`;
    case 'quantity':
      return typeof value === 'string' || typeof value === 'number'
        ? quantityError(String(value))
        : quantityError(JSON.stringify(value));
    case 'any':
      return undefined;
    case 'object':
      return isObject(value) ? undefined : wrong();
  }
}

/** What Go's decoder says of text that is not standard base64; line breaks are allowed. */
function base64Error(value: string): string | undefined {
  const text = value.replaceAll(/[\r\n]/g, '');
  const good = /^[A-Za-z0-9+/]*={0,2}/.exec(text)![0].length;
  if (good === text.length && text.length % 4 === 0) return undefined;
  return `illegal base64 data at input byte ${good === text.length ? text.length - (text.length % 4) : good}`;
}

function checkType(value: unknown, type: FieldType, place: Place, errors: string[]): void {
  // Go's decoder leaves a field that is null as it is.
  if (value === null || value === undefined) return;
  switch (type.form) {
    case 'list':
      if (!Array.isArray(value)) errors.push(mismatch(value, place, goType(type)));
      else for (const item of value) checkType(item, type.of, place, errors);
      return;
    case 'map':
      if (!isObject(value)) errors.push(mismatch(value, place, goType(type)));
      else for (const item of Object.values(value)) checkType(item, type.of, place, errors);
      return;
    case 'struct': {
      if (!isObject(value)) {
        errors.push(mismatch(value, place, goType(type)));
        return;
      }
      const definition = definitionOf(type.definition);
      for (const [field, item] of Object.entries(value)) {
        const schema = definition.get(field);
        if (schema === undefined) continue;
        const inside = { definition: type.definition, field, path: join(place.path, field) };
        checkType(item, schema.type, inside, errors);
      }
      return;
    }
    case 'scalar': {
      const error = checkScalar(value, type.scalar, place);
      if (error !== undefined) errors.push(error);
    }
  }
}

/**
 * What keeps an object from being decoded into its kind's types, in the words of Kubernetes' decoder (`json: cannot unmarshal
 * string into Go struct field ContainerPort.spec.containers.ports.hostPort of type int32`). The decoder reports the first
 * only. An object that has such an error must not reach defaulting or validation, which trust types.
 */
export function typeErrors(info: KindInfo, object: unknown): string[] {
  const errors: string[] = [];
  const type: FieldType = { form: 'struct', definition: info.definition };
  checkType(object, type, { definition: info.definition, field: '', path: '' }, errors);
  return errors;
}

const METADATA: FieldType = { form: 'struct', definition: 'meta.v1.ObjectMeta' };

/** {@link typeErrors} of the metadata of a custom resource. */
export function metadataTypeErrors(metadata: unknown): string[] {
  const errors: string[] = [];
  checkType(metadata, METADATA, { definition: 'meta.v1.ObjectMeta', field: '', path: '' }, errors);
  return errors;
}

/** Removes the unknown fields of the metadata of a custom resource, and returns their paths. Changes `metadata`. */
export function pruneMetadata(metadata: unknown): string[] {
  const unknown: string[] = [];
  collectUnknown(metadata, METADATA, 'metadata', unknown);
  pruned(metadata, METADATA);
  return unknown;
}

import type { KubeObject } from '../../../kube/types.ts';
import { isObject, type Json } from '../../../util/json.ts';
import { type FieldError, invalid, required } from '../validation/field-error.ts';
import type { CustomKind } from './custom-kind.ts';
import { valueAt } from './json-path.ts';
import { fieldSchema, type JsonSchema } from './json-schema.ts';
import { listTypeErrors } from './list-types.ts';
import { validateValue } from './validate-value.ts';

const MAX_REPLICAS = 2 ** 31 - 1;

/** What is wrong with a custom resource by its schema; `old` is what it was, which may have been as wrong in its lists. */
export function customErrors(info: CustomKind, object: KubeObject, old?: KubeObject): FieldError[] {
  const value = object as unknown as Json;
  const schema = withMetadata(info.schema);
  const errors = validateValue(schema, value, '');
  if (info.scale !== undefined) {
    errors.push(
      ...replicasErrors(value, info.scale.specReplicasPath),
      ...replicasErrors(value, info.scale.statusReplicasPath),
    );
  }
  errors.push(...embeddedErrors(info.schema, value, ''));
  const before = old === undefined ? [] : listTypeErrors(info.schema, old as unknown as Json);
  return before.length > 0 ? errors : [...errors, ...listTypeErrors(info.schema, value)];
}

/** Objects within a custom resource must say what they are. */
function embeddedErrors(schema: JsonSchema | undefined, value: Json, path: string): FieldError[] {
  if (schema === undefined) return [];
  if (Array.isArray(value))
    return value.flatMap((item, at) => embeddedErrors(schema.items, item, `${path}[${at}]`));
  if (!isObject(value)) return [];
  const errors: FieldError[] = [];
  if (schema['x-kubernetes-embedded-resource']) {
    for (const name of ['apiVersion', 'kind']) {
      if (typeof value[name] !== 'string' || value[name] === '') errors.push(required(`${path}.${name}`));
    }
  }
  for (const [name, item] of Object.entries(value)) {
    const below = path === '' && name === 'metadata' ? undefined : fieldSchema(schema, name);
    errors.push(...embeddedErrors(below, item as Json, path === '' ? name : `${path}.${name}`));
  }
  return errors;
}

/** Metadata is checked as that of every object; a schema may ask for more of its names only. */
function withMetadata(schema: JsonSchema): JsonSchema {
  const { properties = {} } = schema;
  const metadata = properties.metadata;
  if (metadata === undefined) return schema;
  const names = metadata.properties ?? {};
  return { ...schema, properties: { ...properties, metadata: { type: 'object', properties: names } } };
}

function replicasErrors(object: Json, path: string): FieldError[] {
  const value = valueAt(object, path);
  if (value === undefined || value === null) return [];
  if (typeof value !== 'number' || !Number.isInteger(value)) {
    const accessed = `${path} accessor error: ${isObject(value) ? 'map' : String(value)} is of the type ${typeof value}, expected int64`;
    return [invalid(path, 0, accessed)];
  }
  if (value < 0) return [invalid(path, value, 'should be a non-negative integer')];
  if (value > MAX_REPLICAS) return [invalid(path, value, `should be less than or equal to ${MAX_REPLICAS}`)];
  return [];
}

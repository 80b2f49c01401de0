import { jsonEqual } from '../../../kube/patch/json.ts';
import { isObject, type Json } from '../../../util/json.ts';
import { duplicate, type FieldError } from '../validation/field-error.ts';
import { fieldSchema, type JsonSchema } from './json-schema.ts';

/** Items that are in a list twice although it is a set, or a map by keys. */
export function listTypeErrors(schema: JsonSchema | undefined, value: Json, path = ''): FieldError[] {
  if (schema === undefined) return [];
  if (Array.isArray(value)) {
    const errors = value.flatMap((item, at) => listTypeErrors(schema.items, item, `${path}[${at}]`));
    const type = schema['x-kubernetes-list-type'];
    if (type !== 'set' && type !== 'map') return errors;
    const keys = value.map((item) => (type === 'set' ? item : keysOf(schema, item)));
    for (const [at, key] of keys.entries()) {
      const first = keys.findIndex((other) => jsonEqual(other, key));
      const second = keys.findIndex((other, index) => index > first && jsonEqual(other, key));
      // One that is there three times is reported once.
      if (first < at && at === second) errors.push(duplicate(`${path}[${at}]`, key));
    }
    return errors;
  }
  if (!isObject(value)) return [];
  return Object.entries(value).flatMap(([name, item]) =>
    listTypeErrors(fieldSchema(schema, name), item as Json, path === '' ? name : `${path}.${name}`),
  );
}

function keysOf(schema: JsonSchema, item: Json): Json {
  if (!isObject(item)) return item;
  const names = schema['x-kubernetes-list-map-keys'] ?? [];
  return Object.fromEntries(names.flatMap((name) => (name in item ? [[name, item[name] as Json]] : [])));
}

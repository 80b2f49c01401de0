import { setOwn } from '../../../kube/patch/json.ts';
import { isObject, type Json, type JsonObject } from '../../../util/json.ts';
import { metadataTypeErrors, pruneMetadata } from '../validation/structure.ts';
import { elementSchema, fieldSchema, type JsonSchema, keepsUnknown, META_FIELDS } from './json-schema.ts';

/**
 * Removes from a custom resource the fields that its schema does not name, and returns their paths as strict decoding
 * reports them (`spec.foo[0].bar`), sorted. Changes `object`. The metadata of the resource itself is left alone.
 */
export function pruneUnknown(object: JsonObject, schema: JsonSchema): string[] {
  const unknown: string[] = [];
  prune(object, { ...schema, 'x-kubernetes-embedded-resource': true }, '', unknown);
  return unknown.sort();
}

function prune(value: Json, schema: JsonSchema | undefined, path: string, unknown: string[]): void {
  if (schema !== undefined && keepsUnknown(schema)) {
    keep(value, schema, path, unknown);
    return;
  }
  if (Array.isArray(value)) {
    for (const [at, item] of value.entries()) prune(item, schema?.items, `${path}[${at}]`, unknown);
    return;
  }
  if (!isObject(value)) return;
  pruneEmbedded(value as JsonObject, schema, path, unknown);
  const isAnything = schema?.additionalProperties === true;
  for (const name of Object.keys(value)) {
    if (schema?.['x-kubernetes-embedded-resource'] && META_FIELDS.has(name)) continue;
    const where = path === '' ? name : `${path}.${name}`;
    const below = fieldSchema(schema, name);
    if (below !== undefined || isAnything) prune(value[name]!, below, where, unknown);
    else {
      unknown.push(where);
      delete value[name];
    }
  }
}

/** The metadata of an object within a custom resource is that of every object. */
function pruneEmbedded(
  value: JsonObject,
  schema: JsonSchema | undefined,
  path: string,
  unknown: string[],
): void {
  if (path === '' || !schema?.['x-kubernetes-embedded-resource'] || !isObject(value.metadata)) return;
  if (metadataTypeErrors(value.metadata).length > 0) return;
  unknown.push(...pruneMetadata(value.metadata).map((field) => `${path}.${field}`));
}

/** Keeps what is not named, but not what is unknown within what is. */
function keep(value: Json, schema: JsonSchema | undefined, path: string, unknown: string[]): void {
  if (schema === undefined) return;
  if (Array.isArray(value)) {
    for (const [at, item] of value.entries()) keep(item, schema.items, `${path}[${at}]`, unknown);
  } else if (isObject(value)) {
    pruneEmbedded(value as JsonObject, schema, path, unknown);
    for (const [name, item] of Object.entries(value)) {
      if (schema['x-kubernetes-embedded-resource'] && META_FIELDS.has(name)) continue;
      const below = fieldSchema(schema, name);
      if (below !== undefined) prune(item, below, path === '' ? name : `${path}.${name}`, unknown);
    }
  }
}

/** Removes nulls where the schema allows none; those of fields with a default are left for the default. Changes `value`. */
export function pruneNulls(value: Json, schema: JsonSchema | undefined): void {
  if (Array.isArray(value)) {
    for (const item of value) pruneNulls(item, schema?.items);
  } else if (isObject(value)) {
    for (const [name, item] of Object.entries(value)) {
      const below = fieldSchema(schema, name);
      const isRefused = below !== undefined && !below.nullable && below.default === undefined;
      if (item === null && isRefused) delete value[name];
      else pruneNulls(item, below);
    }
  }
}

/** Sets the fields of `value` that it leaves open and its schema has defaults for. Changes `value`. */
export function applySchemaDefaults(value: Json, schema: JsonSchema | undefined): void {
  if (schema === undefined) return;
  if (Array.isArray(value)) {
    const { items } = schema;
    for (const [at, item] of value.entries()) {
      if (item === null && items?.default !== undefined && !items.nullable)
        value[at] = structuredClone(items.default);
      applySchemaDefaults(value[at]!, items);
    }
  } else if (isObject(value)) {
    const object = value as JsonObject;
    for (const [name, property] of Object.entries(schema.properties ?? {})) {
      if (property.default === undefined) continue;
      const known = Object.hasOwn(object, name) ? object[name] : undefined;
      if (known === undefined || (known === null && !property.nullable)) {
        setOwn(object, name, structuredClone(property.default));
      }
    }
    const element = elementSchema(schema);
    for (const name of Object.keys(object)) {
      const below = fieldSchema(schema, name);
      if (object[name] === null && below === element && element?.default !== undefined && !element.nullable) {
        object[name] = structuredClone(element.default);
      }
      applySchemaDefaults(object[name]!, below);
    }
  }
}

import { jsonEqual } from '../../../kube/patch/json.ts';
import type { Json } from '../../../util/json.ts';
import { type FieldError, fieldErrorText, forbidden, invalid, required } from '../validation/field-error.ts';
import { goPattern } from './go-pattern.ts';
import { type JsonSchema, keepsUnknown } from './json-schema.ts';

type Level = 'root' | 'item' | 'field';

const INT_OR_STRING = [{ type: 'integer' }, { type: 'string' }];
const LEVELS: Readonly<Record<Level, string>> = {
  root: 'at the root',
  item: 'for specified array items',
  field: 'for specified object fields',
};

/**
 * What keeps a schema from being structural: every field has one type, said once, outside of combinations.
 * Source: k8s.io/apiextensions-apiserver, pkg/apiserver/schema/validation.go.
 */
export function structuralErrors(schema: JsonSchema, path: string): FieldError[] {
  const errors = [...invariants(schema, 'root', path), ...completeness(schema, schema, path)];
  return errors.sort((a, b) => (fieldErrorText(a) < fieldErrorText(b) ? -1 : 1));
}

function invariants(schema: JsonSchema, level: Level, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const { type = '', items, properties = {}, additionalProperties } = schema;
  const isEmbedded = schema['x-kubernetes-embedded-resource'] === true;
  const isIntOrString = schema['x-kubernetes-int-or-string'] === true;
  if (type === 'array' && items === undefined) errors.push(required(`${path}.items`, 'must be specified'));
  if (items !== undefined) errors.push(...invariants(items, 'item', `${path}.items`));
  for (const [name, property] of Object.entries(properties)) {
    errors.push(...invariants(property, 'field', `${path}.properties[${name}]`));
  }
  if (additionalProperties !== undefined) {
    const where = `${path}.additionalProperties`;
    if (level === 'root') errors.push(forbidden(where, 'must not be used at the root'));
    if (typeof additionalProperties === 'object')
      errors.push(...invariants(additionalProperties, 'field', where));
    if (isEmbedded)
      errors.push(forbidden(where, 'must not be used if x-kubernetes-embedded-resource is set'));
  }
  if (isIntOrString && keepsUnknown(schema)) {
    const field = `${path}.x-kubernetes-preserve-unknown-fields`;
    errors.push(invalid(field, true, 'must be false if x-kubernetes-int-or-string is true'));
  }
  if (isIntOrString && isEmbedded) {
    const field = `${path}.x-kubernetes-embedded-resource`;
    errors.push(invalid(field, true, 'must be false if x-kubernetes-int-or-string is true'));
  }
  errors.push(
    ...combinations(schema, path, { anyOf: isIntOrStringAnyOf(schema), allOf: isIntOrStringAllOf(schema) }),
  );
  if (isEmbedded && type !== 'object') {
    const detail = 'must be object if x-kubernetes-embedded-resource is true';
    errors.push(type === '' ? required(`${path}.type`, detail) : invalid(`${path}.type`, type, detail));
  } else if (type === '' && !isIntOrString && !keepsUnknown(schema)) {
    errors.push(required(`${path}.type`, `must not be empty ${LEVELS[level]}`));
  }
  if (level === 'root' && type !== '' && type !== 'object') {
    errors.push(invalid(`${path}.type`, type, 'must be object at the root'));
  }
  errors.push(...metadataErrors(schema, level, path));
  if (isEmbedded && !keepsUnknown(schema) && Object.keys(properties).length === 0) {
    errors.push(
      required(
        `${path}.properties`,
        'must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields',
      ),
    );
  }
  return errors;
}

/** What every object has may be named again, but not be made something else. */
function metadataErrors(schema: JsonSchema, level: Level, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const { kind, apiVersion, metadata } = schema.properties ?? {};
  const isResource = level === 'root' || schema['x-kubernetes-embedded-resource'] === true;
  for (const [name, property] of Object.entries({ kind, apiVersion })) {
    if (property !== undefined && isResource && property.type !== 'string') {
      errors.push(invalid(`${path}.properties[${name}].type`, property.type ?? '', 'must be string'));
    }
  }
  if (metadata === undefined) return errors;
  const where = `${path}.properties[metadata]`;
  if (isResource && metadata.type !== 'object') {
    errors.push(invalid(`${where}.type`, metadata.type ?? '', 'must be object'));
  }
  if (level === 'root') {
    const { type: _, default: __, description: ___, properties = {}, ...rest } = metadata;
    const others = Object.keys(properties).filter((name) => name !== 'name' && name !== 'generateName');
    if (Object.keys(rest).length > 0 || others.length > 0) {
      const detail =
        'must not specify anything other than name and generateName, but metadata is implicitly specified';
      errors.push(forbidden(where, detail));
    }
  }
  return errors;
}

function isIntOrStringAnyOf(schema: JsonSchema): boolean {
  return jsonEqual((schema.anyOf ?? []) as unknown as Json, INT_OR_STRING);
}

function isIntOrStringAllOf(schema: JsonSchema): boolean {
  return jsonEqual((schema.allOf?.[0]?.anyOf ?? []) as unknown as Json, INT_OR_STRING);
}

/** The parts of a schema within `anyOf`, `allOf`, `oneOf` and `not`, and its pattern. */
function combinations(
  schema: JsonSchema,
  path: string,
  skip: { anyOf?: boolean; allOf?: boolean } = {},
): FieldError[] {
  const errors: FieldError[] = [];
  const { anyOf = [], allOf = [], oneOf = [], not, pattern } = schema;
  if (!skip.anyOf)
    for (const [at, item] of anyOf.entries()) errors.push(...nested(item, `${path}.anyOf[${at}]`));
  for (const [at, item] of allOf.entries()) {
    errors.push(...nested(item, `${path}.allOf[${at}]`, at === 0 && skip.allOf === true));
  }
  for (const [at, item] of oneOf.entries()) errors.push(...nested(item, `${path}.oneOf[${at}]`));
  if (not !== undefined) errors.push(...nested(not, `${path}.not`));
  if (pattern !== undefined && goPattern(pattern) === undefined) {
    errors.push(invalid(`${path}.pattern`, pattern, "must be a valid regular expression, but isn't"));
  }
  return errors;
}

/** Fields that only the outer schema may have, with what they must be within. */
const OUTER_ONLY: readonly (readonly [field: keyof JsonSchema, detail: string])[] = [
  ['type', 'must be empty to be structural'],
  ['additionalProperties', 'must be undefined to be structural'],
  ['default', 'must be undefined to be structural'],
  ['title', 'must be empty to be structural'],
  ['description', 'must be empty to be structural'],
  ['nullable', 'must be false to be structural'],
  ['x-kubernetes-preserve-unknown-fields', 'must be false to be structural'],
  ['x-kubernetes-embedded-resource', 'must be false to be structural'],
  ['x-kubernetes-int-or-string', 'must be false to be structural'],
  ['x-kubernetes-list-map-keys', 'must be empty to be structural'],
  ['x-kubernetes-list-type', 'must be undefined to be structural'],
  ['x-kubernetes-map-type', 'must be undefined to be structural'],
  ['x-kubernetes-validations', 'must be empty to be structural'],
];

function nested(schema: JsonSchema, path: string, skipAnyOf = false): FieldError[] {
  const errors = combinations(schema, path, { anyOf: skipAnyOf });
  if (schema.items !== undefined) errors.push(...nested(schema.items, `${path}.items`));
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    errors.push(...nested(property, `${path}.properties[${name}]`));
  }
  for (const [field, detail] of OUTER_ONLY) {
    const value = schema[field];
    if (value !== undefined && value !== false && value !== '')
      errors.push(forbidden(`${path}.${field}`, detail));
  }
  if (schema.properties?.metadata !== undefined) {
    errors.push(forbidden(`${path}.properties[metadata]`, 'must not be specified in a nested context'));
  }
  return errors;
}

/** Every field that a combination speaks of must be in the schema itself. */
function completeness(schema: JsonSchema, outer: JsonSchema, path: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const [at, item] of (schema.allOf ?? []).entries())
    errors.push(...missing(item, outer, path, `${path}.allOf[${at}]`));
  for (const [at, item] of (schema.anyOf ?? []).entries())
    errors.push(...missing(item, outer, path, `${path}.anyOf[${at}]`));
  for (const [at, item] of (schema.oneOf ?? []).entries())
    errors.push(...missing(item, outer, path, `${path}.oneOf[${at}]`));
  if (schema.not !== undefined) errors.push(...missing(schema.not, outer, path, `${path}.not`));
  if (schema !== outer) return errors;
  if (schema.items !== undefined) errors.push(...completeness(schema.items, schema.items, `${path}.items`));
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    errors.push(...completeness(property, property, `${path}.properties[${name}]`));
  }
  if (typeof schema.additionalProperties === 'object') {
    const { additionalProperties } = schema;
    errors.push(...completeness(additionalProperties, additionalProperties, `${path}.additionalProperties`));
  }
  return errors;
}

/** The fields that `part`, a part of a combination, names and `outer` does not. */
function missing(part: JsonSchema, outer: JsonSchema, outerPath: string, partPath: string): FieldError[] {
  const errors = completeness(part, outer, outerPath).filter(() => part !== outer);
  if (part.items !== undefined) {
    if (outer.items === undefined) {
      errors.push(required(`${outerPath}.items`, `because it is defined in ${partPath}.items`));
    } else errors.push(...missing(part.items, outer.items, `${outerPath}.items`, `${partPath}.items`));
  }
  for (const [name, property] of Object.entries(part.properties ?? {})) {
    const known = outer.properties?.[name];
    const where = `properties[${name}]`;
    if (known === undefined) {
      errors.push(required(`${outerPath}.${where}`, `because it is defined in ${partPath}.${where}`));
    } else errors.push(...missing(property, known, `${outerPath}.${where}`, `${partPath}.${where}`));
  }
  return errors;
}

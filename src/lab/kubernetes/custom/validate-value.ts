import { jsonEqual } from '../../../kube/patch/json.ts';
import { isObject, type Json } from '../../../util/json.ts';
import {
  type FieldError,
  invalid,
  notSupported,
  required,
  tooLong,
  tooMany,
  typeInvalid,
} from '../validation/field-error.ts';
import { isOfFormat } from './formats.ts';
import { goPattern } from './go-pattern.ts';
import { elementSchema, type JsonSchema } from './json-schema.ts';

/**
 * What is wrong with a value by its schema, in the words of Kubernetes' validation of custom resources. `path` is '' for the
 * resource itself.
 */
export function validateValue(schema: JsonSchema, value: Json, path: string): FieldError[] {
  if (value === null && schema.nullable) return [];
  const errors = [...typeErrors(schema, value, path), ...combinationErrors(schema, value, path)];
  if (typeof value === 'string') errors.push(...stringErrors(schema, value, path));
  if (typeof value === 'number') errors.push(...numberErrors(schema, value, path));
  if (Array.isArray(value)) errors.push(...listErrors(schema, value, path));
  if (schema.enum !== undefined && !schema.enum.some((item) => jsonEqual(item, value))) {
    errors.push(notSupported(path, value, schema.enum.map(enumText)));
  }
  if (isObject(value)) errors.push(...objectErrors(schema, value as Record<string, Json>, path));
  return errors;
}

/** How Kubernetes prints the field of an error of a combination. */
const NO_FIELD = '<nil>';

function enumText(value: Json): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}

/** `<path> in body`, which is how the validator of Kubernetes names a value; the resource itself has no name. */
function inBody(path: string): string {
  return `${path} in body`;
}

function typeOf(value: Json): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

function typeErrors(schema: JsonSchema, value: Json, path: string): FieldError[] {
  const types = schema['x-kubernetes-int-or-string'] ? ['integer', 'string'] : [schema.type ?? ''];
  const actual = typeOf(value);
  const fits = types.some(
    (type) => type === '' || type === actual || (type === 'number' && actual === 'integer'),
  );
  if (!fits) {
    const wanted = types.join(',');
    return [
      typeInvalid(path, actual, `${inBody(path)} must be of type ${wanted}: ${JSON.stringify(actual)}`),
    ];
  }
  const { format } = schema;
  if (typeof value === 'string' && format !== undefined && !isOfFormat(value, format)) {
    return [typeInvalid(path, value, `${inBody(path)} must be of type ${format}: ${JSON.stringify(value)}`)];
  }
  return [];
}

function combinationErrors(schema: JsonSchema, value: Json, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const complain = (problem: string) =>
    errors.push(invalid(NO_FIELD, '', `${JSON.stringify(path)} ${problem}`));
  const { anyOf = [], oneOf = [], allOf = [], not } = schema;
  if (anyOf.length > 0) {
    const tried = anyOf.map((option) => validateValue(option, value, path));
    if (tried.every((found) => found.length > 0)) {
      complain('must validate at least one schema (anyOf)');
      errors.push(...fewest(tried));
    }
  }
  if (oneOf.length > 0) {
    const tried = oneOf.map((option) => validateValue(option, value, path));
    const good = tried.filter((found) => found.length === 0).length;
    if (good !== 1) {
      const found = good === 0 ? 'Found none valid' : `Found ${good} valid alternatives`;
      complain(`must validate one and only one schema (oneOf). ${found}`);
      if (good === 0) errors.push(...fewest(tried));
    }
  }
  const all = allOf.map((option) => validateValue(option, value, path));
  if (all.some((found) => found.length > 0)) {
    const good = all.some((found) => found.length === 0);
    complain(`must validate all the schemas (allOf)${good ? '' : '. None validated'}`);
    errors.push(...all.flat());
  }
  if (not !== undefined && validateValue(not, value, path).length === 0)
    complain('must not validate the schema (not)');
  return errors;
}

/** The errors of the option that comes nearest. */
function fewest(tried: FieldError[][]): FieldError[] {
  return tried.reduce((best, found) => (found.length < best.length ? found : best));
}

/** The first problem only. */
function stringErrors(schema: JsonSchema, value: string, path: string): FieldError[] {
  const { minLength, maxLength, pattern } = schema;
  const length = [...value].length;
  if (maxLength !== undefined && length > maxLength) return [tooLong(path, maxLength)];
  if (minLength !== undefined && length < minLength) {
    return [invalid(path, value, `${inBody(path)} should be at least ${minLength} chars long`)];
  }
  if (pattern !== undefined && goPattern(pattern)?.test(value) === false) {
    return [invalid(path, value, `${inBody(path)} should match '${pattern}'`)];
  }
  return [];
}

function numberErrors(schema: JsonSchema, value: number, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = schema;
  const complain = (problem: string) =>
    errors.push(invalid(path, value, `${inBody(path)} should be ${problem}`));
  if (multipleOf !== undefined && !Number.isInteger(value / multipleOf))
    complain(`a multiple of ${multipleOf}`);
  if (maximum !== undefined && (exclusiveMaximum ? value >= maximum : value > maximum)) {
    complain(`less than ${exclusiveMaximum ? '' : 'or equal to '}${maximum}`);
  }
  if (minimum !== undefined && (exclusiveMinimum ? value <= minimum : value < minimum)) {
    complain(`greater than ${exclusiveMinimum ? '' : 'or equal to '}${minimum}`);
  }
  return errors;
}

function listErrors(schema: JsonSchema, value: Json[], path: string): FieldError[] {
  const errors: FieldError[] = [];
  const { items, minItems, maxItems } = schema;
  if (items !== undefined) {
    for (const [at, item] of value.entries()) errors.push(...validateValue(items, item, `${path}[${at}]`));
  }
  if (minItems !== undefined && value.length < minItems) {
    errors.push(invalid(path, value.length, `${inBody(path)} should have at least ${minItems} items`));
  }
  if (maxItems !== undefined && value.length > maxItems) errors.push(tooMany(path, value.length, maxItems));
  return errors;
}

function objectErrors(schema: JsonSchema, value: Record<string, Json>, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const { properties = {}, minProperties, maxProperties } = schema;
  const count = Object.keys(value).length;
  if (minProperties !== undefined && count < minProperties) {
    errors.push(invalid(path, count, `${inBody(path)} should have at least ${minProperties} properties`));
  }
  if (maxProperties !== undefined && count > maxProperties) errors.push(tooMany(path, count, maxProperties));
  for (const name of schema.required ?? []) {
    if (!Object.hasOwn(value, name)) errors.push(required(join(path, name)));
  }
  const element = elementSchema(schema);
  for (const [name, item] of Object.entries(value)) {
    const below = Object.hasOwn(properties, name) ? properties[name] : element;
    // On its way through the server an object may have fields that are undefined, which are not there.
    if (below !== undefined && item !== undefined)
      errors.push(...validateValue(below, item, join(path, name)));
  }
  return errors;
}

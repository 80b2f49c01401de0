import { type KindInfo, ownKind } from '../../../kube/kinds.ts';
import { isObject, type Json } from '../../../util/json.ts';
import { type FieldError, invalid } from '../validation/field-error.ts';
import { type CustomDefinitionSpec, isCustom } from './custom-kind.ts';
import type { JsonSchema } from './json-schema.ts';

/** Errors that keep rules from being evaluated, which trust types. */
const BLOCKING = new Set([
  'FieldValueNotSupported',
  'FieldValueRequired',
  'FieldValueTooLong',
  'FieldValueTooMany',
  'FieldValueTypeInvalid',
]);

function hasRules(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(hasRules);
  if (!isObject(value)) return false;
  return Object.entries(value).some(
    ([field, item]) => (field === 'x-kubernetes-validations' && Array.isArray(item)) || hasRules(item),
  );
}

const withRules = new WeakMap<JsonSchema, boolean>();

function schemaHasRules(schema: JsonSchema): boolean {
  const known = withRules.get(schema) ?? hasRules(schema);
  withRules.set(schema, known);
  return known;
}

/**
 * What rules in the Common Expression Language say of an object that is created or changed (`old`: from what), after its other
 * `errors`; of a definition, which of its rules cannot be evaluated.
 */
export async function ruleErrors(
  info: KindInfo,
  object: object,
  old: object | undefined,
  errors: readonly FieldError[],
): Promise<FieldError[]> {
  if (isCustom(info)) {
    if (!schemaHasRules(info.schema)) return [];
    if (errors.some(({ type }) => BLOCKING.has(type))) {
      const why =
        'some validation rules were not checked because the object was invalid; correct the existing errors to complete validation';
      return [invalid('<nil>', null, why)];
    }
    const { brokenRules } = await import('./rules.ts');
    return brokenRules(info.schema, object as Json, old as Json | undefined);
  }
  if (ownKind(info) !== 'CustomResourceDefinition' || errors.length > 0) return [];
  const { versions } = (object as { spec: CustomDefinitionSpec }).spec;
  if (!hasRules(versions)) return [];
  const { unusableRules } = await import('./rules.ts');
  return versions.flatMap(({ schema }, at) =>
    unusableRules(schema?.openAPIV3Schema ?? {}, `spec.versions[${at}].schema.openAPIV3Schema`),
  );
}

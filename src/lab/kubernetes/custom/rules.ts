import { isIP } from 'node:net';
import { Environment } from '@marcbachmann/cel-js';
import { jsonEqual } from '../../../kube/patch/json.ts';
import { isObject, type Json, type JsonObject } from '../../../util/json.ts';
import { duplicate, type FieldError, forbidden, invalid, required } from '../validation/field-error.ts';
import { isOfFormat } from './formats.ts';
import { elementSchema, fieldSchema, type JsonSchema, type ValidationRule } from './json-schema.ts';

// Rules in the Common Expression Language (`x-kubernetes-validations`). Loaded when the first definition has one.

const environment = new Environment({ unlistedVariablesAreDyn: false, enableOptionalTypes: true })
  .registerVariable('self', 'dyn')
  .registerVariable('oldSelf', 'dyn')
  .registerFunction('isIP(string): bool', (text: string) => isIP(text) !== 0)
  .registerFunction('isCIDR(string): bool', (text: string) => isOfFormat(text, 'cidr'));

type Program = (context: { self: unknown; oldSelf?: unknown }) => unknown;

/** A rule is compiled once; undefined is what cannot be. */
const programs = new Map<string, Program | Error>();

function programOf(rule: string): Program | Error {
  const known = programs.get(rule);
  if (known !== undefined) return known;
  let program: Program | Error;
  try {
    const parsed = environment.parse(rule);
    const checked = parsed.check();
    program = checked.valid ? (parsed as Program) : (checked.error ?? new Error('the rule is not valid'));
  } catch (error) {
    program = error as Error;
  }
  programs.set(rule, program);
  return program;
}

const isTransition = (rule: string): boolean => /\boldSelf\b/.test(rule);

/** The rules of a schema that cannot be evaluated here: what they need of Kubernetes' libraries is not there, or they are wrong. */
export function unusableRules(schema: JsonSchema, path: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const [at, { rule, optionalOldSelf }] of (schema['x-kubernetes-validations'] ?? []).entries()) {
    const where = `${path}.x-kubernetes-validations[${at}]`;
    const program = programOf(rule);
    if (program instanceof Error) {
      const problem = program.message.split('\n')[0];
      errors.push(invalid(`${where}.rule`, rule, `this API server cannot evaluate the rule: ${problem}`));
    }
    if (optionalOldSelf) {
      errors.push(invalid(`${where}.optionalOldSelf`, true, 'is not supported by this API server'));
    }
  }
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    errors.push(...unusableRules(property, `${path}.properties[${name}]`));
  }
  const element = elementSchema(schema);
  if (element !== undefined) errors.push(...unusableRules(element, `${path}.additionalProperties`));
  if (schema.items !== undefined) errors.push(...unusableRules(schema.items, `${path}.items`));
  return errors;
}

/**
 * The rules that a value breaks. `old` is what it was, where something was there: rules that speak of it are for changes only,
 * and what has not changed is not held against the others again.
 */
export function brokenRules(schema: JsonSchema, value: Json, old: Json | undefined, path = ''): FieldError[] {
  const errors: FieldError[] = [];
  for (const rule of schema['x-kubernetes-validations'] ?? []) {
    const about = isTransition(rule.rule);
    if (about ? old === undefined : old !== undefined && jsonEqual(old, value)) continue;
    const error = broken(rule, schema, value, about ? old : undefined, path);
    if (error !== undefined) errors.push(error);
  }
  if (Array.isArray(value)) {
    for (const [at, item] of value.entries()) {
      const { items } = schema;
      if (items === undefined) continue;
      errors.push(...brokenRules(items, item, sameItem(schema, item, old), `${path}[${at}]`));
    }
  } else if (isObject(value)) {
    for (const [name, item] of Object.entries(value as JsonObject)) {
      const below = fieldSchema(schema, name);
      if (below === undefined || item === undefined) continue;
      const before = isObject(old) && Object.hasOwn(old, name) ? (old as JsonObject)[name] : undefined;
      errors.push(...brokenRules(below, item, before, path === '' ? name : `${path}.${name}`));
    }
  }
  return errors;
}

/** What an item of a list was: only items with keys can be found again. */
function sameItem(schema: JsonSchema, item: Json, old: Json | undefined): Json | undefined {
  const keys = schema['x-kubernetes-list-map-keys'];
  if (keys === undefined || !Array.isArray(old) || !isObject(item)) return undefined;
  return old.find(
    (other) => isObject(other) && keys.every((key) => jsonEqual(other[key] as Json, item[key] as Json)),
  );
}

function broken(
  rule: ValidationRule,
  schema: JsonSchema,
  value: Json,
  old: Json | undefined,
  path: string,
): FieldError | undefined {
  const program = programOf(rule.rule);
  const context = {
    self: celValue(value, schema),
    ...(old === undefined ? {} : { oldSelf: celValue(old, schema) }),
  };
  let problem: string;
  let isEvaluated = false;
  try {
    if (program instanceof Error) throw program;
    if (program(context) === true) return undefined;
    isEvaluated = true;
    problem = messageOf(rule, context);
  } catch (error) {
    const why = (error as Error).message.split('\n')[0]!.replace(/^No such key/, 'no such key');
    problem = `${why} evaluating rule: ${rule.message ?? rule.rule}`;
  }
  const field = `${path}${rule.fieldPath ?? ''}`.replace(/^\./, '') || '<nil>';
  switch (rule.reason) {
    case 'FieldValueRequired':
      return required(field, problem);
    case 'FieldValueForbidden':
      return forbidden(field, problem);
    case 'FieldValueDuplicate':
      return duplicate(field, shown(value));
    default: {
      const error = invalid(field, shown(value), problem);
      // Of an object or a list that breaks a rule, Kubernetes shows nothing.
      const isWhole = isEvaluated && typeof value === 'object' && value !== null;
      return isWhole ? { ...error, message: `Invalid value: ${problem}` } : error;
    }
  }
}

/** Objects and lists are shown by their type. */
function shown(value: Json): Json {
  if (Array.isArray(value)) return 'array';
  return isObject(value) ? 'object' : value;
}

function messageOf(rule: ValidationRule, context: { self: unknown; oldSelf?: unknown }): string {
  const program = rule.messageExpression === undefined ? undefined : programOf(rule.messageExpression);
  if (program !== undefined && !(program instanceof Error)) {
    const text = program(context);
    if (typeof text === 'string' && text.trim() !== '') return text;
  }
  return rule.message ?? `failed rule: ${rule.rule}`;
}

/** Names that rules write otherwise, since they are words of the language. */
const RESERVED = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(
    ' ',
  ),
);

function celName(name: string): string {
  if (RESERVED.has(name)) return `__${name}__`;
  return name
    .replaceAll('__', '__underscores__')
    .replaceAll('.', '__dot__')
    .replaceAll('-', '__dash__')
    .replaceAll('/', '__slash__');
}

/** A value as the language has it: integers are integers, times are times, fields have the names that rules use. */
function celValue(value: Json, schema: JsonSchema | undefined): unknown {
  if (typeof value === 'number') {
    return schema?.type !== 'number' && Number.isSafeInteger(value) ? BigInt(value) : value;
  }
  if (typeof value === 'string') return schema?.format === 'date-time' ? new Date(value) : value;
  if (Array.isArray(value)) return value.map((item) => celValue(item, schema?.items));
  if (!isObject(value)) return value;
  const isStruct = schema?.properties !== undefined;
  return new Map(
    Object.entries(value as JsonObject).flatMap(([name, item]): [string, unknown][] =>
      item === undefined
        ? []
        : [[isStruct ? celName(name) : name, celValue(item, fieldSchema(schema, name))]],
    ),
  );
}

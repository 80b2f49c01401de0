import type { KindInfo } from '../../../kube/kinds.ts';
import { PatchError } from '../../../kube/patch/error.ts';
import { jsonEqual, setOwn } from '../../../kube/patch/json.ts';
import { isObject, type Json, type JsonObject } from '../../../util/json.ts';
import { type MergeRule, mergeRuleOf } from '../schema/merge-rules.ts';
import { definitionOf, type FieldType } from '../schema/schema.ts';

const DIRECTIVE = '$patch';
const RETAIN_KEYS = '$retainKeys';
const ELEMENT_ORDER = '$setElementOrder/';
const DELETE_PRIMITIVES = '$deleteFromPrimitiveList/';

const isDirective = (key: string): boolean =>
  key === DIRECTIVE ||
  key === RETAIN_KEYS ||
  key.startsWith(ELEMENT_ORDER) ||
  key.startsWith(DELETE_PRIMITIVES);

/** Definition of the object that a field holds, or that its list's or map's items are; undefined for scalars. */
function itemDefinition(type: FieldType | undefined): string | undefined {
  switch (type?.form) {
    case 'struct':
      return type.definition;
    case 'list':
    case 'map':
      return itemDefinition(type.of);
    default:
      return undefined;
  }
}

interface FieldInfo {
  rule: MergeRule | undefined;
  definition: string | undefined;
}

function fieldInfo(definition: string | undefined, field: string): FieldInfo {
  if (definition === undefined) return { rule: undefined, definition: undefined };
  const type = definitionOf(definition).get(field)?.type;
  return { rule: mergeRuleOf(definition, field), definition: itemDefinition(type) };
}

const merges = (rule: MergeRule | undefined): boolean => rule?.strategy?.includes('merge') ?? false;

/** A patch's value where the document has none: without directives, items to delete and nulls. */
function withoutDirectives(value: Json): Json {
  if (Array.isArray(value)) {
    return value
      .filter((item) => !(isObject(item) && (item[DIRECTIVE] === 'delete' || isBareDirective(item))))
      .map(withoutDirectives);
  }
  if (!isObject(value)) return value;
  const kept: JsonObject = {};
  if (value[DIRECTIVE] === 'delete') return kept;
  for (const [key, item] of Object.entries(value)) {
    if (item !== null && !isDirective(key)) setOwn(kept, key, withoutDirectives(item));
  }
  return kept;
}

const isBareDirective = (item: JsonObject): boolean =>
  Object.hasOwn(item, DIRECTIVE) && Object.keys(item).length === 1;

function listOf(value: Json, key: string): Json[] {
  if (!Array.isArray(value)) throw new PatchError(400, `invalid patch: ${key} must be a list`);
  return value;
}

/** Removes from `original` what `$retainKeys` does not name. The patch may not set anything else. */
function retainKeys(original: JsonObject, patch: JsonObject): void {
  const retained = listOf(patch[RETAIN_KEYS]!, RETAIN_KEYS);
  for (const [key, value] of Object.entries(patch)) {
    if (value !== null && !isDirective(key) && !retained.includes(key)) {
      throw new PatchError(400, `invalid patch format of retainKeys: ${key} is set but not retained`);
    }
  }
  for (const key of Object.keys(original)) if (!retained.includes(key)) delete original[key];
}

/** Merges `patch` into `original`, which it owns, following the schema of `definition` as far as it is known. */
function mergeObject(original: JsonObject, patch: JsonObject, definition: string | undefined): JsonObject {
  const directive = patch[DIRECTIVE];
  if (directive !== undefined) {
    if (directive === 'replace') return withoutDirectives(patch) as JsonObject;
    if (directive === 'delete') return {};
    if (directive !== 'merge') {
      throw new PatchError(400, `unknown patch type: ${JSON.stringify(directive)} in map`);
    }
  }
  if (Object.hasOwn(patch, RETAIN_KEYS)) retainKeys(original, patch);

  // Merging reorders lists; what the server's order was is asked for afterwards.
  const before: JsonObject = { ...original };

  for (const [key, value] of Object.entries(patch)) {
    if (!key.startsWith(DELETE_PRIMITIVES)) continue;
    const field = key.slice(DELETE_PRIMITIVES.length);
    const gone = listOf(value, key);
    const list = original[field];
    if (Array.isArray(list)) {
      original[field] = list.filter((item) => !gone.some((other) => jsonEqual(item, other)));
    }
  }

  for (const [key, value] of Object.entries(patch)) {
    if (isDirective(key)) continue;
    if (value === null) {
      delete original[key];
      continue;
    }
    const current = Object.hasOwn(original, key) ? original[key] : undefined;
    setOwn(original, key, mergeField(current, value, fieldInfo(definition, key), key));
  }

  for (const [key, order] of Object.entries(patch)) {
    if (!key.startsWith(ELEMENT_ORDER)) continue;
    const field = key.slice(ELEMENT_ORDER.length);
    const list = original[field];
    const { rule } = fieldInfo(definition, field);
    if (!Array.isArray(list) || !merges(rule)) continue;
    const server = before[field];
    original[field] = ordered(list, listOf(order, key), Array.isArray(server) ? server : [], rule?.mergeKey);
  }
  return original;
}

function mergeField(
  current: Json | undefined,
  value: Json,
  { rule, definition }: FieldInfo,
  key: string,
): Json {
  if (isObject(current) && isObject(value)) return mergeObject(current, value, definition);
  if (Array.isArray(current) && Array.isArray(value) && merges(rule)) {
    return mergeList(current, value, rule?.mergeKey, definition, key);
  }
  return withoutDirectives(value);
}

function keyOf(item: Json, mergeKey: string | undefined, field: string): Json {
  if (mergeKey === undefined) return item;
  if (!isObject(item)) throw new PatchError(400, `invalid patch: an item of ${field} is not an object`);
  const value = item[mergeKey];
  if (value === undefined) {
    throw new PatchError(
      400,
      `map: ${JSON.stringify(item)} does not contain declared merge key: ${mergeKey}`,
    );
  }
  return value;
}

function mergeList(
  current: Json[],
  patch: Json[],
  mergeKey: string | undefined,
  definition: string | undefined,
  field: string,
): Json[] {
  if (mergeKey === undefined) {
    const both = [...current, ...patch];
    const merged = both.filter((item, index) => both.findIndex((other) => jsonEqual(item, other)) === index);
    return ordered(merged, patch, current, undefined);
  }
  let replaced = false;
  let merged = [...current];
  const items: JsonObject[] = [];
  for (const item of patch) {
    if (!isObject(item)) throw new PatchError(400, `invalid patch: an item of ${field} is not an object`);
    const directive = item[DIRECTIVE];
    if (directive === undefined) {
      items.push(item);
    } else if (directive === 'delete') {
      const key = keyOf(item, mergeKey, field);
      merged = merged.filter((other) => !(isObject(other) && jsonEqual(other[mergeKey], key)));
    } else if (directive === 'replace') {
      replaced = true;
    } else if (directive === 'merge') {
      throw new PatchError(400, 'merging lists cannot yet be specified in the patch');
    } else {
      throw new PatchError(400, `unknown patch type: ${JSON.stringify(directive)} in list`);
    }
  }
  if (replaced) return items.map(withoutDirectives);
  for (const item of items) {
    const key = keyOf(item, mergeKey, field);
    const index = merged.findIndex((other) => isObject(other) && jsonEqual(other[mergeKey], key));
    const existing = merged[index];
    if (isObject(existing)) merged[index] = mergeObject(existing, item, definition);
    else merged.push(withoutDirectives(item));
  }
  return ordered(merged, items, current, mergeKey);
}

/**
 * Orders a merged list: items that the patch's order names come in that order; the others, which only the server has, keep
 * the server's order and are put before the first named item that came after them on the server.
 */
function ordered(
  merged: Json[],
  patchOrder: Json[],
  serverOrder: Json[],
  mergeKey: string | undefined,
): Json[] {
  const key = (item: Json): Json | undefined =>
    mergeKey === undefined ? item : isObject(item) ? item[mergeKey] : undefined;
  const indexIn = (list: Json[], item: Json): number =>
    list.findIndex((other) => key(other) !== undefined && jsonEqual(key(other), key(item)));
  const sorted = (list: Json[], order: Json[]): Json[] =>
    list
      .map((item) => ({ item, index: indexIn(order, item) }))
      .sort((a, b) => a.index - b.index)
      .map(({ item }) => item);

  const named = sorted(
    merged.filter((item) => indexIn(patchOrder, item) >= 0),
    patchOrder,
  );
  const serverOnly = sorted(
    merged.filter((item) => indexIn(patchOrder, item) < 0),
    serverOrder,
  );
  const result: Json[] = [];
  let next = 0;
  for (const item of named) {
    const place = indexIn(serverOrder, item);
    while (next < serverOnly.length && place >= 0) {
      const other = indexIn(serverOrder, serverOnly[next]!);
      if (other < 0 || other >= place) break;
      result.push(serverOnly[next++]!);
    }
    result.push(item);
  }
  return [...result, ...serverOnly.slice(next)];
}

/**
 * Applies a strategic merge patch to an object of a kind: JSON merge patch, but lists that the schema gives a merge key are
 * merged by it, and the directives `$patch` (replace, delete, merge), `$retainKeys`, `$setElementOrder/…` and
 * `$deleteFromPrimitiveList/…` are obeyed. Neither input is changed. Throws {@link PatchError}.
 */
export function strategicMergePatch(info: KindInfo, document: unknown, patch: unknown): unknown {
  if (!isObject(patch))
    throw new PatchError(400, 'error decoding patch: a strategic merge patch is an object');
  const original = isObject(document) ? (structuredClone(document) as JsonObject) : {};
  return mergeObject(original, structuredClone(patch) as JsonObject, info.definition);
}

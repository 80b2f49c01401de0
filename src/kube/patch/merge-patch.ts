import { isObject, type Json, type JsonObject } from '../../util/json.ts';
import { setOwn } from './json.ts';

/** Applies a JSON merge patch (RFC 7386): objects are merged, null removes, anything else replaces. Neither input is changed. */
export function mergePatch(document: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return structuredClone(patch);
  const merged: JsonObject = isObject(document) ? (structuredClone(document) as JsonObject) : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else setOwn(merged, key, mergePatch(Object.hasOwn(merged, key) ? merged[key] : undefined, value) as Json);
  }
  return merged;
}

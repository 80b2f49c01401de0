export type Json = null | boolean | number | string | Json[] | JsonObject;
export type JsonObject = { [key: string]: Json };

/** The maximum nesting of lists and objects in a document from outside; real ones have about ten levels. */
export const MAX_JSON_DEPTH = 100;

/** Whether a value of a document is an object: neither a list nor null. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The entry of a table under a key that a document gives; undefined for what is no text, or names nothing of the table itself (`constructor`). */
export function entryOf<T>(table: Readonly<Record<string, T>>, key: unknown): T | undefined {
  return typeof key === 'string' && Object.hasOwn(table, key) ? table[key] : undefined;
}

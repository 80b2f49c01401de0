import { MAX_JSON_DEPTH } from './json.ts';

/**
 * The value of a JSON text; `what` names it in errors. An error never quotes the text, which the engine's own does: it may be somebody's
 * secret in place of the document that was expected.
 */
export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${what}: not JSON (${text.length} characters)`);
  }
}

/** Refuses a value that is nested so deeply that walking it would overflow the stack. */
export function checkDepth(value: unknown, what: string): void {
  if (isDeeper(value, MAX_JSON_DEPTH))
    throw new Error(`${what}: nested deeper than ${MAX_JSON_DEPTH} levels`);
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (levels === 0) return true;
  if (Array.isArray(value)) return value.some((item) => isDeeper(item, levels - 1));
  // Without a list of the fields: a report has thousands of objects.
  for (const name in value) if (isDeeper((value as Record<string, unknown>)[name], levels - 1)) return true;
  return false;
}

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
  let level = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth === MAX_JSON_DEPTH) throw new Error(`${what}: nested deeper than ${MAX_JSON_DEPTH} levels`);
    const next: unknown[] = [];
    for (const each of level) {
      if (typeof each !== 'object' || each === null) continue;
      for (const inner of Array.isArray(each) ? each : Object.values(each)) {
        if (typeof inner === 'object' && inner !== null) next.push(inner);
      }
    }
    level = next;
  }
}

import { parse } from 'yaml';
import { PatchError } from '../../../kube/patch/error.ts';
import { jsonPatch } from '../../../kube/patch/json-patch.ts';
import { mergePatch } from '../../../kube/patch/merge-patch.ts';
import { InputError, messageOf } from '../../../util/errors.ts';
import type { Json, JsonObject } from '../../../util/json.ts';
import type { Field } from './document.ts';
import type { ConfigPatch, JsonPatch } from './types.ts';

/**
 * A configuration with patches applied in their order.
 * @throws InputError when a JSON patch does not fit what the lab has there: it removes what is not there, say.
 */
export function applyPatches(configuration: JsonObject, patches: readonly ConfigPatch[]): JsonObject {
  let patched: unknown = configuration;
  for (const patch of patches) {
    patched =
      'merge' in patch
        ? mergePatch(patched, patch.merge)
        : applyJsonPatch(patched, patch.operations, patch.at);
  }
  return patched as JsonObject;
}

function applyJsonPatch(document: unknown, operations: Json, at: string): unknown {
  try {
    return jsonPatch(document, operations);
  } catch (cause) {
    if (!(cause instanceof PatchError)) throw cause;
    throw new InputError(`cannot apply ${at}: ${cause.message}; correct it`);
  }
}

/** A JSON patch that is a string of YAML or JSON; undefined when it is reported as wrong. */
export function readJsonPatch(field: Field | undefined): JsonPatch | undefined {
  const text = field?.string();
  if (field === undefined || text === undefined) return undefined;
  try {
    const operations = parse(text) as Json;
    applyToNothing(operations);
    return { operations, at: field.path };
  } catch (cause) {
    field.error(`not a JSON patch: ${messageOf(cause).split('\n')[0]}`);
    return undefined;
  }
}

/** Throws what is wrong with the form of a patch; whether it fits a document is another matter. */
function applyToNothing(operations: Json): void {
  try {
    jsonPatch({}, operations);
  } catch (cause) {
    if (!(cause instanceof PatchError) || cause.code === 400) throw cause;
  }
}

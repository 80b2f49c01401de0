import { groupVersionOf, type KindInfo } from '../../kube/kinds.ts';
import type { JsonObject } from '../../util/json.ts';
import { type CustomKind, isCustom } from '../kubernetes/custom/custom-kind.ts';
import { pruneUnknown } from '../kubernetes/custom/pruning.ts';
import {
  metadataTypeErrors,
  prune,
  pruneMetadata,
  typeErrors,
  unknownFields,
} from '../kubernetes/validation/index.ts';
import type { ApiObject } from './objects.ts';
import type { FieldValidation } from './options-errors.ts';
import { badRequest } from './status-error.ts';

/** The problem of unknown fields in the words of Kubernetes' strict decoder; undefined when there is none. */
export function strictProblem(unknown: readonly string[]): string | undefined {
  if (unknown.length === 0) return undefined;
  return `strict decoding error: ${unknown.map((field) => `unknown field ${JSON.stringify(field)}`).join(', ')}`;
}

/**
 * Makes an object of a parsed body: its kind must be the expected one, its fields of the schema's types. Unknown fields
 * are refused, warned of or dropped. Throws BadRequest.
 */
export function decodeObject(
  kind: KindInfo,
  body: unknown,
  validation: FieldValidation,
  warnings: string[],
): ApiObject {
  const expected = groupVersionOf(kind);
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw badRequest(`the body of the request is not an object of kind ${kind.kind}`);
  }
  const object = body as ApiObject;
  object.kind ||= kind.kind;
  object.apiVersion ||= expected;
  const cannot = (problem: string) =>
    badRequest(
      `${object.kind} in version ${JSON.stringify(kind.version)} cannot be handled as a ${kind.kind}: ${problem}`,
    );
  if (object.kind !== kind.kind) throw cannot(`no kind ${JSON.stringify(object.kind)} is expected here`);
  if (object.apiVersion !== expected) {
    const written = `${object.kind} in version ${JSON.stringify(object.apiVersion.split('/').at(-1))}`;
    throw badRequest(
      `${written} cannot be handled as a ${kind.kind}: no kind ${JSON.stringify(object.kind)} is registered for version ${JSON.stringify(object.apiVersion)} in scheme "pkg/runtime/scheme.go:111"`,
    );
  }
  checkFields(kind, object, validation, warnings, cannot);
  object.metadata ??= {};
  return object;
}

/** Types, then unknown fields, of an object. `cannot` makes the error. Drops unknown fields from `object`. */
export function checkFields(
  kind: KindInfo,
  object: ApiObject,
  validation: FieldValidation,
  warnings: string[],
  cannot: (problem: string) => Error,
): void {
  if (isCustom(kind)) {
    checkCustomFields(kind, object, validation, warnings, cannot);
    return;
  }
  const [typeError] = typeErrors(kind, object);
  if (typeError !== undefined) throw cannot(typeError);
  if (validation !== 'Ignore') {
    const unknown = unknownFields(kind, object);
    const problem = strictProblem(unknown);
    if (problem !== undefined && validation === 'Strict') throw cannot(problem);
    for (const field of unknown) warnings.push(`unknown field ${JSON.stringify(field)}`);
  }
  prune(kind, object);
}

/** The same for a custom resource: only its metadata has types that it must have to be read at all. */
function checkCustomFields(
  kind: CustomKind,
  object: ApiObject,
  validation: FieldValidation,
  warnings: string[],
  cannot: (problem: string) => Error,
): void {
  const [typeError] = metadataTypeErrors(object.metadata);
  if (typeError !== undefined) throw cannot(typeError);
  const unknown = [...pruneMetadata(object.metadata), ...pruneUnknown(object as JsonObject, kind.schema)];
  if (validation === 'Ignore') return;
  const problem = strictProblem(unknown);
  if (problem !== undefined && validation === 'Strict') throw cannot(problem);
  for (const field of unknown) warnings.push(`unknown field ${JSON.stringify(field)}`);
}

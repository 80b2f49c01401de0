import type { KindInfo } from '../../kube/kinds.ts';
import { jsonPatch, mergePatch, PatchError, strategicMergePatch } from '../kubernetes/patch/index.ts';
import { APPLY_TYPE } from './applying.ts';
import { jsonProblem } from './exchange.ts';
import { invalidField } from './field-errors.ts';
import type { ApiObject } from './objects.ts';
import { badRequest, invalid, StatusError } from './status-error.ts';

/** A patch that has been read and can be applied to an object, more than once. */
export type Patch = (object: ApiObject) => ApiObject;

/** Not of custom kinds: their schemas have no merge keys. */
const STRATEGIC = 'application/strategic-merge-patch+json';
const TYPES = ['application/json-patch+json', 'application/merge-patch+json', STRATEGIC, APPLY_TYPE];

/** Reads the patch in a body. Throws 415 for a type that is not served, BadRequest for a body that is not JSON. */
export async function parsePatch(kind: KindInfo, contentType: string, body: Buffer): Promise<Patch> {
  const types = kind.custom ? TYPES.filter((type) => type !== STRATEGIC) : TYPES;
  if (kind.custom && contentType === STRATEGIC) {
    throw new StatusError(
      415,
      'UnsupportedMediaType',
      `the body of the request was in an unknown format - accepted media types include: ${types.join(', ')}`,
    );
  }
  if (!types.includes(contentType)) {
    throw new StatusError(415, 'UnsupportedMediaType', '415: Unsupported Media Type', {});
  }
  let patch: unknown;
  try {
    patch = JSON.parse(body.toString('utf8'));
  } catch (cause) {
    throw badRequest(`error decoding patch: ${jsonProblem(body, cause)}`);
  }
  if (contentType === TYPES[0] && !Array.isArray(patch)) {
    throw badRequest(
      `error decoding patch: json: cannot unmarshal ${patch === null ? 'null' : typeof patch} into Go value of type []handlers.jsonPatchOp`,
    );
  }
  return (object) => {
    try {
      if (contentType === TYPES[0]) return jsonPatch(object, patch, { replaceAdds: true }) as ApiObject;
      if (contentType === TYPES[1]) return mergePatch(object, patch) as ApiObject;
      return strategicMergePatch(kind, object, patch) as ApiObject;
    } catch (error) {
      if (!(error instanceof PatchError)) throw error;
      if (error.code === 400 && contentType !== TYPES[0]) throw badRequest(error.message);
      // Kubernetes withholds what was wrong; only its log has it.
      throw new StatusError(
        422,
        'Invalid',
        'the server rejected our request due to an error in our request',
        {},
      );
    }
  };
}

/** The error of a patch whose result is not an object of the kind, as Kubernetes prints it. */
export function patchResultError(body: Buffer, problem: string): StatusError {
  const text = body.toString('utf8');
  return invalid({ group: '', kind: '' }, '', [invalidField('patch', text, problem)]);
}

import type { KindInfo } from '../../kube/kinds.ts';
import { messageOf } from '../../util/errors.ts';
import { isObject } from '../../util/json.ts';
import {
  ApplyError,
  applyConfiguration,
  type ManagedObject,
  type Writing,
} from '../kubernetes/fields/field-manager.ts';
import { pathText } from '../kubernetes/fields/field-set.ts';
import { ListItemError } from '../kubernetes/fields/list-items.ts';
import { parseIdentifier } from '../kubernetes/fields/managed-fields.ts';
import { type Conflict, ConflictError } from '../kubernetes/fields/updater.ts';
import { checkFields } from './decoding.ts';
import { type ApiObject, targetOf } from './objects.ts';
import type { FieldValidation } from './options-errors.ts';
import { badRequest, conflict, StatusError } from './status-error.ts';

export const APPLY_TYPE = 'application/apply-patch+yaml';

/** A configuration that somebody applies. */
export interface Application {
  readonly config: ManagedObject;
  readonly manager: string;
  readonly force: boolean;
}

/** Reads the configuration of an apply: YAML, of which JSON is a part. Throws BadRequest. */
export async function parseConfiguration(
  body: Buffer,
  validation: FieldValidation,
  warnings: string[],
): Promise<ManagedObject> {
  const text = body.toString('utf8');
  const { parseDocument } = await import('yaml');
  const document = parseDocument(text, { uniqueKeys: true, logLevel: 'error' });
  const repeated = document.errors.filter(({ code }) => code === 'DUPLICATE_KEY');
  const [broken] = document.errors.filter(({ code }) => code !== 'DUPLICATE_KEY');
  if (broken !== undefined) throw notYaml(broken.message);
  for (const error of validation === 'Ignore' ? [] : repeated) {
    const problem = error.message.split('\n')[0]!;
    if (validation === 'Strict') throw badRequest(`error strict decoding YAML: ${problem}`);
    warnings.push(problem);
  }
  let config: unknown;
  try {
    config = document.toJS();
  } catch (cause) {
    // An alias of nothing, or so many that they would fill the memory.
    throw notYaml(messageOf(cause));
  }
  if (!isObject(config)) {
    const form = Array.isArray(config) ? 'array' : typeof config;
    throw badRequest(
      `error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal ${form} into Go value of type map[string]interface {}`,
    );
  }
  return config as ManagedObject;
}

function notYaml(problem: string): StatusError {
  return badRequest(`error decoding YAML: error converting YAML to JSON: yaml: ${problem.split('\n')[0]}`);
}

/**
 * What applying makes of `live` (undefined: nothing is there yet): an object of the kind, with its managers. Throws a
 * StatusError, a Conflict with a cause for every field that others own among them.
 */
export function apply(
  kind: KindInfo,
  writing: Writing,
  live: ApiObject | undefined,
  { config, manager, force }: Application,
): ApiObject {
  let object: ApiObject;
  try {
    const applied = applyConfiguration(writing, live as ManagedObject | undefined, config, manager, force);
    object = structuredClone(applied) as unknown as ApiObject;
  } catch (error) {
    if (error instanceof ConflictError) throw conflictStatus(error.conflicts);
    if (error instanceof ApplyError) {
      throw new StatusError(error.code, error.code === 400 ? 'BadRequest' : '', error.message);
    }
    if (error instanceof ListItemError)
      throw new StatusError(500, '', `failed to merge config: ${error.message}`);
    throw error;
  }
  object.metadata ??= {};
  // Of an object that is not there no version is the wrong one.
  if (live === undefined) object.metadata.resourceVersion = undefined;
  if (live === undefined && object.metadata.uid) {
    const { uid, name = '' } = object.metadata;
    throw conflict(
      targetOf(kind),
      name,
      `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`,
    );
  }
  checkFields(
    kind,
    object,
    'Ignore',
    [],
    (problem) => new StatusError(500, '', `failed to convert new object: ${problem}`),
  );
  return object;
}

/** A manager as conflicts name it. */
function managerText(identifier: string): string {
  const { manager, operation, apiVersion, subresource } = parseIdentifier(identifier);
  const through = subresource === undefined ? '' : ` with subresource ${JSON.stringify(subresource)}`;
  return `${JSON.stringify(manager)}${through}${operation === 'Update' ? ` using ${apiVersion}` : ''}`;
}

function conflictStatus(conflicts: readonly Conflict[]): StatusError {
  const causes = conflicts.map(({ manager, path }) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with ${managerText(manager)}`,
    field: pathText(path),
  }));
  const [first] = conflicts;
  if (first !== undefined && conflicts.length === 1) {
    const what = `${managerText(first.manager)}: ${pathText(first.path)}`;
    return new StatusError(409, 'Conflict', `Apply failed with 1 conflict: conflict with ${what}`, {
      causes,
    });
  }
  const managers = [...new Set(conflicts.map(({ manager }) => manager))].sort();
  const lines = managers.flatMap((manager) => [
    `conflicts with ${managerText(manager)}:`,
    ...conflicts.filter((item) => item.manager === manager).map(({ path }) => `- ${pathText(path)}`),
  ]);
  return new StatusError(
    409,
    'Conflict',
    `Apply failed with ${conflicts.length} conflicts: ${lines.join('\n')}`,
    { causes },
  );
}

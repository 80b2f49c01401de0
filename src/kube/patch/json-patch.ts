import { isObject, type Json } from '../../util/json.ts';
import { PatchError } from './error.ts';
import { jsonEqual, setOwn } from './json.ts';

/** Operations of one patch, as the API server limits them. */
const MAX_OPERATIONS = 10_000;

const pointerParts = (pointer: string): string[] =>
  pointer === ''
    ? []
    : pointer
        .slice(1)
        .split('/')
        .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));

interface Operation {
  op: string;
  path: string;
  from?: string;
  value?: Json;
}

/** Checks the form of a patch: a list of operations with the members that RFC 6902 asks of each. */
function parse(patch: unknown): Operation[] {
  if (!Array.isArray(patch)) {
    throw new PatchError(400, 'error decoding patch: a JSON patch is a list of operations');
  }
  if (patch.length > MAX_OPERATIONS) {
    throw new PatchError(
      400,
      `The allowed maximum operations in a JSON patch is ${MAX_OPERATIONS}, got ${patch.length}`,
    );
  }
  return patch.map((operation: unknown, index) => {
    const fail = (what: string): PatchError =>
      new PatchError(400, `error decoding patch: operation ${index}: ${what}`);
    if (!isObject(operation)) throw fail('not an object');
    const { op, path, from } = operation;
    if (typeof op !== 'string') throw fail('missing "op"');
    if (!['add', 'remove', 'replace', 'move', 'copy', 'test'].includes(op)) {
      throw fail(`Unexpected kind: ${op}`);
    }
    const pointers = op === 'move' || op === 'copy' ? { path, from } : { path };
    for (const [name, pointer] of Object.entries(pointers)) {
      if (typeof pointer !== 'string') throw fail(`missing "${name}"`);
      if (pointer !== '' && !pointer.startsWith('/')) throw fail(`"${name}" must begin with /: ${pointer}`);
      if (/~(?![01])/.test(pointer)) throw fail(`"${name}" has an invalid escape: ${pointer}`);
    }
    if (['add', 'replace', 'test'].includes(op) && !Object.hasOwn(operation, 'value')) {
      throw fail('missing "value"');
    }
    return operation as unknown as Operation;
  });
}

/** The place in a list that a pointer's part names; `-` is behind the last where `end` allows it. */
function listIndex(list: Json[], part: string, end: boolean, attempt: string): number {
  if (part === '-' && end) return list.length;
  const index = /^(0|[1-9]\d*)$/.test(part) ? Number(part) : Number.NaN;
  if (!(index < list.length + (end ? 1 : 0))) {
    throw new PatchError(
      422,
      `${attempt}: Unable to access invalid index: ${part}: invalid index referenced`,
    );
  }
  return index;
}

/** Applies single operations to a document it owns. */
class Target {
  root: Json;

  constructor(root: Json) {
    this.root = root;
  }

  read(pointer: string, attempt: string): Json {
    let value = this.root;
    for (const part of pointerParts(pointer)) value = this.#child(value, part, pointer, attempt);
    return value;
  }

  add(pointer: string, value: Json, attempt: string): void {
    this.#at(pointer, attempt, value, (parent, part) => {
      if (Array.isArray(parent)) parent.splice(listIndex(parent, part, true, attempt), 0, value);
      else setOwn(parent, part, value);
    });
  }

  replace(pointer: string, value: Json, attempt: string, isStrict: boolean): void {
    if (isStrict) this.read(pointer, attempt);
    this.#at(pointer, attempt, value, (parent, part) => {
      if (Array.isArray(parent)) parent[listIndex(parent, part, false, attempt)] = value;
      else setOwn(parent, part, value);
    });
  }

  remove(pointer: string, attempt: string): void {
    this.read(pointer, attempt);
    this.#at(pointer, attempt, null, (parent, part) => {
      if (Array.isArray(parent)) parent.splice(listIndex(parent, part, false, attempt), 1);
      else delete parent[part];
    });
  }

  #child(value: Json, part: string, pointer: string, attempt: string): Json {
    if (Array.isArray(value)) return value[listIndex(value, part, false, attempt)]!;
    if (isObject(value) && Object.hasOwn(value, part)) return value[part]!;
    throw new PatchError(422, `${attempt}: doc is missing path: ${pointer}: missing value`);
  }

  #at(
    pointer: string,
    attempt: string,
    whole: Json,
    change: (parent: Json[] | { [key: string]: Json }, part: string) => void,
  ): void {
    const parts = pointerParts(pointer);
    const last = parts.pop();
    if (last === undefined) {
      this.root = whole;
      return;
    }
    let parent = this.root;
    for (const part of parts) parent = this.#child(parent, part, pointer, attempt);
    if (!Array.isArray(parent) && !isObject(parent)) {
      throw new PatchError(422, `${attempt}: doc is missing path: ${pointer}: missing value`);
    }
    change(parent, last);
  }
}

/**
 * Applies a JSON patch (RFC 6902), all of it or nothing; neither input is changed. Throws {@link PatchError}: 400 when the
 * patch is malformed, 422 when it does not fit the document or a `test` fails. Messages are those kubectl users know.
 * `replaceAdds`: a member that `replace` does not find is added, as Kubernetes' API server does (gopkg.in/evanphx/json-patch.v4).
 */
export function jsonPatch(
  document: unknown,
  patch: unknown,
  { replaceAdds = false }: { replaceAdds?: boolean } = {},
): unknown {
  const operations = parse(patch);
  const target = new Target(structuredClone(document) as Json);
  for (const { op, path, from, value } of operations) {
    const attempt = `${op} operation does not apply`;
    switch (op) {
      case 'add':
        target.add(path, structuredClone(value!), attempt);
        break;
      case 'remove':
        target.remove(path, attempt);
        break;
      case 'replace':
        target.replace(path, structuredClone(value!), attempt, !replaceAdds);
        break;
      case 'copy':
        target.add(path, structuredClone(target.read(from!, attempt)), attempt);
        break;
      case 'move': {
        if (path !== from && path.startsWith(`${from}/`)) {
          throw new PatchError(422, `${attempt}: ${from} cannot be moved into itself (${path})`);
        }
        const moved = target.read(from!, attempt);
        target.remove(from!, attempt);
        target.add(path, moved, attempt);
        break;
      }
      case 'test': {
        // A member that is absent equals null, as in the library the API server uses.
        const missing = value === null && !exists(target, path);
        if (!missing && !jsonEqual(target.read(path, `testing path ${path}`), value)) {
          throw new PatchError(422, `testing value ${path} failed: test failed`);
        }
      }
    }
  }
  return target.root;
}

function exists(target: Target, pointer: string): boolean {
  try {
    target.read(pointer, '');
    return true;
  } catch (error) {
    if (error instanceof PatchError) return false;
    throw error;
  }
}

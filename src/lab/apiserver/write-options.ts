import {
  type FieldError,
  forbidden,
  invalid as invalidValue,
  required,
  tooLong,
} from '../kubernetes/validation/field-error.ts';
import type { Exchange } from './exchange.ts';
import { invalidOptions, type OptionsKind } from './options-errors.ts';
import { isTrue } from './request-info.ts';

/** Bytes that the name of a field manager may have. */
const MANAGER_LIMIT = 128;
/** What nearly every name is made of. */
const PLAIN = /^[ -~]*$/;
const UNPRINTABLE = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/u;

/** Who writes: `fieldManager`, or the program that the client calls itself. Throws Invalid for a name that cannot be one. */
export function managerOf(exchange: Exchange, kind: OptionsKind): string {
  const given = exchange.info.query.get('fieldManager') ?? '';
  refuse(kind, managerErrors(given));
  return given === '' ? programOf(String(exchange.request.headers['user-agent'] ?? '')) : given;
}

/** The parameters that only an apply has. Throws Invalid where it has no manager. */
export function applyOptionsOf(exchange: Exchange): { manager: string; force: boolean } {
  const { query } = exchange.info;
  const manager = query.get('fieldManager') ?? '';
  const missing = manager === '' ? [required('fieldManager', 'is required for apply patch')] : [];
  refuse('PatchOptions', [...missing, ...managerErrors(manager)]);
  return { manager, force: isTrue(query.get('force')) };
}

/** Throws Invalid where a write that is no apply is to be forced. */
export function refuseForce(exchange: Exchange): void {
  if (exchange.info.query.get('force') === null) return;
  refuse('PatchOptions', [forbidden('force', 'may not be specified for non-apply patch')]);
}

function refuse(kind: OptionsKind, errors: FieldError[]): void {
  if (errors.length > 0) throw invalidOptions(kind, errors);
}

function managerErrors(manager: string): FieldError[] {
  const errors: FieldError[] = [];
  if (Buffer.byteLength(manager) > MANAGER_LIMIT) errors.push(tooLong('fieldManager', MANAGER_LIMIT));
  if (PLAIN.test(manager)) return errors;
  let position = 0;
  for (const letter of manager) {
    if (UNPRINTABLE.test(letter)) {
      const code = letter.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0');
      errors.push(
        invalidValue('fieldManager', manager, `invalid character U+${code} (at position ${position})`),
      );
    }
    position += Buffer.byteLength(letter);
  }
  return errors;
}

/** The part of a user agent before the version, as far as it can be the name of a manager. */
function programOf(userAgent: string): string {
  const name = userAgent.split('/')[0] ?? '';
  if (name.length <= MANAGER_LIMIT && PLAIN.test(name)) return name;
  let program = '';
  for (const letter of name) {
    if (UNPRINTABLE.test(letter)) continue;
    if (Buffer.byteLength(program + letter) > MANAGER_LIMIT) break;
    program += letter;
  }
  return program;
}

import { type FieldError, notSupported } from '../kubernetes/validation/field-error.ts';
import { invalid, type StatusError } from './status-error.ts';

/** The parameters of a request, as the type that they are decoded into. */
export type OptionsKind =
  | 'CreateOptions'
  | 'UpdateOptions'
  | 'PatchOptions'
  | 'DeleteOptions'
  | 'ListOptions';

/** The answer to parameters that do not hold, in Kubernetes' words. */
export function invalidOptions(kind: OptionsKind, errors: readonly FieldError[]): StatusError {
  return invalid({ group: 'meta.k8s.io', kind }, '', errors);
}

const VALIDATIONS = ['', 'Ignore', 'Strict', 'Warn'] as const;

/** What to do about fields a kind does not have: the `fieldValidation` parameter. */
export type FieldValidation = 'Strict' | 'Warn' | 'Ignore';

/** Reads the parameter; without it fields are warned of, as Kubernetes does since 1.25. */
export function fieldValidationOf(query: URLSearchParams, kind: OptionsKind): FieldValidation {
  const value = query.get('fieldValidation') ?? '';
  if (value === '') return 'Warn';
  if (value === 'Strict' || value === 'Warn' || value === 'Ignore') return value;
  throw invalidOptions(kind, [notSupported('fieldValidation', value, VALIDATIONS)]);
}

/** Whether a write is only tried. Throws Invalid for a value other than `All`. */
export function dryRunOf(values: readonly string[], kind: OptionsKind): boolean {
  const given = values.filter((value) => value !== '');
  if (given.some((value) => value !== 'All'))
    throw invalidOptions(kind, [notSupported('dryRun', given, ['All'])]);
  return given.length > 0;
}

/** Small rules that several kinds share. */

import { portNameErrors, portNumberErrors } from '../../../kube/names.ts';
import { type FieldError, invalid, notSupported, required } from './field-error.ts';

const NON_NEGATIVE = 'must be greater than or equal to 0';

export const PROTOCOLS: readonly string[] = ['SCTP', 'TCP', 'UDP'];

/** One `invalid` for each complaint about a value. */
export function allInvalid(field: string, value: unknown, details: readonly string[]): FieldError[] {
  return details.map((detail) => invalid(field, value, detail));
}

export function nonNegative(field: string, value: number | undefined): FieldError[] {
  return value !== undefined && value < 0 ? [invalid(field, value, NON_NEGATIVE)] : [];
}

export function inRange(field: string, value: number | undefined, low: number, high: number): FieldError[] {
  return value !== undefined && (value < low || value > high)
    ? [invalid(field, value, `must be between ${low} and ${high}, inclusive`)]
    : [];
}

/** `value`, when it is there, must be one of `supported`, which are printed in the order given. */
export function oneOf(field: string, value: string | undefined, supported: readonly string[]): FieldError[] {
  return value === undefined || supported.includes(value) ? [] : [notSupported(field, value, supported)];
}

export function requiredOneOf(
  field: string,
  value: string | undefined,
  supported: readonly string[],
): FieldError[] {
  return value === undefined || value === '' ? [required(field)] : oneOf(field, value, supported);
}

/** A port given by number or by the name of a container's port. */
export function portReference(field: string, port: number | string | undefined): FieldError[] {
  if (port === undefined) return [required(field)];
  return allInvalid(field, port, typeof port === 'number' ? portNumberErrors(port) : portNameErrors(port));
}

import type { FieldError } from '../kubernetes/validation/index.ts';

/** A value that is not acceptable, in Kubernetes' form `Invalid value: "x": why`. */
export function invalidField(field: string, badValue: unknown, detail: string): FieldError {
  const message = `Invalid value: ${JSON.stringify(badValue)}: ${detail}`;
  return { type: 'FieldValueInvalid', field, badValue, detail, message };
}

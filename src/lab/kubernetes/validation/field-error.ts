/** Kinds of {@link FieldError}, with the reason that a Status cause carries for each. */
export type FieldErrorType =
  | 'FieldValueRequired'
  | 'FieldValueInvalid'
  | 'FieldValueNotSupported'
  | 'FieldValueDuplicate'
  | 'FieldValueNotFound'
  | 'FieldValueForbidden'
  | 'FieldValueTooLong'
  | 'FieldValueTooMany'
  | 'FieldValueTypeInvalid';

/** One thing wrong with an object, as Kubernetes' field errors. */
export interface FieldError {
  readonly type: FieldErrorType;
  /** Path of the field: `spec.containers[0].ports[0].hostPort`. */
  readonly field: string;
  readonly badValue?: unknown;
  readonly detail: string;
  /** The whole text after the path: `Invalid value: 70000: must be between 1 and 65535, inclusive`. */
  readonly message: string;
}

/** A value as these errors print it: strings quoted, structures as JSON. */
function printed(value: unknown): string {
  if (value === null || value === undefined) return 'null';
  if (typeof value === 'string') return JSON.stringify(value);
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function make(
  type: FieldErrorType,
  field: string,
  text: string,
  detail: string,
  badValue?: unknown,
): FieldError {
  const message = detail === '' ? text : `${text}: ${detail}`;
  return { type, field, ...(badValue === undefined ? {} : { badValue }), detail, message };
}

export function required(field: string, detail = ''): FieldError {
  return make('FieldValueRequired', field, 'Required value', detail);
}

export function invalid(field: string, value: unknown, detail: string): FieldError {
  return make('FieldValueInvalid', field, `Invalid value: ${printed(value)}`, detail, value);
}

/** `supported` is printed in the order given; Kubernetes sorts its sets. */
export function notSupported(field: string, value: unknown, supported: readonly string[]): FieldError {
  const list = supported.map((item) => JSON.stringify(item)).join(', ');
  return make(
    'FieldValueNotSupported',
    field,
    `Unsupported value: ${printed(value)}`,
    `supported values: ${list}`,
    value,
  );
}

export function duplicate(field: string, value: unknown): FieldError {
  return make('FieldValueDuplicate', field, `Duplicate value: ${printed(value)}`, '', value);
}

export function notFound(field: string, value: unknown): FieldError {
  return make('FieldValueNotFound', field, `Not found: ${printed(value)}`, '', value);
}

export function forbidden(field: string, detail: string): FieldError {
  return make('FieldValueForbidden', field, 'Forbidden', detail);
}

export function tooLong(field: string, limit: number): FieldError {
  return make('FieldValueTooLong', field, 'Too long', `may not be more than ${limit} bytes`);
}

export function tooMany(field: string, actual: number, limit: number): FieldError {
  return make('FieldValueTooMany', field, `Too many: ${actual}`, `must have at most ${limit} items`);
}

/** A value of another type than it must be: printed like an invalid one, with a reason of its own. */
export function typeInvalid(field: string, value: unknown, detail: string): FieldError {
  return { ...invalid(field, value, detail), type: 'FieldValueTypeInvalid' };
}

/** The text of one error: `field: message`. */
export function fieldErrorText(error: FieldError): string {
  return `${error.field}: ${error.message}`;
}

/**
 * The message of an Invalid (422) Status: `Pod "x" is invalid: field: message`, or a bracketed list when there are several,
 * duplicates once, as Kubernetes' aggregate prints them.
 */
export function invalidMessage(
  kind: string,
  group: string,
  name: string,
  errors: readonly FieldError[],
): string {
  const texts = [...new Set(errors.map(fieldErrorText))];
  const list = texts.length === 1 ? texts[0] : `[${texts.join(', ')}]`;
  return `${group === '' ? kind : `${kind}.${group}`} ${JSON.stringify(name)} is invalid: ${list}`;
}

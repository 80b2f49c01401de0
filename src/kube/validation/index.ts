export { type FieldError, type FieldErrorType, fieldErrorText, invalidMessage } from './field-error.ts';
export { prune, quantityError, typeErrors, unknownFields } from './structure.ts';
export { validateCreate, validateUpdate } from './validate.ts';

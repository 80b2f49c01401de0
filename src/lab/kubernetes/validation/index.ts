export { type FieldError, invalidMessage } from './field-error.ts';
export { prune, typeErrors, unknownFields } from './structure.ts';
export { validateCreate, validateUpdate } from './validate.ts';

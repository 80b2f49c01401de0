export { type FieldError, invalidMessage } from './field-error.ts';
export { metadataTypeErrors, prune, pruneMetadata, typeErrors, unknownFields } from './structure.ts';
export { validateCreate, validateUpdate } from './validate.ts';

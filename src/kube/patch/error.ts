/** A patch that cannot be read (`code` 400) or cannot be applied to this document (`code` 422). */
export class PatchError extends Error {
  readonly code: 400 | 422;

  constructor(code: 400 | 422, message: string) {
    super(message);
    this.name = 'PatchError';
    this.code = code;
  }
}

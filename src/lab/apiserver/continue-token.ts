import { badRequest } from './status-error.ts';

/** Where the next page of a list begins. */
export interface ContinueToken {
  readonly revision: number;
  /** The last key of the page before, without the collection's prefix. */
  readonly after: string;
}

export function encodeContinue(token: ContinueToken): string {
  const text = JSON.stringify({ v: 'meta.k8s.io/v1', rv: token.revision, start: token.after });
  return Buffer.from(text).toString('base64url');
}

/** Reads a token. Throws a BadRequest when this server did not write it. */
export function decodeContinue(text: string): ContinueToken {
  try {
    const token = JSON.parse(Buffer.from(text, 'base64url').toString()) as Record<string, unknown>;
    const { v, rv, start } = token;
    if (
      v === 'meta.k8s.io/v1' &&
      Number.isSafeInteger(rv) &&
      typeof start === 'string' &&
      !start.includes('..')
    ) {
      return { revision: rv as number, after: start };
    }
  } catch {
    // Not base64url of JSON: the same answer as for a token with other contents.
  }
  throw badRequest('continue key is not valid: incorrect encoded continue token (version meta.k8s.io/v1)');
}

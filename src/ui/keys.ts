import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** The secrets of one run of the page's server. */
export interface Keys {
  /** In the address that is printed: whoever has it may open the page. */
  token: string;
  /** In the cookie that the token is exchanged for. */
  session: string;
  /** In the page, and in a header of each request that changes something: a cookie alone changes nothing. */
  action: string;
  /**
   * The path that everything is below, with slashes around it. Not a secret, but not to be guessed either: browsers send cookies to every port of a
   * host, and this one goes to this path alone.
   */
  base: string;
}

export function newKeys(): Keys {
  const random = (bytes: number) => randomBytes(bytes).toString('base64url');
  return {
    token: random(24),
    session: random(24),
    action: random(24),
    base: `/${randomBytes(8).toString('hex')}/`,
  };
}

/** Whether a text is the secret; takes as long for any text. */
export function isSecret(secret: string, text: string | null | undefined): boolean {
  const digest = (of: string) => createHash('sha256').update(of).digest();
  return timingSafeEqual(digest(secret), digest(text ?? '')) && text !== null && text !== undefined;
}

/** The value of a cookie. */
export function cookieOf(header: string | null, name: string): string | undefined {
  for (const part of header?.split(';') ?? []) {
    const at = part.indexOf('=');
    if (at > 0 && part.slice(0, at).trim() === name) return part.slice(at + 1).trim();
  }
  return undefined;
}

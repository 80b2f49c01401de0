import type { IncomingMessage } from 'node:http';
import { ANONYMOUS, UNAUTHENTICATED, type User } from './identity.ts';
import type { ServiceAccountTokens } from './service-account-tokens.ts';

const NOBODY: User = { name: ANONYMOUS, uid: '', groups: [UNAUTHENTICATED] };

/**
 * Finds out who makes a request, by its bearer token: a static one, or a service account's. Client certificates are no
 * identity here: Bun's server says whether one was good, but not whose it is.
 */
export class Authenticator {
  readonly #staticTokens: ReadonlyMap<string, User>;
  readonly #tokens: ServiceAccountTokens | undefined;

  constructor(staticTokens: ReadonlyMap<string, User>, tokens: ServiceAccountTokens | undefined) {
    this.#staticTokens = staticTokens;
    this.#tokens = tokens;
  }

  /** Who asks: `system:anonymous` without credentials; undefined for those that are not valid. */
  async authenticate(request: IncomingMessage): Promise<User | undefined> {
    const header = request.headers.authorization;
    const token = /^Bearer +(\S+) *$/i.exec(header ?? '')?.[1];
    return token === undefined ? NOBODY : (await this.reviewToken(token))?.user;
  }

  /** Who a token stands for, and for which of `audiences` (default: this server's). */
  async reviewToken(
    token: string,
    audiences?: readonly string[],
  ): Promise<{ user: User; audiences?: string[] } | undefined> {
    const user = this.#staticTokens.get(token);
    if (user !== undefined) {
      const own = this.#tokens?.issuer;
      return { user, ...(own === undefined || audiences?.length ? {} : { audiences: [own] }) };
    }
    // A JWT has three parts; anything else is not worth a signature check.
    if (this.#tokens === undefined || token.split('.').length !== 3) return undefined;
    return await this.#tokens.verify(token, audiences?.length ? audiences : undefined);
  }
}

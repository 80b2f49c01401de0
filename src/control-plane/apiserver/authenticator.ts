import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { AUTHENTICATED, type User } from './identity.ts';
import type { ServiceAccountTokens } from './service-account-tokens.ts';

/** Finds out who makes a request: a static token, a service account's token, or a client certificate. */
export class Authenticator {
  readonly #staticTokens: ReadonlyMap<string, User>;
  readonly #tokens: ServiceAccountTokens | undefined;

  constructor(staticTokens: ReadonlyMap<string, User>, tokens: ServiceAccountTokens | undefined) {
    this.#staticTokens = staticTokens;
    this.#tokens = tokens;
  }

  /** Undefined for a request that nobody vouches for. A bad token is not made good by a certificate. */
  async authenticate(request: IncomingMessage): Promise<User | undefined> {
    const header = request.headers.authorization;
    if (header !== undefined) {
      const token = /^Bearer +(\S+) *$/i.exec(header)?.[1];
      return token === undefined ? undefined : (await this.reviewToken(token))?.user;
    }
    return certificateUser(request.socket as TLSSocket);
  }

  /** Who a token stands for, and for which of `audiences` (default: this server's). */
  async reviewToken(
    token: string,
    audiences?: readonly string[],
  ): Promise<{ user: User; audiences?: string[] } | undefined> {
    const user = this.#staticTokens.get(token);
    if (user !== undefined) return { user };
    // A JWT has three parts; anything else is not worth a signature check.
    if (this.#tokens === undefined || token.split('.').length !== 3) return undefined;
    return await this.#tokens.verify(token, audiences?.length ? audiences : undefined);
  }
}

/** The subject of a client certificate that chains to the client CA: CN is the user, each O a group. */
function certificateUser(socket: TLSSocket): User | undefined {
  if (socket.authorized !== true) return undefined;
  const subject = socket.getPeerCertificate()?.subject as { CN?: string; O?: string | string[] } | undefined;
  if (!subject?.CN) return undefined;
  return { name: subject.CN, uid: '', groups: [...[subject.O ?? []].flat(), AUTHENTICATED] };
}

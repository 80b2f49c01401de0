import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { kindByName } from '../../kube/kinds.ts';
import { BACKDATE_MS } from '../../kube/pki.ts';
import { type Clock, realClock } from '../../sys/clock.ts';
import { AUTHENTICATED, SERVICE_ACCOUNT_PREFIX, type User } from './identity.ts';
import { keyOf } from './objects.ts';
import type { Storage } from './storage.ts';

const serviceAccountKind = kindByName('v1', 'ServiceAccount')!;
const podKind = kindByName('v1', 'Pod')!;

/** What a token is bound to. */
export interface TokenSubject {
  namespace: string;
  serviceAccount: { name: string; uid: string };
  /** The token ends with this pod. */
  pod?: { name: string; uid: string };
}

interface Claims {
  sub?: string;
  aud?: string | string[];
  'kubernetes.io'?: {
    namespace?: string;
    serviceaccount?: { name?: string; uid?: string };
    pod?: { name?: string; uid?: string };
  };
}

interface Verified {
  user: User;
  audiences: string[];
  /** Until when its objects are not looked up again ({@link Clock.monotonic}), and when it ends (since the epoch). */
  until: number;
  expires: number;
}

/** A verified token is believed for this long before its objects are looked up again. */
const CACHE_MS = 10_000;
const CACHE_LIMIT = 1000;

/** Signs and verifies service-account tokens: JWTs bound to an account, and a pod, that must still be there. */
export class ServiceAccountTokens {
  readonly issuer: string;
  readonly #storage: Storage;
  readonly #signingKey: KeyObject;
  readonly #publicKeys: readonly KeyObject[];
  readonly #clock: Pick<Clock, 'now' | 'monotonic'>;
  readonly #cache = new Map<string, Verified>();

  /** Keys are PEM texts; the signing key's own public half verifies as well. */
  constructor(options: {
    storage: Storage;
    issuer: string;
    signingKey: string;
    publicKeys: readonly string[];
    clock?: Pick<Clock, 'now' | 'monotonic'>;
  }) {
    this.issuer = options.issuer;
    this.#storage = options.storage;
    this.#signingKey = createPrivateKey(options.signingKey);
    this.#publicKeys = [
      createPublicKey(options.signingKey),
      ...options.publicKeys.map((pem) => createPublicKey(pem)),
    ];
    this.#clock = options.clock ?? realClock;
  }

  /** A new token. `audiences` empty means the API server itself. */
  async issue(
    subject: TokenSubject,
    audiences: readonly string[],
    seconds: number,
  ): Promise<{ token: string; expires: number }> {
    // Loaded when the first token is asked for: a server that is starting has other things to do.
    const { SignJWT } = await import('jose');
    const issuedAt = Math.floor(this.#clock.now() / 1000);
    const expires = issuedAt + seconds;
    const { name, uid } = subject.serviceAccount;
    const claims = {
      'kubernetes.io': {
        namespace: subject.namespace,
        serviceaccount: { name, uid },
        ...(subject.pod === undefined ? {} : { pod: subject.pod }),
      },
    };
    const token = await new SignJWT(claims)
      .setProtectedHeader({
        alg: algorithmOf(this.#signingKey),
        kid: keyId(createPublicKey(this.#signingKey)),
      })
      .setIssuer(this.issuer)
      .setSubject(`${SERVICE_ACCOUNT_PREFIX}${subject.namespace}:${name}`)
      .setAudience(audiences.length === 0 ? [this.issuer] : [...audiences])
      .setIssuedAt(issuedAt)
      .setNotBefore(issuedAt - BACKDATE_MS / 1000)
      .setExpirationTime(expires)
      .setJti(crypto.randomUUID())
      .sign(this.#signingKey);
    return { token, expires: expires * 1000 };
  }

  /**
   * Who a token stands for; undefined when it is not one of ours, has ended, is for none of `audiences` (default: this
   * server), or its account or pod is gone. Rejects when storage cannot be asked.
   */
  async verify(
    token: string,
    audiences: readonly string[] = [this.issuer],
  ): Promise<{ user: User; audiences: string[] } | undefined> {
    const now = this.#clock.now();
    const monotonic = this.#clock.monotonic();
    const known = this.#cache.get(token);
    if (known !== undefined && known.until > monotonic && known.expires > now) return meant(known, audiences);
    const { jwtVerify } = await import('jose');
    for (const key of this.#publicKeys) {
      let claims: Claims & { exp?: number };
      try {
        const options = { issuer: this.issuer, algorithms: [algorithmOf(key)], currentDate: new Date(now) };
        claims = (await jwtVerify<Claims>(token, key, options)).payload;
      } catch {
        continue;
      }
      const user = await this.#userOf(claims);
      if (user === undefined) return undefined;
      const verified = { user, audiences: [claims.aud ?? []].flat() };
      if (this.#cache.size >= CACHE_LIMIT) this.#cache.clear();
      this.#cache.set(token, { ...verified, until: monotonic + CACHE_MS, expires: (claims.exp ?? 0) * 1000 });
      return meant(verified, audiences);
    }
    return undefined;
  }

  /** The public keys as a JSON Web Key Set, for `/openid/v1/jwks`. */
  jwks(): Record<string, unknown> {
    const keys = this.#publicKeys.map((key) => ({
      use: 'sig',
      kid: keyId(key),
      alg: algorithmOf(key),
      ...key.export({ format: 'jwk' }),
    }));
    return { keys: keys.filter((key, at) => keys.findIndex(({ kid }) => kid === key.kid) === at) };
  }

  async #userOf(claims: Claims): Promise<User | undefined> {
    const bound = claims['kubernetes.io'];
    const { namespace, serviceaccount, pod } = bound ?? {};
    if (!namespace || !serviceaccount?.name || !serviceaccount.uid) return undefined;
    const [accountUid, podUid] = await Promise.all([
      this.#uidOf(keyOf(serviceAccountKind, namespace, serviceaccount.name)),
      pod?.name ? this.#uidOf(keyOf(podKind, namespace, pod.name)) : undefined,
    ]);
    if (accountUid !== serviceaccount.uid) return undefined;
    if (pod !== undefined && (podUid === undefined || podUid !== pod.uid)) return undefined;
    const extra =
      pod === undefined
        ? undefined
        : {
            'authentication.kubernetes.io/pod-name': [pod.name!],
            'authentication.kubernetes.io/pod-uid': [pod.uid!],
          };
    return {
      name: `${SERVICE_ACCOUNT_PREFIX}${namespace}:${serviceaccount.name}`,
      uid: serviceaccount.uid,
      groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, AUTHENTICATED],
      extra,
    };
  }

  async #uidOf(key: string): Promise<string | undefined> {
    const { item } = await this.#storage.get(key);
    return item === undefined
      ? undefined
      : (JSON.parse(item.value) as { metadata: { uid: string } }).metadata.uid;
  }
}

function meant(
  verified: { user: User; audiences: string[] },
  audiences: readonly string[],
): { user: User; audiences: string[] } | undefined {
  const common = verified.audiences.filter((audience) => audiences.includes(audience));
  return common.length === 0 ? undefined : { user: verified.user, audiences: common };
}

function algorithmOf(key: KeyObject): string {
  if (key.asymmetricKeyType === 'rsa') return 'RS256';
  if (key.asymmetricKeyType === 'ec') return 'ES256';
  throw new Error(
    `service-account key: ${key.asymmetricKeyType} keys are not supported; use RSA or ECDSA P-256`,
  );
}

function keyId(key: KeyObject): string {
  return createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('base64url');
}

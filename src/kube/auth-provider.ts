import type { StanzaFields } from './stanza-fields.ts';

/** What replaced the providers that kubectl no longer has. */
const REPLACED: Readonly<Record<string, string>> = {
  gcp: 'gke-gcloud-auth-plugin; run "gcloud container clusters get-credentials CLUSTER"',
  azure: 'kubelogin; run "kubelogin convert-kubeconfig"',
  openstack: 'client-keystone-auth, an exec plugin',
};

/** A token that ends within this time has ended, as in client-go. */
const MARGIN_MS = 10_000;

/**
 * The `auth-provider` of a user. kubectl has one left, `oidc`: the function returns its ID token while that is valid. It never renews the
 * token: an issuer may take a refresh token only once, and the new one would have to be written into the user's kubeconfig.
 * @throws UserError for every other provider, here, and when the token has ended, there; it says what to do.
 */
export function authProvider(provider: StanzaFields, now: () => number = Date.now): () => string {
  const name = provider.text('name') ?? provider.fail(' has no name');
  if (name !== 'oidc') {
    const instead = Object.hasOwn(REPLACED, name) ? `; use ${REPLACED[name]}` : '; use an exec plugin';
    provider.fail(` ${JSON.stringify(name)} was removed from Kubernetes${instead}`);
  }
  const token = provider.mapping('config')?.token('id-token');
  const renew = 'run any kubectl command, which renews it, or use the exec plugin kubelogin';
  return () => {
    if (token === undefined) return provider.fail(` "oidc" has no id-token; ${renew}`);
    const end = endOf(token) ?? provider.fail(' "oidc": id-token is not a JSON web token');
    if (end <= now() + MARGIN_MS) {
      provider.fail(` "oidc": id-token ended at ${new Date(end).toISOString()}; ${renew}`);
    }
    return token;
  };
}

/** When a JSON web token ends, in milliseconds; undefined when it is none, or does not say. Its signature is the server's to check. */
function endOf(token: string): number | undefined {
  const [, payload, signature] = token.split('.');
  if (payload === undefined || signature === undefined) return undefined;
  try {
    const { exp } = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
    return typeof exp === 'number' && Number.isFinite(exp) ? exp * 1000 : undefined;
  } catch {
    // Not JSON, so no such token.
    return undefined;
  }
}

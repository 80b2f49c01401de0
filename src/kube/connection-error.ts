import { messageOf } from '../util/errors.ts';

/** How requests reach a server, for words about why they did not. */
export interface Route {
  /** Where the configuration is from: `context "prod" of /root/.kube/config`. */
  origin?: string;
  proxy?: URL;
}

/**
 * A request that got no answer of the API: the server cannot be reached, is not the one that was meant, or broke off. Says what was asked
 * of which URL, by whose configuration and through which proxy. It has no secret: neither user and password of a URL, nor a header.
 */
export class ConnectionError extends Error {
  /** The error's code as the system, the TLS library or the runtime has it: `ECONNREFUSED`; undefined where there is none. */
  readonly code: string | undefined;

  constructor(method: string, url: string, route: Route, thrown: unknown) {
    const code = codeOf(thrown);
    const said = PROBLEMS[code ?? ''] ?? clean(thrown);
    // Without its cause, whose text may quote a URL with its password.
    super(`cannot ${method} ${describeTarget(url, route)}: ${said}`);
    this.name = 'ConnectionError';
    this.code = code;
  }
}

/** A URL with whose configuration and which proxy led to it, without users and passwords. */
export function describeTarget(url: string, { origin, proxy }: Route): string {
  const where = [
    ...(origin === undefined ? [] : [origin]),
    ...(proxy === undefined ? [] : [`through the proxy ${withoutUser(proxy.href)}`]),
  ];
  return `${withoutUser(url)}${where.length === 0 ? '' : ` (${where.join(', ')})`}`;
}

/** In the words of this program, because the runtime's own are advice to a programmer. Codes: errno(3), OpenSSL's X509_V_ERR_*. */
const PROBLEMS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ConnectionRefused: 'connection refused',
  ECONNRESET: 'the connection was closed without an answer',
  ConnectionClosed: 'the connection was closed without an answer',
  ENOTFOUND: 'no such host',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'the network is unreachable',
  ETIMEDOUT: 'no answer',
  TimeoutError: 'no answer in time',
  ERR_TLS_CERT_ALTNAME_INVALID: "the server's certificate is for another name; see tls-server-name",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    "the server's certificate is not signed by the given certificate authority",
  UNABLE_TO_GET_ISSUER_CERT: "the server's certificate is not signed by the given certificate authority",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    "the server's certificate is not signed by the given certificate authority",
  SELF_SIGNED_CERT_IN_CHAIN: "the server's certificate is not signed by the given certificate authority",
  DEPTH_ZERO_SELF_SIGNED_CERT: "the server's certificate is not signed by the given certificate authority",
  CERT_SIGNATURE_FAILURE: "the server's certificate is not signed by the given certificate authority",
  CERT_HAS_EXPIRED: "the server's certificate has expired",
  CERT_NOT_YET_VALID: "the server's certificate is not valid yet",
  FailedToOpenSocket: 'the connection could not be opened; are the certificates and the key valid?',
};

function codeOf(thrown: unknown): string | undefined {
  const { code, name } = (thrown ?? {}) as { code?: unknown; name?: unknown };
  if (typeof code === 'string') return code;
  return name === 'TimeoutError' ? name : undefined;
}

/** What the runtime says, without its advice and without passwords in URLs. */
function clean(thrown: unknown): string {
  return messageOf(thrown)
    .replace(/\.? For more information, pass `verbose.*$/s, '')
    .replace(/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@"]*@/gi, '$1');
}

/** A URL without the user and password that may be in it. */
function withoutUser(text: string): string {
  const url = URL.parse(text);
  if (url === null || (url.username === '' && url.password === '')) return text;
  url.username = '';
  url.password = '';
  return url.href;
}

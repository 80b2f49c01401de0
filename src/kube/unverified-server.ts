import type { ApiClientOptions } from './client.ts';

/** What to warn of when the server's certificate is not verified; undefined when it is, and for a server without TLS. */
export function unverifiedServer({
  server,
  insecureSkipTlsVerify,
  origin,
}: Pick<ApiClientOptions, 'server' | 'insecureSkipTlsVerify' | 'origin'>): string | undefined {
  if (!insecureSkipTlsVerify || !server.startsWith('https:')) return undefined;
  const where = origin === undefined ? '' : ` (${origin})`;
  return `the certificate of ${server} is not verified: insecure-skip-tls-verify is set${where}`;
}

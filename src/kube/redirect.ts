const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/**
 * Where an answer to a request for `asked` redirects to, without user, query and fragment, which may be secrets; undefined when it is not a
 * redirect.
 */
export function redirectOf({ status, headers }: Response, asked: URL): string | undefined {
  const location = headers.get('location');
  if (!REDIRECTS.has(status) || location === null) return undefined;
  const url = URL.parse(location, asked);
  return url === null ? 'an address that is not a URL' : `${url.protocol}//${url.host}${url.pathname}`;
}

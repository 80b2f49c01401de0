import type { ApiRequest } from './api-request.ts';

/**
 * Sends a request by the runtime's fetch, which reuses connections and is loaded anyway; what that cannot do is sent over a socket of our
 * own: several headers of one name, which fetch joins to one, and proxies, for which fetch always applies NO_PROXY, by rules of its own,
 * and of which it does not know SOCKS.
 */
export async function send(request: ApiRequest): Promise<Response> {
  const { method, url, headers, body, signal, tls, proxy } = request;
  const names = headers.map(([name]) => name.toLowerCase());
  if (proxy !== undefined || new Set(names).size < names.length) {
    const { sendOverSocket } = await import('./send-over-socket.ts');
    return sendOverSocket(request);
  }
  return fetch(url, {
    method,
    headers: headers as [string, string][],
    body,
    signal,
    // Another server is not to see who asks.
    redirect: 'manual',
    tls,
    // Without it fetch uses the environment's proxy, even for loopback.
    proxy: false,
  } as RequestInit);
}

import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { isCniName } from '../../cni/names.ts';
import { messageOf } from '../../util/errors.ts';
import type { AddressGrant, AddressRequest } from './cni/agent-api.ts';
import { type Ipam, PoolExhausted } from './ipam.ts';

/**
 * Serves addresses to the plugin over a unix socket that only root can open: `POST /v1/ipam` assigns one, `DELETE
 * /v1/ipam/<link>` releases it, `GET /v1/healthz` says that both work. 503 asks to try again, with the reason in plain text.
 */
export function serveIpam(
  socket: string,
  ipam: Ipam,
  mtu: number,
  log: (line: string) => void,
): { stop(): Promise<void> } {
  mkdirSync(dirname(socket), { recursive: true });
  // A killed agent leaves its socket behind, and nobody can be listening on it: there is one agent a node.
  rmSync(socket, { force: true });
  const server = Bun.serve({
    unix: socket,
    async fetch(request) {
      const { pathname } = new URL(request.url);
      const link = /^\/v1\/ipam\/(lxc[0-9a-f]{12})$/.exec(pathname)?.[1];
      try {
        if (request.method === 'POST' && pathname === '/v1/ipam') {
          const wanted = parseRequest(await request.text());
          if (typeof wanted === 'string') return new Response(wanted, { status: 400 });
          const address = await ipam.allocate(wanted);
          log(`assigned ${address} to ${wanted.link} of container ${wanted.containerId}`);
          return Response.json({ address, router: ipam.router, mtu } satisfies AddressGrant);
        }
        if (request.method === 'DELETE' && link !== undefined) {
          await ipam.release(link);
          return new Response(null, { status: 204 });
        }
        if (request.method === 'GET' && pathname === '/v1/healthz')
          return new Response(null, { status: 204 });
        return new Response(`no such endpoint: ${request.method} ${pathname}`, { status: 404 });
      } catch (error) {
        log(`${request.method} ${pathname}: ${messageOf(error)}`);
        return new Response(messageOf(error), { status: error instanceof PoolExhausted ? 503 : 500 });
      }
    },
  });
  chmodSync(socket, 0o600);
  return { stop: () => server.stop() };
}

/** The request in a body, or what is wrong with it. */
function parseRequest(text: string): AddressRequest | string {
  let body: Record<string, unknown>;
  try {
    body = JSON.parse(text) as Record<string, unknown>;
  } catch (cause) {
    return `not JSON: ${messageOf(cause)}`;
  }
  const { link, containerId, ifName } = body ?? {};
  if (typeof link !== 'string' || !/^lxc[0-9a-f]{12}$/.test(link)) return 'link must be lxc and 12 digits';
  if (typeof containerId !== 'string' || !isCniName(containerId))
    return 'containerId is not a valid container ID';
  if (typeof ifName !== 'string') return 'ifName must be a string';
  return { link, containerId, ifName };
}

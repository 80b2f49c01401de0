import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { isCniName } from '../../cni/names.ts';
import { messageOf } from '../../util/errors.ts';
import type { AddressGrant, AddressRequest } from './cni/agent-api.ts';
import type { Endpoints } from './endpoints.ts';
import { PoolExhausted } from './ipam.ts';

/**
 * Serves the plugin over a unix socket that only root can open, by some of the paths of Cilium's API: `GET /v1/config` and `/v1/healthz`
 * say that the agent works, `POST /v1/ipam` assigns an address, `PUT /v1/endpoint/<link>` has packets delivered to it, `DELETE
 * /v1/endpoint/<link>` ends that and takes the address back. 503 asks to try again, with the reason in plain text.
 */
export function serveAgent(
  socket: string,
  endpoints: Endpoints,
  mtu: number,
  log: (line: string) => void,
): { stop(): Promise<void> } {
  mkdirSync(dirname(socket), { recursive: true });
  // A killed agent leaves its socket behind, and nobody can be listening on it: there is one agent a node.
  rmSync(socket, { force: true });
  const { ipam, mac } = endpoints;
  const answer = async (method: string, path: string, body: string): Promise<Response> => {
    const link = /^\/v1\/endpoint\/(lxc[0-9a-f]{12})$/.exec(path)?.[1];
    if (method === 'POST' && path === '/v1/ipam') {
      const wanted = parseRequest(body);
      if (typeof wanted === 'string') return new Response(wanted, { status: 400 });
      const address = await ipam.allocate(wanted);
      log(`assigned ${address} to ${wanted.link} of container ${wanted.containerId}`);
      return Response.json({ address, mac, router: ipam.router, mtu } satisfies AddressGrant);
    }
    if (method === 'PUT' && link !== undefined) {
      const isKnown = await endpoints.create(link);
      return isKnown ? done() : new Response(`${link} has no address`, { status: 400 });
    }
    if (method === 'DELETE' && link !== undefined) {
      await endpoints.delete(link);
      return done();
    }
    if (method === 'GET' && path === '/v1/config') return Response.json({ router: ipam.router, mtu });
    if (method === 'GET' && path === '/v1/healthz') return Response.json({ cilium: { state: 'Ok' } });
    return new Response(`no such endpoint: ${method} ${path}`, { status: 404 });
  };
  const server = Bun.serve({
    unix: socket,
    async fetch(request) {
      const { pathname } = new URL(request.url);
      try {
        return await answer(request.method, pathname, await request.text());
      } catch (error) {
        log(`${request.method} ${pathname}: ${messageOf(error)}`);
        return new Response(messageOf(error), { status: error instanceof PoolExhausted ? 503 : 500 });
      }
    },
  });
  chmodSync(socket, 0o600);
  return { stop: () => server.stop() };
}

const done = () => new Response(null, { status: 204 });

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

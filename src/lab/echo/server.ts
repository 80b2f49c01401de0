import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { formatEndpoint } from '../../util/endpoint.ts';
import { messageOf } from '../../util/errors.ts';
import type { SelfSigned } from './certificate.ts';
import { canonicalHeader, type EchoConfiguration } from './configuration.ts';
import { renderPage } from './page.ts';
import { WEBSOCKET_PAGE } from './websocket-page.ts';

/** What a WebSocket of ours remembers: who is at its other end. */
interface Peer {
  remoteAddress: string;
}

export interface EchoServerOptions {
  port: number;
  headers: EchoConfiguration['headers'];
  environment: NodeJS.ProcessEnv;
  /** With it the server speaks TLS. */
  certificate?: SelfSigned;
  /** Takes one line for a request, as the original prints them. */
  log: (line: string) => void;
}

/**
 * Starts an echo server on every address of the machine: the text page on any path, the interactive page on /ws, and a
 * WebSocket that greets and then echoes on any path that asks for one.
 */
export function serveEcho(options: EchoServerOptions): Bun.Server<Peer> {
  const { certificate, log } = options;
  return Bun.serve<Peer>({
    port: options.port,
    ...(certificate === undefined ? {} : { tls: { cert: certificate.certPem, key: certificate.keyPem } }),
    // As Go's server has it: no limit to a body, none to the silence of a connection.
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    idleTimeout: 0,
    async fetch(request, server) {
      const remoteAddress = formatPeer(server.requestIP(request));
      const target = request.url.slice(new URL(request.url).origin.length);
      log(`${remoteAddress} | ${request.method} ${target}`);
      if (request.headers.get('upgrade')?.toLowerCase() === 'websocket') {
        if (server.upgrade(request, { data: { remoteAddress } })) return undefined;
        return new Response('Bad Request: not a WebSocket handshake\n', { status: 400 });
      }
      if (target.split('?')[0] === '/ws') {
        return new Response(WEBSOCKET_PAGE, { headers: { 'content-type': 'text/html' } });
      }
      return await page(options, request, remoteAddress, target);
    },
    websocket: {
      idleTimeout: 0,
      maxPayloadLength: 64 << 20,
      open(socket) {
        log(`${socket.data.remoteAddress} | upgraded to websocket`);
        socket.send(`Request served by ${hostname()}`);
      },
      message(socket, message) {
        const text = typeof message === 'string' ? `txt | ${message}` : `bin | ${message.length} byte(s)`;
        log(`${socket.data.remoteAddress} | ${text}`);
        socket.send(message);
      },
      close(socket, code) {
        log(`${socket.data.remoteAddress} | websocket closed (${code})`);
      },
    },
  });
}

async function page(
  options: EchoServerOptions,
  request: Request,
  remoteAddress: string,
  target: string,
): Promise<Response> {
  const headers: [string, string][] = [['Content-Type', 'text/plain'], ...options.headers];
  const text = renderPage({
    hostname: hostname(),
    remoteAddress,
    method: request.method,
    target,
    host: request.headers.get('host') ?? '',
    requestHeaders: [...request.headers]
      .filter(([name]) => name !== 'host')
      .map(([name, value]) => [canonicalHeader(name), value]),
    responseHeaders: headers,
    environment: options.environment,
    resolvConf: await contentOf('/etc/resolv.conf'),
    hosts: await contentOf('/etc/hosts'),
    now: now(),
  });
  const sent = request.body;
  if (sent === null) return new Response(text, { headers });
  // What was sent comes back below the page, as it arrives.
  const body = async function* () {
    yield Buffer.from(text);
    yield* sent;
  };
  return new Response(body() as unknown as ReadableStream, { headers });
}

async function contentOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    // The page is a look into the container: that a file cannot be read is what there is to see.
    return messageOf(error);
  }
}

/** The wall clock in nanoseconds; finer than milliseconds only until the clock is set. */
function now(): bigint {
  const milliseconds = Date.now();
  const fine =
    BigInt(Math.round(performance.timeOrigin * 1000)) * 1000n + BigInt(Math.round(performance.now() * 1e6));
  const apart = Number(fine / 1_000_000n) - milliseconds;
  return Math.abs(apart) <= 2 ? fine : BigInt(milliseconds) * 1_000_000n;
}

function formatPeer(peer: { address: string; port: number } | null): string {
  if (peer === null) return '';
  // An IPv4 client of a socket for both families is shown as what it is.
  const address = peer.address.replace(/^::ffff:(?=\d+\.)/i, '');
  return formatEndpoint({ address, port: peer.port });
}

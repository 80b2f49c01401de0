import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, isIP, type Socket } from 'node:net';
import { pipeline, Readable } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { createGunzip } from 'node:zlib';
import { userOf } from '../util/url-user.ts';
import type { ApiRequest, ServerTls } from './api-request.ts';
import { eventOf, readUntil } from './socket-reading.ts';
import { socksHandshake } from './socks.ts';

/**
 * Sends a request on a connection of its own, directly or through a proxy of any kind, and resolves with the answer when its headers are
 * there. Rejects with the error of the socket or of the proxy.
 */
export async function sendOverSocket(request: ApiRequest): Promise<Response> {
  const { method, url, headers, body, signal, proxy } = request;
  signal?.throwIfAborted();
  const socket = await dial(request);
  // A request without TLS is the proxy's to forward: it wants the whole URL, and its own password.
  const forwarded = url.protocol === 'http:' && proxy !== undefined && !proxy.protocol.startsWith('socks');
  const sent = httpRequest({
    method,
    path: forwarded ? withoutUser(url) : `${url.pathname}${url.search}`,
    headers: {
      host: url.host,
      connection: 'close',
      'accept-encoding': 'gzip',
      ...(forwarded ? proxyAuthorization(proxy) : {}),
      ...grouped(headers),
      ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
    },
    createConnection: () => socket,
  });
  const abort = () => sent.destroy(signal!.reason);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    const message = await answerOf(sent, body);
    message.once('close', () => signal?.removeEventListener('abort', abort));
    return responseOf(message);
  } catch (cause) {
    signal?.removeEventListener('abort', abort);
    socket.destroy();
    throw cause;
  }
}

/** A socket on which the server understands HTTP: connected, through the proxy, and past the TLS handshake. */
export async function dial({
  url,
  tls,
  proxy,
  signal,
}: Pick<ApiRequest, 'url' | 'tls' | 'proxy' | 'signal'>): Promise<Socket> {
  const host = hostOf(url);
  const port = portOf(url);
  const isTls = url.protocol === 'https:';
  const opened: Socket[] = [];
  const abort = () => opened.at(-1)?.destroy(signal!.reason);
  signal?.addEventListener('abort', abort, { once: true });
  const keep = (socket: Socket): Socket => {
    opened.push(socket);
    return outliving(socket);
  };
  try {
    let socket = keep(
      connect(proxy === undefined ? { host, port } : { host: hostOf(proxy), port: portOf(proxy) }),
    );
    await eventOf(socket, 'connect');
    if (proxy?.protocol === 'https:') socket = keep(await secure(socket, hostOf(proxy), without(tls)));
    if (proxy?.protocol.startsWith('socks')) await socksHandshake(socket, proxy, host, port);
    else if (proxy !== undefined && isTls) await tunnel(socket, proxy, `${url.hostname}:${port}`);
    return isTls ? keep(await secure(socket, host, tls)) : socket;
  } catch (cause) {
    for (const socket of opened) socket.destroy();
    throw cause;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

/** What a proxy is shown: the same authorities, and neither our certificate nor the server's name. */
function without({ ca, rejectUnauthorized }: ServerTls): ServerTls {
  return { ...(ca !== undefined && { ca }), ...(rejectUnauthorized !== undefined && { rejectUnauthorized }) };
}

async function secure(socket: Socket, host: string, tls: ServerTls): Promise<Socket> {
  const { serverName, ...rest } = tls;
  const name = serverName ?? host;
  // RFC 6066, 3: an address is no server name. The certificate is checked against it all the same.
  const named = isIP(name) === 0 && { servername: name };
  const secured = outliving(connectTls({ ...rest, socket, host: name, ...named }));
  await eventOf(secured, 'secureConnect');
  return secured;
}

/** A socket whose errors only those hear who wait for it: one that comes when nobody does would end the process. */
function outliving<S extends Socket>(socket: S): S {
  return socket.on('error', () => {});
}

/** Asks an HTTP proxy for a tunnel. Source: RFC 9110, 9.3.6. */
async function tunnel(socket: Socket, proxy: URL, authority: string): Promise<void> {
  const authorization = Object.entries(proxyAuthorization(proxy)).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${authorization.join('')}\r\n`);
  const head = await readUntil(socket, (bytes) => {
    const end = bytes.indexOf('\r\n\r\n');
    return end < 0 ? undefined : end + 4;
  });
  const [status = ''] = head.toString('latin1').split('\r\n');
  if (!/^HTTP\/1\.\d 2\d\d/.test(status)) {
    throw new Error(
      `the proxy refused to open a tunnel: ${status.replace(/^HTTP\/1\.\d /, '').slice(0, 200)}`,
    );
  }
}

function proxyAuthorization(proxy: URL): Record<string, string> {
  const user = userOf(proxy);
  if (user === undefined) return {};
  const { username, password } = user;
  return { 'proxy-authorization': `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` };
}

function grouped(headers: ApiRequest['headers']): Record<string, string[]> {
  const all: Record<string, string[]> = {};
  for (const [name, value] of headers) all[name] = [...(all[name] ?? []), value];
  return all;
}

function answerOf(sent: ClientRequest, body: string | undefined): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    sent.once('response', resolve);
    sent.once('error', reject);
    sent.end(body);
  });
}

const BODILESS = new Set([101, 204, 205, 304]);

function responseOf(message: IncomingMessage): Response {
  const status = message.statusCode ?? 0;
  const headers = new Headers();
  for (let i = 0; i < message.rawHeaders.length; i += 2) {
    headers.append(message.rawHeaders[i]!, message.rawHeaders[i + 1]!);
  }
  if (BODILESS.has(status)) return new Response(null, { status, headers });
  const isCompressed = headers.get('content-encoding') === 'gzip';
  // As fetch does: the body is read decompressed.
  if (isCompressed) headers.delete('content-encoding');
  // An error of either destroys the other, and with it the body that is being read.
  const body = isCompressed ? pipeline(message, createGunzip(), () => {}) : message;
  return new Response(Readable.toWeb(body) as unknown as ReadableStream, { status, headers });
}

const PORTS: Readonly<Record<string, number>> = {
  'http:': 80,
  'https:': 443,
  'socks5:': 1080,
  'socks5h:': 1080,
};

function portOf(url: URL): number {
  return url.port === '' ? PORTS[url.protocol]! : Number(url.port);
}

function hostOf(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, '$1');
}

function withoutUser(url: URL): string {
  const bare = new URL(url);
  bare.username = '';
  bare.password = '';
  bare.hash = '';
  return bare.href;
}

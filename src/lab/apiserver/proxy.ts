import { randomInt } from 'node:crypto';
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Endpoints, Pod, Service } from '../../kube/types.ts';
import { formatAddress, isLoopback, isMulticast, parseAddress } from '../../util/address.ts';
import { type Exchange, send } from './exchange.ts';
import { badRequest, serviceUnavailable } from './status-error.ts';

/** Where a proxied request goes. */
export interface ProxyTarget {
  scheme: 'http' | 'https';
  host: string;
  port: number;
}

/** Who is meant by the name in a proxy's URL: `[scheme:]name[:port]`, the port by number or by name, '' where it is not given. */
export interface ProxyName {
  scheme: 'http' | 'https';
  name: string;
  port: string;
}

/** Headers of one connection, and those that concern this server only. */
const NOT_FORWARDED = new Set([
  ...['authorization', 'connection', 'host', 'keep-alive', 'proxy-authorization', 'te', 'trailer'],
  ...['transfer-encoding', 'upgrade'],
]);
const DEFAULT_PORTS = { http: 80, https: 443 } as const;

/** Throws BadRequest for a text of another form. `what` names the kind in the error. */
export function parseProxyName(text: string, what: string): ProxyName {
  const parts = text.split(':');
  if (parts.length === 1) return { scheme: 'http', name: text, port: '' };
  const [scheme, name, port] = parts.length === 2 ? ['', ...parts] : parts;
  if (parts.length > 3 || !name || !['', 'http', 'https'].includes(scheme!)) {
    throw badRequest(`invalid ${what} request ${JSON.stringify(text)}`);
  }
  return { scheme: scheme === 'https' ? 'https' : 'http', name, port: port! };
}

/** The port that is asked for, else the first that the pod names, else the scheme's own. */
export function podTarget(pod: Pod, { scheme, port }: ProxyName): ProxyTarget {
  const named = (pod.spec?.containers ?? []).flatMap(({ ports }) => ports ?? [])[0]?.containerPort;
  return {
    scheme,
    host: reachable(pod.status?.podIP ?? ''),
    port: port === '' ? (named ?? DEFAULT_PORTS[scheme]) : portNumber(port),
  };
}

/** A port of a node that is not its kubelet's. Whoever listens there is not to be shown this server's certificate for kubelets. */
export function nodeTarget(host: string, { scheme, port }: ProxyName): ProxyTarget {
  return { scheme, host: reachable(host), port: portNumber(port) };
}

/** One of the ready addresses of a Service, at random; `port` is a port of the Service by number or name, '' for the unnamed. */
export function serviceTarget(
  service: Service,
  endpoints: Endpoints | undefined,
  { scheme, name, port }: ProxyName,
): ProxyTarget {
  const byNumber = service.spec?.ports?.find((candidate) => String(candidate.port) === port);
  if (/^\d+$/.test(port) && byNumber === undefined) {
    throw serviceUnavailable(`no service port ${port} found for service ${JSON.stringify(name)}`);
  }
  const portName = byNumber === undefined ? port : (byNumber.name ?? '');
  const candidates = (endpoints?.subsets ?? []).flatMap(({ addresses, ports }) => {
    const found = ports?.find((candidate) => (candidate.name ?? '') === portName);
    return found === undefined ? [] : (addresses ?? []).map(({ ip }) => ({ ip, port: found.port }));
  });
  if (candidates.length === 0) {
    throw serviceUnavailable(`no endpoints available for service ${JSON.stringify(name)}`);
  }
  const chosen = candidates[randomInt(candidates.length)]!;
  return { scheme, host: reachable(chosen.ip), port: chosen.port };
}

/** A proxy must not lead to this server's own machine: such an address is one that somebody wrote into a status. */
function reachable(ip: string): string {
  const address = parseAddress(ip);
  const isLocal =
    address === undefined ||
    isLoopback(address) ||
    isMulticast(address) ||
    /^(0\.|::ffff:|169\.254\.|255\.255\.255\.255$|::$|fe[89ab])/i.test(formatAddress(address));
  if (isLocal) throw badRequest('address not allowed');
  return ip;
}

function portNumber(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw badRequest(`invalid port ${JSON.stringify(text)}`);
  }
  return port;
}

/** Sends a request on to a pod or a Service and its answer back. Certificates of pods are nobody's to check, as in Kubernetes. */
export function forwardTo(
  exchange: Exchange,
  { scheme, host, port }: ProxyTarget,
  tail: string,
): Promise<void> {
  const opener: Opener = {
    open: (path, method, headers) =>
      scheme === 'https'
        ? httpsRequest({ host, port, path, method, headers, rejectUnauthorized: false })
        : httpRequest({ host, port, path, method, headers }),
    failed: (cause) => serviceUnavailable(`error trying to reach service: ${cause.message}`),
  };
  return forward(exchange, opener, tail);
}

/** Opens the requests of a proxy. */
export interface Opener {
  open(path: string, method: string, headers: Record<string, string | string[]>): ClientRequest;
  /** What the client learns when there is no answer. */
  failed(cause: Error): Error;
}

/**
 * Sends a request on over a connection that the opener makes, and its answer back as it comes. `tail` is what follows `proxy` in the
 * path.
 */
export async function forward(exchange: Exchange, { open, failed }: Opener, tail: string): Promise<void> {
  const { request, response, info, signal } = exchange;
  const mark = request.url?.indexOf('?') ?? -1;
  const query = mark < 0 ? '' : request.url!.slice(mark);
  if (tail === '' && (request.method === 'GET' || request.method === 'HEAD')) {
    // Links of a page are relative to a directory.
    response.setHeader('location', `${info.path}/${query}`);
    return send(response, 301, 'text/plain', '');
  }
  const headers: Record<string, string | string[]> = {
    'x-forwarded-uri': info.path,
    'x-forwarded-host': request.headers.host ?? '',
    'x-forwarded-proto': 'https',
  };
  for (const [name, value] of Object.entries(request.headers)) {
    const isOurs = NOT_FORWARDED.has(name) || name.startsWith('impersonate-');
    if (!isOurs && value !== undefined) headers[name] = value;
  }
  const outgoing = open(`${tail || '/'}${query}`, request.method ?? 'GET', headers);
  signal.addEventListener('abort', () => outgoing.destroy(), { once: true });
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.on('response', resolve);
    outgoing.on('error', (cause) => reject(failed(cause)));
    request.pipe(outgoing);
  });
  for (const [name, value] of Object.entries(answer.headers)) {
    if (!NOT_FORWARDED.has(name) && value !== undefined) response.setHeader(name, value);
  }
  response.writeHead(answer.statusCode ?? 502);
  const closed = new Promise<void>((resolve) => answer.on('close', () => resolve()));
  answer.on('error', () => response.destroy());
  answer.pipe(response);
  await closed;
}

import type { IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import { connect } from 'node:tls';
import { nodeAddresses } from '../../kube/node-addresses.ts';
import type { Node, Pod } from '../../kube/types.ts';
import { formatEndpoint } from '../../util/endpoint.ts';
import type { Exchange } from './exchange.ts';
import type { Opener } from './proxy.ts';
import { badRequest, internalError, StatusError, serviceUnavailable } from './status-error.ts';

/** How this server shows itself to kubelets, and whose certificates it believes. PEM texts. */
export interface KubeletCredentials {
  cert: string;
  key: string;
  ca: string;
}

/** Where a kubelet listens. */
export interface KubeletAddress {
  host: string;
  port: number;
}

const DEFAULT_KUBELET_PORT = 10_250;

/** A kubelet's address as its Node says it. Throws 500 for a node that has none, as Kubernetes does. */
export function kubeletAddressOf(node: Node): KubeletAddress {
  const [host] = nodeAddresses(node);
  if (host === undefined) {
    throw internalError(
      `no preferred addresses found; known addresses: ${JSON.stringify(node.status?.addresses ?? [])}`,
    );
  }
  return { host, port: node.status?.daemonEndpoints?.kubeletEndpoint?.Port || DEFAULT_KUBELET_PORT };
}

/** The container that a request means: the one named, or the only one. Throws BadRequest otherwise. */
export function containerOf(pod: Pod, asked: string | null): string {
  const name = pod.metadata?.name ?? '';
  const main = (pod.spec?.containers ?? []).map((container) => container.name);
  const all = [...main, ...(pod.spec?.initContainers ?? []).map((container) => container.name)];
  if (asked !== null && asked !== '') {
    if (!all.includes(asked)) throw badRequest(`container ${asked} is not valid for pod ${name}`);
    return asked;
  }
  if (main.length === 1) return main[0]!;
  const inits =
    all.length === main.length ? '' : ` or one of the init containers: [${all.slice(main.length).join(' ')}]`;
  throw badRequest(
    `a container name must be specified for pod ${name}, choose one of: [${main.join(' ')}]${inits}`,
  );
}

/** The path and query of the kubelet's endpoint for a pod's streaming subresource. */
export function kubeletPath(pod: Pod, subresource: string, query: URLSearchParams): string {
  const namespace = encodeURIComponent(pod.metadata?.namespace ?? '');
  const name = encodeURIComponent(pod.metadata?.name ?? '');
  if (subresource === 'portforward') return `/portForward/${namespace}/${name}${queryText(query, ['ports'])}`;
  const container = encodeURIComponent(containerOf(pod, query.get('container')));
  if (subresource === 'log') {
    const options = [
      'follow',
      'previous',
      'sinceSeconds',
      'sinceTime',
      'timestamps',
      'tailLines',
      'limitBytes',
    ];
    return `/containerLogs/${namespace}/${name}/${container}${queryText(query, options)}`;
  }
  // The kubelet's own names for the streams.
  const kubelet = new URLSearchParams();
  for (const [from, to] of [
    ['stdin', 'input'],
    ['stdout', 'output'],
    ['stderr', 'error'],
    ['tty', 'tty'],
  ] as const) {
    if (query.get(from) === 'true' || query.get(from) === '1') kubelet.set(to, '1');
  }
  for (const word of query.getAll('command')) kubelet.append('command', word);
  return `/${subresource}/${namespace}/${name}/${container}?${kubelet}`;
}

function queryText(query: URLSearchParams, names: readonly string[]): string {
  const kept = new URLSearchParams([...query].filter(([name]) => names.includes(name)));
  return kept.size === 0 ? '' : `?${kept}`;
}

/** All that a client learns of an address where none answers. */
const NO_KUBELET = 'no kubelet of this cluster answers there';

/** Forwards requests to kubelets. */
export class KubeletProxy {
  readonly #credentials: KubeletCredentials | undefined;
  readonly #agent: Agent;
  readonly #log: (line: string) => void;

  /** `log`: takes why a kubelet could not be reached, which clients do not learn. */
  constructor(credentials: KubeletCredentials | undefined, log: (line: string) => void) {
    this.#credentials = credentials;
    this.#log = log;
    this.#agent = new Agent({ ...credentials, keepAlive: false });
  }

  /** Answers with what the kubelet answers, as it comes (logs that are followed never end by themselves). */
  async stream(exchange: Exchange, address: KubeletAddress, path: string): Promise<void> {
    const { response, signal } = exchange;
    const answer = await this.read(address, path, signal);
    response.writeHead(answer.statusCode ?? 200, {
      'content-type': answer.headers['content-type'] ?? 'text/plain',
    });
    response.flushHeaders();
    const closed = new Promise<void>((resolve) => answer.on('close', () => resolve()));
    answer.on('error', () => response.destroy());
    answer.pipe(response);
    await closed;
  }

  /** What a kubelet answers to a GET, until `signal` aborts. Rejects when it refuses or cannot be reached. */
  read(address: KubeletAddress, path: string, signal?: AbortSignal): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const request = this.#open(address, path, 'GET', {});
      signal?.addEventListener('abort', () => request.destroy(), { once: true });
      request.on('error', (cause) => reject(this.#unreachable(address, path, cause)));
      request.on('response', (answer) => {
        if ((answer.statusCode ?? 500) < 400) return resolve(answer);
        void refusalText(answer).then(
          (text) => reject(kubeletRefusal(answer.statusCode ?? 500, text)),
          reject,
        );
      });
      request.end();
    });
  }

  /**
   * Passes an upgrade on and then bytes in both directions, not looking at them: SPDY or WebSocket is between the client
   * and the kubelet. Rejects, with nothing written to `socket`, when the kubelet does not switch protocols.
   */
  upgrade(
    incoming: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    address: KubeletAddress,
    path: string,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const headers: Record<string, string | string[]> = {};
      for (const [name, value] of Object.entries(incoming.headers)) {
        const passed = ['connection', 'upgrade'].includes(name) || /^(sec-websocket|x-stream)-/.test(name);
        if (passed && value !== undefined) headers[name] = value;
      }
      const request = this.#open(address, path, incoming.method ?? 'POST', headers);
      request.on('error', (cause) => reject(this.#unreachable(address, path, cause)));
      request.on('response', (answer) => {
        void refusalText(answer).then(
          (text) => reject(kubeletRefusal(answer.statusCode ?? 500, text)),
          reject,
        );
      });
      request.on('upgrade', (answer, upstream: Duplex, upstreamHead: Buffer) => {
        const lines = [`HTTP/1.1 101 Switching Protocols`];
        for (let at = 0; at < answer.rawHeaders.length; at += 2) {
          lines.push(`${answer.rawHeaders[at]}: ${answer.rawHeaders[at + 1]}`);
        }
        socket.write(`${lines.join('\r\n')}\r\n\r\n`);
        if (upstreamHead.length > 0) socket.write(upstreamHead);
        if (head.length > 0) upstream.write(head);
        joinStreams(socket, upstream);
        resolve();
      });
      request.end();
    });
  }

  /** A connection to a kubelet, for a protocol that is somebody else's to speak. */
  dial(address: KubeletAddress): Promise<Duplex> {
    const { host, port } = address;
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port, ...this.#required() });
      const onError = (cause: Error) => reject(this.#unreachable(address, '', cause));
      socket.once('error', onError);
      socket.once('secureConnect', () => {
        socket.off('error', onError);
        resolve(socket);
      });
    });
  }

  /** Opens requests to one kubelet, for a proxy. */
  opener(address: KubeletAddress): Opener {
    return {
      open: (path, method, headers) => this.#open(address, path, method, headers),
      failed: (cause) => {
        this.#unreachable(address, '', cause);
        return serviceUnavailable(`error trying to reach service: ${NO_KUBELET}`);
      },
    };
  }

  #open(address: KubeletAddress, path: string, method: string, headers: Record<string, string | string[]>) {
    const { host, port } = address;
    return httpsRequest({ host, port, path, method, headers, agent: this.#agent, ...this.#required() });
  }

  /**
   * A node says its own address. Whether something listens there, and what it is, would be an answer about whatever this server reaches: it goes into the
   * log only.
   */
  #unreachable({ host, port }: KubeletAddress, path: string, cause: Error): StatusError {
    const url = `https://${formatEndpoint({ address: host, port })}${path}`;
    this.#log(`cannot reach the kubelet at ${url}: ${cause.message}`);
    return internalError(`Get ${JSON.stringify(url)}: ${NO_KUBELET}`);
  }

  #required(): KubeletCredentials {
    if (this.#credentials !== undefined) return this.#credentials;
    throw new StatusError(
      503,
      'ServiceUnavailable',
      'this API server was started without --kubelet-client-certificate and cannot reach kubelets',
    );
  }
}

/** How long a side may stay open after the other side has ended. */
const LINGER_MS = 10_000;

/** Bytes both ways, each direction ended by itself; a side that breaks ends the other, after what was sent is through. */
function joinStreams(a: Duplex, b: Duplex): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.pipe(to);
    from.on('error', () => to.end());
    from.on('close', () => {
      to.end();
      const timer = setTimeout(() => to.destroy(), LINGER_MS);
      to.on('close', () => clearTimeout(timer));
    });
  }
}

async function refusalText(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8').trim();
}

/** The error that a client gets when a kubelet refuses its request. */
export function kubeletRefusal(code: number, text: string): StatusError {
  const reasons: Record<number, string> = { 400: 'BadRequest', 404: 'NotFound', 403: 'Forbidden' };
  if (code === 401 || code === 403)
    return internalError(`the kubelet refused this API server: ${code} ${text}`);
  return new StatusError(
    code,
    reasons[code] ?? 'InternalError',
    text === '' ? `the kubelet answered ${code}` : text,
  );
}

/** Answers on a socket whose HTTP response is not node's any more. */
export function refuseUpgrade(socket: Duplex, error: StatusError): void {
  const body = `${JSON.stringify(error.toStatus())}\n`;
  socket.end(
    `HTTP/1.1 ${error.code} ${error.reason}\r\ncontent-type: application/json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}

/** An empty log: what a pod without a node has. */
export function sendEmptyLog(exchange: Exchange): void {
  exchange.response.writeHead(204, { 'cache-control': 'no-cache, private' }).end();
}

import type { Duplex } from 'node:stream';
import type { ApiRequest, ServerTls } from './api-request.ts';
import { ConnectionError, describeTarget, type Route } from './connection-error.ts';
import type { CredentialSource, Credentials } from './credentials.ts';
import { proxyFor } from './proxy.ts';
import { redirectOf } from './redirect.ts';
import { apiVersionOf, pathOf, type Resource } from './resources.ts';
import { send } from './send.ts';
import type { KubeList, KubeObject, Status, WatchEvent } from './types.ts';

/** Where an API server is and who asks. All text is PEM or a token, not a path. */
export interface ApiClientOptions {
  /** `https://host:port`, possibly with a path that comes before every path of the API. */
  server: string;
  /** CA bundle that the server's certificate must chain to. Without it the system's. */
  ca?: string;
  /** The name that the server's certificate must have, and that is asked for (SNI). Default: the host of `server`. */
  tlsServerName?: string;
  /** Accepts any certificate of the server. */
  insecureSkipTlsVerify?: boolean;
  /** Bearer token, or a function that reads the current one (projected tokens are rotated). */
  token?: string | (() => string | Promise<string>);
  /** User and password, instead of a token. */
  basic?: Credentials['basic'];
  /** Client certificate and key, instead of a token. */
  cert?: string;
  key?: string;
  /** Credentials that change, asked for before every request, instead of a token, a user and a certificate. */
  credentials?: CredentialSource;
  /** Sent with every request, in this order; a name may occur several times. For impersonation. */
  headers?: readonly (readonly [name: string, value: string])[];
  /** URL of the proxy, or false for none. Default: as the environment has it. */
  proxy?: string | false;
  /** Asks the server not to compress answers. */
  disableCompression?: boolean;
  /** How long one request may take, in milliseconds; 0 for as long as it likes. Default 30 s. */
  timeoutMs?: number;
  /** Where this is from, for errors: `context "prod" of /root/.kube/config`. */
  origin?: string;
  /** What the server logs: `hostport-kubelet/0.1.0`. */
  userAgent: string;
}

export interface ListOptions {
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  limit?: number;
  continue?: string;
  resourceVersion?: string;
}

export interface WatchOptions extends ListOptions {
  signal: AbortSignal;
  allowWatchBookmarks?: boolean;
  /** The server ends the watch after this many seconds. */
  timeoutSeconds?: number;
  /** Called when the server has accepted the watch, before its first event. */
  onOpen?: () => void;
}

/** The Status that an API server answered with instead of what was asked for. */
export class ApiError extends Error {
  /** HTTP status code. */
  readonly code: number;
  /** Kubernetes' machine-readable reason: `NotFound`, `Conflict`, `AlreadyExists`, `Expired`, `Invalid`, … */
  readonly reason: string;
  readonly status: Status;

  /** @param target the path, with the server and whose configuration led there where that is known. */
  constructor(method: string, target: string, code: number, status: Status) {
    super(`${method} ${target}: ${status.message ?? `HTTP ${code}`}`);
    this.name = 'ApiError';
    this.code = code;
    this.reason = status.reason ?? '';
    this.status = status;
  }
}

/** True when `error` is an API answer with one of these reasons (`NotFound`, `Conflict`, …). */
export function hasReason(error: unknown, ...reasons: string[]): error is ApiError {
  return error instanceof ApiError && reasons.includes(error.reason);
}

export type PatchType = 'json' | 'merge' | 'strategic';

const TIMEOUT_MS = 30_000;

const PATCH_CONTENT_TYPE: Record<PatchType, string> = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
};

/**
 * A typed client of the Kubernetes API. It reaches a server as kubectl does: with the same credentials, through the same proxies, but it
 * follows no redirect. What only some requests need (sockets, SOCKS) is loaded with the first of them. Every method rejects with
 * {@link ApiError} when the server says no, and with {@link ConnectionError} when it cannot be reached. Errors of the credentials' source
 * are its own.
 */
export class ApiClient {
  readonly #options: ApiClientOptions;
  readonly #route: Route;

  /** @throws UserError when the environment's proxy cannot be used. */
  constructor(options: ApiClientOptions) {
    this.#options = options;
    const proxy = proxyFor(options.proxy, new URL(options.server), process.env);
    this.#route = {
      ...(options.origin !== undefined && { origin: options.origin }),
      ...(proxy && { proxy }),
    };
  }

  get server(): string {
    return this.#options.server;
  }

  /** The server, with whose configuration and which proxy led there: for errors. */
  get where(): string {
    return describeTarget(this.#options.server, this.#route);
  }

  get<T extends KubeObject>(resource: Resource<T>, name: string, namespace?: string): Promise<T> {
    return this.#json('GET', pathOf(resource, namespace, name));
  }

  list<T extends KubeObject>(
    resource: Resource<T>,
    options: ListOptions = {},
    signal?: AbortSignal,
  ): Promise<KubeList<T>> {
    return this.#json('GET', pathOf(resource, options.namespace) + query(options), undefined, {}, signal);
  }

  create<T extends KubeObject>(resource: Resource<T>, object: T): Promise<T> {
    const body = { apiVersion: apiVersionOf(resource), kind: resource.kind, ...object };
    return this.#json('POST', pathOf(resource, object.metadata?.namespace), body);
  }

  /** Replaces the object; a resourceVersion in its metadata that is no longer current is a Conflict. */
  update<T extends KubeObject>(resource: Resource<T>, object: T, subresource?: string): Promise<T> {
    const body = { apiVersion: apiVersionOf(resource), kind: resource.kind, ...object };
    const path = pathOf(resource, object.metadata?.namespace, object.metadata?.name);
    return this.#json('PUT', subresource === undefined ? path : `${path}/${subresource}`, body);
  }

  patch<T extends KubeObject>(
    resource: Resource<T>,
    name: string,
    namespace: string | undefined,
    type: PatchType,
    patch: unknown,
    subresource?: string,
  ): Promise<T> {
    const path = pathOf(resource, namespace, name);
    return this.#json('PATCH', subresource === undefined ? path : `${path}/${subresource}`, patch, {
      'content-type': PATCH_CONTENT_TYPE[type],
    });
  }

  /** Deletes one object. `body` is a DeleteOptions (gracePeriodSeconds, preconditions, propagationPolicy). */
  delete<T extends KubeObject>(
    resource: Resource<T>,
    name: string,
    namespace?: string,
    body: Record<string, unknown> = {},
  ): Promise<T | Status> {
    return this.#json('DELETE', pathOf(resource, namespace, name), {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      ...body,
    });
  }

  /** POSTs to a subresource (`binding`, `eviction`, `token`) and returns the answer. */
  postSubresource<R>(
    resource: Resource<KubeObject>,
    name: string,
    namespace: string | undefined,
    subresource: string,
    body: unknown,
  ): Promise<R> {
    return this.#json('POST', `${pathOf(resource, namespace, name)}/${subresource}`, body);
  }

  /**
   * Watches from `resourceVersion` on; ends when the server or the signal ends it. An ERROR event is thrown as
   * {@link ApiError} (code 410, reason Expired, asks for a new list).
   */
  async *watch<T extends KubeObject>(
    resource: Resource<T>,
    options: WatchOptions,
  ): AsyncGenerator<WatchEvent<T>> {
    const { signal, onOpen, ...rest } = options;
    const path = pathOf(resource, options.namespace) + query({ ...rest, watch: true });
    const response = await this.fetch('GET', path, undefined, {}, signal);
    onOpen?.();
    if (response.body === null) return;
    const decoder = new TextDecoder();
    let pending = '';
    for await (const chunk of this.#reading('WATCH', path, response.body, signal)) {
      pending += decoder.decode(chunk, { stream: true });
      const lines = pending.split('\n');
      pending = lines.pop() ?? '';
      for (const line of lines) {
        if (line === '') continue;
        const event = JSON.parse(line) as WatchEvent<T>;
        if (event.type === 'ERROR') {
          const status = event.object as unknown as Status;
          throw new ApiError('WATCH', this.#target(path), status.code ?? 500, status);
        }
        yield event;
      }
    }
  }

  /**
   * One request; resolves with a successful response whose body has not been read.
   * @param who what to show; default: the credentials of now.
   */
  async fetch(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
    signal?: AbortSignal,
    who?: Credentials,
  ): Promise<Response> {
    const { userAgent, headers: own = [], disableCompression, credentials } = this.#options;
    const shown = who ?? (await this.#who(signal));
    const all: Record<string, string> = {
      accept: 'application/json',
      'user-agent': userAgent,
      ...(disableCompression ? { 'accept-encoding': 'identity' } : {}),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...authorizationOf(shown),
      ...headers,
    };
    const request: ApiRequest = {
      method,
      url: new URL(this.#options.server + path),
      headers: [...Object.entries(all), ...own],
      tls: this.#tlsFor(shown),
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
      proxy: this.#route.proxy,
    };
    const response = await send(request).catch((thrown) => this.#unreachable(method, path, signal, thrown));
    const elsewhere = redirectOf(response, request.url);
    if (elsewhere !== undefined) {
      await response.body?.cancel();
      this.#unreachable(method, path, signal, new Error(`the server redirects to ${elsewhere}`));
    }
    if (response.status === 401) credentials?.refused(shown);
    if (!response.ok) {
      const status = await readStatus(response).catch((thrown) =>
        this.#unreachable(method, path, signal, thrown),
      );
      const known = withRetryAfter(status, response.headers.get('retry-after'));
      throw new ApiError(method, this.#target(path), response.status, known);
    }
    return response;
  }

  /**
   * A socket on which the server has switched to another protocol, with its answer's headers (by lower-case name) and the first bytes of that
   * protocol: for exec. Rejects as {@link fetch} does.
   */
  async openSocket(
    path: string,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): Promise<{ socket: Duplex; headers: Record<string, string>; head: Buffer }> {
    const { userAgent, headers: own = [], credentials } = this.#options;
    const shown = await this.#who(signal);
    const url = new URL(this.#options.server + path);
    // Few commands need it.
    const [{ dial }, { requestUpgrade, UpgradeRefused }] = await Promise.all([
      import('./send-over-socket.ts'),
      import('./streaming/upgrade.ts'),
    ]);
    const { proxy } = this.#route;
    const target = { url, tls: this.#tlsFor(shown), ...(proxy && { proxy }), signal };
    const socket = await dial(target).catch((thrown) => this.#unreachable('GET', path, signal, thrown));
    try {
      const all: (readonly [string, string])[] = [
        ['Host', url.host],
        ['User-Agent', userAgent],
        ...Object.entries(authorizationOf(shown)),
        ...Object.entries(headers),
        ...own,
      ];
      const answer = await requestUpgrade(socket, `${url.pathname}${url.search}`, all, signal, 'GET');
      return { socket, ...answer };
    } catch (thrown) {
      socket.destroy();
      if (!(thrown instanceof UpgradeRefused)) this.#unreachable('GET', path, signal, thrown);
      if (thrown.statusCode === 401) credentials?.refused(shown);
      throw new ApiError(
        'GET',
        this.#target(path),
        thrown.statusCode,
        withRetryAfter(statusOf(thrown.statusCode, thrown.body), thrown.retryAfter),
      );
    }
  }

  /** The text of a path that is not an object: `/readyz`. */
  async text(path: string, signal: AbortSignal): Promise<string> {
    const response = await this.fetch('GET', path, undefined, {}, signal);
    return response.text().catch((thrown) => this.#unreachable('GET', path, signal, thrown));
  }

  /** How the server is verified, and what it is shown. */
  #tlsFor({ cert, key }: Credentials): ServerTls {
    const { ca, tlsServerName, insecureSkipTlsVerify } = this.#options;
    return {
      ca,
      cert,
      key,
      ...(tlsServerName !== undefined && { serverName: tlsServerName }),
      ...(insecureSkipTlsVerify && { rejectUnauthorized: false }),
    };
  }

  /** A path as errors name it: with the server and whose configuration led there. */
  #target(path: string): string {
    return describeTarget(this.#options.server + path, this.#route);
  }

  /** The credentials of the next request. */
  async #who(signal: AbortSignal | undefined): Promise<Credentials> {
    const { token, basic, cert, key, credentials } = this.#options;
    if (credentials !== undefined) return credentials.current(signal);
    const bearer = typeof token === 'function' ? await token() : token;
    return { token: bearer, basic, cert, key };
  }

  /** Throws what a request without an answer ended with: the caller's own reason when it was aborted. */
  #unreachable(method: string, path: string, signal: AbortSignal | undefined, thrown: unknown): never {
    const why = signal?.aborted ? signal.reason : thrown;
    if (signal?.aborted && (why as Error | undefined)?.name !== 'TimeoutError') throw why;
    throw new ConnectionError(method, this.#options.server + path, this.#route, why);
  }

  /** The pieces of an answer; one that breaks off is a {@link ConnectionError}. */
  async *#reading(
    method: string,
    path: string,
    body: ReadableStream,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array> {
    try {
      yield* body as unknown as AsyncIterable<Uint8Array>;
    } catch (thrown) {
      this.#unreachable(method, path, signal, thrown);
    }
  }

  async #json<R>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
    caller?: AbortSignal,
  ): Promise<R> {
    // Before the deadline begins: a plugin may ask the user to log in.
    const who = await this.#who(caller);
    const { timeoutMs = TIMEOUT_MS } = this.#options;
    const ends = [...(timeoutMs === 0 ? [] : [AbortSignal.timeout(timeoutMs)]), ...(caller ? [caller] : [])];
    const signal = AbortSignal.any(ends);
    const response = await this.fetch(method, path, body, headers, signal, who);
    return (await response.json().catch((thrown) => this.#unreachable(method, path, signal, thrown))) as R;
  }
}

function authorizationOf({ token, basic }: Credentials): { authorization?: string } {
  // A header's value is bytes, each a character here.
  if (token !== undefined)
    return { authorization: `Bearer ${Buffer.from(token, 'utf8').toString('latin1')}` };
  if (basic === undefined) return {};
  const user = Buffer.from(`${basic.username}:${basic.password}`, 'utf8').toString('base64');
  return { authorization: `Basic ${user}` };
}

async function readStatus(response: Response): Promise<Status> {
  return statusOf(response.status, await response.text());
}

/** A Status with how long to wait, which a busy API server says in a header alone (RFC 9110, 10.2.3; it never gives a date). */
function withRetryAfter(status: Status, header: string | null | undefined): Status {
  const seconds = /^\d{1,6}$/.test(header ?? '') ? Number(header) : undefined;
  if (seconds === undefined || status.details?.retryAfterSeconds !== undefined) return status;
  return { ...status, details: { ...status.details, retryAfterSeconds: seconds } };
}

function statusOf(code: number, text: string): Status {
  try {
    return JSON.parse(text) as Status;
  } catch {
    // Something that is not an API server (a proxy, a load balancer) answered: its words are the message.
    return { message: `HTTP ${code}: ${text.slice(0, 500)}`, code };
  }
}

function query(options: object): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined && name !== 'namespace') parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return text === '' ? '' : `?${text}`;
}

import { apiVersionOf, pathOf, type Resource } from './resources.ts';
import type { KubeList, KubeObject, Status, WatchEvent } from './types.ts';

/** Where an API server is and who asks. All text is PEM or a token, not a path. */
export interface ApiClientOptions {
  /** `https://host:port`. */
  server: string;
  /** CA bundle that the server's certificate must chain to. Without it the system's. */
  ca?: string;
  /** Bearer token, or a function that reads the current one (projected tokens are rotated). */
  token?: string | (() => string | Promise<string>);
  /** Client certificate and key, instead of a token. */
  cert?: string;
  key?: string;
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
}

/** The Status that an API server answered with instead of what was asked for. */
export class ApiError extends Error {
  /** HTTP status code. */
  readonly code: number;
  /** Kubernetes' machine-readable reason: `NotFound`, `Conflict`, `AlreadyExists`, `Expired`, `Invalid`, … */
  readonly reason: string;
  readonly status: Status;

  constructor(method: string, path: string, code: number, status: Status) {
    super(`${method} ${path}: ${status.message ?? `HTTP ${code}`}`);
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

const PATCH_CONTENT_TYPE: Record<PatchType, string> = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
};

/**
 * A typed client of the Kubernetes API over fetch: what daemons on a node need, and no more, so that they start fast and
 * stay small. Every method rejects with {@link ApiError} when the server says no, and with fetch's error when there is no
 * server.
 */
export class ApiClient {
  readonly #options: ApiClientOptions;

  constructor(options: ApiClientOptions) {
    this.#options = options;
  }

  get server(): string {
    return this.#options.server;
  }

  get<T extends KubeObject>(resource: Resource<T>, name: string, namespace?: string): Promise<T> {
    return this.#json('GET', pathOf(resource, namespace, name));
  }

  list<T extends KubeObject>(resource: Resource<T>, options: ListOptions = {}): Promise<KubeList<T>> {
    return this.#json('GET', pathOf(resource, options.namespace) + query(options));
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
    const { signal, ...rest } = options;
    const path = pathOf(resource, options.namespace) + query({ ...rest, watch: true });
    const response = await this.fetch('GET', path, undefined, {}, signal);
    if (response.body === null) return;
    const decoder = new TextDecoder();
    let pending = '';
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      pending += decoder.decode(chunk, { stream: true });
      const lines = pending.split('\n');
      pending = lines.pop() ?? '';
      for (const line of lines) {
        if (line === '') continue;
        const event = JSON.parse(line) as WatchEvent<T>;
        if (event.type === 'ERROR') {
          const status = event.object as unknown as Status;
          throw new ApiError('WATCH', path, status.code ?? 500, status);
        }
        yield event;
      }
    }
  }

  /** One request; resolves with a successful response whose body has not been read. */
  async fetch(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
    signal?: AbortSignal,
  ): Promise<Response> {
    const { server, ca, cert, key, token, userAgent } = this.#options;
    const all: Record<string, string> = {
      accept: 'application/json',
      'user-agent': userAgent,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    };
    const bearer = typeof token === 'function' ? await token() : token;
    if (bearer !== undefined) all.authorization = `Bearer ${bearer}`;
    const response = await fetch(server + path, {
      method,
      headers: all,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
      tls: { ca, cert, key },
    } as RequestInit);
    if (!response.ok) throw new ApiError(method, path, response.status, await readStatus(response));
    return response;
  }

  async #json<R>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<R> {
    const response = await this.fetch(method, path, body, headers, AbortSignal.timeout(30_000));
    return (await response.json()) as R;
  }
}

async function readStatus(response: Response): Promise<Status> {
  const text = await response.text();
  try {
    return JSON.parse(text) as Status;
  } catch {
    // Something that is not an API server (a proxy, a load balancer) answered: its words are the message.
    return { message: `HTTP ${response.status}: ${text.slice(0, 500)}`, code: response.status };
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

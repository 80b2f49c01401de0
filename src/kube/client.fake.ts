import { ApiClient, ApiError } from './client.ts';
import { kindByPlural } from './kinds.ts';
import { jsonPatch } from './patch/json-patch.ts';
import { mergePatch } from './patch/merge-patch.ts';
import { parseFieldSelector } from './selectors/index.ts';
import type { KubeObject, Status, WatchEvent } from './types.ts';

interface Request {
  method: string;
  /** Path with query, as sent. */
  path: string;
  body: unknown;
}

interface Stored {
  group: string;
  plural: string;
  object: KubeObject;
}

interface Watcher {
  group: string;
  plural: string;
  namespace?: string;
  send(event: WatchEvent<KubeObject>): void;
  end(): void;
}

/**
 * An API server in memory, behind the real client: every request is routed by its path, so what a controller sends is what
 * a server would get. It keeps resourceVersions, uids, generateName, optimistic concurrency, finalizers, graceful deletion
 * of pods that are bound, status as a subresource, watches, and field selectors of lists. It admits its differences: no other
 * selectors, no defaulting, no validation, no authorisation, no paging, and a strategic merge patch is applied as a merge patch.
 */
export class FakeApi extends ApiClient {
  /** Every request so far, in order. */
  readonly requests: Request[] = [];
  /** Asked before every request; what it throws or rejects with is the answer. */
  intercept: ((request: Request) => void | Promise<void>) | undefined;
  readonly #objects = new Map<string, Stored>();
  readonly #watchers = new Set<Watcher>();
  readonly #now: () => number;
  #version = 1;
  #uids = 0;

  constructor(options: { now?: () => number } = {}) {
    super({ server: 'https://fake.invalid', userAgent: 'fake' });
    this.#now = options.now ?? Date.now;
  }

  /** Ends all watches, as a restarting server does. */
  disconnect(): void {
    for (const watcher of [...this.#watchers]) watcher.end();
  }

  override async fetch(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
    signal?: AbortSignal,
  ): Promise<Response> {
    const request = { method, path, body: structuredClone(body) };
    this.requests.push(request);
    await this.intercept?.(request);
    const url = new URL(path, 'https://fake.invalid');
    const match =
      /^\/(?:api|apis\/([^/]+))\/v1(?:\/namespaces\/([^/]+)(?=\/(?!(?:status|finalize)$).))?\/([^/]+)(?:\/([^/]+))?(?:\/([^/]+))?$/.exec(
        url.pathname,
      );
    if (match === null) throw this.#error(method, path, 404, 'NotFound', `no route ${url.pathname}`);
    const [, group = '', namespace, plural, name, subresource] = match as unknown as [
      string,
      string | undefined,
      string | undefined,
      string,
      string | undefined,
      string | undefined,
    ];
    if (method === 'GET' && name === undefined) {
      return url.searchParams.get('watch') === 'true'
        ? this.#watch(group, plural, namespace, url.searchParams.get('resourceVersion'), signal)
        : this.#list(group, plural, namespace, url.searchParams.get('fieldSelector'));
    }
    const key = [group, plural, namespace ?? '', name ?? ''].join('/');
    const answer = (object: KubeObject, code = 200) =>
      Response.json(structuredClone(object), { status: code });
    const fail = (code: number, reason: string, message: string) =>
      this.#error(method, path, code, reason, message);

    if (method === 'POST' && name === undefined) {
      const object = structuredClone(body) as KubeObject;
      const metadata = { ...object.metadata };
      metadata.name ??= `${metadata.generateName}${this.#random()}`;
      metadata.uid = `uid-${++this.#uids}`;
      metadata.creationTimestamp ??= new Date(this.#now()).toISOString();
      if (namespace !== undefined) metadata.namespace = namespace;
      if ('spec' in object) metadata.generation = 1;
      if (plural === 'namespaces') Object.assign(object, { spec: { finalizers: ['kubernetes'] } });
      const fullKey = [group, plural, namespace ?? '', metadata.name].join('/');
      if (this.#objects.has(fullKey)) {
        throw fail(409, 'AlreadyExists', `${plural} "${metadata.name}" already exists`);
      }
      return answer(this.#store(fullKey, { group, plural, object: { ...object, metadata } }, 'ADDED'), 201);
    }

    const stored = this.#objects.get(key);
    if (stored === undefined) throw fail(404, 'NotFound', `${plural} "${name}" not found`);
    const current = stored.object as KubeObject & { spec?: Record<string, unknown>; status?: object };
    if (method === 'GET') return answer(current);
    if (method === 'POST' && subresource === 'binding') {
      if (current.spec?.nodeName) throw fail(409, 'Conflict', `pod ${name} is already assigned to node`);
      const target = (body as { target: { name: string } }).target.name;
      const bound = { ...current, spec: { ...current.spec, nodeName: target } };
      this.#store(key, { ...stored, object: bound }, 'MODIFIED');
      return Response.json({ kind: 'Status', status: 'Success' });
    }
    if (method === 'PUT' || method === 'PATCH') {
      const type = headers['content-type'] ?? '';
      const wanted = (
        method === 'PUT'
          ? structuredClone(body)
          : type.includes('json-patch')
            ? jsonPatch(current, body, { replaceAdds: true })
            : mergePatch(current, body)
      ) as typeof current;
      const expected = wanted.metadata?.resourceVersion;
      if (expected !== undefined && expected !== current.metadata!.resourceVersion) {
        throw fail(409, 'Conflict', `${plural} "${name}": the object has been modified`);
      }
      const next =
        subresource === 'status'
          ? { ...current, status: wanted.status }
          : { ...wanted, ...(current.status === undefined ? {} : { status: current.status }) };
      const specChanged = JSON.stringify(next.spec) !== JSON.stringify(current.spec);
      next.metadata = {
        ...next.metadata,
        uid: current.metadata!.uid,
        creationTimestamp: current.metadata!.creationTimestamp,
        deletionTimestamp: current.metadata!.deletionTimestamp,
        generation: (current.metadata!.generation ?? 0) + (specChanged ? 1 : 0),
      };
      const held = plural === 'pods' || (plural === 'namespaces' && hasFinalizers(next.spec));
      if (next.metadata.deletionTimestamp && !next.metadata.finalizers?.length && !held) {
        return answer(this.#remove(key, { ...stored, object: next }));
      }
      return answer(this.#store(key, { ...stored, object: next }, 'MODIFIED'));
    }
    if (method === 'DELETE') {
      const options = (body ?? {}) as {
        gracePeriodSeconds?: number;
        propagationPolicy?: string;
        preconditions?: { uid?: string };
      };
      const uid = options.preconditions?.uid;
      if (uid !== undefined && uid !== current.metadata!.uid) {
        throw fail(409, 'Conflict', `the UID in the precondition does not match`);
      }
      const finalizers = [...(current.metadata!.finalizers ?? [])];
      if (options.propagationPolicy === 'Foreground') finalizers.push('foregroundDeletion');
      if (options.propagationPolicy === 'Orphan') finalizers.push('orphan');
      const graceful =
        plural === 'pods' && Boolean(current.spec?.nodeName) && options.gracePeriodSeconds !== 0;
      const held = plural === 'namespaces' && hasFinalizers(current.spec);
      if (finalizers.length === 0 && !graceful && !held) return answer(this.#remove(key, stored));
      const deletionTimestamp = new Date(this.#now()).toISOString();
      const metadata = { ...current.metadata, deletionTimestamp, finalizers };
      return answer(this.#store(key, { ...stored, object: { ...current, metadata } }, 'MODIFIED'));
    }
    throw fail(405, 'MethodNotAllowed', `${method} ${path}`);
  }

  #store(key: string, stored: Stored, type: 'ADDED' | 'MODIFIED'): KubeObject {
    const previous = this.#objects.get(key);
    const unchanged = withVersion(stored.object, previous?.object.metadata?.resourceVersion);
    // A write that changes nothing has no effect.
    if (previous !== undefined && JSON.stringify(previous.object) === JSON.stringify(unchanged))
      return unchanged;
    const object = withVersion(stored.object, String(++this.#version));
    this.#objects.set(key, { ...stored, object });
    this.#tell({ ...stored, object }, type);
    return object;
  }

  #remove(key: string, stored: Stored): KubeObject {
    this.#objects.delete(key);
    const object = withVersion(stored.object, String(++this.#version));
    this.#tell({ ...stored, object }, 'DELETED');
    return object;
  }

  #tell({ group, plural, object }: Stored, type: 'ADDED' | 'MODIFIED' | 'DELETED'): void {
    for (const watcher of this.#watchers) {
      if (watcher.group !== group || watcher.plural !== plural) continue;
      if (watcher.namespace !== undefined && watcher.namespace !== object.metadata?.namespace) continue;
      watcher.send({ type, object: structuredClone(object) });
    }
  }

  #list(
    group: string,
    plural: string,
    namespace: string | undefined,
    fieldSelector: string | null,
  ): Response {
    const isSelected =
      fieldSelector === null
        ? () => true
        : parseFieldSelector(kindByPlural(group, 'v1', plural)!, fieldSelector);
    const items = [...this.#objects.values()]
      .filter((stored) => stored.group === group && stored.plural === plural)
      .map((stored) => stored.object)
      .filter((object) => namespace === undefined || object.metadata?.namespace === namespace)
      .filter(isSelected);
    return Response.json({ kind: 'List', metadata: { resourceVersion: String(this.#version) }, items });
  }

  #watch(
    group: string,
    plural: string,
    namespace: string | undefined,
    from: string | null,
    signal: AbortSignal | undefined,
  ): Response {
    const encoder = new TextEncoder();
    let watcher: Watcher;
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        const end = () => {
          if (this.#watchers.delete(watcher)) controller.close();
        };
        const send = (event: WatchEvent<KubeObject>) =>
          controller.enqueue(encoder.encode(`${JSON.stringify(event)}\n`));
        watcher = { group, plural, namespace, send, end };
        this.#watchers.add(watcher);
        signal?.addEventListener('abort', end, { once: true });
        // No history is kept: a watcher that missed something has to list again.
        if (from !== null && Number(from) < this.#version) {
          const status = {
            kind: 'Status',
            code: 410,
            reason: 'Expired',
            message: 'too old resource version',
          };
          send({ type: 'ERROR', object: status as unknown as KubeObject });
        }
      },
      cancel: () => {
        this.#watchers.delete(watcher);
      },
    });
    return new Response(stream);
  }

  #random(): string {
    return `x${String(this.#version + 1).padStart(4, '0')}`;
  }

  #error(method: string, path: string, code: number, reason: string, message: string): ApiError {
    const status: Status = { code, reason, message };
    return new ApiError(method, path, code, status);
  }
}

function hasFinalizers(spec: Record<string, unknown> | undefined): boolean {
  return ((spec?.finalizers as string[] | undefined) ?? []).length > 0;
}

function withVersion(object: KubeObject, resourceVersion: string | undefined): KubeObject {
  return structuredClone({ ...object, metadata: { ...object.metadata, resourceVersion } });
}

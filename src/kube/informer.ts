import { type Clock, realClock } from '../sys/clock.ts';
import { Backoff } from '../util/backoff.ts';
import { type ApiClient, hasReason, type ListOptions } from './client.ts';
import { listPages } from './pages.ts';
import { keyOf, type Resource } from './resources.ts';
import type { KubeObject } from './types.ts';

export interface InformerHandlers<T> {
  onAdd?(object: T): void;
  onUpdate?(object: T, old: T): void;
  onDelete?(object: T): void;
}

/**
 * A local copy of a collection, kept by list and watch as client-go's reflector does: list, watch from there, resume from
 * the last resourceVersion when the connection ends, list again when the server says that version is gone (410). A
 * handler sees the difference between what it knew and what is, so a missed watch event is never a missed change.
 */
export class Informer<T extends KubeObject> {
  readonly store = new Map<string, T>();
  readonly #client: ApiClient;
  readonly #resource: Resource<T>;
  readonly #options: Pick<ListOptions, 'namespace' | 'labelSelector' | 'fieldSelector'>;
  readonly #handlers: InformerHandlers<T>[] = [];
  readonly #onError: (error: unknown) => void;
  readonly #onWatch: (() => void) | undefined;
  readonly #clock: Clock;
  readonly #slim: (object: T) => T;
  readonly #synced = Promise.withResolvers<void>();
  #resourceVersion: string | undefined;

  constructor(
    client: ApiClient,
    resource: Resource<T>,
    options: Pick<ListOptions, 'namespace' | 'labelSelector' | 'fieldSelector'> & {
      /** Called for every failed list or watch; the informer continues by itself. */
      onError: (error: unknown) => void;
      /** Called each time that a watch begins. */
      onWatch?: () => void;
      /** What is kept of an object, its name and resourceVersion among it. Default: all. */
      slim?: (object: T) => T;
      clock?: Clock;
    },
  ) {
    const { onError, onWatch, clock, slim = (object) => object, ...list } = options;
    this.#client = client;
    this.#resource = resource;
    this.#options = list;
    this.#onError = onError;
    this.#onWatch = onWatch;
    this.#clock = clock ?? realClock;
    this.#slim = slim;
  }

  /** Resolves after the first complete list has been delivered to the handlers. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  /** Adds a handler; call before {@link run}. */
  handle(handlers: InformerHandlers<T>): this {
    this.#handlers.push(handlers);
    return this;
  }

  get(name: string, namespace?: string): T | undefined {
    return this.store.get(namespace === undefined ? name : `${namespace}/${name}`);
  }

  list(): T[] {
    return [...this.store.values()];
  }

  /** Runs until the signal aborts. Errors go to `onError` and are retried with back-off (100 ms to 10 s). */
  async run(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff(100, 10_000);
    while (!signal.aborted) {
      try {
        if (this.#resourceVersion === undefined) await this.#relist(signal);
        await this.#watch(signal, () => backoff.forget(''));
      } catch (error) {
        if (signal.aborted) return;
        if (hasReason(error, 'Expired', 'Gone')) {
          this.#resourceVersion = undefined;
          continue;
        }
        this.#onError(error);
        try {
          await this.#clock.sleep(backoff.next(''), signal);
        } catch {
          return;
        }
      }
    }
  }

  async #relist(signal: AbortSignal): Promise<void> {
    const fresh = new Map<string, T>();
    let version: string | undefined;
    const options = { ...this.#options, limit: 500 };
    for await (const { items, metadata } of listPages(this.#client, this.#resource, options, signal)) {
      for (const item of items) fresh.set(keyOf(item), this.#slim(item));
      version = metadata.resourceVersion;
    }
    for (const [key, old] of [...this.store]) if (!fresh.has(key)) this.#remove(key, old);
    for (const object of fresh.values()) this.#put(object);
    this.#resourceVersion = version;
    this.#synced.resolve();
  }

  async #watch(signal: AbortSignal, onHeard: () => void): Promise<void> {
    const stream = this.#client.watch(this.#resource, {
      ...this.#options,
      resourceVersion: this.#resourceVersion,
      allowWatchBookmarks: true,
      ...(this.#onWatch && { onOpen: this.#onWatch }),
      signal,
    });
    for await (const event of stream) {
      onHeard();
      if (event.type === 'ADDED' || event.type === 'MODIFIED') this.#put(this.#slim(event.object));
      else if (event.type === 'DELETED') this.#remove(keyOf(event.object), this.#slim(event.object));
      this.#resourceVersion = event.object.metadata?.resourceVersion ?? this.#resourceVersion;
    }
  }

  #put(object: T): void {
    const key = keyOf(object);
    const old = this.store.get(key);
    this.store.set(key, object);
    if (old === undefined) for (const handler of this.#handlers) handler.onAdd?.(object);
    else if (old.metadata?.resourceVersion !== object.metadata?.resourceVersion) {
      for (const handler of this.#handlers) handler.onUpdate?.(object, old);
    }
  }

  #remove(key: string, object: T): void {
    if (!this.store.delete(key)) return;
    for (const handler of this.#handlers) handler.onDelete?.(object);
  }
}

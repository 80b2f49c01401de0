import { type ApiClient, hasReason } from '../../kube/client.ts';
import type { Informer } from '../../kube/informer.ts';
import { keyOf, type Resource } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';

/**
 * The objects of a kind in their newest known state: as the cache shows them or, until it does, as this controller's own last write left them. A
 * write of what the cache shows is a Conflict as long as the cache does not show the write before it.
 */
export class Newest<T extends KubeObject> {
  readonly #client: ApiClient;
  readonly #resource: Resource<T>;
  readonly #informer: Informer<T>;
  readonly #written = new Map<string, T>();

  /** Create it before the informer runs. */
  constructor(client: ApiClient, resource: Resource<T>, informer: Informer<T>) {
    this.#client = client;
    this.#resource = resource;
    this.#informer = informer;
    informer.handle({ onDelete: (object) => this.#written.delete(keyOf(object)) });
  }

  get(key: string): T | undefined {
    const cached = this.#informer.store.get(key);
    return cached === undefined ? undefined : this.#newer(cached);
  }

  list(): T[] {
    return this.#informer.list().map((cached) => this.#newer(cached));
  }

  /** Writes an object, and returns it as it is then. One that somebody else has changed since is a Conflict, and the queue looks again. */
  async update(object: T, subresource?: 'status'): Promise<T> {
    return this.#note(await this.#client.update(this.#resource, object, subresource));
  }

  /** Merges something into an object, unless somebody else has changed that since. */
  async merge({ metadata }: T, change: { metadata?: object; spec?: object }): Promise<void> {
    const { name, namespace, resourceVersion } = metadata!;
    const patch = { ...change, metadata: { ...change.metadata, resourceVersion } };
    this.#note(await this.#client.patch(this.#resource, name!, namespace, 'merge', patch));
  }

  /** Writes the status of an object; one that is gone needs none. */
  async writeStatus(object: T): Promise<void> {
    try {
      await this.update(object, 'status');
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error;
    }
  }

  #note(object: T): T {
    this.#written.set(keyOf(object), object);
    return object;
  }

  #newer(cached: T): T {
    const key = keyOf(cached);
    const own = this.#written.get(key);
    if (own === undefined) return cached;
    if (own.metadata!.uid === cached.metadata!.uid && versionOf(own) > versionOf(cached)) return own;
    this.#written.delete(key);
    return cached;
  }
}

/** The order of versions is the server's; since Kubernetes 1.35 clients may compare them. */
function versionOf({ metadata }: KubeObject): bigint {
  return BigInt(metadata!.resourceVersion!);
}

import type { ApiClient } from '../kube/client.ts';
import { Informer } from '../kube/informer.ts';
import { apiVersionOf, type Resource } from '../kube/resources.ts';
import type { KubeObject } from '../kube/types.ts';
import { type Clock, realClock } from '../sys/clock.ts';

/** One informer a kind, shared by everything in a daemon that looks at that kind. */
export class Informers {
  readonly #client: ApiClient;
  readonly #onError: (error: unknown) => void;
  readonly #clock: Clock;
  readonly #byKind = new Map<string, Informer<KubeObject>>();
  #lastErrorAt = Number.NEGATIVE_INFINITY;

  constructor(client: ApiClient, onError: (error: unknown) => void, clock: Clock = realClock) {
    this.#client = client;
    this.#clock = clock;
    this.#onError = (error) => {
      this.#lastErrorAt = this.#clock.monotonic();
      onError(error);
    };
  }

  /** When a list or watch failed last (milliseconds of {@link Clock.monotonic}): until then nothing may be concluded from silence. */
  get lastErrorAt(): number {
    return this.#lastErrorAt;
  }

  /** The informer of a kind; add handlers to it before {@link start}. */
  of<T extends KubeObject>(resource: Resource<T>): Informer<T> {
    const key = `${apiVersionOf(resource)}/${resource.plural}`;
    let informer = this.#byKind.get(key) as Informer<T> | undefined;
    if (informer === undefined) {
      informer = new Informer(this.#client, resource, { onError: this.#onError, clock: this.#clock });
      this.#byKind.set(key, informer as unknown as Informer<KubeObject>);
    }
    return informer;
  }

  /** Runs all informers until the signal aborts; resolves when every one has its first complete list. */
  async start(signal: AbortSignal): Promise<void> {
    const all = [...this.#byKind.values()];
    for (const informer of all) void informer.run(signal);
    await Promise.all(all.map((informer) => informer.synced));
  }
}

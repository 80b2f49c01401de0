import { type Clock, realClock } from '../../sys/clock.ts';
import type { Storage } from './storage.ts';
import type { Subscription, WatchHub } from './watch-hub.ts';

const RETRY_MS = 200;

/**
 * What every decision needs of some objects, kept in memory: storage is read once, then changes are followed. `project`
 * picks what is kept of an object (undefined: nothing).
 */
export class Mirror<T> {
  /** By storage key. */
  readonly entries = new Map<string, T>();
  readonly #storage: Storage;
  readonly #hub: WatchHub;
  readonly #prefix: string;
  readonly #project: (object: never) => T | undefined;
  readonly #onError: (error: unknown) => void;
  readonly #onChange: (key: string) => void;
  readonly #clock: Clock;
  #subscription: Subscription | undefined;
  #stopped = false;

  constructor(options: {
    storage: Storage;
    hub: WatchHub;
    prefix: string;
    project: (object: never) => T | undefined;
    onError: (error: unknown) => void;
    /** Called with the key of what was read or has changed, or is gone. */
    onChange?: (key: string) => void;
    clock?: Clock;
  }) {
    this.#storage = options.storage;
    this.#hub = options.hub;
    this.#prefix = options.prefix;
    this.#project = options.project;
    this.#onError = options.onError;
    this.#onChange = options.onChange ?? (() => {});
    this.#clock = options.clock ?? realClock;
  }

  /** Reads everything and follows it from there. Rejects when the first read fails. */
  async start(): Promise<void> {
    const page = await this.#storage.list(this.#prefix);
    if (this.#stopped) return;
    this.#subscription?.stop();
    const before = new Set(this.entries.keys());
    this.entries.clear();
    for (const { key, value } of page.items) this.#put(key, value);
    for (const key of before.union(new Set(this.entries.keys()))) this.#onChange(key);
    this.#subscription = this.#hub.subscribe(this.#prefix, page.revision, {
      onChange: ({ key, value }) => {
        if (value === undefined) this.entries.delete(key);
        else this.#put(key, value);
        this.#onChange(key);
      },
      onEnd: (error) => void this.#restart(error),
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#subscription?.stop();
  }

  #put(key: string, value: string): void {
    const kept = this.#project(JSON.parse(value) as never);
    if (kept === undefined) this.entries.delete(key);
    else this.entries.set(key, kept);
  }

  async #restart(error: Error): Promise<void> {
    this.#onError(error);
    while (!this.#stopped) {
      try {
        return await this.start();
      } catch (cause) {
        this.#onError(cause);
        await this.#clock.sleep(RETRY_MS);
      }
    }
  }
}

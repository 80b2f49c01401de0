import { type Clock, realClock } from '../../sys/clock.ts';
import { type Change, CompactedError, type Storage } from './storage.ts';

/** A change as subscribers get it, with room to keep what was made of it for the others. */
export interface HubChange extends Change {
  /** Filled by readers: what the texts parse to, and answers already encoded, by format. */
  readonly cache: Map<string, unknown>;
}

export interface Subscriber {
  onChange(change: HubChange): void;
  /** No further change comes: {@link CompactedError} when history was lost, anything else when the hub stops. */
  onEnd(error: Error): void;
}

/** A subscription that has begun. */
export interface Subscription {
  stop(): void;
  /** The subscriber has been given everything up to this revision: what a bookmark may say. */
  revision(): number;
}

/** How much text of changes is kept for watches that start in the past; older starts read etcd's own history. */
const HISTORY_CHARACTERS = 4 * 1024 * 1024;
const RETRY_MS = 100;

/**
 * One watch of everything in storage, shared by all watches of clients: each change is read from etcd once, whatever the
 * number of watchers. When the storage's watch breaks it is resumed behind the last change seen, so nothing is lost and
 * subscribers notice only a pause.
 */
export class WatchHub {
  readonly #storage: Storage;
  readonly #prefix: string;
  readonly #clock: Clock;
  readonly #onError: (error: unknown) => void;
  readonly #subscribers = new Set<{ prefix: string; after: number; subscriber: Subscriber }>();
  readonly #waiters = new Set<{ revision: number; resolve: () => void }>();
  #history: HubChange[] = [];
  #historySize = 0;
  /** Every change above this revision is in the history. */
  #historyStart = 0;
  #revision = 0;
  #stop: (() => void) | undefined;
  #stopped = false;

  constructor(options: {
    storage: Storage;
    prefix: string;
    onError: (error: unknown) => void;
    clock?: Clock;
  }) {
    this.#storage = options.storage;
    this.#prefix = options.prefix;
    this.#onError = options.onError;
    this.#clock = options.clock ?? realClock;
  }

  /** Everything up to this revision has been given to subscribers. */
  get revision(): number {
    return this.#revision;
  }

  /** Begins to watch behind `revision`. */
  start(revision: number): void {
    this.#revision = revision;
    this.#historyStart = revision;
    this.#open();
  }

  stop(): void {
    this.#stopped = true;
    this.#stop?.();
    this.#endAll(new Error('the API server is shutting down'));
  }

  /**
   * Gives `subscriber` every change under `prefix` above revision `after`, in order, beginning with those of the past
   * (before this returns, where they are still in memory).
   */
  subscribe(prefix: string, after: number, subscriber: Subscriber): Subscription {
    if (after < this.#historyStart) return this.#fromStorage(prefix, after, subscriber);
    const entry = { prefix, after, subscriber };
    this.#subscribers.add(entry);
    for (const change of this.#history) {
      if (change.revision > after && change.key.startsWith(prefix)) subscriber.onChange(change);
    }
    return {
      stop: () => this.#subscribers.delete(entry),
      revision: () => Math.max(after, this.#revision),
    };
  }

  /** Resolves when everything up to `revision` has been given out; rejects with the signal's reason. */
  async caughtUp(revision: number, signal: AbortSignal): Promise<void> {
    if (this.#revision >= revision) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter = { revision, resolve };
    const onAbort = () => reject(signal.reason);
    this.#waiters.add(waiter);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      await promise;
    } finally {
      this.#waiters.delete(waiter);
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** A watch of its own for a start that is older than the history here. */
  #fromStorage(prefix: string, after: number, subscriber: Subscriber): Subscription {
    let seen = after;
    const stop = this.#storage.watch(prefix, after, {
      onChanges: (changes, revision) => {
        for (const change of changes) subscriber.onChange({ ...change, cache: new Map() });
        seen = Math.max(seen, revision);
      },
      onEnd: (error) => subscriber.onEnd(error),
    });
    return { stop, revision: () => seen };
  }

  #open(): void {
    this.#stop = this.#storage.watch(this.#prefix, this.#revision, {
      onChanges: (changes, revision) => this.#deliver(changes, revision),
      onEnd: (error) => void this.#reopen(error),
    });
  }

  async #reopen(error: Error): Promise<void> {
    if (this.#stopped) return;
    if (error instanceof CompactedError) {
      // What happened in between cannot be known: whoever watches has to list again.
      this.#endAll(error);
      try {
        this.#revision = (await this.#storage.get(this.#prefix)).revision;
        this.#historyStart = this.#revision;
        this.#history = [];
        this.#historySize = 0;
      } catch (cause) {
        this.#onError(cause);
      }
    } else this.#onError(error);
    await this.#clock.sleep(RETRY_MS);
    if (!this.#stopped) this.#open();
  }

  #deliver(changes: Change[], revision: number): void {
    for (const change of changes) {
      const shared: HubChange = { ...change, cache: new Map() };
      this.#history.push(shared);
      for (const { prefix, after, subscriber } of [...this.#subscribers]) {
        if (change.revision > after && change.key.startsWith(prefix)) subscriber.onChange(shared);
      }
      // Built for the current watchers; a later one builds its own.
      shared.cache.clear();
      this.#historySize += sizeOf(change);
    }
    if (this.#historySize > HISTORY_CHARACTERS) this.#cutHistory();
    this.#revision = Math.max(this.#revision, revision);
    for (const waiter of [...this.#waiters]) if (this.#revision >= waiter.revision) waiter.resolve();
  }

  /** Forgets the older half, in whole revisions. */
  #cutHistory(): void {
    let at = 0;
    while (at < this.#history.length - 1 && this.#historySize > HISTORY_CHARACTERS / 2) {
      this.#historySize -= sizeOf(this.#history[at++]!);
    }
    const cut = this.#history[Math.max(0, at - 1)]!.revision;
    this.#history = this.#history.filter((change) => change.revision > cut);
    this.#historySize = this.#history.reduce((sum, change) => sum + sizeOf(change), 0);
    this.#historyStart = cut;
  }

  #endAll(error: Error): void {
    const ended = [...this.#subscribers];
    this.#subscribers.clear();
    for (const { subscriber } of ended) subscriber.onEnd(error);
  }
}

function sizeOf(change: Change): number {
  return change.key.length + (change.value?.length ?? 0) + (change.previous?.length ?? 0);
}

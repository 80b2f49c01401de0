import {
  type Change,
  type ChangeSink,
  CompactedError,
  type Page,
  type Storage,
  type Stored,
} from './storage.ts';

/** A {@link Storage} in memory that keeps its whole history: etcd's semantics without etcd, for tests. */
export class FakeStorage implements Storage {
  readonly #history: Change[] = [];
  readonly #watchers = new Set<{ prefix: string; sink: ChangeSink }>();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #revision = 1;
  #compacted = 0;

  get revision(): number {
    return this.#revision;
  }

  async get(key: string) {
    return { item: this.#at(this.#revision).get(key), revision: this.#revision };
  }

  async list(
    prefix: string,
    options: { limit?: number; after?: string; revision?: number } = {},
  ): Promise<Page> {
    const revision = options.revision ?? this.#revision;
    if (revision < this.#compacted) throw new CompactedError(revision);
    const matching = [...this.#at(revision).values()]
      .filter(({ key }) => key.startsWith(prefix) && (options.after === undefined || key > options.after))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
    const items = options.limit === undefined ? matching : matching.slice(0, options.limit);
    return { items, revision, remaining: matching.length - items.length };
  }

  async put(key: string, value: string, expected: number, ttlSeconds?: number) {
    const current = this.#at(this.#revision).get(key);
    if ((current?.revision ?? 0) !== expected) return { done: false, current } as const;
    this.#append(key, value, current?.value);
    if (ttlSeconds !== undefined) {
      const timer = setTimeout(() => this.#append(key, undefined, value), ttlSeconds * 1000);
      this.#timers.add(timer);
    }
    return { done: true, revision: this.#revision } as const;
  }

  async delete(key: string, expected: number) {
    const current = this.#at(this.#revision).get(key);
    if (current === undefined || current.revision !== expected) return { done: false, current } as const;
    this.#append(key, undefined, current.value);
    return { done: true, revision: this.#revision } as const;
  }

  watch(prefix: string, after: number, sink: ChangeSink): () => void {
    const watcher = { prefix, sink };
    // As with a server, nothing arrives before the caller has the function that stops it.
    queueMicrotask(() => {
      if (after < this.#compacted) return sink.onEnd(new CompactedError(after));
      const missed = this.#history.filter(
        (change) => change.revision > after && change.key.startsWith(prefix),
      );
      if (missed.length > 0) sink.onChanges(missed, this.#revision);
      this.#watchers.add(watcher);
    });
    return () => this.#watchers.delete(watcher);
  }

  async compact(revision: number): Promise<void> {
    this.#compacted = Math.max(this.#compacted, revision);
  }

  /** Ends every watch with `error`, as a lost connection does. */
  breakWatches(error: Error): void {
    const broken = [...this.#watchers];
    this.#watchers.clear();
    for (const { sink } of broken) sink.onEnd(error);
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#watchers.clear();
  }

  #append(key: string, value: string | undefined, previous: string | undefined): void {
    const change: Change = { key, revision: ++this.#revision, value, previous };
    this.#history.push(change);
    for (const { prefix, sink } of [...this.#watchers]) {
      if (key.startsWith(prefix)) sink.onChanges([change], change.revision);
    }
  }

  #at(revision: number): Map<string, Stored> {
    const state = new Map<string, Stored>();
    for (const change of this.#history) {
      if (change.revision > revision) break;
      if (change.value === undefined) state.delete(change.key);
      else state.set(change.key, { key: change.key, value: change.value, revision: change.revision });
    }
    return state;
  }
}

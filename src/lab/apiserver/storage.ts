/** One stored object: its key, its JSON text and the revision that wrote it. */
export interface Stored {
  readonly key: string;
  readonly value: string;
  /** Revision of the last write of this key: the object's resourceVersion. */
  readonly revision: number;
}

/** One change of one key, in the order of revisions. */
export interface Change {
  readonly key: string;
  readonly revision: number;
  /** What the key holds now; undefined when it was deleted. */
  readonly value: string | undefined;
  /** What it held before; undefined when it was created. */
  readonly previous: string | undefined;
}

export interface Page {
  readonly items: Stored[];
  /** The revision at which this is the whole truth. */
  readonly revision: number;
  /** How many more keys follow the last of `items`. */
  readonly remaining: number;
}

export interface ChangeSink {
  /** All changes of one or more whole revisions; `revision` is the last that is complete. */
  onChanges(changes: Change[], revision: number): void;
  /** The watch is over: {@link CompactedError} when its start is gone, otherwise what broke it. Called at most once. */
  onEnd(error: Error): void;
}

/** The outcome of a conditional write; on a mismatch, what is there instead (undefined: nothing). */
export type WriteResult =
  | { readonly done: true; readonly revision: number }
  | { readonly done: false; readonly current: Stored | undefined };

/**
 * Where objects are kept: a map with one revision counter for all keys, conditional writes, consistent lists and a
 * watch from any revision that is not compacted. Every method rejects with {@link StorageUnavailableError} when the
 * store cannot be reached in time.
 */
export interface Storage {
  get(key: string): Promise<{ item: Stored | undefined; revision: number }>;
  /** Keys under `prefix` in order. `after` is the last key already seen; `revision` reads the past. */
  list(prefix: string, options?: { limit?: number; after?: string; revision?: number }): Promise<Page>;
  /** Writes when the key's revision is `expected` (0: the key must not be there). `ttlSeconds` deletes it by itself later. */
  put(key: string, value: string, expected: number, ttlSeconds?: number): Promise<WriteResult>;
  /** Deletes when the key's revision is `expected`. */
  delete(key: string, expected: number): Promise<WriteResult>;
  /** Changes with revisions above `after` under `prefix`. Returns how to stop. */
  watch(prefix: string, after: number, sink: ChangeSink): () => void;
  /** Forgets history up to `revision`: lists at, and watches from, older revisions fail with {@link CompactedError}. */
  compact(revision: number): Promise<void>;
  close(): void;
}

/** The revision asked for is compacted. */
export class CompactedError extends Error {
  constructor(revision: number) {
    super(`revision ${revision} has been compacted`);
    this.name = 'CompactedError';
  }
}

/** The store did not answer in time. Whether a write was done is not known. */
export class StorageUnavailableError extends Error {
  constructor(what: string, cause: unknown) {
    super(`${what}: storage is unavailable`, { cause });
    this.name = 'StorageUnavailableError';
  }
}

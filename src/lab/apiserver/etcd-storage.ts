import { type Clock, realClock } from '../../sys/clock.ts';
import { GrpcCode, GrpcError } from '../../sys/grpc.ts';
import { type EtcdClient, prefixEnd } from '../etcd/client.ts';
import {
  type Change,
  type ChangeSink,
  CompactedError,
  type Page,
  type Storage,
  StorageUnavailableError,
  type Stored,
  type WriteResult,
} from './storage.ts';

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder();

/** A request is tried again for this long while etcd cannot be reached: about what a restart of it takes. */
const RETRY_FOR_MS = 3000;
const RETRY_EVERY_MS = 100;
/** Keys written within this time share a lease, which lives this much longer; as Kubernetes' lease reuse. */
const LEASE_REUSE_MS = 60_000;

interface KeyValue {
  key: string;
  value: Uint8Array;
  modRevision: number;
}

/** {@link Storage} over etcd: a revision is etcd's, a conditional write is a transaction on the key's mod_revision. */
export class EtcdStorage implements Storage {
  readonly #etcd: EtcdClient;
  readonly #clock: Clock;
  readonly #retryForMs: number;
  #lease: { id: Promise<number>; ttlSeconds: number; madeAt: number } | undefined;

  /** `retryForMs`: how long a request is tried again while etcd cannot be reached. */
  constructor(etcd: EtcdClient, options: { clock?: Clock; retryForMs?: number } = {}) {
    this.#etcd = etcd;
    this.#clock = options.clock ?? realClock;
    this.#retryForMs = options.retryForMs ?? RETRY_FOR_MS;
  }

  async get(key: string) {
    const answer = await this.#read(`read ${key}`, () => this.#etcd.range({ key: utf8.encode(key) }));
    const [kv] = answer.kvs;
    return { item: kv === undefined ? undefined : stored(kv), revision: answer.header?.revision ?? 0 };
  }

  async list(
    prefix: string,
    options: { limit?: number; after?: string; revision?: number } = {},
  ): Promise<Page> {
    const answer = await this.#read(`list ${prefix}`, () =>
      this.#etcd.range({
        key: utf8.encode(options.after === undefined ? prefix : `${options.after}\0`),
        rangeEnd: prefixEnd(prefix),
        limit: options.limit ?? 0,
        revision: options.revision ?? 0,
      }),
    );
    return {
      items: answer.kvs.map(stored),
      revision: options.revision ?? answer.header?.revision ?? 0,
      remaining: answer.count - answer.kvs.length,
    };
  }

  async put(key: string, value: string, expected: number, ttlSeconds?: number): Promise<WriteResult> {
    const bytes = utf8.encode(key);
    const lease = ttlSeconds === undefined ? 0 : await this.#leaseFor(ttlSeconds);
    const put = { key: bytes, value: utf8.encode(value), lease };
    return await this.#conditionally(key, expected, { put });
  }

  async delete(key: string, expected: number): Promise<WriteResult> {
    return await this.#conditionally(key, expected, { deleteRange: { key: utf8.encode(key) } });
  }

  watch(prefix: string, after: number, sink: ChangeSink): () => void {
    const request = {
      key: utf8.encode(prefix),
      rangeEnd: prefixEnd(prefix),
      startRevision: after + 1,
      prevKv: true,
      progressNotify: true,
    };
    let stopped = false;
    const stop = this.#etcd.watch(request, {
      onResponse: (response) => {
        if (stopped) return;
        if (response.canceled) {
          stopped = true;
          stop();
          sink.onEnd(
            response.compactRevision > 0
              ? new CompactedError(after)
              : new Error(`watch of ${prefix} was cancelled: ${response.cancelReason}`),
          );
          return;
        }
        // The answer to the request itself may be ahead of events that are still to come.
        if (response.created) return;
        if (response.events.some(lacksPrevious)) {
          // What the key held before is compacted, so watchers that select by it cannot learn what has changed.
          stopped = true;
          stop();
          sink.onEnd(new CompactedError(after));
          return;
        }
        const changes = response.events.map(change);
        sink.onChanges(changes, changes.at(-1)?.revision ?? response.header?.revision ?? 0);
      },
      onEnd: (error) => {
        if (stopped) return;
        stopped = true;
        sink.onEnd(error);
      },
    });
    return () => {
      stopped = true;
      stop();
    };
  }

  async compact(revision: number): Promise<void> {
    try {
      await this.#etcd.compact(revision);
    } catch (error) {
      // Already compacted to there or beyond: what was asked for is the case.
      if (!(error instanceof GrpcError && error.code === GrpcCode.OUT_OF_RANGE)) throw error;
    }
  }

  close(): void {
    this.#etcd.close();
  }

  async #conditionally(
    key: string,
    expected: number,
    operation:
      | { put: { key: Uint8Array; value: Uint8Array; lease: number } }
      | { deleteRange: { key: Uint8Array } },
  ): Promise<WriteResult> {
    const bytes = utf8.encode(key);
    const request = {
      compare: [{ result: 0, target: 2, key: bytes, modRevision: expected }],
      success: [operation],
      failure: [{ range: { key: bytes } }],
    };
    let attempts = 0;
    const answer = await this.#read(`write ${key}`, () => {
      attempts++;
      return this.#etcd.txn(request);
    });
    const revision = answer.header?.revision ?? 0;
    if (answer.succeeded) return { done: true, revision };
    const kv = answer.responses[0]?.range?.kvs[0];
    const current = kv === undefined ? undefined : stored(kv);
    // A write whose connection broke before the answer may have been done. Tried again it then fails, on what it has
    // written itself: that is not a conflict.
    if (attempts > 1) {
      const wanted = 'put' in operation ? fromUtf8.decode(operation.put.value) : undefined;
      if (current?.value === wanted) return { done: true, revision: current?.revision ?? revision };
    }
    return { done: false, current };
  }

  async #leaseFor(ttlSeconds: number): Promise<number> {
    const now = this.#clock.monotonic();
    const lease = this.#lease;
    if (lease !== undefined && lease.ttlSeconds === ttlSeconds && now - lease.madeAt < LEASE_REUSE_MS) {
      return await lease.id;
    }
    const id = this.#read('grant a lease', () =>
      this.#etcd.leaseGrant(ttlSeconds + LEASE_REUSE_MS / 1000),
    ).then((answer) => answer.id);
    this.#lease = { id, ttlSeconds, madeAt: now };
    try {
      return await id;
    } catch (error) {
      this.#lease = undefined;
      throw error;
    }
  }

  async #read<T>(what: string, call: () => Promise<T>): Promise<T> {
    const deadline = this.#clock.monotonic() + this.#retryForMs;
    for (;;) {
      try {
        return await call();
      } catch (error) {
        if (!(error instanceof GrpcError)) throw error;
        if (error.code === GrpcCode.OUT_OF_RANGE && error.details.includes('compacted')) {
          throw new CompactedError(Number.NaN);
        }
        if (error.code !== GrpcCode.UNAVAILABLE || this.#clock.monotonic() >= deadline) {
          throw new StorageUnavailableError(what, error);
        }
        await this.#clock.sleep(RETRY_EVERY_MS);
      }
    }
  }
}

function stored(kv: KeyValue): Stored {
  return { key: kv.key, value: fromUtf8.decode(kv.value), revision: kv.modRevision };
}

interface Event {
  type: number;
  kv?: KeyValue & { createRevision: number };
  prevKv?: KeyValue;
}

function lacksPrevious({ type, kv, prevKv }: Event): boolean {
  return prevKv === undefined && (type === 1 || kv?.createRevision !== kv?.modRevision);
}

function change(event: Event): Change {
  const kv = event.kv!;
  return {
    key: kv.key,
    revision: kv.modRevision,
    value: event.type === 1 ? undefined : fromUtf8.decode(kv.value),
    previous: event.prevKv === undefined ? undefined : fromUtf8.decode(event.prevKv.value),
  };
}

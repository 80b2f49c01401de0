import type { ObjectReference } from './types.ts';

export type EventType = 'Normal' | 'Warning';

/** What an event says and about what, before it is counted and written. */
export interface Occurrence {
  object: ObjectReference;
  type: EventType;
  reason: string;
  message: string;
}

/** The figures of client-go's EventCorrelator (tools/record/events_cache.go). */
const CACHE_SIZE = 4096;
const SIMILAR_LIMIT = 10;
const SIMILAR_WINDOW_MS = 600_000;
const BURST = 25;
const REFILL_MS = 300_000;

/** How an occurrence is to be written. */
export interface CorrelatedEvent {
  /** The Event to count up; undefined asks for a new one. */
  name?: string;
  count: number;
  message: string;
  firstAt: number;
  /** To be called with the Event's name when it has been written. */
  written(name: string): void;
}

/** What an object may still say, as of a time. */
interface Bucket {
  tokens: number;
  at: number;
}

/** Names and messages are hundreds of bytes, of which thousands would be kept as keys. */
function digest(parts: readonly (string | undefined)[]): string {
  return new Bun.CryptoHasher('sha256').update(JSON.stringify(parts)).digest('base64');
}

/** A Map that forgets what was not used for longest. */
class Recent<V> {
  readonly #entries = new Map<string, V>();

  /** Forgets entries, those that were not used for longest first, up to one that is not over. */
  forget(isOver: (value: V) => boolean): void {
    for (const [key, value] of this.#entries) {
      if (!isOver(value)) return;
      this.#entries.delete(key);
    }
  }

  get(key: string): V | undefined {
    const value = this.#entries.get(key);
    if (value !== undefined) {
      this.#entries.delete(key);
      this.#entries.set(key, value);
    }
    return value;
  }

  set(key: string, value: V): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size > CACHE_SIZE) this.#entries.delete(this.#entries.keys().next().value!);
  }
}

/**
 * Decides for each occurrence whether it becomes a new Event, counts one up, or is dropped:
 * - the same object, type, reason and message again counts up;
 * - the eleventh different message of one object, type and reason within ten minutes, and all that follow, become one
 *   Event, `(combined from similar events): …`;
 * - an object has a bucket of 25 occurrences that refills by one every five minutes; beyond it they are dropped.
 */
export class EventCorrelator {
  readonly #known = new Recent<{ name: string; count: number; firstAt: number }>();
  /** Few messages each, and one most often: a Set would take several times the memory. */
  readonly #similar = new Recent<{ messages: string[]; lastAt: number }>();
  readonly #buckets = new Recent<Bucket>();

  /** @param at milliseconds since the epoch. Undefined when the occurrence is to be dropped. */
  correlate({ object, type, reason, message }: Occurrence, at: number): CorrelatedEvent | undefined {
    const about = [
      object.kind,
      object.namespace,
      object.name,
      object.uid,
      object.apiVersion,
      object.fieldPath,
    ];
    const group = digest([...about, type, reason]);
    const similar = this.#combine(group, message, at);
    const key = similar ? group : digest([group, message]);
    const text = similar ? `(combined from similar events): ${message}` : message;
    if (!this.#takeToken(digest(about.slice(0, 5)), at)) return undefined;
    const known = this.#known.get(key);
    const count = (known?.count ?? 0) + 1;
    const firstAt = known?.firstAt ?? at;
    return {
      name: known?.name,
      count,
      message: text,
      firstAt,
      written: (name) => this.#known.set(key, { name, count, firstAt }),
    };
  }

  #combine(group: string, message: string, at: number): boolean {
    // Pods come and go, and each leaves several.
    this.#similar.forget(({ lastAt }) => at - lastAt > SIMILAR_WINDOW_MS);
    const entry = this.#similar.get(group) ?? { messages: [], lastAt: at };
    const isOver = at - entry.lastAt > SIMILAR_WINDOW_MS;
    const messages = isOver ? [] : entry.messages;
    const isNew = !messages.includes(message);
    const isCombined = isNew && messages.length >= SIMILAR_LIMIT;
    if (isNew && !isCombined) messages.push(message);
    this.#similar.set(group, { messages, lastAt: at });
    return isCombined;
  }

  #takeToken(about: string, at: number): boolean {
    const tokensOf = (bucket: Bucket) =>
      Math.min(BURST, bucket.tokens + Math.max(0, at - bucket.at) / REFILL_MS);
    // A full one is as good as none.
    this.#buckets.forget((bucket) => tokensOf(bucket) === BURST);
    const tokens = tokensOf(this.#buckets.get(about) ?? { tokens: BURST, at });
    const taken = tokens >= 1;
    this.#buckets.set(about, { tokens: taken ? tokens - 1 : tokens, at });
    return taken;
  }
}

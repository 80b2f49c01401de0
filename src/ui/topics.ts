import type { Clock } from '../sys/clock.ts';

/** Milliseconds. */
export interface TopicTimes {
  /** The least time between two deliveries to one reader: what changes faster is delivered once, as it is then. */
  spacingMs: number;
  /** A reader to which nothing was delivered for so long gets a comment, by which both sides see that the connection lives. */
  keepAliveMs: number;
}

export const TOPIC_TIMES: TopicTimes = { spacingMs: 100, keepAliveMs: 15_000 };

interface Latest {
  version: number;
  value: unknown;
  /** As it is sent; made when the first reader takes it. */
  frame?: string;
}

/**
 * What readers of server-sent events follow: topics, each with its latest value. A reader gets the latest value of every topic that has changed
 * since what it has, and nothing that was replaced meanwhile. So memory does not depend on how many changes there are, nor on how slow a reader
 * is, and a reader that comes back with the last event's ID gets what it has missed.
 */
export class Topics<T extends object> {
  readonly #latest = new Map<keyof T, Latest>();
  readonly #clock: Clock;
  readonly #times: TopicTimes;
  /** Distinguishes the versions of this process from those of an earlier one, which a browser still has. */
  readonly #run: string;
  #version = 0;
  #changed = Promise.withResolvers<void>();

  constructor(run: string, clock: Clock, times: TopicTimes = TOPIC_TIMES) {
    this.#run = run;
    this.#clock = clock;
    this.#times = times;
  }

  /** Replaces the value of a topic. It must not be changed afterwards. */
  publish<K extends keyof T>(topic: K, value: T[K]): void {
    // Re-inserted, so that the map stays in the order of versions.
    this.#latest.delete(topic);
    this.#latest.set(topic, { version: ++this.#version, value });
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** A reader, which has all up to an event of this ID; nothing when it is absent, or of another process. */
  follow(lastEventId: string | null): Follower {
    const [, run, version] = /^([0-9a-z]+)-(\d{1,15})$/.exec(lastEventId ?? '') ?? [];
    let seen = run === this.#run ? Math.min(Number(version), this.#version) : 0;
    let deliveredAt = Number.NEGATIVE_INFINITY;
    return {
      next: async (signal) => {
        if (this.#version === seen && !(await this.#changes(signal))) return ': still here\n\n';
        const early = deliveredAt + this.#times.spacingMs - this.#clock.monotonic();
        if (early > 0) await this.#clock.sleep(early, signal);
        const frames = [...this.#latest].filter(([, { version }]) => version > seen).map(this.#frameOf);
        seen = this.#version;
        deliveredAt = this.#clock.monotonic();
        return frames.join('');
      },
    };
  }

  /** Resolves with whether something has changed before the time of a comment. */
  async #changes(signal: AbortSignal): Promise<boolean> {
    const over = new AbortController();
    const waiting = this.#clock.sleep(this.#times.keepAliveMs, AbortSignal.any([signal, over.signal]));
    try {
      return await Promise.race([this.#changed.promise.then(() => true), waiting.then(() => false)]);
    } finally {
      over.abort();
      // Whichever came first, the end of the other is no error.
      waiting.catch(() => {});
    }
  }

  readonly #frameOf = ([topic, latest]: [keyof T, Latest]): string => {
    latest.frame ??= `id: ${this.#run}-${latest.version}\nevent: ${String(topic)}\ndata: ${JSON.stringify(latest.value)}\n\n`;
    return latest.frame;
  };
}

/** One reader. */
export interface Follower {
  /** The frames that are due; waits until there are some. Rejects with the signal's reason when that aborts. One call at a time. */
  next(signal: AbortSignal): Promise<string>;
}

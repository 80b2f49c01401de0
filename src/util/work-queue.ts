import { Backoff } from './backoff.ts';

/**
 * A level-triggered queue of keys, as controllers use: a key waiting is there once however often it is added; a key
 * being worked on that is added again runs again afterwards; a key whose work throws comes back with exponential
 * back-off (5 ms to 1000 s by default, as client-go's default rate limiter).
 */
export class WorkQueue {
  readonly #work: (key: string) => Promise<void>;
  readonly #onError: (key: string, error: unknown) => void;
  readonly #backoff: Backoff;
  readonly #concurrency: number;
  readonly #waiting = new Set<string>();
  readonly #running = new Set<string>();
  readonly #again = new Set<string>();
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>();
  #stopped = false;

  constructor(options: {
    work: (key: string) => Promise<void>;
    onError: (key: string, error: unknown) => void;
    concurrency?: number;
    initialBackoffMs?: number;
    maxBackoffMs?: number;
  }) {
    this.#work = options.work;
    this.#onError = options.onError;
    this.#concurrency = options.concurrency ?? 1;
    this.#backoff = new Backoff(options.initialBackoffMs ?? 5, options.maxBackoffMs ?? 1_000_000);
  }

  add(key: string): void {
    if (this.#stopped) return;
    if (this.#running.has(key)) this.#again.add(key);
    else this.#waiting.add(key);
    this.#pump();
  }

  /** Adds `key` after `ms` milliseconds; replaces a delay of the same key that is still pending. */
  addAfter(key: string, ms: number): void {
    if (this.#stopped) return;
    clearTimeout(this.#timers.get(key));
    this.#timers.set(
      key,
      setTimeout(() => {
        this.#timers.delete(key);
        this.add(key);
      }, ms),
    );
  }

  /** Takes no more keys and drops those waiting; work under way ends by itself. */
  stop(): void {
    this.#stopped = true;
    this.#waiting.clear();
    this.#again.clear();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  #pump(): void {
    for (const key of this.#waiting) {
      if (this.#running.size >= this.#concurrency) return;
      this.#waiting.delete(key);
      this.#running.add(key);
      void this.#runOne(key);
    }
  }

  async #runOne(key: string): Promise<void> {
    try {
      await this.#work(key);
      this.#backoff.forget(key);
    } catch (error) {
      this.#onError(key, error);
      this.addAfter(key, this.#backoff.next(key));
    } finally {
      this.#running.delete(key);
      if (this.#again.delete(key) && !this.#stopped) this.#waiting.add(key);
      this.#pump();
    }
  }
}

/** Exponential back-off per key: `initialMs`, doubled on every failure up to `maxMs`, forgotten on success. */
export class Backoff {
  readonly #initialMs: number;
  readonly #maxMs: number;
  readonly #failures = new Map<string, number>();

  constructor(initialMs: number, maxMs: number) {
    this.#initialMs = initialMs;
    this.#maxMs = maxMs;
  }

  /** Counts one more failure of `key` and returns how many milliseconds to wait before the next try. */
  next(key: string): number {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    return Math.min(this.#initialMs * 2 ** failures, this.#maxMs);
  }

  /** How many failures `key` has had since it last succeeded. */
  failures(key: string): number {
    return this.#failures.get(key) ?? 0;
  }

  forget(key: string): void {
    this.#failures.delete(key);
  }
}

/** Times in milliseconds. */
export interface PaceOptions {
  /** How long nothing may change before a look: one action on the node is many changes. */
  debounceMs: number;
  /** A look comes at the latest after this time, even if changes continue. */
  maxDebounceMs: number;
  /** The longest time between two looks: not everything that can break sends a notification. */
  resyncMs: number;
  /** How many looks may follow each other closely before they are spaced. */
  burst: number;
  /** The least time between spaced looks. */
  spacingMs: number;
  /** …and at least so many times what a look took, so that looking stays a small part of the machine's work. */
  spacingFactor: number;
}

export const PACE: PaceOptions = {
  debounceMs: 30,
  maxDebounceMs: 150,
  resyncMs: 30_000,
  burst: 8,
  spacingMs: 1000,
  spacingFactor: 10,
};

/**
 * When to look next: soon after a change, and less and less often when changes do not end; when something that was postponed is due;
 * and at regular intervals in any case. Pure: times come in as arguments.
 */
export class Pace {
  readonly #options: PaceOptions;
  #firstChange: number | undefined;
  #lastChange = 0;
  #resyncAt: number;
  #dueAt = Number.POSITIVE_INFINITY;
  /** How many looks may still follow closely, as of {@link #countedAt}. */
  #tokens: number;
  #countedAt: number;
  #lookMs = 0;

  /** The first look is due at once. */
  constructor(now: number, options: PaceOptions = PACE) {
    this.#options = options;
    this.#resyncAt = now;
    this.#tokens = options.burst;
    this.#countedAt = now;
  }

  /** Something may have changed. Whether this is the first change since the last look began. */
  changed(now: number): boolean {
    const isFirst = this.#firstChange === undefined;
    this.#firstChange ??= now;
    this.#lastChange = now;
    return isFirst;
  }

  /** Something that was postponed is due at this time; of several between two looks, the earliest counts. */
  due(at: number): void {
    this.#dueAt = Math.min(this.#dueAt, at);
  }

  /** When the next look is to begin, as far as is known now. */
  nextAt(now: number): number {
    const { debounceMs, maxDebounceMs } = this.#options;
    const regular = Math.min(this.#resyncAt, this.#dueAt);
    if (this.#firstChange === undefined) return regular;
    const settled = Math.min(this.#lastChange + debounceMs, this.#firstChange + maxDebounceMs);
    this.#refill(now);
    const allowed = this.#tokens >= 1 ? now : now + (1 - this.#tokens) * this.#spacing();
    return Math.min(regular, Math.max(settled, allowed));
  }

  /** Whether the next look is due only because the last one was so long ago. */
  isRegular(now: number): boolean {
    return this.#firstChange === undefined && this.#dueAt > now && this.#resyncAt <= now;
  }

  /** The regular look is not needed now; the next one is when this would have been long ago. */
  skipped(now: number): void {
    this.#resyncAt = now + this.#options.resyncMs;
  }

  /** A look begins: it sees every change so far. */
  began(now: number): void {
    this.#refill(now);
    if (this.#firstChange !== undefined) this.#tokens = Math.max(0, this.#tokens - 1);
    this.#firstChange = undefined;
    this.#dueAt = Number.POSITIVE_INFINITY;
  }

  /** A further look within the same round begins: it sees every change so far, too, and is not counted. */
  looksAgain(): void {
    this.#firstChange = undefined;
  }

  /** A look and the round that it started have ended. */
  ended(now: number, lookMs: number): void {
    this.#lookMs = lookMs;
    this.#resyncAt = now + this.#options.resyncMs;
  }

  #spacing(): number {
    return Math.max(this.#options.spacingMs, this.#options.spacingFactor * this.#lookMs);
  }

  #refill(now: number): void {
    const gained = (now - this.#countedAt) / this.#spacing();
    this.#tokens = Math.min(this.#options.burst, this.#tokens + Math.max(0, gained));
    this.#countedAt = now;
  }
}

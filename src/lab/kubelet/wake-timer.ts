import type { Clock } from '../../sys/clock.ts';

/** Timers take 31 bits of milliseconds; a longer wait is made of several. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Wakes its owner at the earliest of the times it was given; the owner then sets its next times. */
export class WakeTimer {
  readonly #clock: Clock;
  readonly #wake: () => void;
  #next: { at: number; handle: ReturnType<typeof setTimeout> } | undefined;
  #stopped = false;

  constructor(clock: Clock, wake: () => void) {
    this.#clock = clock;
    this.#wake = wake;
  }

  /** Wakes at `time` ({@link Clock.monotonic}) at the latest; an earlier appointment stays. Returns `time`. */
  at(time: number): number {
    if (this.#stopped || (this.#next !== undefined && this.#next.at <= time)) return time;
    clearTimeout(this.#next?.handle);
    const handle = setTimeout(
      () => {
        this.#next = undefined;
        this.#wake();
      },
      Math.min(Math.max(0, time - this.#clock.monotonic()), MAX_TIMER_MS),
    );
    this.#next = { at: time, handle };
    return time;
  }

  /** Forgets every appointment, also those to come. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#next?.handle);
  }
}

import type { Clock } from '../../sys/clock.ts';
import { Backoff } from '../../util/backoff.ts';
import type { WakeTimer } from './wake-timer.ts';

/** What has failed and when it may be tried again, each at its own growing pace. */
export class Retries {
  readonly #clock: Clock;
  readonly #timer: WakeTimer;
  readonly #backoff: Backoff;
  readonly #notBefore = new Map<string, number>();

  constructor(clock: Clock, timer: WakeTimer, pace: { initialMs: number; maxMs: number }) {
    this.#clock = clock;
    this.#timer = timer;
    this.#backoff = new Backoff(pace.initialMs, pace.maxMs);
  }

  /** Whether it is time for `what`; when not, the timer wakes when it is. */
  may(what: string): boolean {
    const at = this.#notBefore.get(what);
    if (at === undefined || at <= this.#clock.monotonic()) return true;
    this.#timer.at(at);
    return false;
  }

  /** `what` has failed once more: it is tried again after the delay (milliseconds) that is returned. */
  later(what: string): number {
    const delay = this.#backoff.next(what);
    this.after(what, delay);
    return delay;
  }

  /** `what` has a pace of its own: it is tried again in `ms`. */
  after(what: string, ms: number): void {
    this.#notBefore.set(what, this.#timer.at(this.#clock.monotonic() + ms));
  }

  /** `what` has succeeded. */
  forget(what: string): void {
    this.#notBefore.delete(what);
    this.#backoff.forget(what);
  }
}

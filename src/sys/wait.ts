import { type Clock, realClock } from './clock.ts';

export interface WaitOptions {
  /** Deadline in milliseconds. */
  timeoutMs: number;
  /** Pause between looks, in milliseconds. Default 10. */
  intervalMs?: number;
  signal?: AbortSignal;
  /** What was last seen, for the error. */
  describe?: () => string;
  clock?: Clock;
}

/** The deadline of a {@link waitFor} passed. */
export class DeadlineError extends Error {
  override name = 'DeadlineError';
}

/**
 * Looks until `condition` gives something truthy and returns it. Past the deadline it throws a {@link DeadlineError} that says
 * what was awaited and what was last seen; when the signal aborts it throws the signal's reason. An error of `condition` is final.
 */
export async function waitFor<T>(
  what: string,
  condition: () => T | Promise<T>,
  options: WaitOptions,
): Promise<Exclude<Awaited<T>, false | null | undefined>> {
  const { timeoutMs, intervalMs = 10, signal, describe, clock = realClock } = options;
  const deadline = clock.monotonic() + timeoutMs;
  for (;;) {
    signal?.throwIfAborted();
    const seen = await condition();
    if (seen) return seen as Exclude<Awaited<T>, false | null | undefined>;
    if (clock.monotonic() >= deadline) {
      const last = describe?.() ?? '';
      throw new DeadlineError(
        `waited ${timeoutMs} ms for ${what}${last === '' ? '' : `; last seen: ${last}`}`,
      );
    }
    await clock.sleep(intervalMs, signal);
  }
}

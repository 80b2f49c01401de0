/** Time, injected so that tests own it. In milliseconds. */
export interface Clock {
  /**
   * Since the epoch, by the clock of the machine, which somebody may set while the program runs: for what is written down, and to be compared with
   * what somebody else has written down.
   */
  now(): number;
  /** Since some moment, by a clock that nobody sets: how long something takes, until when something waits, whose turn it is. */
  monotonic(): number;
  /** By the second of these clocks. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The real {@link Clock}. `sleep` rejects with the signal's reason when aborted. */
export const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = () => {
        clearTimeout(timer);
        reject(signal!.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      }, ms);
      signal?.addEventListener('abort', onAbort, { once: true });
    }),
};

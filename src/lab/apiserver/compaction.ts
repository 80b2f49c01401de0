import { type Clock, realClock } from '../../sys/clock.ts';
import { ROOT } from './objects.ts';
import type { Storage } from './storage.ts';

/**
 * Forgets, every `intervalMs`, the history from before the last time: what is older than one interval, so that a watch
 * that was interrupted for less can be resumed. 0 never does. Ends when the signal aborts.
 */
export async function compactPeriodically(
  storage: Storage,
  intervalMs: number,
  signal: AbortSignal,
  onError: (error: unknown) => void,
  clock: Clock = realClock,
): Promise<void> {
  let before: number | undefined;
  while (intervalMs > 0) {
    try {
      await clock.sleep(intervalMs, signal);
    } catch {
      return;
    }
    try {
      if (before !== undefined) await storage.compact(before);
      before = (await storage.get(ROOT)).revision;
    } catch (error) {
      onError(error);
    }
  }
}

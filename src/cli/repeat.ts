import type { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Looks again and again, with a pause of some milliseconds, until what it prints to can no longer be written: its reader has gone, or its disk
 * is full. Rejects with the signal's reason when that aborts, and as a look does.
 */
export async function repeatWhileRead(
  look: () => Promise<void>,
  pauseMs: number,
  signal: AbortSignal,
  stream: EventEmitter,
): Promise<void> {
  const gone = new AbortController();
  const leave = () => gone.abort();
  stream.on('error', leave);
  const either = AbortSignal.any([signal, gone.signal]);
  try {
    while (!gone.signal.aborted) {
      await look();
      await sleep(pauseMs, undefined, { signal: either });
    }
  } catch (error) {
    signal.throwIfAborted();
    if (!gone.signal.aborted) throw error;
  } finally {
    stream.off('error', leave);
  }
}

import { type ApiClient, ApiError, hasReason } from '../kube/client.ts';
import { type Clock, realClock } from '../sys/clock.ts';
import { messageOf } from '../util/errors.ts';

/** Writes one line to standard error. */
export type Log = (message: string) => void;

/** One line an event, with its time, as the other daemons of a node log. */
export function logger(component: string): Log {
  return (message) => {
    const line = message.replaceAll('\n', ' ');
    process.stderr.write(`${new Date().toISOString()} ${component}: ${line}\n`);
  };
}

/** A signal that aborts on SIGTERM or SIGINT, and the way to take the handlers back. */
export function terminationSignal(): { signal: AbortSignal; dispose(): void } {
  const controller = new AbortController();
  const stop = () => controller.abort(new Error('terminated'));
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  return {
    signal: controller.signal,
    dispose: () => {
      process.off('SIGTERM', stop);
      process.off('SIGINT', stop);
    },
  };
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/**
 * An `onError` for work queues: a Conflict is how optimistic concurrency says "look again", and is retried without a
 * word; everything else is logged.
 */
export function logUnlessConflict(log: Log, what: string): (key: string, error: unknown) => void {
  return (key, error) => {
    if (!hasReason(error, 'Conflict')) log(`${what} ${key}: ${messageOf(error)}`);
  };
}

/**
 * An `onError` for informers: while the API server is away every informer fails every moment; the same words are logged
 * once a minute.
 */
export function logOnceAMinute(log: Log, now: () => number = Date.now): (error: unknown) => void {
  const said = new Map<string, number>();
  return (error) => {
    const message = messageOf(error);
    const at = now();
    for (const [old, time] of said) if (at - time >= 60_000) said.delete(old);
    if (said.has(message)) return;
    said.set(message, at);
    log(message);
  };
}

/** How often an API server that is starting is asked, and for how long before the informers try their own luck. */
const READY_POLL_MS = 50;
const READY_DEADLINE_MS = 30_000;

/**
 * Waits until the API server says that it is ready. Daemons of a new cluster start beside their API server; asking one
 * cheap question often gets them going at once, where the back-off of their informers would have grown meanwhile.
 * Ends without an error in any case: on an answer that is no matter of time (403, 404), after 30 s, or when aborted.
 */
export async function apiReady(
  client: ApiClient,
  signal: AbortSignal,
  clock: Clock = realClock,
): Promise<void> {
  const deadline = clock.now() + READY_DEADLINE_MS;
  while (!signal.aborted && clock.now() < deadline) {
    try {
      await (await client.fetch('GET', '/readyz', undefined, {}, signal)).text();
      return;
    } catch (error) {
      if (error instanceof ApiError && error.code < 500 && error.code !== 429) return;
    }
    await clock.sleep(READY_POLL_MS, signal).catch(() => {});
  }
}

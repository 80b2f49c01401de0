import { hasReason } from '../kube/client.ts';
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
 * An `onError` for informers: while the API server is away every informer fails every moment; said once, and again when
 * the words change or a minute has passed.
 */
export function logOnceAMinute(log: Log, now: () => number = Date.now): (error: unknown) => void {
  let last = '';
  let at = 0;
  return (error) => {
    const message = messageOf(error);
    if (message === last && now() - at < 60_000) return;
    last = message;
    at = now();
    log(message);
  };
}

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
 * An `onError` for informers: while the API server is away every informer fails every moment; the same words are logged
 * once a minute.
 */
export function logOnceAMinute(
  log: Log,
  now: () => number = () => performance.now(),
): (error: unknown) => void {
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

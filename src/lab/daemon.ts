import { type ApiClient, ApiError, hasReason } from '../kube/client.ts';
import { type Clock, realClock } from '../sys/clock.ts';
import { aborted, type Log, terminationSignal } from '../sys/daemon.ts';
import { messageOf, UserError } from '../util/errors.ts';
import type { Informers } from './informers.ts';

/**
 * An `onError` for work queues: a Conflict is how optimistic concurrency says "look again", and is retried without a
 * word; everything else is logged.
 */
export function logUnlessConflict(log: Log, what: string): (key: string, error: unknown) => void {
  return (key, error) => {
    if (!hasReason(error, 'Conflict')) log(`${what} ${key}: ${messageOf(error)}`);
  };
}

/** Milliseconds that Normal events of daemons may wait: while a cluster comes up, they are a fifth of what its API server is asked. */
export const EVENT_PATIENCE_MS = 1000;

/** How often an API server that is starting is asked, and for how long before the informers try their own luck. */
const READY_POLL_MS = 50;
const READY_DEADLINE_MS = 30_000;

/**
 * Waits until the API server says that it is ready. Daemons of a new cluster start beside their API server; asking one
 * cheap question often gets them going at once, where the back-off of their informers would have grown meanwhile.
 * Ends without an error in any case: on an answer that is no matter of time (403, 404), after 30 s, or when aborted.
 */
async function apiReady(client: ApiClient, signal: AbortSignal, clock: Clock = realClock): Promise<void> {
  const deadline = clock.monotonic() + READY_DEADLINE_MS;
  while (!signal.aborted && clock.monotonic() < deadline) {
    try {
      await client.text('/readyz', signal);
      return;
    } catch (error) {
      if (error instanceof ApiError && error.code < 500 && error.code !== 429) return;
    }
    await clock.sleep(READY_POLL_MS, signal).catch(() => {});
  }
}

/** Starts informers once the API server is ready. False when the signal aborts before they have all they ask for. */
export async function startInformers(
  client: ApiClient,
  informers: Informers,
  signal: AbortSignal,
): Promise<boolean> {
  await apiReady(client, signal);
  const synced = informers.start(signal).then(() => true);
  return Promise.race([synced, aborted(signal).then(() => false)]);
}

/** Runs a daemon until SIGTERM or SIGINT; its exit status: 0, or that of a wrong usage, which is logged. */
export async function untilTerminated(
  log: Log,
  run: (signal: AbortSignal) => Promise<void>,
): Promise<number> {
  const { signal, dispose } = terminationSignal();
  try {
    await run(signal);
    return 0;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    log(error.message);
    return error.exitCode;
  } finally {
    dispose();
  }
}

import { type ApiClient, ApiError } from '../../kube/client.ts';
import { ConnectionError } from '../../kube/connection-error.ts';
import { type Clock, realClock } from '../../sys/clock.ts';
import { Backoff } from '../../util/backoff.ts';

/** How long a server may be away or busy, in milliseconds, before a request is given up: longer than an API server takes to restart. */
const PATIENCE_MS = 60_000;
const MAX_PAUSE_MS = 5_000;
/** Too many requests, and what gateways and starting servers say. */
const PASSING: ReadonlySet<number> = new Set([429, 500, 502, 503, 504]);

/** When a request is repeated. */
export interface RetryOptions {
  signal: AbortSignal;
  clock?: Clock;
  patienceMs?: number;
  /** A server that cannot be reached is an error at once, not one that restarts: at the beginning, it most likely is not there. */
  mustBeReachable?: true;
  /** Called before each pause, with why. */
  onRetry?: (cause: unknown) => void;
  /** What else is worth another try. */
  also?: (cause: unknown) => boolean;
}

/**
 * Repeats a request while the server is busy, restarts or cannot be reached for a while. What is retried must bear being done twice: an answer
 * may have been lost.
 */
export async function retrying<T>(request: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { signal, clock = realClock, patienceMs = PATIENCE_MS, onRetry, also } = options;
  const isWorthIt = (cause: unknown) =>
    (isPassing(cause) && !(options.mustBeReachable && cause instanceof ConnectionError)) ||
    also?.(cause) === true;
  const until = clock.monotonic() + patienceMs;
  const backoff = new Backoff(250, MAX_PAUSE_MS);
  for (;;) {
    try {
      return await request();
    } catch (cause) {
      signal.throwIfAborted();
      if (!isWorthIt(cause)) throw cause;
      const asked = (cause as { status?: { details?: { retryAfterSeconds?: number } } }).status?.details;
      const pause = Math.max(backoff.next(''), Math.min((asked?.retryAfterSeconds ?? 0) * 1000, PATIENCE_MS));
      if (clock.monotonic() + pause > until) throw cause;
      onRetry?.(cause);
      await clock.sleep(pause, signal);
    }
  }
}

function isPassing(cause: unknown): boolean {
  if (cause instanceof ApiError) return PASSING.has(cause.code);
  return cause instanceof ConnectionError;
}

/** A client whose lists are retried, for what reads many pages. */
export function patientLists(client: ApiClient, options: RetryOptions): Pick<ApiClient, 'list'> {
  return {
    list: (resource, list, signal) => retrying(() => client.list(resource, list, signal), options),
  };
}

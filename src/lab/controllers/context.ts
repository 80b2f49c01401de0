import type { ApiClient } from '../../kube/client.ts';
import type { EventType } from '../../kube/event-correlator.ts';
import { EventRecorder, referenceTo } from '../../kube/event-recorder.ts';
import type { Resource } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { type Clock, realClock } from '../../sys/clock.ts';
import type { Log } from '../../sys/daemon.ts';
import { messageOf } from '../../util/errors.ts';
import { WorkQueue } from '../../util/work-queue.ts';
import { EVENT_PATIENCE_MS, logUnlessConflict } from '../daemon.ts';
import type { Informers } from '../informers.ts';

/** What every controller works with. */
export interface ControllerContext {
  client: ApiClient;
  informers: Informers;
  clock: Clock;
  log: Log;
  /** Ends when the daemon does. */
  signal: AbortSignal;
}

/** A controller that is connected to the informers and works from {@link Controller.start} on. */
export interface Controller {
  /** Begins to work; call when all informers are synced. */
  start(): void;
  /** Writes what is still to be written (events). */
  flush?(): Promise<unknown>;
}

/**
 * A work queue that holds its keys back until {@link start}: before the informers are synced a controller would act on
 * half of what there is.
 */
export class ControllerQueue {
  readonly #queue: WorkQueue;
  /** Keys added before the start, and those with a delay that counts from the start. */
  readonly #early = new Set<string>();
  readonly #earlyDelays = new Map<string, number>();
  #started = false;

  constructor(
    context: Pick<ControllerContext, 'log' | 'signal'>,
    name: string,
    work: (key: string) => Promise<void>,
    options: { concurrency?: number; maxBackoffMs?: number } = {},
  ) {
    // client-go's limit is 1000 s, which is too long for somebody who waits for an API server to come back.
    const maxBackoffMs = options.maxBackoffMs ?? 10_000;
    const concurrency = options.concurrency ?? 5;
    const onError = logUnlessConflict(context.log, name);
    this.#queue = new WorkQueue({ work, onError, concurrency, maxBackoffMs });
    context.signal.addEventListener('abort', () => this.#queue.stop(), { once: true });
  }

  add(key: string): void {
    if (this.#started) this.#queue.add(key);
    else this.#early.add(key);
  }

  /** Adds `key` after `ms` milliseconds; replaces a delay of the same key that is still pending. */
  addAfter(key: string, ms: number): void {
    // setTimeout cannot wait longer than 24.8 days; whoever waited for more looks again then.
    const delay = Math.min(Math.max(0, ms), 2 ** 31 - 1);
    if (this.#started) this.#queue.addAfter(key, delay);
    else this.#earlyDelays.set(key, delay);
  }

  start(): void {
    this.#started = true;
    for (const key of this.#early) this.#queue.add(key);
    for (const [key, ms] of this.#earlyDelays) this.#queue.addAfter(key, ms);
    this.#early.clear();
    this.#earlyDelays.clear();
  }
}

/** Events of one controller, in its name. */
export class ControllerEvents {
  readonly #recorder: EventRecorder;

  constructor(context: ControllerContext, component: string) {
    const onError = (error: unknown) => context.log(`${component}: ${messageOf(error)}`);
    const { client, clock } = context;
    this.#recorder = new EventRecorder(
      client,
      { component },
      { onError, clock, patienceMs: EVENT_PATIENCE_MS },
    );
  }

  say<T extends KubeObject>(
    resource: Resource<T>,
    object: T,
    type: EventType,
    reason: string,
    message: string,
  ): void {
    this.#recorder.event(referenceTo(resource, object), type, reason, message);
  }

  flush(): Promise<boolean> {
    return this.#recorder.flush(1_000);
  }
}

/** A context over the real clock unless another is given. */
export function controllerContext(
  parts: Omit<ControllerContext, 'clock'> & { clock?: Clock },
): ControllerContext {
  return { ...parts, clock: parts.clock ?? realClock };
}

/** A metav1.Time in milliseconds since the epoch; `undefined` when it is not set. */
export function milliseconds(time: string | undefined | null): number | undefined {
  return time ? Date.parse(time) : undefined;
}

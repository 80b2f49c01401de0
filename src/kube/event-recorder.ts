import { type Clock, realClock } from '../sys/clock.ts';
import { Backoff } from '../util/backoff.ts';
import { type ApiClient, ApiError, hasReason } from './client.ts';
import { EventCorrelator, type EventType, type Occurrence } from './event-correlator.ts';
import { apiVersionOf, events, type Resource } from './resources.ts';
import { timestamp } from './time.ts';
import type { Event, KubeObject, ObjectReference } from './types.ts';

/** As client-go's broadcaster: what comes in while this many are waiting is dropped. */
const QUEUE_LENGTH = 1000;
/** How often an event is tried while no server accepts it. */
const MAX_TRIES = 12;

/** The reference that an event about `object` carries. */
export function referenceTo(resource: Resource<KubeObject>, object: KubeObject): ObjectReference {
  const { name, namespace, uid, resourceVersion } = object.metadata ?? {};
  return { apiVersion: apiVersionOf(resource), kind: resource.kind, name, namespace, uid, resourceVersion };
}

/**
 * Writes core/v1 Events as client-go's recorder does: what happens again is counted up in the Event that is there, too
 * many different messages of one reason are combined, and an object that does not stop is cut short. Never throws into
 * its caller, and never blocks it: events are written one after another behind its back.
 */
export class EventRecorder {
  readonly #client: ApiClient;
  readonly #source: { component: string; host?: string };
  readonly #onError: (error: unknown) => void;
  readonly #clock: Clock;
  readonly #correlator: EventCorrelator;
  readonly #queue: { occurrence: Occurrence; at: number }[] = [];
  readonly #backoff = new Backoff(250, 10_000);
  readonly #patienceMs: number;
  /** Aborted when what is waiting is to be written at once. */
  #hurry = new AbortController();
  #writing: Promise<void> | undefined;
  #dropped = 0;
  #sequence = 0;

  constructor(
    client: ApiClient,
    /** Who says it: `kubelet` and the node's name, `default-scheduler`, `replicaset-controller`, … */
    source: { component: string; host?: string },
    options: {
      /** Called for every event that could not be written. */
      onError: (error: unknown) => void;
      clock?: Clock;
      /** Milliseconds that a Normal event may wait, so that it delays nothing that a cluster waits for. A Warning never waits. */
      patienceMs?: number;
    },
  ) {
    this.#client = client;
    this.#source = source;
    this.#onError = options.onError;
    this.#clock = options.clock ?? realClock;
    this.#patienceMs = options.patienceMs ?? 0;
    this.#correlator = new EventCorrelator();
  }

  /** Says that something happened to `object`. Returns at once. */
  event(object: ObjectReference, type: EventType, reason: string, message: string): void {
    if (this.#queue.length >= QUEUE_LENGTH) {
      this.#dropped++;
      return;
    }
    this.#queue.push({ occurrence: { object, type, reason, message }, at: this.#clock.now() });
    this.#writing ??= this.#drain();
    if (type === 'Warning') this.#hurry.abort();
  }

  /**
   * Resolves with true when everything said so far is written (or given up), with false when `timeoutMs` pass before.
   * For the end of a daemon.
   */
  async flush(timeoutMs = 5_000): Promise<boolean> {
    if (this.#writing === undefined) return true;
    this.#hurry.abort();
    const cancel = new AbortController();
    const late = this.#clock.sleep(timeoutMs, cancel.signal).then(
      () => false,
      () => true,
    );
    try {
      return await Promise.race([this.#writing.then(() => true), late]);
    } finally {
      cancel.abort();
    }
  }

  async #drain(): Promise<void> {
    try {
      if (this.#patienceMs > 0) await this.#patience();
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        await this.#write(next.occurrence, next.at);
      }
      if (this.#dropped > 0) {
        this.#onError(
          new Error(`${this.#dropped} events dropped: ${QUEUE_LENGTH} were waiting to be written`),
        );
        this.#dropped = 0;
      }
    } finally {
      this.#writing = undefined;
    }
  }

  /** Resolves when what is waiting has waited long enough, or is to be written at once. */
  async #patience(): Promise<void> {
    this.#hurry = new AbortController();
    const { signal } = this.#hurry;
    try {
      await this.#clock.sleep(this.#patienceMs, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async #write(occurrence: Occurrence, at: number): Promise<void> {
    const correlated = this.#correlator.correlate(occurrence, at);
    if (correlated === undefined) return;
    const { object } = occurrence;
    // An event about a cluster-scoped object lies in the default namespace.
    const namespace = object.namespace ?? 'default';
    for (let attempt = 1; ; attempt++) {
      try {
        const written = await this.#put(namespace, occurrence, correlated, at);
        correlated.written(written.metadata!.name!);
        this.#backoff.forget('');
        return;
      } catch (error) {
        // A server that answered will answer the same again: a namespace that ends, an event that is not valid.
        const final = error instanceof ApiError && error.code < 500 && error.code !== 429;
        if (final || attempt >= MAX_TRIES) {
          this.#onError(
            new Error(`event ${occurrence.reason} of ${object.kind} ${object.name} is lost`, {
              cause: error,
            }),
          );
          return;
        }
        await this.#clock.sleep(this.#backoff.next(''));
      }
    }
  }

  async #put(
    namespace: string,
    occurrence: Occurrence,
    correlated: { name?: string; count: number; message: string; firstAt: number },
    at: number,
  ): Promise<Event> {
    const { name, count, message } = correlated;
    if (name !== undefined) {
      try {
        const patch = { count, message, lastTimestamp: timestamp(at) };
        return await this.#client.patch(events, name, namespace, 'strategic', patch);
      } catch (error) {
        // It has expired or was deleted: begin a new one, with the count that there has been.
        if (!hasReason(error, 'NotFound')) throw error;
      }
    }
    const { object, type, reason } = occurrence;
    const event: Event = {
      metadata: { name: this.#nameFor(object, at), namespace },
      involvedObject: object,
      type,
      reason,
      message,
      source: this.#source,
      firstTimestamp: timestamp(correlated.firstAt),
      lastTimestamp: timestamp(at),
      count,
      reportingComponent: this.#source.component,
      reportingInstance: this.#source.host ?? '',
    };
    return await this.#client.create(events, event);
  }

  /** `<object>.<nanoseconds in hex>`, as client-go names events; a counter supplies the digits that the clock does not have. */
  #nameFor(object: ObjectReference, at: number): string {
    const nanoseconds = BigInt(Math.trunc(at)) * 1_000_000n + BigInt(this.#sequence++ % 1_000_000);
    return `${object.name}.${nanoseconds.toString(16)}`;
  }
}

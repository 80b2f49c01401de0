import { Pace, type PaceOptions } from '../agent/pace.ts';
import { type Diagnosed, diagnose } from '../path/diagnose/diagnose.ts';
import type { World } from '../path/model/world.ts';
import type { Clock } from '../sys/clock.ts';
import { Backoff } from '../util/backoff.ts';
import { messageOf } from '../util/errors.ts';
import type { ObjectListener } from './object-watch.ts';
import type { WatchState } from './protocol.ts';

/** A cluster that is looked at again and again. */
export interface Watched {
  /** Observes all of it. `progress` is shown meanwhile. */
  look(signal: AbortSignal, progress: (detail: string) => void): Promise<World>;
  /** Watches the objects that hostPorts depend on, until the signal aborts; what fails is retried and reported. */
  watchObjects(listener: ObjectListener, signal: AbortSignal): Promise<void>;
  pace: PaceOptions;
}

export interface WatcherOptions {
  watched: Watched;
  clock: Clock;
  /** Is given what every look saw. */
  looked(diagnosed: Diagnosed): void;
  /** Is given what it is doing, whenever that changes. */
  state(state: WatchState): void;
}

/** Waits after looks that failed, in milliseconds. */
const RETRY_MS = 1000;
const MAX_RETRY_MS = 30_000;

/**
 * Looks at a cluster when its objects change, soon but not too often, and at regular intervals. A look that fails, because the API server restarts
 * for instance, is repeated; what was seen before stays.
 */
export class Watcher {
  readonly #options: WatcherOptions;
  readonly #pace: Pace;
  readonly #backoff = new Backoff(RETRY_MS, MAX_RETRY_MS);
  #nap = new AbortController();
  #isWatched = false;
  #state: WatchState = { state: 'waiting', changed: 0 };

  constructor(options: WatcherOptions) {
    this.#options = options;
    this.#pace = new Pace(options.clock.monotonic(), options.watched.pace);
  }

  /** Something may have changed. */
  readonly changed = (): void => {
    this.#set({ changed: this.#state.changed + 1 });
    this.#lookSoon();
  };

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { watched, clock } = this.#options;
    const listener = { changed: this.changed, watching: this.#watching };
    const objects = watched.watchObjects(listener, signal);
    const looks = async () => {
      while (!signal.aborted) {
        const now = clock.monotonic();
        const next = this.#pace.nextAt(now);
        if (next > now) await this.#sleep(next, signal);
        else await this.#look(signal);
      }
    };
    await Promise.all([objects, looks()]);
  }

  async #sleep(until: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    this.#nap = new AbortController();
    const left = until - clock.monotonic();
    this.#set({ nextAt: new Date(clock.now() + left).toISOString() });
    try {
      await clock.sleep(left, AbortSignal.any([signal, this.#nap.signal]));
    } catch (error) {
      if (!signal.aborted && !this.#nap.signal.aborted) throw error;
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { watched, clock, looked } = this.#options;
    const began = clock.monotonic();
    this.#pace.began(began);
    this.#set({ state: 'looking', detail: undefined, nextAt: undefined, changed: 0 });
    try {
      const world = await watched.look(signal, (detail) => this.#set({ detail }));
      looked(diagnose(world));
      this.#backoff.forget('');
      this.#set({ state: 'waiting', detail: undefined, lookedAt: new Date(clock.now()).toISOString() });
    } catch (error) {
      if (signal.aborted) return;
      this.#set({ state: 'trouble', detail: messageOf(error) });
      this.#pace.due(clock.monotonic() + this.#backoff.next(''));
    } finally {
      this.#pace.ended(clock.monotonic(), clock.monotonic() - began);
    }
  }

  /**
   * While objects cannot be watched, changes are seen at the regular looks only. Where they were watched before, one look comes soon: something may
   * have changed, and the API server may be away. Where the user may not watch, nothing is lost and nothing is gained by looking more often.
   */
  readonly #watching = (unwatched: string | undefined): void => {
    if (unwatched !== undefined && this.#isWatched) this.#lookSoon();
    this.#isWatched = unwatched === undefined;
    this.#set({ unwatched });
  };

  /** As after a change: not more often than the pace allows. */
  #lookSoon(): void {
    if (this.#pace.changed(this.#options.clock.monotonic())) this.#nap.abort();
  }

  #set(change: Partial<WatchState>): void {
    this.#state = { ...this.#state, ...change };
    this.#options.state(this.#state);
  }
}

import { Pace, type PaceOptions } from '../agent/pace.ts';
import { type Diagnosed, diagnose } from '../path/diagnose/diagnose.ts';
import type { World } from '../path/model/world.ts';
import type { Clock } from '../sys/clock.ts';
import { Backoff } from '../util/backoff.ts';
import { messageOf } from '../util/errors.ts';
import type { WatchState } from './protocol.ts';

/** A cluster that is looked at again and again. */
export interface Watched {
  /** Observes all of it. `progress` is shown meanwhile. */
  look(signal: AbortSignal, progress: (detail: string) => void): Promise<World>;
  /** Calls `changed` for each change of an object that hostPorts depend on, until the signal aborts; errors are retried and reported. */
  watchObjects(changed: () => void, onError: (error: unknown) => void, signal: AbortSignal): Promise<void>;
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
  #state: WatchState = { state: 'waiting', changed: 0 };

  constructor(options: WatcherOptions) {
    this.#options = options;
    this.#pace = new Pace(options.clock.now(), options.watched.pace);
  }

  /** Something may have changed. */
  readonly changed = (): void => {
    this.#set({ changed: this.#state.changed + 1 });
    if (this.#pace.changed(this.#options.clock.now())) this.#nap.abort();
  };

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { watched, clock } = this.#options;
    const objects = watched.watchObjects(this.changed, this.#objectsFailed, signal);
    const looks = async () => {
      while (!signal.aborted) {
        const now = clock.now();
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
    this.#set({ nextAt: new Date(until).toISOString() });
    try {
      await clock.sleep(until - clock.now(), AbortSignal.any([signal, this.#nap.signal]));
    } catch (error) {
      if (!signal.aborted && !this.#nap.signal.aborted) throw error;
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { watched, clock, looked } = this.#options;
    const began = clock.now();
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
      this.#pace.due(clock.now() + this.#backoff.next(''));
    } finally {
      this.#pace.ended(clock.now(), clock.now() - began);
    }
  }

  /** While the objects cannot be watched, changes are seen at looks only; the next look shows whether there still is trouble. */
  readonly #objectsFailed = (error: unknown): void => {
    if (this.#state.state !== 'waiting') return;
    this.#set({ state: 'trouble', detail: messageOf(error) });
    this.#pace.due(this.#options.clock.now() + RETRY_MS);
    this.#nap.abort();
  };

  #set(change: Partial<WatchState>): void {
    this.#state = { ...this.#state, ...change };
    this.#options.state(this.#state);
  }
}

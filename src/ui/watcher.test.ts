import { describe, expect, test } from 'bun:test';
import type { World } from '../path/model/world.ts';
import type { Clock } from '../sys/clock.ts';
import { aborted } from '../sys/daemon.ts';
import type { ObjectListener } from './object-watch.ts';
import type { WatchState } from './protocol.ts';
import { type Watched, Watcher } from './watcher.ts';

/** A clock that moves on only by `pass`. */
class HeldClock implements Clock {
  time = 1000;
  #sleepers: { until: number; wake(): void }[] = [];
  /** The clock of the machine; whoever goes by it looks at another time. */
  day = Date.UTC(2026, 0, 1);
  now = () => this.day + this.time;
  monotonic = () => this.time;
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      this.#sleepers.push({ until: this.time + ms, wake: resolve });
    });
  }

  /** Moves on by so many milliseconds; what was to happen meanwhile happens. */
  async pass(ms: number): Promise<void> {
    for (const end = this.time + ms; this.time < end; ) {
      this.time = Math.min(end, this.time + 10);
      for (const { wake } of this.#sleepers.filter(({ until }) => until <= this.time)) wake();
      this.#sleepers = this.#sleepers.filter(({ until }) => until > this.time);
      await turns();
    }
  }
}

/** Lets all that is ready happen. */
async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

const WORLD: World = {
  ...{ observedAt: '2030-01-01T00:00:00Z', nodes: [], pods: [], services: [], events: [], policies: [] },
  ...{ reports: new Map(), probes: [] },
};
const PACE = {
  debounceMs: 100,
  maxDebounceMs: 500,
  resyncMs: 10_000,
  burst: 2,
  spacingMs: 1000,
  spacingFactor: 1,
};

async function start(look: Watched['look'] = async () => WORLD) {
  const clock = new HeldClock();
  const states: WatchState[] = [];
  const looks: number[] = [];
  let objects: ObjectListener | undefined;
  const over = new AbortController();
  const watcher = new Watcher({
    clock,
    watched: {
      pace: PACE,
      look: (signal, progress) => {
        looks.push(clock.time);
        return look(signal, progress);
      },
      watchObjects: (listener, signal) => {
        objects = listener;
        return aborted(signal);
      },
    },
    looked: () => {},
    state: (state) => states.push(state),
  });
  const running = watcher.run(over.signal);
  await turns();
  const stop = async () => {
    over.abort(new Error('over'));
    await running;
  };
  return {
    clock,
    states,
    looks,
    watcher,
    stop,
    watching: (trouble: string | undefined) => objects!.watching(trouble),
    last: () => states.at(-1)!,
  };
}

describe('a watcher', () => {
  test('looks at once, then at intervals, and says when', async () => {
    const { clock, looks, stop, last, states } = await start();
    expect(looks).toEqual([1000]);
    expect(states[0]).toMatchObject({ state: 'looking', changed: 0 });
    expect(last()).toEqual({
      ...{ state: 'waiting', detail: undefined, changed: 0 },
      ...{ lookedAt: '2026-01-01T00:00:01.000Z', nextAt: '2026-01-01T00:00:11.000Z' },
    });
    await clock.pass(20_000);
    expect(looks).toEqual([1000, 11_000, 21_000]);
    // Somebody sets the clock of the machine.
    for (const hours of [-5, 5]) {
      clock.day += hours * 3_600_000;
      await clock.pass(10_000);
    }
    expect(looks).toEqual([1000, 11_000, 21_000, 31_000, 41_000]);
    await stop();
  });

  test('looks soon after a change, and less often when changes do not end', async () => {
    const { clock, looks, watcher, stop } = await start();
    watcher.changed();
    await clock.pass(200);
    expect(looks.length).toBe(2);
    for (let ms = 0; ms < 5000; ms += 10) {
      watcher.changed();
      await clock.pass(10);
    }
    // Two that follow closely, then one a second, for 500 changes.
    expect(looks.length).toBeGreaterThanOrEqual(5);
    expect(looks.length).toBeLessThanOrEqual(8);
    await stop();
  });

  test('counts what has changed until the next look begins', async () => {
    const { clock, watcher, stop, last } = await start();
    for (let i = 0; i < 3; i++) watcher.changed();
    expect(last().changed).toBe(3);
    await clock.pass(1000);
    expect(last().changed).toBe(0);
    await stop();
  });

  test('a look that fails is repeated with back-off; what was seen before is still dated', async () => {
    let isAway = false;
    const { clock, looks, stop, last } = await start(async () => {
      if (isAway) throw new Error('connection refused');
      return WORLD;
    });
    const { lookedAt } = last();
    isAway = true;
    await clock.pass(10_000);
    expect(last()).toMatchObject({ state: 'trouble', detail: 'connection refused', lookedAt });
    await clock.pass(7000);
    // At 11 s; then after 1, 2 and 4 s.
    expect(looks.slice(1)).toEqual([11_000, 12_000, 14_000, 18_000]);
    isAway = false;
    await clock.pass(8000);
    expect(last()).toMatchObject({ state: 'waiting', detail: undefined });
    expect(last().lookedAt! > lookedAt!).toBe(true);
    await stop();
  });

  test('objects that never could be watched are said to be so, and the looks are the regular ones', async () => {
    const { clock, stop, last, looks, watching, states } = await start();
    watching('services are forbidden');
    expect(last()).toMatchObject({ state: 'waiting', unwatched: 'services are forbidden' });
    const before = states.length;
    await clock.pass(30_000);
    expect(looks).toEqual([1000, 11_000, 21_000, 31_000]);
    expect(new Set(states.slice(before).map(({ unwatched }) => unwatched))).toEqual(
      new Set(['services are forbidden']),
    );
    await stop();
  });

  test('a watch of objects that ends is followed by one look soon', async () => {
    const { clock, stop, last, looks, watching } = await start();
    watching(undefined);
    expect(last().unwatched).toBeUndefined();
    watching('connection refused');
    await clock.pass(5000);
    expect(looks).toEqual([1000, 1100]);
    expect(last()).toMatchObject({ state: 'waiting', unwatched: 'connection refused' });
    watching(undefined);
    expect(last().unwatched).toBeUndefined();
    await stop();
  });

  test('a watch of objects that ends again and again makes no more looks than changes do', async () => {
    const { clock, stop, looks, watching } = await start();
    for (let ms = 0; ms < 5000; ms += 20) {
      watching(undefined);
      watching('connection reset');
      await clock.pass(20);
    }
    expect(looks.length).toBeLessThanOrEqual(8);
    await stop();
  });

  test('progress of a look is shown', async () => {
    const { promise, resolve } = Promise.withResolvers<World>();
    const { last, stop } = await start((_, progress) => {
      progress('examining nodes 3/4');
      return promise;
    });
    expect(last()).toMatchObject({ state: 'looking', detail: 'examining nodes 3/4' });
    resolve(WORLD);
    await turns();
    expect(last()).toMatchObject({ state: 'waiting', detail: undefined });
    await stop();
  });
});

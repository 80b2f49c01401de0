import { describe, expect, test } from 'bun:test';
import { leapingNow } from '../../sys/clock.fake.ts';
import type { Clock } from '../../sys/clock.ts';
import { FakeStorage } from './storage.fake.ts';
import { CompactedError } from './storage.ts';
import { WatchHub } from './watch-hub.ts';

/** Sleeps end when the test says so. */
class HeldClock implements Clock {
  #sleepers: (() => void)[] = [];
  now = leapingNow();
  monotonic = () => 0;
  sleep = () => new Promise<void>((resolve) => this.#sleepers.push(resolve));
  wake(): void {
    for (const resolve of this.#sleepers.splice(0)) resolve();
  }
}

function world() {
  const storage = new FakeStorage();
  const clock = new HeldClock();
  const errors: unknown[] = [];
  const hub = new WatchHub({ storage, prefix: '/r/', onError: (error) => errors.push(error), clock });
  const seen: string[] = [];
  const subscribe = (prefix: string, after: number) =>
    hub.subscribe(prefix, after, {
      onChange: ({ key, value }) => seen.push(`${key}=${value ?? ''}`),
      onEnd: (error) => seen.push(error instanceof CompactedError ? 'compacted' : `ended: ${error.message}`),
    });
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  return { storage, clock, errors, hub, seen, subscribe, settle };
}

describe('the watch hub', () => {
  test('gives each subscriber its prefix from its revision on, the past included', async () => {
    const { storage, hub, seen, subscribe, settle } = world();
    hub.start(storage.revision);
    await settle();
    await storage.put('/r/a/1', 'x', 0);
    const between = storage.revision;
    await storage.put('/r/a/2', 'y', 0);
    await storage.put('/r/b/1', 'z', 0);
    const { stop, revision } = subscribe('/r/a/', between);
    expect(seen).toEqual(['/r/a/2=y']);
    await storage.put('/r/a/3', 'w', 0);
    expect(seen).toEqual(['/r/a/2=y', '/r/a/3=w']);
    expect(revision()).toBe(storage.revision);
    stop();
    await storage.put('/r/a/4', 'v', 0);
    expect(seen).toHaveLength(2);
  });

  test('a start before its own history is served by storage', async () => {
    const { storage, hub, seen, subscribe, settle } = world();
    await storage.put('/r/a/1', 'old', 0);
    hub.start(storage.revision);
    const { revision } = subscribe('/r/a/', 1);
    expect(seen).toEqual([]);
    await settle();
    expect(seen).toEqual(['/r/a/1=old']);
    expect(revision()).toBe(2);
    await storage.put('/r/a/2', 'new', 0);
    expect(seen).toEqual(['/r/a/1=old', '/r/a/2=new']);
  });

  test('history is bounded, and what is cut from it comes from storage', async () => {
    const { storage, hub, seen, subscribe, settle } = world();
    hub.start(storage.revision);
    await settle();
    const start = storage.revision;
    const big = 'x'.repeat(1 << 20);
    for (let at = 0; at < 6; at++) await storage.put(`/r/a/${at}`, big, 0);
    subscribe('/r/a/', start);
    expect(seen).toHaveLength(0);
    await settle();
    expect(seen).toHaveLength(6);
    subscribe('/r/a/', storage.revision - 1);
    expect(seen).toHaveLength(7);
  });

  test('a broken watch is resumed and nobody misses anything', async () => {
    const { storage, clock, errors, hub, seen, subscribe, settle } = world();
    hub.start(storage.revision);
    await settle();
    subscribe('/r/', storage.revision);
    await storage.put('/r/1', 'a', 0);
    storage.breakWatches(new Error('connection lost'));
    await storage.put('/r/2', 'b', 0);
    expect(seen).toEqual(['/r/1=a']);
    await settle();
    clock.wake();
    await settle();
    expect(seen).toEqual(['/r/1=a', '/r/2=b']);
    expect(errors).toHaveLength(1);
  });

  test('when history is lost meanwhile, every watcher has to list again', async () => {
    const { storage, clock, hub, seen, subscribe, settle } = world();
    hub.start(storage.revision);
    await settle();
    subscribe('/r/', storage.revision);
    storage.breakWatches(new Error('connection lost'));
    await storage.put('/r/1', 'a', 0);
    await storage.put('/r/2', 'b', 0);
    await storage.compact(storage.revision);
    await settle();
    clock.wake();
    await settle();
    expect(seen).toEqual(['compacted']);
    clock.wake();
    await settle();
    subscribe('/r/', storage.revision);
    await storage.put('/r/3', 'c', 0);
    expect(seen).toEqual(['compacted', '/r/3=c']);
  });

  test('waiting for a revision ends when it has been given out, or with its signal', async () => {
    const { storage, hub, settle } = world();
    hub.start(storage.revision);
    await settle();
    let reached = false;
    const waiting = hub.caughtUp(storage.revision + 1, new AbortController().signal).then(() => {
      reached = true;
    });
    await settle();
    expect(reached).toBe(false);
    await storage.put('/r/1', 'a', 0);
    await waiting;
    const abort = new AbortController();
    const hopeless = hub.caughtUp(99, abort.signal).catch((error: Error) => error.message);
    abort.abort(new Error('enough'));
    expect(await hopeless).toBe('enough');
  });
});

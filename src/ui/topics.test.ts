import { describe, expect, test } from 'bun:test';
import { leapingNow } from '../sys/clock.fake.ts';
import { type Clock, realClock } from '../sys/clock.ts';
import { Topics } from './topics.ts';

interface Two {
  a: number;
  b: string;
}

/** A clock that moves on when somebody sleeps, and not otherwise. */
class LeapingClock implements Clock {
  time = 0;
  readonly slept: number[] = [];
  /** Called every 10 ms of a sleep. */
  tick: (time: number) => void = () => {};
  now = leapingNow();
  monotonic = () => this.time;
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    await Promise.resolve();
    signal?.throwIfAborted();
    this.slept.push(ms);
    for (let left = ms; left > 0; left -= 10) {
      this.time += Math.min(10, left);
      this.tick(this.time);
    }
  }
}

const never = new AbortController().signal;
const TIMES = { spacingMs: 100, keepAliveMs: 15_000 };

function setUp(run = 'run1') {
  const clock = new LeapingClock();
  return { clock, topics: new Topics<Two>(run, clock, TIMES) };
}

/** The frames by topic. */
function read(text: string): Record<string, unknown> {
  const events = [...text.matchAll(/^id: (\S+)\nevent: (\w+)\ndata: (.*)\n\n/gm)];
  return Object.fromEntries(events.map(([, id, topic, data]) => [topic, [id, JSON.parse(data!)]]));
}

describe('topics', () => {
  test('a new reader gets the latest of every topic, and then what changes', async () => {
    const { topics } = setUp();
    topics.publish('a', 1);
    topics.publish('b', 'x');
    topics.publish('a', 2);
    const follower = topics.follow(null);
    expect(read(await follower.next(never))).toEqual({ b: ['run1-2', 'x'], a: ['run1-3', 2] });
    topics.publish('b', 'y');
    expect(read(await follower.next(never))).toEqual({ b: ['run1-4', 'y'] });
  });

  test.each([
    ['what it has missed', 'run1-1', ['b']],
    ['nothing but what comes, when it has all', 'run1-2', []],
    ['all, when its last event was of another process', 'run0-2', ['a', 'b']],
    ['all, when its last event has no number', 'run1-x', ['a', 'b']],
    ['what comes, when its number is yet to come', 'run1-99', []],
  ])('a reader that comes back gets %s', async (_, lastEventId, wanted) => {
    const { topics } = setUp();
    topics.publish('a', 1);
    topics.publish('b', 'x');
    const next = topics.follow(lastEventId).next(never);
    const got = wanted.length > 0 ? read(await next) : {};
    if (wanted.length === 0) {
      topics.publish('a', 2);
      expect(read(await next)).toEqual({ a: ['run1-3', 2] });
    }
    expect(Object.keys(got)).toEqual([...wanted]);
  });

  test('a hundred changes a second are ten deliveries, each the latest', async () => {
    const { topics, clock } = setUp();
    const follower = topics.follow(null);
    clock.tick = (time) => topics.publish('a', time);
    const deliveries: number[] = [];
    while (clock.time < 1000) {
      // So that there is something to wait for the time of.
      topics.publish('a', clock.time);
      deliveries.push((read(await follower.next(never)).a as [string, number])[1]);
    }
    expect(deliveries).toEqual([0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]);
  });

  test('a value is made into text once for all readers, and never when nobody reads it', async () => {
    let made = 0;
    const value = { toJSON: () => ++made };
    const topics = new Topics<{ a: object }>('run1', new LeapingClock(), TIMES);
    for (let i = 0; i < 1000; i++) topics.publish('a', value);
    expect(made).toBe(0);
    for (let i = 0; i < 5; i++) await topics.follow(null).next(never);
    expect(made).toBe(1);
  });

  test('a reader to which nothing is said gets a comment', async () => {
    const { topics, clock } = setUp();
    expect(await topics.follow(null).next(never)).toBe(': still here\n\n');
    expect(clock.slept).toEqual([15_000]);
  });

  test('the end of a reader ends its waiting', async () => {
    const topics = new Topics<Two>('run1', realClock, TIMES);
    const gone = new AbortController();
    const next = topics.follow(null).next(gone.signal);
    gone.abort(new Error('gone'));
    await expect(next).rejects.toThrow('gone');
  });
});

import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { leapingNow } from '../../sys/clock.fake.ts';
import type { Clock } from '../../sys/clock.ts';
import { Retries } from './retries.ts';
import { WakeTimer } from './wake-timer.ts';

let now = 0;
const clock: Clock = {
  now: leapingNow(),
  monotonic: () => now,
  sleep: () => Promise.reject(new Error('nothing sleeps here')),
};

describe('Retries', () => {
  let asked: number[] = [];
  let retries: Retries;
  beforeEach(() => {
    now = 1000;
    asked = [];
    const timer = { at: (time: number) => asked.push(time) && time, stop: () => {} };
    retries = new Retries(clock, timer as unknown as WakeTimer, { initialMs: 1000, maxMs: 3000 });
  });

  test('what has not failed may be tried', () => {
    expect(retries.may('a')).toBe(true);
    expect(asked).toEqual([]);
  });

  test('each failure waits longer, up to the greatest delay, and the timer knows', () => {
    expect([retries.later('a'), retries.later('a'), retries.later('a'), retries.later('a')]).toEqual([
      1000, 2000, 3000, 3000,
    ]);
    expect(asked).toEqual([2000, 3000, 4000, 4000]);
  });

  test('until its time nothing is tried, each attempt sets the timer again, and others are not held up', () => {
    retries.later('a');
    now = 1999;
    expect(retries.may('a')).toBe(false);
    expect(asked).toEqual([2000, 2000]);
    expect(retries.may('b')).toBe(true);
    now = 2000;
    expect(retries.may('a')).toBe(true);
  });

  test('a pace of its own does not count as a failure', () => {
    retries.after('a', 60_000);
    expect(retries.may('a')).toBe(false);
    now += 60_000;
    expect(retries.may('a')).toBe(true);
    expect(retries.later('a')).toBe(1000);
  });

  test('success resets the delay', () => {
    retries.later('a');
    retries.later('a');
    retries.forget('a');
    expect(retries.may('a')).toBe(true);
    expect(retries.later('a')).toBe(1000);
  });
});

describe('WakeTimer', () => {
  let woken = Promise.withResolvers<void>();
  let count = 0;
  let timer: WakeTimer;
  beforeEach(() => {
    now = 0;
    count = 0;
    woken = Promise.withResolvers();
    timer = new WakeTimer(clock, () => {
      count += 1;
      woken.resolve();
    });
  });
  afterEach(() => timer.stop());

  test('wakes once for the earliest of several appointments', async () => {
    expect(timer.at(3_600_000)).toBe(3_600_000);
    timer.at(5);
    timer.at(50_000);
    await woken.promise;
    expect(count).toBe(1);
  });

  test('a time in the past is now', async () => {
    now = 1000;
    timer.at(1);
    await woken.promise;
  });

  test('a wait that is longer than timers take does not wake at once', async () => {
    timer.at(2 ** 40);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(count).toBe(0);
  });

  test('wakes nobody once it is stopped', async () => {
    timer.at(1);
    timer.stop();
    timer.at(1);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(count).toBe(0);
  });
});

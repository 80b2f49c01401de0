import { expect, test } from 'bun:test';
import { ApiError } from '../../kube/client.ts';
import { ConnectionError } from '../../kube/connection-error.ts';
import { leapingNow } from '../../sys/clock.fake.ts';
import type { Clock } from '../../sys/clock.ts';
import { retrying } from './retry.ts';

/** A clock on which pauses take no time, and which notes them. */
function notingClock(): Clock & { pauses: number[] } {
  const pauses: number[] = [];
  let now = 0;
  return {
    pauses,
    now: leapingNow(),
    monotonic: () => now,
    sleep: async (ms) => {
      pauses.push(ms);
      now += ms;
    },
  };
}

const busy = (retryAfterSeconds?: number) =>
  new ApiError('GET', '/x', 429, {
    code: 429,
    ...(retryAfterSeconds !== undefined && { details: { retryAfterSeconds } }),
  });
const away = () => new ConnectionError('GET', 'https://x', {}, { code: 'ECONNREFUSED' });
const { signal } = new AbortController();

function failing(...errors: Error[]): () => Promise<string> {
  return async () => {
    const error = errors.shift();
    if (error !== undefined) throw error;
    return 'answer';
  };
}

test('a busy server is asked again when it says, and else after growing pauses', async () => {
  const clock = notingClock();
  expect(await retrying(failing(busy(7), busy(), busy(3)), { signal, clock })).toBe('answer');
  const [first, second, third] = clock.pauses;
  expect(first).toBe(7000);
  expect(second).toBeGreaterThan(0);
  expect(third).toBe(3000);
});

test('a server that wants a longer pause than there is patience for is an error', async () => {
  const clock = notingClock();
  await expect(retrying(failing(busy(61)), { signal, clock, patienceMs: 60_000 })).resolves.toBe('answer');
  await expect(retrying(failing(busy(30)), { signal, clock, patienceMs: 10_000 })).rejects.toThrow('429');
});

test.each([
  ['is asked again', {}, 'answer'],
  [
    'is an error at once where it must be reachable',
    { mustBeReachable: true as const },
    'connection refused',
  ],
])('a server that cannot be reached %s', async (_, more, outcome) => {
  const clock = notingClock();
  const asked = retrying(failing(away()), { signal, clock, ...more }).catch((cause: Error) => cause.message);
  expect(await asked).toContain(outcome);
});

test.each([400, 401, 403, 404, 409])('an answer of %i is not asked for again', async (code) => {
  const clock = notingClock();
  const error = new ApiError('GET', '/x', code, { code, message: 'no' });
  await expect(retrying(failing(error), { signal, clock })).rejects.toBe(error);
  expect(clock.pauses).toEqual([]);
});

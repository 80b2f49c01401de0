import { beforeEach, describe, expect, test } from 'bun:test';
import { ApiClient, ApiError } from '../kube/client.ts';
import { leapingNow } from '../sys/clock.fake.ts';
import { MetricsAccess } from './metrics-access.ts';

/** The API as far as reviews go: tokens are names of users, of whom those may read that begin with `allowed`. */
class FakeReviews extends ApiClient {
  readonly asked: { path: string; spec: Record<string, unknown> }[] = [];
  /** Each review waits for it. */
  gate: Promise<void> = Promise.resolve();
  isDown = false;

  constructor() {
    super({ server: 'https://fake.invalid', userAgent: 'fake' });
  }

  override async fetch(_: string, path: string, body?: unknown): Promise<Response> {
    const { spec } = body as { spec: Record<string, unknown> };
    this.asked.push({ path, spec });
    await this.gate;
    if (this.isDown) throw new ApiError('POST', path, 503, { message: 'down' });
    if (path.endsWith('/tokenreviews')) {
      const user = { username: spec.token, uid: 'u', groups: ['g'], extra: { key: ['value'] } };
      const status = spec.token === 'unknown' ? { user: {} } : { authenticated: true, user };
      return Response.json({ status });
    }
    return Response.json({ status: { allowed: String(spec.user).startsWith('allowed') } });
  }
}

let api: FakeReviews;
let now: number;
let access: MetricsAccess;
beforeEach(() => {
  api = new FakeReviews();
  now = 1_000_000;
  access = new MetricsAccess(api, {
    now: leapingNow(),
    monotonic: () => now,
    sleep: () => Promise.reject(new Error('nobody sleeps')),
  });
});

test.each([
  ['Bearer allowed', 'allowed'],
  ['bearer allowed', 'allowed'],
  ['Bearer other', 'forbidden'],
  ['Bearer unknown', 'nobody'],
])('%s: %s', async (header, expected) => {
  expect(await access.of(header, '/metrics')).toBe(expected as never);
});

test.each([
  [null],
  [''],
  ['Basic YTpi'],
  ['Bearer'],
  ['Bearer a b'],
  ['Bearer a\u0000'],
  [`Bearer ${'a'.repeat(16 * 1024 + 1)}`],
])('what cannot be a token is not sent to the API: %p', async (header) => {
  expect(await access.of(header, '/metrics')).toBe('nobody');
  expect(api.asked).toEqual([]);
});

test('the API is asked who it is, and whether that one may get the path', async () => {
  await access.of('Bearer allowed', '/metrics');
  expect(api.asked).toEqual([
    { path: '/apis/authentication.k8s.io/v1/tokenreviews', spec: { token: 'allowed' } },
    {
      path: '/apis/authorization.k8s.io/v1/subjectaccessreviews',
      spec: {
        user: 'allowed',
        uid: 'u',
        groups: ['g'],
        extra: { key: ['value'] },
        nonResourceAttributes: { path: '/metrics', verb: 'get' },
      },
    },
  ]);
});

describe('an answer', () => {
  test.each([
    ['allowed', 59_000, 61_000],
    ['other', 9_000, 11_000],
    ['unknown', 9_000, 11_000],
  ])('for %s holds for a while, and no longer', async (token, held, over) => {
    await access.of(`Bearer ${token}`, '/metrics');
    const first = api.asked.length;
    now += held;
    await access.of(`Bearer ${token}`, '/metrics');
    expect(api.asked.length).toBe(first);
    now += over - held;
    await access.of(`Bearer ${token}`, '/metrics');
    expect(api.asked.length).toBe(2 * first);
  });

  test('is of one token and one path', async () => {
    await access.of('Bearer allowed', '/metrics');
    expect(await access.of('Bearer other', '/metrics')).toBe('forbidden');
    await access.of('Bearer allowed', '/other');
    expect(api.asked.filter(({ path }) => path.endsWith('tokenreviews'))).toHaveLength(3);
  });

  test('that there is none is not remembered', async () => {
    api.isDown = true;
    await expect(access.of('Bearer allowed', '/metrics')).rejects.toThrow('down');
    api.isDown = false;
    expect(await access.of('Bearer allowed', '/metrics')).toBe('allowed');
  });
});

test('many that ask at once are few reviews, and one that asks often is one', async () => {
  const open = Promise.withResolvers<void>();
  api.gate = open.promise;
  const same = [1, 2, 3].map(() => access.of('Bearer allowed', '/metrics'));
  const others = ['a', 'b', 'c', 'd', 'e'].map((token) => access.of(`Bearer ${token}`, '/metrics'));
  open.resolve();
  expect(await Promise.all(same)).toEqual(['allowed', 'allowed', 'allowed']);
  expect(await Promise.all(others)).toEqual(['forbidden', 'forbidden', 'forbidden', 'busy', 'busy']);
  expect(api.asked.filter(({ path }) => path.endsWith('tokenreviews'))).toHaveLength(4);
});

describe('what is remembered is bounded', () => {
  test('the oldest goes first', async () => {
    for (let i = 0; i <= 64; i++) {
      now += i === 0 ? 0 : 900;
      expect(await access.of(`Bearer allowed${i}`, '/metrics')).toBe('allowed');
    }
    const before = api.asked.length;
    await access.of('Bearer allowed64', '/metrics');
    await access.of('Bearer allowed1', '/metrics');
    expect(api.asked.length).toBe(before);
    now += 1000;
    await access.of('Bearer allowed0', '/metrics');
    expect(api.asked.length).toBeGreaterThan(before);
  });

  test('refusals push out no answer that allows', async () => {
    await access.of('Bearer allowed', '/metrics');
    for (let i = 0; i < 65; i++) {
      now += 900;
      await access.of(`Bearer t${i}`, '/metrics');
    }
    expect(api.asked.length).toBeGreaterThan(64);
    now -= 5000;
    const before = api.asked.length;
    expect(await access.of('Bearer allowed', '/metrics')).toBe('allowed');
    expect(api.asked.length).toBe(before);
  });
});

describe('tokens that nobody knows', () => {
  test('are reviewed ten at once, then one a second', async () => {
    const answers: string[] = [];
    for (let i = 0; i < 12; i++) answers.push(await access.of(`Bearer t${i}`, '/metrics'));
    expect(answers).toEqual([...Array<string>(10).fill('forbidden'), 'busy', 'busy']);
    now += 1000;
    expect(await access.of('Bearer t10', '/metrics')).toBe('forbidden');
    expect(await access.of('Bearer t11', '/metrics')).toBe('busy');
  });

  test('do not keep out who was allowed, also when its answer is over', async () => {
    await access.of('Bearer allowed', '/metrics');
    now += 120_000;
    const open = Promise.withResolvers<void>();
    api.gate = open.promise;
    const flood = Array.from({ length: 50 }, (_, i) => access.of(`Bearer t${i}`, '/metrics'));
    const again = access.of('Bearer allowed', '/metrics');
    open.resolve();
    expect(await again).toBe('allowed');
    expect((await Promise.all(flood)).filter((answer) => answer === 'busy')).toHaveLength(46);
  });
});

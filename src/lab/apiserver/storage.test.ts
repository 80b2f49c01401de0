import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { TestEtcd } from '../etcd/test-etcd.fake.ts';
import { EtcdStorage } from './etcd-storage.ts';
import { FakeStorage } from './storage.fake.ts';
import { type Change, CompactedError, type Storage, StorageUnavailableError } from './storage.ts';

/**
 * What a promise rejects with. Not `expect().rejects`: Bun's waits in a nested event loop, inside which a connection whose
 * data is being handled delivers no more.
 */
async function failure(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('resolved, and should not have');
}

/** Collects what a watch delivers; `until` waits for a number of changes or for the end. */
class Collected {
  readonly changes: Change[] = [];
  end: Error | undefined;
  #wake: () => void = () => {};

  readonly sink = {
    onChanges: (changes: Change[]) => {
      this.changes.push(...changes);
      this.#wake();
    },
    onEnd: (error: Error) => {
      this.end = error;
      this.#wake();
    },
  };

  async until(done: () => boolean): Promise<void> {
    while (!done()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

// One suite for the real thing and its fake: a difference between them is a mistake in one of them.
describe.each(['fake', 'etcd'])('storage: %s', (which) => {
  let etcd: TestEtcd | undefined;
  let storage: Storage;
  let prefix: string;
  let count = 0;

  beforeAll(async () => {
    if (which === 'etcd') etcd = await TestEtcd.start();
    storage = etcd === undefined ? new FakeStorage() : new EtcdStorage(etcd.client());
  });
  afterAll(async () => {
    storage.close();
    await etcd?.stop();
  });
  beforeEach(() => {
    prefix = `/test/${++count}/`;
  });

  const put = async (key: string, value: string, expected = 0) => {
    const result = await storage.put(prefix + key, value, expected);
    if (!result.done) throw new Error(`${key} was not written`);
    return result.revision;
  };

  test('a write is conditional on the revision that is there', async () => {
    const first = await put('a', 'one');
    expect(await storage.put(`${prefix}a`, 'two', 0)).toMatchObject({
      done: false,
      current: { value: 'one', revision: first },
    });
    const second = await put('a', 'two', first);
    expect(second).toBeGreaterThan(first);
    expect((await storage.get(`${prefix}a`)).item).toEqual({
      key: `${prefix}a`,
      value: 'two',
      revision: second,
    });
    expect(await storage.put(`${prefix}b`, 'x', 99)).toEqual({ done: false, current: undefined });
    expect(await storage.delete(`${prefix}a`, first)).toMatchObject({
      done: false,
      current: { value: 'two' },
    });
    expect(await storage.delete(`${prefix}a`, second)).toMatchObject({ done: true });
    expect((await storage.get(`${prefix}a`)).item).toBeUndefined();
  });

  test('a list is in order of keys, of its prefix only, and its pages are of one revision', async () => {
    for (const key of ['c', 'a', 'b', 'd']) await put(key, key);
    await storage.put(`/test/${count}x/z`, 'other', 0);
    const page = await storage.list(prefix, { limit: 2 });
    expect(page.items.map(({ value }) => value)).toEqual(['a', 'b']);
    expect(page.remaining).toBe(2);
    await put('bb', 'later');
    const { revision } = page;
    const rest = await storage.list(prefix, { after: `${prefix}b`, revision });
    expect(rest.items.map(({ value }) => value)).toEqual(['c', 'd']);
    expect(rest).toMatchObject({ remaining: 0, revision });
    expect((await storage.list(prefix)).items).toHaveLength(5);
  });

  test('a watch delivers the past and the present in order, with what was there before', async () => {
    const start = (await storage.get(prefix)).revision;
    const first = await put('a', 'one');
    const seen = new Collected();
    const stop = storage.watch(prefix, start, seen.sink);
    await seen.until(() => seen.changes.length === 1);
    const second = await put('a', 'two', first);
    await storage.put(`/test/${count}x/z`, 'other', 0);
    const gone = await storage.delete(`${prefix}a`, second);
    await seen.until(() => seen.changes.length === 3);
    stop();
    expect(seen.changes.map(({ value, previous }) => [value, previous])).toEqual([
      ['one', undefined],
      ['two', 'one'],
      [undefined, 'two'],
    ]);
    expect(seen.changes.map(({ revision }) => revision)).toEqual([
      first,
      second,
      gone.done ? gone.revision : 0,
    ]);
  });

  test('what is compacted can neither be listed nor watched', async () => {
    const first = await put('a', 'one');
    const second = await put('a', 'two', first);
    const third = await put('a', 'three', second);
    await storage.compact(third);
    await storage.compact(second);
    expect(await failure(storage.list(prefix, { revision: first }))).toBeInstanceOf(CompactedError);
    const seen = new Collected();
    storage.watch(prefix, first, seen.sink);
    await seen.until(() => seen.end !== undefined);
    expect(seen.end).toBeInstanceOf(CompactedError);
    expect((await storage.list(prefix)).items).toHaveLength(1);
  });

  test('a value with a time to live goes by itself', async () => {
    const seen = new Collected();
    storage.watch(prefix, (await storage.get(prefix)).revision, seen.sink);
    await storage.put(`${prefix}event`, 'x', 0, which === 'fake' ? 0.05 : 1);
    await seen.until(() => seen.changes.length > 0);
    expect((await storage.get(`${prefix}event`)).item?.value).toBe('x');
    if (which === 'fake') {
      await seen.until(() => seen.changes.length === 2);
      expect(seen.changes[1]).toMatchObject({ value: undefined, previous: 'x' });
    }
  });

  test('a megabyte comes back as it was', async () => {
    const big = 'é'.repeat(600_000);
    const revision = await put('big', big);
    expect((await storage.get(`${prefix}big`)).item).toEqual({ key: `${prefix}big`, value: big, revision });
  });
});

describe('etcd away', () => {
  test('a short absence is waited out, a long one is an error, and a watch gets it', async () => {
    const etcd = await TestEtcd.start();
    const storage = new EtcdStorage(etcd.client(), { retryForMs: 1500 });
    try {
      const { revision } = await storage.get('/x');
      const seen = new Collected();
      storage.watch('/', revision, seen.sink);
      await etcd.kill();
      await seen.until(() => seen.end !== undefined);
      expect(seen.end).not.toBeInstanceOf(CompactedError);
      const waiting = storage.put('/x', 'written', 0);
      await etcd.run();
      expect(await waiting).toMatchObject({ done: true });
      await etcd.kill();
      expect(await failure(storage.get('/x'))).toBeInstanceOf(StorageUnavailableError);
      await etcd.run();
      expect((await storage.get('/x')).item?.value).toBe('written');
    } finally {
      storage.close();
      await etcd.stop();
    }
  }, 30_000);
});

import { describe, expect, test } from 'bun:test';
import { Newest } from './newest.ts';

/** What is read comes when the test says so. */
function start() {
  const reading: { id: number; resolve(text: string): void; reject(error: Error): void }[] = [];
  const shown: [number, string][] = [];
  const problems: string[] = [];
  const newest = new Newest<string>(
    (id) => new Promise((resolve, reject) => reading.push({ id, resolve, reject })),
    (id, text) => shown.push([id, text]),
    (why) => problems.push(why),
  );
  const turns = async () => {
    for (let i = 0; i < 10; i++) await Promise.resolve();
  };
  return { reading, shown, problems, newest, turns };
}

describe('the newest of what is wanted', () => {
  test('is read one at a time, and of those wanted meanwhile the last', async () => {
    const { reading, shown, newest, turns } = start();
    for (const id of [1, 2, 3]) newest.want(id);
    expect(reading.map(({ id }) => id)).toEqual([1]);
    reading[0]!.resolve('one');
    await turns();
    expect(reading.map(({ id }) => id)).toEqual([1, 3]);
    reading[1]!.resolve('three');
    await turns();
    expect(shown).toEqual([
      [1, 'one'],
      [3, 'three'],
    ]);
    newest.want(4);
    expect(reading.length).toBe(3);
  });

  test('a problem lasts until something could be read', async () => {
    const { reading, problems, newest, turns } = start();
    newest.want(1);
    reading[0]!.reject(new Error('connection refused'));
    await turns();
    expect(problems).toEqual(['connection refused']);
    newest.want(2);
    reading[1]!.resolve('two');
    await turns();
    expect(problems).toEqual(['connection refused', '']);
  });

  test.each(['read', 'refused'] as const)('what was forgotten is not shown when it is %s', async (end) => {
    const { reading, shown, problems, newest, turns } = start();
    newest.want(1);
    newest.forget();
    if (end === 'read') reading[0]!.resolve('one');
    else reading[0]!.reject(new Error('gone'));
    await turns();
    expect({ shown, problems }).toEqual({ shown: [], problems: [] });
    newest.want(2);
    reading[1]!.resolve('two');
    await turns();
    expect(shown).toEqual([[2, 'two']]);
  });

  test('what is wanted after something was forgotten is shown', async () => {
    const { reading, shown, newest, turns } = start();
    newest.want(1);
    newest.forget();
    newest.want(2);
    reading[0]!.resolve('one');
    await turns();
    reading[1]!.resolve('two');
    await turns();
    expect(shown).toEqual([[2, 'two']]);
  });
});

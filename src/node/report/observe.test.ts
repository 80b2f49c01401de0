import { expect, test } from 'bun:test';
import { observe } from './observe.ts';

const DEADLINE_MS = 100;
const never = new Promise<never>(() => {});

test('is what was seen', async () => {
  expect(await observe('a part', () => 1, DEADLINE_MS)).toEqual({ value: 1 });
  expect(await observe('a part', async () => 1, DEADLINE_MS)).toEqual({ value: 1 });
});

test.each<[string, () => unknown, string]>([
  [
    'an error',
    () => {
      throw new Error('no');
    },
    'a part: no',
  ],
  ['a rejection', async () => Promise.reject(new Error('no')), 'a part: no'],
  ['silence', () => never, 'a part: no answer within 0.1 s'],
])('is unknown with the reason: %s', async (_, look, unknown) => {
  expect(await observe('a part', look, DEADLINE_MS)).toEqual({ unknown });
});

test('waits longer for many answers than for one', async () => {
  const answers = 20;
  const seen = await observe(
    'a part',
    async (heard) => {
      for (let i = 0; i < answers; i++) {
        await Bun.sleep(DEADLINE_MS / 5);
        heard();
      }
      return answers;
    },
    DEADLINE_MS,
  );
  expect(seen).toEqual({ value: answers });
});

test('does not wait for the next answer for ever', async () => {
  const look = async (heard: () => void) => {
    heard();
    await never;
  };
  expect(await observe('a part', look, DEADLINE_MS)).toEqual({ unknown: 'a part: no answer within 0.1 s' });
});

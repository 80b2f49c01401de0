import { expect, test } from 'bun:test';
import { type Memory, memoKey, remembered } from './memory.ts';

test('what is remembered is worked out once for each thing and each key, also when there is nothing', () => {
  const made: string[] = [];
  const make = (name: string, value: string | undefined) => () => {
    made.push(name);
    return value;
  };
  const [one, other] = [memoKey<string | undefined>(), memoKey<string | undefined>()];
  const [here, there] = [0, 1].map((): { memory: Memory } => ({ memory: new Map() }));
  const ask = () => [
    remembered(here!, one, make('here one', 'a')),
    remembered(here!, other, make('here other', undefined)),
    remembered(there!, one, make('there one', 'b')),
  ];
  expect([ask(), ask()]).toEqual([
    ['a', undefined, 'b'],
    ['a', undefined, 'b'],
  ]);
  expect(made).toEqual(['here one', 'here other', 'there one']);
  here!.memory.clear();
  expect(ask()).toEqual(['a', undefined, 'b']);
  expect(made.slice(3)).toEqual(['here one', 'here other']);
});

test('the compiler distinguishes keys of different types', () => {
  const numbers = memoKey<number>();
  const thing = { memory: new Map() };
  // @ts-expect-error: it is the key of numbers.
  expect(remembered(thing, numbers, () => 'text') as unknown).toBe('text');
  // @ts-expect-error: it is no key of text.
  const text: typeof numbers = memoKey<string>();
  expect(text).not.toBe(numbers);
});

import { expect, test } from 'bun:test';
import { LazyMap } from './lazy-map.ts';

test('is read as any map, and makes each value when it is asked for it', () => {
  const made: string[] = [];
  const map: ReadonlyMap<string, number> = new LazyMap(['a', 'bb', 'a'], (key) => {
    made.push(key);
    return key.length;
  });
  expect([map.size, map.has('a'), map.has('c'), map.get('c')]).toEqual([2, true, false, undefined]);
  expect([...map.keys()]).toEqual(['a', 'bb']);
  expect(made).toEqual([]);
  expect([map.get('bb'), map.get('bb')]).toEqual([2, 2]);
  expect(made).toEqual(['bb', 'bb']);
  const entries = [
    ['a', 1],
    ['bb', 2],
  ];
  expect([...map]).toEqual(entries as never);
  expect([...map.entries()]).toEqual(entries as never);
  expect([...map.values()]).toEqual([1, 2]);
  const seen: unknown[] = [];
  map.forEach((value, key, of) => {
    seen.push([key, value, of === map]);
  });
  expect(seen).toEqual([
    ['a', 1, true],
    ['bb', 2, true],
  ]);
});

test('one value at a time is in memory', () => {
  const made: string[] = [];
  const map = new LazyMap(['a', 'b'], (key) => {
    made.push(key);
    return key;
  });
  for (const [key] of map) expect(made.at(-1)).toBe(key);
  expect(made).toEqual(['a', 'b']);
});

import { expect, test } from 'bun:test';
import { seeded, shuffled } from './seeded.ts';

test('a seed gives the same numbers again, and another seed gives others', () => {
  const some = (seed: number) => Array.from({ length: 5 }, seeded(seed));
  expect(some(7)).toEqual(some(7));
  expect(some(7)).not.toEqual(some(8));
  // As the reference implementation in C gives them.
  expect(seeded(0)()).toBeCloseTo(0.26642920868471265, 12);
});

test('they are spread over the whole range', () => {
  const random = seeded(1);
  const tenths = Array(10).fill(0) as number[];
  for (let i = 0; i < 10_000; i++) tenths[Math.floor(random() * 10)]!++;
  for (const count of tenths) expect(Math.abs(count - 1000)).toBeLessThan(150);
});

test('every order of three comes up, and nothing is lost', () => {
  const random = seeded(3);
  const orders = new Set(Array.from({ length: 200 }, () => shuffled(['a', 'b', 'c'], random).join('')));
  expect([...orders].sort()).toEqual(['abc', 'acb', 'bac', 'bca', 'cab', 'cba']);
  const items = ['a', 'b'];
  shuffled(items, random);
  expect(items).toEqual(['a', 'b']);
});

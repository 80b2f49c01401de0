import { expect, test } from 'bun:test';
import { editDistance } from './edit-distance.ts';

test.each([
  ['', '', 0],
  ['', 'abc', 3],
  ['abc', '', 3],
  ['abc', 'abc', 0],
  ['plugin-mising', 'plugin-missing', 1],
  ['kitten', 'sitting', 3],
  ['ab', 'ba', 2],
])('%p and %p: %p', (a, b, distance) => {
  expect(editDistance(a, b)).toBe(distance);
});

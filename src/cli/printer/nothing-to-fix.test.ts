import { expect, test } from 'bun:test';
import { nothingToFix } from './nothing-to-fix.ts';

test.each([
  [[], 'Nothing to fix.\n'],
  [['a'], 'Nothing of this choice to fix; 1 other problem is left (a).\n'],
  [['a', 'b', 'a'], 'Nothing of this choice to fix; 3 other problems are left (a, b).\n'],
])('problems left: %p', (codes: string[], said) => {
  expect(nothingToFix(codes.map((code) => ({ code })))).toBe(said);
});

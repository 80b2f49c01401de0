import { expect, test } from 'bun:test';
import { foldNames } from './fold-names.ts';

const numbered = (count: number, name: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => name(i + 1));

test.each<[string, string[], number, string]>([
  ['what fits is not folded', ['a1', 'a2', 'b'], 80, 'a1, a2, b'],
  ['a range', numbered(200, (i) => `worker-${i}`), 20, 'worker-[1-200]'],
  ['gaps', ['n1', 'n2', 'n4', 'n9', 'n10'], 14, 'n[1-2,4,9-10]'],
  ['several kinds', [...numbered(20, (i) => `a${i}`), ...numbered(9, (i) => `b${i}`)], 30, 'a[1-20], b[1-9]'],
  ['leading zeros', numbered(120, (i) => `n${String(i).padStart(3, '0')}`), 20, 'n[001-120]'],
  ['the number before the domain', numbered(50, (i) => `n${i}.eu1.example`), 30, 'n[1-50].eu1.example'],
  [
    'names without an order',
    numbered(200, (i) => `ip-10-0-${(i * 7919) % 251}-${i}.internal`),
    60,
    'ip-10-0-138-1.internal, ip-10-0-25-2.internal and 198 more',
  ],
  [
    'no room at all',
    numbered(9, (i) => `${'x'.repeat(30)}${i}${'y'.repeat(i)}`),
    10,
    `${'x'.repeat(30)}1y and 8 more`,
  ],
  ['the same number twice is one name each', ['a1', 'a01', 'a1b'], 5, 'a1 and 2 more'],
])('%s', (_, names, room, want) => {
  expect(foldNames(names, room)).toBe(want);
});

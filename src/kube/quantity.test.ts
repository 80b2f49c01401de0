import { expect, test } from 'bun:test';
import { canonicalQuantity } from './quantity.ts';

test.each([
  ['0', '0'],
  ['-0', '0'],
  ['0Gi', '0'],
  ['1', '1'],
  ['+1', '1'],
  ['0.5', '500m'],
  ['.5', '500m'],
  ['5.', '5'],
  ['1000m', '1'],
  ['1500m', '1500m'],
  ['-2000m', '-2'],
  ['1000', '1k'],
  ['1024', '1024'],
  ['128974848', '128974848'],
  ['100M', '100M'],
  ['1000M', '1G'],
  ['1024Mi', '1Gi'],
  ['1.5Gi', '1536Mi'],
  ['0.5Ki', '512'],
  ['512Ki', '512Ki'],
  ['1Ki', '1Ki'],
  ['8156780Ki', '8156780Ki'],
  ['0.1Mi', '104858'],
  ['129e6', '129e6'],
  ['1e3', '1e3'],
  ['1000e3', '1e6'],
  ['12E2', '1200'],
  ['0.0000000001', '1n'],
  ['2000000n', '2m'],
  ['7E', '7E'],
])('%s is written %s', (given, wanted) => {
  expect(canonicalQuantity(given)).toBe(wanted);
  expect(canonicalQuantity(wanted)).toBe(wanted);
});

test.each(['', '.', '1 GiB', '1GB', 'much', '1e', '--1', '1e999999999'])('%j is left alone', (text) => {
  expect(canonicalQuantity(text)).toBe(text);
});

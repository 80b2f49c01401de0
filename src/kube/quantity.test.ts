import { expect, test } from 'bun:test';
import { canonicalQuantity, quantityMillis, quantityNanos, quantityUnits } from './quantity.ts';

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

test.each([
  ['1', 1, 1_000],
  ['100m', 1, 100],
  ['1.5', 2, 1_500],
  ['-1.5', -2, -1_500],
  ['1Ki', 1_024, 1_024_000],
  ['1e3', 1_000, 1_000_000],
  ['2G', 2e9, 2e12],
  ['2Gi', 2 ** 31, 2 ** 31 * 1_000],
  ['5E', 5e18, 5e21],
  ['1n', 1, 1],
  ['0.1', 1, 100],
  ['0', 0, 0],
  [3, 3, 3_000],
  ['1e999999999', 1e30, 1e33],
])('%p is %d units and %d thousandths', (quantity, units, millis) => {
  expect(quantityUnits(quantity)).toBe(units);
  expect(quantityMillis(quantity)).toBe(millis);
});

test('nanos tell apart what a number cannot', () => {
  expect(quantityNanos('9007199254740993') - quantityNanos('9007199254740992')).toBe(10n ** 9n);
  expect(quantityNanos('-1n')).toBe(-1n);
});

test.each(['', 'x', '1x', '1 Ki', '--1'])('%p is not a quantity', (text) => {
  for (const read of [quantityNanos, quantityUnits, quantityMillis]) {
    expect(() => read(text)).toThrow('not a quantity');
  }
});

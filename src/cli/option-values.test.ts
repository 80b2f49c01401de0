import { describe, expect, test } from 'bun:test';
import { InvalidArgumentError } from 'commander';
import { collect, duration, oneOf, size } from './option-values.ts';

describe('duration', () => {
  test.each([
    ['30s', 30_000],
    ['5m', 300_000],
    ['0', 0],
  ])('%s', (text, ms) => expect(duration(text)).toBe(ms));
  test.each(['', '30', '-1s', '1d', 'soon'])('refuses %j', (text) => {
    expect(() => duration(text)).toThrow(InvalidArgumentError);
  });
});

describe('collect', () => {
  test('keeps the values in their order, and changes no default', () => {
    const defaults: string[] = [];
    expect(collect(String)('b', collect(String)('a', defaults))).toEqual(['a', 'b']);
    expect(defaults).toEqual([]);
  });
  test('starts a list of what is read', () => expect(collect(Number)('2')).toEqual([2]));
  test('refuses what its reader refuses', () => {
    expect(() => collect(duration)('soon', [1])).toThrow(InvalidArgumentError);
  });
});

describe('oneOf', () => {
  const which = oneOf('json', 'yaml');
  test.each(['json', 'yaml'] as const)('%s', (word) => expect(which(word)).toBe(word));
  test.each(['', 'JSON', 'xml'])('refuses %j and says what it wants', (text) => {
    expect(() => which(text)).toThrow('want "json" or "yaml".');
  });
});

describe('size', () => {
  const atLeast256 = size('256Mi');
  test.each([
    ['256Mi', 268435456],
    ['2Gi', 2147483648],
    ['1.5G', 1500000000],
    ['300000000', 300000000],
    ['3e8', 300000000],
  ])('%s', (text, bytes) => expect(atLeast256(text)).toBe(bytes));
  test.each(['', 'much', '255Mi', '-1Gi', '0', '2 Gi', '2GB', '1m'])(
    'refuses %j and says what it wants',
    (text) => {
      expect(() => atLeast256(text)).toThrow('want a size of at least 256Mi, as 512Mi or 2Gi.');
    },
  );
});

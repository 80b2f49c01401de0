import { describe, expect, test } from 'bun:test';
import { InvalidArgumentError } from 'commander';
import { duration, oneOf } from './option-values.ts';

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

describe('oneOf', () => {
  const which = oneOf('json', 'yaml');
  test.each(['json', 'yaml'] as const)('%s', (word) => expect(which(word)).toBe(word));
  test.each(['', 'JSON', 'xml'])('refuses %j and says what it wants', (text) => {
    expect(() => which(text)).toThrow('want "json" or "yaml".');
  });
});

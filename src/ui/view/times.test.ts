import { describe, expect, test } from 'bun:test';
import { spanOf, timeOf } from './times.ts';

describe('times', () => {
  test.each([
    [0, '0 s'],
    [-5000, '0 s'],
    [59_400, '59 s'],
    [60_000, '1 min'],
    [61_000, '1 min 1 s'],
    [3_600_000, '60 min'],
  ])('%d ms are %s', (ms, text) => expect(spanOf(ms)).toBe(text));

  test('a time is that of a clock, and what is none is harmless text', () => {
    expect(timeOf('2030-01-01T12:34:56Z')).toMatch(/^\d\d:\d\d:56$/);
    expect(timeOf('\u001b[31m')).toBe('\\x1b[31m');
  });
});

import { describe, expect, test } from 'bun:test';
import { goPattern } from './go-pattern.ts';

describe('a regular expression of Go', () => {
  test.each([
    ['^[a-z]([-a-z0-9]*[a-z0-9])?$', 'web-1', true],
    ['^[a-z]([-a-z0-9]*[a-z0-9])?$', 'web-', false],
    ['b', 'abc', true],
    ['^[[:alpha:]_]+$', 'a_b', true],
    ['^[[:^digit:]]+$', 'a1', false],
    ['(?i)^TRUE$', 'true', true],
    ['^(?i:a)b$', 'Ab', true],
    ['^(?i:a)b$', 'AB', false],
    ['\\Aa\\z', 'a\n', false],
    ['^\\pL+$', 'é', true],
    ['^\\p{Greek}+$', 'λ', true],
    ['^(?P<name>a+)$', 'aa', true],
    ['^\\Q.+\\E$', '.+', true],
    ['^\\Q.+\\E$', 'aa', false],
    ['^.$', '\u{1F600}', true],
    ['(?s)^a.b$', 'a\nb', true],
    ['^a.b$', 'a\nb', false],
    ['^(?U)a+$', 'aaa', true],
  ])('%s on %j: %p', (pattern, text, expected) => {
    expect(goPattern(pattern)?.test(text)).toBe(expected);
  });

  test.each(['(', '[z-a]', '(?<=a)b', '(?!a)', '(a)\\1', 'a**', '\\8', '(?z)a', 'a{1001}', '[[:nope:]]'])(
    '%s is none',
    (pattern) => expect(goPattern(pattern)).toBeUndefined(),
  );

  test('that makes others go back again and again ends', () => {
    expect(goPattern('^(a+)+$')?.test(`${'a'.repeat(50_000)}!`)).toBe(false);
  });
});

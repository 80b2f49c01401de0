import { describe, expect, test } from 'bun:test';
import { safeText } from './safe-text.ts';

describe('a text from outside', () => {
  test.each([
    ['plain text', 'kind-worker2 ✓ 80', 'kind-worker2 ✓ 80'],
    ['wide characters', '日本語 📦 한국', '日本語 📦 한국'],
    ['letters with marks of their own', 'e\u0301 ก็ नि', 'e\u0301 ก็ नि'],
    ['an emoji with its variation', '🕹\ufe0f', '🕹\ufe0f'],
    ['an escape sequence', '\u001b[2J', '\\x1b[2J'],
    ['its one-byte form', '\u009b2J', '\\x9b2J'],
    ['lines', 'a\r\n\tb', 'a\\r\\n\\tb'],
    ['what turns the direction of writing', '\u202eabc\u2066', '\\u202eabc\\u2066'],
    ['what has no width', 'a\u200bb\u200dc\u00add\ufeff', 'a\\u200bb\\u200dc\\xadd\\ufeff'],
    ['tags, which are not seen', 'a\u{e0041}', 'a\\u{e0041}'],
    ['private use', '\ue000\u{f0000}', '\\ue000\\u{f0000}'],
    ['half of a pair', 'a\ud800b', 'a\\ud800b'],
    ['marks over marks', `a${'\u0301'.repeat(6)}`, `a${'\u0301'.repeat(4)}\\u0301\\u0301`],
  ])('%s', (_, text, want) => {
    expect(safeText(text)).toBe(want);
  });
});

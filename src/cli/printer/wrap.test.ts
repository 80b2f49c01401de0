import { describe, expect, test } from 'bun:test';
import { columns, cut, elide, paragraph, wrap, wrapCommand } from './wrap.ts';

describe('wrap', () => {
  test.each<[string, string, number, string[]]>([
    ['what fits', 'a b', 80, ['- a b']],
    ['at spaces', 'one two three', 9, ['- one two', '  three']],
    ['a word that is longer than a line', 'a 123456789 b', 6, ['- a', '  1234', '  5678', '  9 b']],
    ['spaces within', 'a   b', 80, ['- a   b']],
    ['wide characters', '日本 語', 6, ['- 日本', '  語']],
    ['infinitely wide', 'x'.repeat(500), Number.POSITIVE_INFINITY, [`- ${'x'.repeat(500)}`]],
  ])('%s', (_, text, width, lines) => {
    expect(wrap(text, width, '- ', '  ')).toEqual(lines);
  });

  test('no line is too long, and no character but spaces is lost', () => {
    const text =
      'nft add rule ip nat PREROUTING meta l4proto tcp 日本語 /a/very/long/path/which/has/no/space '.repeat(
        3,
      );
    for (let width = 8; width < 120; width++) {
      const lines = wrap(text, width, '  why   ', '        '.slice(0, 4));
      for (const line of lines.slice(1)) expect(columns(line)).toBeLessThanOrEqual(width);
      expect(lines.join('').replaceAll(' ', '')).toBe(`why${text}`.replaceAll(' ', ''));
    }
  });
});

test('a command is broken so that a shell takes it as one', () => {
  const command = "hostport heal --context 'a b c' --only plugin-missing --kubeconfig /a/b";
  const lines = wrapCommand(command, 30, 'fix ', '    ');
  expect(lines).toEqual([
    'fix hostport heal --context \\',
    "    'a b c' --only \\",
    '    plugin-missing \\',
    '    --kubeconfig /a/b',
  ]);
  const script = lines.join('\n').replace('fix hostport', 'printf "%s\\n"');
  const { stdout } = Bun.spawnSync(['sh', '-c', script]);
  expect(stdout.toString().trimEnd().split('\n')).toEqual([
    ...['heal', '--context', 'a b c', '--only', 'plugin-missing', '--kubeconfig', '/a/b'],
  ]);
});

test.each([
  ['short', 8, 'short'],
  ['worker-1.example.com', 9, 'work….com'],
  ['abc', 2, 'a…'],
])('%s in %d columns', (text, room, want) => {
  expect(elide(text, room)).toBe(want);
});

test('a paragraph is harmless, and keeps a command in quotes in one line', () => {
  const text = 'no cluster\u001b[2J; create one with "hostport create cluster" first';
  expect(paragraph(text, { width: 44 }, 'error: ')).toBe(
    'error: no cluster\\x1b[2J; create one with\n  "hostport create cluster" first\n',
  );
  expect(paragraph(text, { width: Number.POSITIVE_INFINITY })).toBe(`${text.replace('\u001b', '\\x1b')}\n`);
});

test('what is in quotes is broken where a line has no room for it', () => {
  expect(paragraph('"one two three"', { width: 9 })).toBe('"one two\n  three"\n');
});

test.each([
  ['日本語', 5, '日本'],
  ['e\u0301e\u0301', 1, 'e\u0301'],
  ['short', 9, 'short'],
])('%s cut to %d columns', (text, room, want) => {
  expect(cut(text, room)).toBe(want);
});

test('of wide characters as many are left as have room', () => {
  expect(elide('日本語日本語', 8)).toBe('日本…語');
});

import { describe, expect, test } from 'bun:test';
import { joinWords, splitWords } from './rule-text.ts';

describe('words', () => {
  test.each<[string[], string]>([
    [['-A', 'X', '-j', 'ACCEPT'], '-A X -j ACCEPT'],
    [['--comment', 'two words'], '--comment "two words"'],
    [['--comment', 'dnat name: "n" id: "i"'], '--comment "dnat name: \\"n\\" id: \\"i\\""'],
    [['--comment', 'back\\slash'], '--comment "back\\\\slash"'],
    [['--comment', "it's"], '--comment "it\'s"'],
    [['--comment', ''], '--comment ""'],
    [['!', '-s', '10.0.0.0/8'], '! -s 10.0.0.0/8'],
  ])('%j <-> %s', (words, line) => {
    expect(joinWords(words)).toBe(line);
    expect(splitWords(line)).toEqual(words);
  });

  test.each<[string, string[]]>([
    ['', []],
    [' \t ', []],
    [' -A  X\t-j  ACCEPT ', ['-A', 'X', '-j', 'ACCEPT']],
    ['a"b c"d', ['ab cd']],
    ['"a""b"', ['ab']],
    ['"" x', ['', 'x']],
    ['"not finished', ['not finished']],
    ['"not finished\\"', ['not finished"']],
    ['"ends in a backslash\\', ['ends in a backslash\\']],
    ['a\\b', ['a\\b']],
    ['"a\\b"', ['ab']],
  ])('%j is split', (line, words) => {
    expect(splitWords(line)).toEqual(words);
  });

  test('a line break or NUL in a word is refused: it would be another command', () => {
    for (const bad of ['a\n-F', 'a\r', 'a\0b']) expect(() => joinWords(['-A', bad])).toThrow(/line break/);
  });
});

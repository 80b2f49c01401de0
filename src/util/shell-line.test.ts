import { expect, test } from 'bun:test';
import { shellLine } from './shell-line.ts';

test.each<[string[], string]>([
  [['sysctl', '-w', 'net.ipv4.conf.eth0/5.rp_filter=2'], 'sysctl -w net.ipv4.conf.eth0/5.rp_filter=2'],
  [['-s', '10.0.0.0/8', '-m', 'mark', '!', '--mark', '0x1/0x1'], '-s 10.0.0.0/8 -m mark ! --mark 0x1/0x1'],
  [['--comment', 'hostport: keep it'], "--comment 'hostport: keep it'"],
  [['mv', "it's", ''], "mv 'it'\\''s' ''"],
])('%j', (argv, line) => {
  expect(shellLine(argv)).toBe(line);
});

test('a shell takes the words as they are', () => {
  const words = [
    'a b',
    "it's",
    '"',
    '$HOME',
    '`id`',
    '\\',
    '*',
    '~',
    '#x',
    ';',
    '&',
    '!',
    '!x',
    '',
    '{a,b}',
    'a=b',
    'é',
  ];
  const { stdout } = Bun.spawnSync(['sh', '-c', shellLine(['printf', '[%s]', ...words])]);
  expect(stdout.toString()).toBe(words.map((word) => `[${word}]`).join(''));
});

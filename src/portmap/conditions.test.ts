import { describe, expect, test } from 'bun:test';
import { validateConditions } from './conditions.ts';

/** The message with which words are refused. */
function refusal(value: unknown): { code: number; message: string } {
  try {
    validateConditions(value, 'conditionsV4');
  } catch (error) {
    const { code, message } = error as Error & { code: number };
    return { code, message };
  }
  throw new Error(`${JSON.stringify(value)} is taken`);
}

describe('taken as they are', () => {
  test.each<[unknown[]]>([
    [[]],
    [['-s', '10.0.0.0/8', '-d', '10.1.0.0/16', '-i', 'eth+', '-o', 'eth0', '-f']],
    [['!', '-s', '10.0.0.1']],
    [['-m', 'recent', '--set', '--name', 'x']],
    [['-m', 'set', '--match-set', 'name', 'src']],
    [['-m', 'statistic', '--mode', 'nth', '--every', '2']],
    [['-m', 'statistic', '--probability=0.5']],
    [['-m', 'icmp', '--icmp-type', '8']],
    [['-m', 'comment', '--comment', 'a "b" \\ c']],
    [['-m', 'u32', '--u32', '-1']],
    [['-m', 'time', '--set=1']],
    // Longer than a command, so no abbreviation of one.
    [['--append-more', '--lists', '--tables']],
    [['a-j', 'x--jump']],
  ])('%j', (words) => {
    expect(validateConditions(words, 'conditionsV4')).toEqual(words as string[]);
  });

  test.each([undefined, null])('%p are none', (value) => {
    expect(validateConditions(value, 'conditionsV4')).toEqual([]);
  });
});

const option = 'must be a match, not a command, target or protocol, is';
// iptables(8): whatever is not a match.
const COMMANDS = [
  ...['append', 'delete', 'check', 'insert', 'replace', 'list', 'list-rules', 'flush', 'zero', 'new-chain'],
  ...['delete-chain', 'rename-chain', 'policy', 'table', 'jump', 'goto', 'set-counters', 'modprobe', 'wait'],
  ...['wait-interval', 'verbose', 'numeric', 'exact', 'line-numbers', 'protocol', 'proto', 'ipv4', 'ipv6'],
  ...['help', 'version'],
];

describe('refused', () => {
  test.each(COMMANDS)('--%s, whole, with a value and cut', (command) => {
    for (const word of [`--${command}`, `--${command}=x`, `--${command.slice(0, -1)}`]) {
      expect(refusal(['-s', word])).toEqual({
        code: 7,
        message: `conditionsV4[1] ${option} ${JSON.stringify(word)}`,
      });
    }
  });

  test.each<[unknown, string]>([
    [['--'], `conditionsV4[0] ${option} "--"`],
    [['--=x'], `conditionsV4[0] ${option} "--=x"`],
    [['-s', '-j'], 'conditionsV4[1] must be a match (-s -d -i -o -m -f or a long option), is "-j"'],
    [['-'], 'conditionsV4[0] must be a match (-s -d -i -o -m -f or a long option), is "-"'],
    [['-x1'], 'conditionsV4[0] must be a match (-s -d -i -o -m -f or a long option), is "-x1"'],
    [['-s', ''], 'conditionsV4[1] must be a word, is ""'],
    [[null], 'conditionsV4[0] must be a word, is null'],
    [[['-s']], 'conditionsV4[0] must be a word, is ["-s"]'],
    [['a\u0000'], 'conditionsV4[0] must not have control characters, is "a\\u0000"'],
    [['\u001f'], 'conditionsV4[0] must not have control characters, is "\\u001f"'],
    [['\u007f'], 'conditionsV4[0] must not have control characters, is "\u007f"'],
    ['-s 10.0.0.1', 'conditionsV4 must be a list of words, is "-s 10.0.0.1"'],
    [false, 'conditionsV4 must be a list of words, is false'],
  ])('%j', (value, message) => expect(refusal(value)).toEqual({ code: 7, message }));
});

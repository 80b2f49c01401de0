import { type CniError, invalidConfig } from '../cni/errors.ts';

/** Matches of iptables itself that may narrow a rule. The protocol is the mapping's, so `-p` is not among them. */
const shortMatches = new Set(['-s', '-d', '-i', '-o', '-m', '-f']);
/** Long options of iptables that are not matches: they would change what the rule does or which command it is. */
const commands = [
  ...['append', 'delete', 'check', 'insert', 'replace', 'list', 'list-rules', 'flush', 'zero', 'new-chain'],
  ...['delete-chain', 'rename-chain', 'policy', 'table', 'jump', 'goto', 'set-counters', 'modprobe', 'wait'],
  ...['wait-interval', 'verbose', 'numeric', 'exact', 'line-numbers', 'protocol', 'proto', 'ipv4', 'ipv6'],
  ...['help', 'version'],
];
/** The one complete name of a match extension's option that is the beginning of a command's: getopt does not take it for an abbreviation. */
const SET = '--set';

/**
 * Validates `conditionsV4` or `conditionsV6`: extra matches, one word an element, for the rule that leads to the pod's chain.
 * A word that could end the rule, jump elsewhere or be another command is refused with error 7.
 */
export function validateConditions(value: unknown, field: string): string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw refuse(field, 'must be a list of words', value);
  return value.map((word, i) => {
    const at = `${field}[${i}]`;
    if (typeof word !== 'string' || word === '') throw refuse(at, 'must be a word', word);
    if (/[\x00-\x1f\x7f]/.test(word)) throw refuse(at, 'must not have control characters', word);
    if (word.startsWith('--')) {
      const name = word.slice(2).split('=')[0]!;
      // getopt_long(3) accepts every unambiguous abbreviation.
      const isCommand = commands.some((command) => command.startsWith(name));
      if (name === '' || (isCommand && `--${name}` !== SET)) {
        throw refuse(at, 'must be a match, not a command, target or protocol', word);
      }
    } else if (word.startsWith('-') && !/^-\d/.test(word) && !shortMatches.has(word)) {
      throw refuse(at, `must be a match (${[...shortMatches].join(' ')} or a long option)`, word);
    }
    return word;
  });
}

/** Error 7 about a part of a condition that `at` names. */
export function refuse(at: string, rule: string, seen: unknown): CniError {
  return invalidConfig(`${at} ${rule}, is ${JSON.stringify(seen)}`);
}

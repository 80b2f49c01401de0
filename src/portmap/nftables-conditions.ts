import { invalidConfig } from '../cni/errors.ts';
import { parseCidr } from '../util/cidr.ts';
import { parseIp } from '../util/ip.ts';
import { refuse } from './conditions.ts';

/**
 * Conditions of the nftables backend: `conditionsV4` and `conditionsV6` are matches in nft's language, joined by blanks as the
 * reference does. They are parsed: a chain of `FIELD [OPERATOR] VALUE`, with the fields and kinds of value below and nothing else,
 * so that no word can be a statement, a comment, a variable or another command.
 */

type Kind = 'ipv4' | 'ipv6' | 'port' | 'number' | 'interface' | 'name';

/** Fields by their words. A number is decimal or hexadecimal; a name one of nft's constants. */
const fields: Record<string, Kind> = {
  ...{ 'ip saddr': 'ipv4', 'ip daddr': 'ipv4', 'ip protocol': 'name', 'ip ttl': 'number', 'ip dscp': 'name' },
  ...{ 'ip6 saddr': 'ipv6', 'ip6 daddr': 'ipv6', 'ip6 nexthdr': 'name', 'ip6 hoplimit': 'number' },
  ...{ 'ip6 dscp': 'name', 'ether saddr': 'name', 'ether daddr': 'name' },
  ...{ 'tcp sport': 'port', 'tcp dport': 'port', 'udp sport': 'port', 'udp dport': 'port' },
  ...{ 'sctp sport': 'port', 'sctp dport': 'port', 'th sport': 'port', 'th dport': 'port' },
  ...{ iifname: 'interface', oifname: 'interface', iif: 'interface', oif: 'interface' },
  ...{ 'meta iifname': 'interface', 'meta oifname': 'interface', 'meta iif': 'interface' },
  ...{ 'meta oif': 'interface', 'meta mark': 'number', mark: 'number', 'meta l4proto': 'name' },
  ...{ 'meta nfproto': 'name', 'meta pkttype': 'name', 'meta skuid': 'name', 'meta skgid': 'name' },
  ...{ 'meta cgroup': 'number', 'meta iifgroup': 'name', 'meta oifgroup': 'name', 'meta iiftype': 'name' },
  ...{ 'ct state': 'name', 'ct status': 'name', 'ct direction': 'name', 'ct mark': 'number' },
  ...{ 'ct zone': 'number', 'fib saddr type': 'name', 'fib daddr type': 'name' },
} satisfies Record<string, Kind>;

const comparisons = new Set(['==', '!=', '<', '>', '<=', '>=', 'eq', 'ne', 'lt', 'gt', 'le', 'ge']);

/** Words that end a match or start something else; a value may not be one even where a name is allowed. */
const reserved = new Set([
  ...['accept', 'drop', 'reject', 'continue', 'return', 'jump', 'goto', 'queue', 'counter', 'log', 'limit'],
  ...['dnat', 'snat', 'masquerade', 'redirect', 'set', 'map', 'vmap', 'add', 'delete', 'insert', 'flush'],
  ...['notrack', 'dup', 'fwd', 'comment', 'include', 'define', 'or', 'and', 'xor', 'quota', 'tproxy'],
]);

/** Validates `conditionsV4` or `conditionsV6` for nftables and returns them as words; error 7 names the field and the word. */
export function validateNftConditions(value: unknown, field: 'conditionsV4' | 'conditionsV6'): string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw refuse(field, 'must be a list of words', value);
  for (const [i, word] of value.entries()) {
    if (typeof word !== 'string') throw refuse(`${field}[${i}]`, 'must be a word', word);
    if (/[\x00-\x1f\x7f;#$\\`@]/.test(word)) {
      throw refuse(`${field}[${i}]`, 'must not have control characters, ; # $ \\ ` or @', word);
    }
  }
  const words = tokens(value.join(' '));
  const family = field === 'conditionsV4' ? 'ipv4' : 'ipv6';
  for (let at = 0; at < words.length; ) {
    const name = [3, 2, 1]
      .map((n) => words.slice(at, at + n).join(' '))
      .find((text) => Object.hasOwn(fields, text));
    if (name === undefined) {
      throw invalidConfig(
        `${field} must consist of nftables matches, has unknown field ${JSON.stringify(words[at])}`,
      );
    }
    const kind = fields[name]!;
    if ((kind === 'ipv4' || kind === 'ipv6') && kind !== family) {
      throw refuse(field, `must match only ${family}`, name);
    }
    at += name.split(' ').length;
    if (kind === 'number' && (words[at] === 'and' || words[at] === '&')) {
      checkValue(words[at + 1], kind, field);
      at += 2;
    }
    if (comparisons.has(words[at] ?? '')) at++;
    at = checkOperand(words, at, kind, field);
  }
  return words;
}

/** A value, values with commas, or a set of them in braces. Returns where the next match begins. */
function checkOperand(words: readonly string[], from: number, kind: Kind, field: string): number {
  const braces = words[from] === '{';
  let at = braces ? from + 1 : from;
  for (;;) {
    checkValue(words[at], kind, field);
    at++;
    if (words[at] !== ',') break;
    at++;
  }
  if (!braces) return at;
  if (words[at] !== '}') throw refuse(field, 'has a set without a closing }', words[at]);
  return at + 1;
}

function checkValue(word: string | undefined, kind: Kind, field: string): void {
  if (word === undefined) throw refuse(field, 'ends where a value is expected', word);
  if (!isValue(word, kind)) throw refuse(field, `must have ${article(kind)} here`, word);
}

function isValue(word: string, kind: Kind): boolean {
  switch (kind) {
    case 'ipv4':
    case 'ipv6': {
      const ends = word.split('-');
      if (ends.length === 1 && parseCidr(word)?.ip.family === kind) return true;
      return ends.length <= 2 && ends.every((end) => parseIp(end)?.family === kind);
    }
    case 'port': {
      const ends = word.split('-');
      return ends.length <= 2 && ends.every((end) => /^\d{1,5}$/.test(end) && Number(end) <= 65535);
    }
    case 'number':
      return /^(0x[0-9a-fA-F]{1,8}|\d{1,10})(-(0x[0-9a-fA-F]{1,8}|\d{1,10}))?$/.test(word);
    case 'interface':
      // dev_valid_name, less what nft would read as something else; `*` at the end is nft's wildcard.
      return (
        /^"[A-Za-z0-9_.@+-]{1,15}\*?"$|^[A-Za-z_][A-Za-z0-9_.+-]{0,14}$/.test(word) && !reserved.has(word)
      );
    case 'name':
      return /^[A-Za-z0-9][A-Za-z0-9_:-]*$/.test(word) && !reserved.has(word);
  }
}

function article(kind: Kind): string {
  return (
    { ipv4: 'an IPv4 address', ipv6: 'an IPv6 address', interface: 'an interface', name: 'a name' }[
      kind as string
    ] ?? `a ${kind}`
  );
}

/** Words; quoted text is one, braces and commas are words of their own. */
function tokens(text: string): string[] {
  return text.match(/"[^"]*"|[{},]|[^\s{},"]+|"/g) ?? [];
}

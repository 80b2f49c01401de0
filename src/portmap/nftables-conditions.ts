import { invalidConfig } from '../cni/errors.ts';
import { parseCidr } from '../util/cidr.ts';
import { parseIp } from '../util/ip.ts';
import { refuse } from './conditions.ts';

/**
 * Conditions of the nftables backend: `conditionsV4` and `conditionsV6` are matches in nft's language, joined by blanks as the
 * reference does. They are parsed: a chain of `FIELD [OPERATOR] VALUE`, with the fields and kinds of value below, and `counter`, and nothing
 * else, so that no word can be another statement, a comment, a variable or another command. Source: nft(8).
 */

type Kind =
  | ('ipv4' | 'ipv6' | 'port' | 'number' | 'interface' | 'name')
  // A time of day, a day and time, a day of the week, and a time to go.
  | ('hour' | 'time' | 'day' | 'duration')
  // Names joined by `|`, a name that may be quoted, and whether something is there.
  | ('flags' | 'label' | 'presence');

/** A field's kind and words: those before the last one, and those that may be the last. */
type Group = readonly [before: string, words: string, kind: Kind];

const groups = (): readonly Group[] => [
  ['ip', 'saddr daddr', 'ipv4'],
  ['ip', 'protocol dscp ecn', 'name'],
  ['ip', 'ttl length id hdrlength frag-off version checksum', 'number'],
  ['ip6', 'saddr daddr', 'ipv6'],
  ['ip6', 'nexthdr dscp ecn', 'name'],
  ['ip6', 'hoplimit length flowlabel version', 'number'],
  ['ether', 'saddr daddr type', 'name'],
  ['tcp', 'sport dport', 'port'],
  ['tcp', 'sequence ackseq doff window urgptr checksum', 'number'],
  ['tcp', 'flags', 'flags'],
  ['tcp option', 'maxseg window sack-perm sack timestamp', 'presence'],
  ['tcp option maxseg', 'size', 'number'],
  ['udp', 'sport dport', 'port'],
  ['udp', 'length checksum', 'number'],
  ['sctp', 'sport dport', 'port'],
  ['sctp', 'vtag checksum', 'number'],
  ['th', 'sport dport', 'port'],
  ['', 'iifname oifname iif oif', 'interface'],
  ['meta', 'iifname oifname iif oif', 'interface'],
  ['', 'mark', 'number'],
  ['meta', 'mark cgroup length cpu', 'number'],
  ['meta', 'l4proto nfproto protocol pkttype skuid skgid iifgroup oifgroup iiftype oiftype priority', 'name'],
  ['meta', 'iifkind oifkind', 'label'],
  ['meta', 'hour', 'hour'],
  ['meta', 'day', 'day'],
  ['meta', 'time', 'time'],
  ['meta', 'ipsec secpath', 'presence'],
  ['ct', 'state status direction protocol l3proto', 'name'],
  ['ct', 'mark zone label id bytes packets avgpkt', 'number'],
  ['ct', 'expiration', 'duration'],
  ['ct', 'helper', 'label'],
  ...['ct original', 'ct reply'].flatMap((ct): [string, string, Kind][] => [
    [`${ct} ip`, 'saddr daddr', 'ipv4'],
    [`${ct} ip6`, 'saddr daddr', 'ipv6'],
    [ct, 'proto-src proto-dst', 'port'],
    [ct, 'protocol l3proto', 'name'],
    [ct, 'zone bytes packets avgpkt', 'number'],
  ]),
  ['fib saddr', 'type', 'name'],
  ['fib daddr', 'type', 'name'],
  ['fib daddr . iif', 'type', 'name'],
  ['fib saddr . iif', 'oif', 'presence'],
];

interface Grammar {
  /** Fields by their words. */
  fields: ReadonlyMap<string, Kind>;
  /** Words of the longest field. */
  longest: number;
}

/** Made when it is first needed: most calls have no conditions, and it takes a tenth of a plugin's start. */
let grammar: Grammar | undefined;

function grammarOf(): Grammar {
  if (grammar !== undefined) return grammar;
  const fields = new Map(
    groups().flatMap(([before, words, kind]) =>
      words.split(' ').map((word) => [before === '' ? word : `${before} ${word}`, kind] as const),
    ),
  );
  grammar = { fields, longest: Math.max(...[...fields.keys()].map((name) => name.split(' ').length)) };
  return grammar;
}

const EACH_RULE = 'it is counted or drawn for each rule by itself, and a mapping has two';
const NO_PORT = 'a mapping is of tcp, udp or sctp, so it never matches';
const NOT_YET = 'it is not known before a packet is routed';
const NO_MATCH = 'it is not a match: it would change what the rule does';
const BRIDGE = 'a rule for packets to this machine does not see it';

/** What nft has and we refuse, by its first words, and why. docs/portmap.md lists it. */
const refused = (): Readonly<Record<string, string>> => ({
  ...all(EACH_RULE, 'limit', 'quota', 'numgen', 'ct count', 'meta random', 'jhash', 'symhash'),
  ...all(NO_PORT, 'icmp', 'icmpv6', 'igmp', 'esp', 'ah', 'comp', 'dccp', 'udplite', 'gre', 'vxlan', 'geneve'),
  ...all(NOT_YET, 'rt', 'socket', 'osf', 'ipsec', 'meta rtclassid', 'meta nftrace'),
  ...all(NO_MATCH, 'accept', 'drop', 'reject', 'continue', 'return', 'jump', 'goto', 'queue', 'log', 'dnat'),
  ...all(
    NO_MATCH,
    'snat',
    'masquerade',
    'redirect',
    'notrack',
    'dup',
    'fwd',
    'tproxy',
    'synproxy',
    'comment',
  ),
  ...all(NO_MATCH, 'set', 'add', 'update', 'delete', 'vmap', 'map', 'flow', 'secmark', 'last'),
  ...all(
    BRIDGE,
    'arp',
    'vlan',
    'meta ibrname',
    'meta obrname',
    'meta bri_iifpvid',
    'meta sdif',
    'meta sdifname',
  ),
  ...all('options of the header are not parsed', 'ip option', 'exthdr', 'hbh', 'frag', 'mh', 'dst', 'srh'),
  ...all('raw bytes are not parsed', '@th', '@nh', '@ll', '@ih'),
});

function all(why: string, ...words: readonly string[]): Record<string, string> {
  return Object.fromEntries(words.map((word) => [word, why]));
}

const DAYS = new Set(['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']);
const MOMENT = '"\\d{4}-\\d\\d-\\d\\d(?: \\d\\d:\\d\\d(?::\\d\\d)?)?"';
const TIME = new RegExp(`^${MOMENT}(?:-${MOMENT})?$`);

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
    if (words[at] === 'counter') at = checkCounter(words, at + 1, field);
    else at = checkMatch(words, at, family, field);
  }
  return words;
}

/** A match of validated conditions. */
export interface NftMatch {
  name: string;
  /** Whether bits of the field are compared, not all of it. */
  isMasked: boolean;
  operator: string | undefined;
  values: string[];
}

/** The matches in validated conditions of any family, without counters. */
export function nftMatches(words: readonly string[]): NftMatch[] {
  const found: NftMatch[] = [];
  for (let at = 0; at < words.length; ) {
    at =
      words[at] === 'counter'
        ? checkCounter(words, at + 1, 'conditions')
        : checkMatch(words, at, undefined, 'conditions', found);
  }
  return found;
}

function checkMatch(
  words: readonly string[],
  from: number,
  family: Kind | undefined,
  field: string,
  found: NftMatch[] = [],
): number {
  const { fields, longest } = grammarOf();
  const name = Array.from({ length: longest }, (_, i) =>
    words.slice(from, from + longest - i).join(' '),
  ).find((text) => fields.has(text));
  if (name === undefined) {
    const reasons = refused();
    const known = [2, 1]
      .map((n) => words.slice(from, from + n).join(' '))
      .find((text) => Object.hasOwn(reasons, text));
    const seen = JSON.stringify(known ?? words[from]);
    if (known !== undefined) throw invalidConfig(`${field} cannot have ${seen}: ${reasons[known]}`);
    throw invalidConfig(`${field} must consist of nftables matches, has unknown field ${seen}`);
  }
  const kind = fields.get(name)!;
  if ((kind === 'ipv4' || kind === 'ipv6') && family !== undefined && kind !== family) {
    throw refuse(field, `must match only ${family}`, name);
  }
  let at = from + name.split(' ').length;
  if (kind === 'flags') return checkFlags(words, at, field);
  const isMasked = kind === 'number' && (words[at] === 'and' || words[at] === '&');
  if (isMasked) {
    checkValue(words[at + 1], kind, field);
    at += 2;
  }
  const operator = kind !== 'presence' && comparisons.has(words[at] ?? '') ? words[at++] : undefined;
  const end = checkOperand(words, at, kind, field);
  const values = words.slice(at, end).filter((word) => !['{', '}', ','].includes(word));
  found.push({ name, isMasked, operator, values });
  return end;
}

/** `counter`, with what it begins from. */
function checkCounter(words: readonly string[], from: number, field: string): number {
  if (words[from] !== 'packets') return from;
  checkValue(words[from + 1], 'number', field);
  if (words[from + 2] !== 'bytes')
    throw refuse(field, 'must have bytes after the packets of a counter', words[from + 2]);
  checkValue(words[from + 3], 'number', field);
  return from + 4;
}

/** `[& MASK] [OPERATOR] FLAGS`, or `FLAGS / MASK`. */
function checkFlags(words: readonly string[], from: number, field: string): number {
  let at = from;
  if (words[at] === '&' || words[at] === 'and') at = checkFlagSum(words, at + 1, field);
  if (comparisons.has(words[at] ?? '')) at++;
  if (words[at] === '{') return checkOperand(words, at, 'flags', field);
  at = checkFlagSum(words, at, field);
  while (words[at] === ',') at = checkFlagSum(words, at + 1, field);
  if (words[at] !== '/') return at;
  at = checkFlagSum(words, at + 1, field);
  while (words[at] === ',') at = checkFlagSum(words, at + 1, field);
  return at;
}

/** `syn`, `syn | ack` or `( syn | ack )`. */
function checkFlagSum(words: readonly string[], from: number, field: string): number {
  const isInside = words[from] === '(';
  let at = isInside ? from + 1 : from;
  for (;;) {
    checkValue(words[at], 'flags', field);
    at++;
    if (words[at] !== '|') break;
    at++;
  }
  if (!isInside) return at;
  if (words[at] !== ')') throw refuse(field, 'has a parenthesis that is not closed', words[at]);
  return at + 1;
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
    case 'label':
      return (
        /^"[A-Za-z0-9_-]{1,31}"$/.test(word) ||
        (/^[A-Za-z][A-Za-z0-9_-]{0,30}$/.test(word) && !reserved.has(word))
      );
    case 'flags':
      return (
        ['fin', 'syn', 'rst', 'psh', 'ack', 'urg', 'ecn', 'cwr'].includes(word) ||
        /^(?:0|0x[0-9a-f]{1,2})$/.test(word)
      );
    case 'presence':
      return word === 'exists' || word === 'missing';
    case 'hour':
      return /^"\d\d:\d\d(?::\d\d)?"(?:-"\d\d:\d\d(?::\d\d)?")?$/.test(word);
    case 'time':
      return TIME.test(word);
    case 'day':
      return /^[0-6]$/.test(word) || DAYS.has(word.replaceAll('"', ''));
    case 'duration':
      return /^(?:\d{1,5}[dhms]){1,4}$|^\d{1,9}$/.test(word);
  }
}

const articles: Partial<Record<Kind, string>> = {
  ipv4: 'an IPv4 address',
  ipv6: 'an IPv6 address',
  interface: 'an interface',
  flags: 'a TCP flag',
  presence: 'exists or missing',
  hour: 'a time such as "17:00" or "17:00"-"19:00"',
  time: 'a moment such as "2026-01-31 17:00:00"',
  day: 'a day such as "Monday"',
  label: 'a name',
};

function article(kind: Kind): string {
  return articles[kind] ?? `a ${kind}`;
}

/** Words; quoted text is one, also a range of two. Braces, parentheses, commas and bars are words of their own. */
function tokens(text: string): string[] {
  return text.match(/"[^"]*"(?:-"[^"]*")?|[{}(),|]|[^\s{}(),|"]+|"/g) ?? [];
}

import { networkOf, parseNetwork } from '../util/cidr.ts';
import { type IpAddress, parseIp } from '../util/ip.ts';
import { nftMatches } from './nftables-conditions.ts';

/** Conditions of mappings in one address family, in the language of their backend. */
export interface Conditions {
  language: 'iptables' | 'nftables';
  words: readonly string[];
}

/** What a packet must have in one respect: a number in one of the ranges or a name, or none of them. */
interface Constraint {
  about: string;
  isNegated: boolean;
  values: Range[] | Set<string>;
}

type Range = readonly [first: bigint, last: bigint];

/**
 * Whether no packet can meet both conditions. True only when it is certain: they name addresses, source ports, marks or devices that have
 * nothing in common. Whatever else they ask leaves it open.
 */
export function areDisjoint(a: Conditions, b: Conditions): boolean {
  const others = constraintsOf(b);
  return constraintsOf(a).some((one) =>
    others.some((other) => one.about === other.about && haveNothingInCommon(one, other)),
  );
}

function haveNothingInCommon(a: Constraint, b: Constraint): boolean {
  // Two that only exclude something leave the rest to both.
  if (a.isNegated && b.isNegated) return false;
  const [wanted, other] = a.isNegated ? [b, a] : [a, b];
  if (wanted.values instanceof Set || other.values instanceof Set) {
    if (!(wanted.values instanceof Set) || !(other.values instanceof Set)) return false;
    const names = other.values;
    return [...wanted.values].every((name) => names.has(name) === other.isNegated);
  }
  const ranges = other.values;
  return other.isNegated
    ? wanted.values.every(([first, last]) => ranges.some((range) => range[0] <= first && last <= range[1]))
    : wanted.values.every(([first, last]) => ranges.every((range) => last < range[0] || range[1] < first));
}

function constraintsOf({ language, words }: Conditions): Constraint[] {
  return language === 'nftables' ? ofNft(words) : ofIptables(words);
}

/** Fields of nft, and what they are about; those that are not here leave it open. */
const ABOUT: Readonly<Record<string, string>> = {
  ...{ 'ip saddr': 'source', 'ip daddr': 'destination', 'ip6 saddr': 'source', 'ip6 daddr': 'destination' },
  ...{ 'tcp sport': 'port', 'udp sport': 'port', 'sctp sport': 'port', 'th sport': 'port' },
  ...{ iifname: 'device', 'meta iifname': 'device', iif: 'device', 'meta iif': 'device' },
  ...{ mark: 'mark', 'meta mark': 'mark' },
};

function ofNft(words: readonly string[]): Constraint[] {
  return nftMatches(words).flatMap(({ name, isMasked, operator, values }) => {
    const about = ABOUT[name];
    const isNegated = operator === '!=' || operator === 'ne';
    const isPlain = isNegated || operator === undefined || operator === '==' || operator === 'eq';
    if (about === undefined || isMasked || !isPlain) return [];
    return constraint(
      about,
      isNegated,
      values.map((value) => value.replaceAll('"', '')),
      '*',
    );
  });
}

const OPTIONS: Readonly<Record<string, string>> = { '-s': 'source', '-d': 'destination', '-i': 'device' };

/** Also of a rule as iptables prints it. */
function ofIptables(words: readonly string[]): Constraint[] {
  return words.flatMap((word, i) => {
    const about = OPTIONS[word];
    const value = words[i + 1];
    if (about === undefined || value === undefined) return [];
    return constraint(about, words[i - 1] === '!', value.split(','), '+');
  });
}

/** None when a value cannot be read. `wildcard` ends a name that stands for several. */
function constraint(
  about: string,
  isNegated: boolean,
  values: readonly string[],
  wildcard: string,
): Constraint[] {
  if (about === 'device') {
    if (values.some((value) => value.endsWith(wildcard))) return [];
    return [{ about, isNegated, values: new Set(values) }];
  }
  const ranges = values.map((value) =>
    about === 'port' || about === 'mark' ? numbers(value) : addresses(value),
  );
  if (ranges.some((range) => range === undefined)) return [];
  return [{ about, isNegated, values: ranges as Range[] }];
}

function numbers(text: string): Range | undefined {
  const [first, last = first, ...more] = text.split('-');
  if (more.length > 0 || !isNumber(first!) || !isNumber(last!)) return undefined;
  return [BigInt(first!), BigInt(last!)];
}

function isNumber(text: string): boolean {
  return /^(?:0x[0-9a-fA-F]+|\d+)$/.test(text);
}

function addresses(text: string): Range | undefined {
  const [first, last, ...more] = text.split('-');
  if (last !== undefined) {
    const [from, to] = [parseIp(first!), parseIp(last)];
    return from === undefined || to === undefined || more.length > 0
      ? undefined
      : [numberIn(from), numberIn(to)];
  }
  const network = parseNetwork(text);
  if (network === undefined) return undefined;
  const base = networkOf(network);
  const size = 1n << BigInt(8 * base.bytes.length - network.prefix);
  const from = numberIn(base);
  return [from, from + size - 1n];
}

function numberIn({ bytes }: IpAddress): bigint {
  return bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

import { formatIPv4, formatIPv6, parseIPv4, parseIPv6 } from '../../util/address.ts';

/** An address as a number, so that a range is two comparisons: IPv4 as an unsigned 32-bit number, IPv6 as a 128-bit bigint. */
export type AddressValue = number | bigint;

/** Parses an IPv4 or IPv6 address without zone; undefined when the text is invalid. */
export function parseAddress(text: string): AddressValue | undefined {
  if (!text.includes(':')) return parseIPv4(text);
  return parseIPv6(text)?.reduce((value, group) => (value << 16n) | BigInt(group), 0n);
}

/** Canonical text; IPv6 as RFC 5952 has it. */
export function formatAddress(value: AddressValue): string {
  if (typeof value === 'number') return formatIPv4(value);
  const groups = value.toString(16).padStart(32, '0').match(/..../g)!;
  return formatIPv6(groups.map((group) => Number.parseInt(group, 16)));
}

/** First and last address of a network given by any of its addresses and its prefix length; undefined when the length is invalid. */
export function networkRange(
  address: AddressValue,
  prefix: number,
): { from: AddressValue; to: AddressValue } | undefined {
  const bits = typeof address === 'number' ? 32 : 128;
  if (!Number.isInteger(prefix) || prefix < 0 || prefix > bits) return undefined;
  if (typeof address === 'number') {
    const size = 2 ** (32 - prefix);
    const from = Math.floor(address / size) * size;
    return { from, to: from + size - 1 };
  }
  const host = 128n - BigInt(prefix);
  const from = (address >> host) << host;
  return { from, to: from + (1n << host) - 1n };
}

/** Whether the kernel treats it as its own address by default: 127.0.0.0/8 and ::1. */
export function isLoopback(value: AddressValue): boolean {
  return typeof value === 'number' ? value >>> 24 === 127 : value === 1n;
}

/** Whether it is in 224.0.0.0/4 or ff00::/8. */
export function isMulticast(value: AddressValue): boolean {
  return typeof value === 'number' ? value >>> 28 === 14 : value >> 120n === 255n;
}

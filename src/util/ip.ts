import { type AddressValue, formatAddress, groupsOf, parseAddress } from './address.ts';
import type { Family } from './family.ts';

/** An IP address: its family and its 4 or 16 bytes. */
export interface IpAddress {
  family: Family;
  bytes: number[];
}

/** Parses an IPv4 or IPv6 address without zone; undefined when the text is invalid. `::ffff:1.2.3.4` is IPv4, as in Go's net.IP. */
export function parseIp(text: string): IpAddress | undefined {
  const value = parseAddress(text);
  if (value === undefined) return undefined;
  const isMapped = typeof value === 'bigint' && value >> 32n === 0xffffn;
  return ipOf(isMapped ? Number(value & 0xffffffffn) : value);
}

/** Canonical text; IPv6 as RFC 5952 has it. */
export function formatIp(ip: IpAddress): string {
  return ip.family === 'ipv4' ? ip.bytes.join('.') : formatAddress(numberOf(ip));
}

/** An address by its value. */
export function ipOf(value: AddressValue): IpAddress {
  if (typeof value === 'bigint') {
    return { family: 'ipv6', bytes: groupsOf(value).flatMap((group) => [group >> 8, group & 255]) };
  }
  return { family: 'ipv4', bytes: [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255] };
}

/** The value of an address: a number of 32 bits for IPv4, a bigint for IPv6. */
export function numberOf({ family, bytes }: IpAddress): AddressValue {
  if (family === 'ipv6') return BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
  return bytes.reduce((value, byte) => value * 256 + byte, 0);
}

/** The canonical spelling of an address; other text is returned unchanged. */
export function canonicalAddress(text: string): string {
  // IPv4 has but one: parseIp takes no other.
  if (!text.includes(':')) return text;
  const ip = parseIp(text);
  return ip === undefined ? text : formatIp(ip);
}

/** Whether it is `0.0.0.0` or `::`. */
export function isUnspecified(ip: IpAddress): boolean {
  return ip.bytes.every((byte) => byte === 0);
}

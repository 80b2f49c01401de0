import { formatIPv6, parseIPv4, parseIPv6 } from '../util/address.ts';

/** An IP address: its family and its 4 or 16 bytes. */
export interface IpAddress {
  family: 'ipv4' | 'ipv6';
  bytes: number[];
}

/** Parses an IPv4 or IPv6 address without zone; undefined when the text is invalid. `::ffff:1.2.3.4` is IPv4, as in Go's net.IP. */
export function parseIp(text: string): IpAddress | undefined {
  if (!text.includes(':')) {
    const value = parseIPv4(text);
    if (value === undefined) return undefined;
    return { family: 'ipv4', bytes: [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255] };
  }
  const bytes = parseIPv6(text)?.flatMap((group) => [group >> 8, group & 255]);
  if (bytes === undefined) return undefined;
  const mapped = bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255;
  return mapped ? { family: 'ipv4', bytes: bytes.slice(12) } : { family: 'ipv6', bytes };
}

/** Canonical text; IPv6 as RFC 5952 has it. */
export function formatIp({ family, bytes }: IpAddress): string {
  if (family === 'ipv4') return bytes.join('.');
  return formatIPv6(Array.from({ length: 8 }, (_, i) => bytes[2 * i]! * 256 + bytes[2 * i + 1]!));
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

/** Parses `address/prefix`; the host bits stay. Undefined when the text is invalid. */
export function parseCidr(text: string): { ip: IpAddress; prefix: number } | undefined {
  const slash = text.lastIndexOf('/');
  if (slash < 0 || !/^\d{1,3}$/.test(text.slice(slash + 1))) return undefined;
  const ip = parseIp(text.slice(0, slash));
  const prefix = Number(text.slice(slash + 1));
  if (ip === undefined || prefix > ip.bytes.length * 8) return undefined;
  return { ip, prefix };
}

/** `address/prefix`. */
export function formatCidr({ address, prefix }: { address: string; prefix: number }): string {
  return `${address}/${prefix}`;
}

import { type AddressValue, formatIPv4, parseAddress } from './address.ts';
import type { Family } from './family.ts';
import { type IpAddress, ipOf, numberOf, parseIp } from './ip.ts';

/** Bits of an address. */
export const ADDRESS_BITS: Readonly<Record<Family, number>> = { ipv4: 32, ipv6: 128 };

/** The network of all addresses. */
export const EVERY_ADDRESS: Readonly<Record<Family, string>> = { ipv4: '0.0.0.0/0', ipv6: '::/0' };

/** A network by any of its addresses and its prefix length. */
export interface Cidr {
  ip: IpAddress;
  prefix: number;
}

/** Parses `address/prefix`; the host bits stay. Undefined when the text is invalid. */
export function parseCidr(text: string): Cidr | undefined {
  const { address, prefix } = split(text) ?? {};
  const ip = parseIp(address ?? '');
  return ip === undefined || prefix === undefined || prefix > ADDRESS_BITS[ip.family]
    ? undefined
    : { ip, prefix };
}

/** As {@link parseCidr}; an address alone is a network of one. */
export function parseNetwork(text: string): Cidr | undefined {
  const ip = parseIp(text);
  return ip === undefined ? parseCidr(text) : { ip, prefix: ADDRESS_BITS[ip.family] };
}

/** `address/prefix`. */
export function formatCidr({ address, prefix }: { address: string; prefix: number }): string {
  return `${address}/${prefix}`;
}

/** The first address of a network: its host bits cleared. */
export function networkOf({ ip, prefix }: Cidr): IpAddress {
  return ipOf(networkRange(numberOf(ip), prefix)!.from);
}

/** Whether an address is in a network. */
export function contains(network: Cidr, ip: IpAddress): boolean {
  if (ip.family !== network.ip.family) return false;
  const { from, to } = networkRange(numberOf(network.ip), network.prefix)!;
  const value = numberOf(ip);
  return value >= from && value <= to;
}

/** Whether a network is one address. */
export function isWhole({ ip, prefix }: Cidr): boolean {
  return prefix === ADDRESS_BITS[ip.family];
}

/** First and last address of a network, and its prefix length. */
export interface NetworkRange {
  from: AddressValue;
  to: AddressValue;
  prefix: number;
}

/** Parses `address/prefix` into the addresses of that network. Undefined when the text is invalid. */
export function parseRange(text: string): NetworkRange | undefined {
  const { address, prefix } = split(text) ?? {};
  const value = parseAddress(address ?? '');
  return value === undefined || prefix === undefined ? undefined : networkRange(value, prefix);
}

/** The network of an address and a prefix length; undefined when the length is invalid. */
export function networkRange(address: AddressValue, prefix: number): NetworkRange | undefined {
  const bits = typeof address === 'number' ? 32 : 128;
  if (!Number.isInteger(prefix) || prefix < 0 || prefix > bits) return undefined;
  if (typeof address === 'number') {
    const size = 2 ** (32 - prefix);
    const from = Math.floor(address / size) * size;
    return { from, to: from + size - 1, prefix };
  }
  const host = 128n - BigInt(prefix);
  const from = (address >> host) << host;
  return { from, to: from + (1n << host) - 1n, prefix };
}

/** An IPv4 subnet: network address as an unsigned 32-bit number and prefix length. */
export interface Subnet {
  network: number;
  prefix: number;
}

/** Parses `a.b.c.d/len`; host bits are cleared, as net.ParseCIDR does. Undefined when the text is invalid. */
export function parseSubnet(text: string): Subnet | undefined {
  const { from, prefix } = parseRange(text) ?? {};
  return typeof from === 'number' ? { network: from, prefix: prefix! } : undefined;
}

export function formatSubnet({ network, prefix }: Subnet): string {
  return `${formatIPv4(network)}/${prefix}`;
}

export function subnetSize(subnet: Subnet): number {
  return 2 ** (32 - subnet.prefix);
}

export function subnetContains(subnet: Subnet, address: number): boolean {
  return address >= subnet.network && address < subnet.network + subnetSize(subnet);
}

export function subnetsOverlap(a: Subnet, b: Subnet): boolean {
  return subnetContains(a, b.network) || subnetContains(b, a.network);
}

/** The n-th address of a subnet in CIDR form (0 is the network address). Throws when `text` is not a subnet. */
export function nthAddress(text: string, n: number): string {
  const subnet = parseSubnet(text);
  if (subnet === undefined || n >= subnetSize(subnet)) throw new Error(`${text}: has no address number ${n}`);
  return formatIPv4(subnet.network + n);
}

/** The parts of `address/prefix`; undefined when there is no number behind a slash. */
function split(text: string): { address: string; prefix: number } | undefined {
  const match = /^(.*)\/(\d{1,3})$/s.exec(text);
  return match === null ? undefined : { address: match[1]!, prefix: Number(match[2]) };
}

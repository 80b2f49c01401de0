/** An IPv4 subnet: network address as an unsigned 32-bit number and prefix length. */
export interface Subnet {
  network: number;
  prefix: number;
}

/** Parses dotted-quad IPv4 into an unsigned 32-bit number; undefined when it is none (leading zeros are refused). */
export function parseIPv4(text: string): number | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let value = 0;
  for (const part of parts) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part)) return undefined;
    const octet = Number(part);
    if (octet > 255) return undefined;
    value = value * 256 + octet;
  }
  return value;
}

export function formatIPv4(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}

/** Parses `a.b.c.d/len`; host bits are cleared, as net.ParseCIDR does. Undefined when it is none. */
export function parseSubnet(text: string): Subnet | undefined {
  const match = /^([^/]+)\/(\d{1,2})$/.exec(text);
  const address = match === null ? undefined : parseIPv4(match[1]!);
  const prefix = Number(match?.[2]);
  if (address === undefined || !(prefix >= 0 && prefix <= 32)) return undefined;
  const size = 2 ** (32 - prefix);
  return { network: Math.floor(address / size) * size, prefix };
}

export function formatSubnet(subnet: Subnet): string {
  return `${formatIPv4(subnet.network)}/${subnet.prefix}`;
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

/** The n-th address of a subnet in CIDR form (0 is the network address). Throws when `text` is no subnet. */
export function nthAddress(text: string, n: number): string {
  const subnet = parseSubnet(text);
  if (subnet === undefined || n >= subnetSize(subnet)) throw new Error(`${text}: has no address number ${n}`);
  return formatIPv4(subnet.network + n);
}

/** An IP address: its family and its 4 or 16 bytes. */
export interface IpAddress {
  family: 'ipv4' | 'ipv6';
  bytes: number[];
}

/** Parses an IPv4 or IPv6 address without zone; undefined when it is none. `::ffff:1.2.3.4` is IPv4, as in Go's net.IP. */
export function parseIp(text: string): IpAddress | undefined {
  if (!text.includes(':')) {
    const bytes = parseV4(text);
    return bytes === undefined ? undefined : { family: 'ipv4', bytes };
  }
  const bytes = parseV6(text);
  if (bytes === undefined) return undefined;
  const mapped = bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255;
  return mapped ? { family: 'ipv4', bytes: bytes.slice(12) } : { family: 'ipv6', bytes };
}

/** Canonical text; IPv6 as RFC 5952 has it. */
export function formatIp(ip: IpAddress): string {
  if (ip.family === 'ipv4') return ip.bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, i) => ip.bytes[2 * i]! * 256 + ip.bytes[2 * i + 1]!);
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(':');
  if (best.start < 0) return hex(groups);
  return `${hex(groups.slice(0, best.start))}::${hex(groups.slice(best.start + best.length))}`;
}

/** Whether it is `0.0.0.0` or `::`. */
export function isUnspecified(ip: IpAddress): boolean {
  return ip.bytes.every((byte) => byte === 0);
}

/** Parses `address/prefix`; the host bits stay. Undefined when it is none. */
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

function parseV4(text: string): number[] | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  const bytes = parts.map((part) => (/^(0|[1-9]\d{0,2})$/.test(part) ? Number(part) : 256));
  return bytes.every((byte) => byte < 256) ? bytes : undefined;
}

function parseV6(text: string): number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const parsed = halves.map((half, i) => parseGroups(half, i === halves.length - 1));
  const [head, tail] = parsed;
  if (head === undefined || (halves.length === 2 && tail === undefined)) return undefined;
  if (halves.length === 1) return head.length === 16 ? head : undefined;
  const zeros = 16 - head.length - tail!.length;
  return zeros >= 2 ? [...head, ...new Array<number>(zeros).fill(0), ...tail!] : undefined;
}

/** The bytes of groups separated by colons; the last group of an address may be dotted. */
function parseGroups(text: string, dotted: boolean): number[] | undefined {
  if (text === '') return [];
  const groups = text.split(':');
  const bytes: number[] = [];
  for (const [i, group] of groups.entries()) {
    if (dotted && group.includes('.') && i === groups.length - 1) {
      const v4 = parseV4(group);
      if (v4 === undefined) return undefined;
      bytes.push(...v4);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 255);
    } else return undefined;
  }
  return bytes;
}

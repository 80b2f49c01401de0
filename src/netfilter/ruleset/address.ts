/** An address as a number, so that a range is two comparisons: IPv4 as an unsigned 32-bit number, IPv6 as a 128-bit bigint. */
export type AddressValue = number | bigint;

/** Parses an IPv4 or IPv6 address without zone; undefined when it is none. */
export function parseAddress(text: string): AddressValue | undefined {
  return text.includes(':') ? parseV6(text) : parseV4(text);
}

/** Canonical text; IPv6 as RFC 5952 has it. */
export function formatAddress(value: AddressValue): string {
  if (typeof value === 'number') {
    return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
  }
  const groups = value.toString(16).padStart(32, '0').match(/..../g)!;
  const short = groups.map((group) => group.replace(/^0{1,3}/, ''));
  // The longest run of zero groups, the first of equals, and only of two or more.
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (short[start + length] === '0') length++;
    if (length > best.length) best = { start, length };
  }
  if (best.start < 0) return short.join(':');
  return `${short.slice(0, best.start).join(':')}::${short.slice(best.start + best.length).join(':')}`;
}

/** First and last address of a network given by any of its addresses and its prefix length; undefined when the length is none. */
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

/** Whether the kernel takes it for its own without being told: 127.0.0.0/8 and ::1. */
export function isLoopback(value: AddressValue): boolean {
  return typeof value === 'number' ? value >>> 24 === 127 : value === 1n;
}

/** Whether it is in 224.0.0.0/4 or ff00::/8. */
export function isMulticast(value: AddressValue): boolean {
  return typeof value === 'number' ? value >>> 28 === 14 : value >> 120n === 255n;
}

function parseV4(text: string): number | undefined {
  let value = 0;
  let octet = -1;
  let dots = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i) - 48;
    if (code >= 0 && code <= 9) {
      octet = octet < 0 ? code : octet * 10 + code;
      if (octet > 255) return undefined;
    } else if (code === -2 && octet >= 0 && dots < 3) {
      value = value * 256 + octet;
      octet = -1;
      dots++;
    } else return undefined;
  }
  return dots === 3 && octet >= 0 ? value * 256 + octet : undefined;
}

function parseV6(text: string): bigint | undefined {
  const halves = text.split('::');
  if (halves.length > 2 || text.length > 45) return undefined;
  const head = parseGroups(halves[0]!, halves.length === 1);
  const tail = halves.length === 1 ? [] : parseGroups(halves[1]!, true);
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  return groups.reduce((value, group) => (value << 16n) | BigInt(group), 0n);
}

/** 16-bit groups separated by colons; the last of an address may be dotted. */
function parseGroups(text: string, dotted: boolean): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    if (dotted && i === parts.length - 1 && part.includes('.')) {
      const v4 = parseV4(part);
      if (v4 === undefined) return undefined;
      groups.push(Math.floor(v4 / 65536), v4 % 65536);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

/** Parses dotted-quad IPv4 into an unsigned 32-bit number; undefined when the text is invalid (leading zeros are refused). */
export function parseIPv4(text: string): number | undefined {
  // Digit by digit: the rules of a node have thousands of addresses.
  let value = 0;
  let octet = -1;
  let dots = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit >= 0 && digit <= 9 && octet !== 0) {
      octet = octet < 0 ? digit : octet * 10 + digit;
      if (octet > 255) return undefined;
    } else if (text[i] === '.' && octet >= 0 && dots < 3) {
      value = value * 256 + octet;
      octet = -1;
      dots++;
    } else return undefined;
  }
  return dots === 3 && octet >= 0 ? value * 256 + octet : undefined;
}

export function formatIPv4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

/** Parses IPv6 without zone into its eight 16-bit groups; undefined when the text is invalid. The end may be dotted (RFC 4291, 2.2). */
export function parseIPv6(text: string): number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0]!, halves.length === 1);
  const tail = halves.length === 1 ? [] : parseGroups(halves[1]!, true);
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  return [...head, ...new Array<number>(missing).fill(0), ...tail];
}

/** 16-bit groups separated by colons; the last of an address may be dotted. */
function parseGroups(text: string, dotted: boolean): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    if (dotted && i === parts.length - 1 && part.includes('.')) {
      const v4 = parseIPv4(part);
      if (v4 === undefined) return undefined;
      groups.push(v4 >>> 16, v4 & 0xffff);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

/** Text of eight 16-bit groups as RFC 5952 has it. */
export function formatIPv6(groups: readonly number[]): string {
  // The longest run of zero groups, the first of equals, and only of two or more.
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const hex = (part: readonly number[]) => part.map((group) => group.toString(16)).join(':');
  if (best.start < 0) return hex(groups);
  return `${hex(groups.slice(0, best.start))}::${hex(groups.slice(best.start + best.length))}`;
}

/** An address as a number, so that a range is two comparisons: IPv4 as an unsigned 32-bit number, IPv6 as a 128-bit bigint. */
export type AddressValue = number | bigint;

/** Parses an IPv4 or IPv6 address without zone; undefined when the text is invalid. */
export function parseAddress(text: string): AddressValue | undefined {
  if (!text.includes(':')) return parseIPv4(text);
  return parseIPv6(text)?.reduce((value, group) => (value << 16n) | BigInt(group), 0n);
}

/** Canonical text; IPv6 as RFC 5952 has it. */
export function formatAddress(value: AddressValue): string {
  return typeof value === 'number' ? formatIPv4(value) : formatIPv6(groupsOf(value));
}

/** The eight 16-bit groups of an IPv6 address. */
export function groupsOf(value: bigint): number[] {
  const groups = value.toString(16).padStart(32, '0').match(/..../g)!;
  return groups.map((group) => Number.parseInt(group, 16));
}

/** Whether the kernel treats it as its own address by default: 127.0.0.0/8 and ::1. */
export function isLoopback(value: AddressValue): boolean {
  return typeof value === 'number' ? value >>> 24 === 127 : value === 1n;
}

/** As {@link isLoopback}, of a text; false for what is not an address. */
export function isLoopbackText(text: string): boolean {
  const value = parseAddress(text);
  return value !== undefined && isLoopback(value);
}

/** Whether it is in 224.0.0.0/4 or ff00::/8. */
export function isMulticast(value: AddressValue): boolean {
  return typeof value === 'number' ? value >>> 28 === 14 : value >> 120n === 255n;
}

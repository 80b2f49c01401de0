import { readFileSync } from 'node:fs';
import type { Family } from '../util/family.ts';
import { formatIp, parseIp } from '../util/ip.ts';

/** The addresses that /proc/net/fib_trie calls local, without those of 127.0.0.0/8 that are not written out. */
export function parseFibTrie(text: string): Set<string> {
  const addresses = new Set<string>();
  let leaf = '';
  for (const line of text.split('\n')) {
    const address = /\|-- (\S+)/.exec(line);
    if (address !== null) leaf = address[1]!;
    else if (/\/32 host LOCAL/.test(line)) addresses.add(leaf);
  }
  return addresses;
}

/** The addresses of /proc/net/if_inet6: 32 hexadecimal digits, then what does not matter here. */
export function parseIfInet6(text: string): Set<string> {
  const addresses = new Set<string>();
  for (const line of text.split('\n')) {
    const digits = /^([0-9a-f]{32}) /.exec(line)?.[1];
    if (digits === undefined) continue;
    const bytes = digits.match(/../g)!.map((byte) => Number.parseInt(byte, 16));
    addresses.add(formatIp({ family: 'ipv6', bytes }));
  }
  return addresses;
}

/** A test for addresses of this machine (this process's network namespace). Reads them once. */
export function localAddressTest(family: Family): (address: string) => boolean {
  const addresses =
    family === 'ipv4'
      ? parseFibTrie(readFileSync('/proc/net/fib_trie', 'utf8'))
      : parseIfInet6(readFileSync('/proc/net/if_inet6', 'utf8'));
  return (address) => {
    const ip = parseIp(address);
    return ip !== undefined && (addresses.has(formatIp(ip)) || (family === 'ipv4' && ip.bytes[0] === 127));
  };
}

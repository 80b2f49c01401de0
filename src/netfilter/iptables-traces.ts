import { existsSync, readFileSync } from 'node:fs';
import { openNetfilter } from '../sys/netlink.ts';
import { encodeChainLook } from './nft-wire.ts';

/** ENOENT, errno(3). */
const ENOENT = 2;
/** NFPROTO_IPV4 and NFPROTO_IPV6. */
const families = [2, 10];

/**
 * Whether iptables, in either variant, may have this chain in a table `nat` of this network namespace. False is certain; what cannot
 * be told is true. It costs no process: who never used iptables need not start it.
 */
export function mayHaveIptablesChain(chain: string): boolean {
  return mayBeLegacy() || mayBeNft(chain);
}

/** The kernel lists the tables that iptables-legacy made; it cannot be asked for chains without taking the table as a whole. */
function mayBeLegacy(): boolean {
  return ['/proc/net/ip_tables_names', '/proc/net/ip6_tables_names'].some(
    (path) => existsSync(path) && /^nat$/m.test(readFileSync(path, 'utf8')),
  );
}

function mayBeNft(chain: string): boolean {
  const socket = openNetfilter();
  if (socket === undefined) return false;
  try {
    return families.some((family) => {
      let absent = false;
      const heard = socket.exchange(encodeChainLook('nat', chain, family, 1), ({ error }) => {
        absent = error === ENOENT;
        return error !== undefined;
      });
      return !heard || !absent;
    });
  } finally {
    socket.close();
  }
}

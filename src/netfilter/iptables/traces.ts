import { existsSync, readFileSync } from 'node:fs';
import { openNetfilter } from '../../sys/netlink.ts';
import { FAMILIES, type Family } from '../../util/family.ts';
import { lookForNatChain } from '../nft/foreign.ts';

/** Where the kernel lists the tables that iptables-legacy made. */
const legacyTables: Record<Family, string> = {
  ipv4: '/proc/net/ip_tables_names',
  ipv6: '/proc/net/ip6_tables_names',
};

/**
 * Whether iptables, in either variant, may have this chain in a table `nat` of this network namespace. False is certain; when it
 * cannot be determined the answer is true. It starts no process: where iptables was never used it need not run.
 */
export function mayHaveIptablesChain(chain: string, family?: Family): boolean {
  return (family === undefined ? FAMILIES : [family]).some(
    (one) => mayBeLegacy(one) || lookForChain(chain, one) !== 'absent',
  );
}

/** Whether iptables-nft has this chain in its table `nat`: true is certain. */
export function hasIptablesNftChain(chain: string, family: Family): boolean {
  return lookForChain(chain, family) === 'present';
}

/** The kernel cannot be asked for chains of iptables-legacy without taking the table as a whole. */
function mayBeLegacy(family: Family): boolean {
  const path = legacyTables[family];
  return existsSync(path) && /^nat$/m.test(readFileSync(path, 'utf8'));
}

function lookForChain(chain: string, family: Family): 'present' | 'absent' | 'unknown' {
  const socket = openNetfilter();
  // A kernel without nftables has no chains of it.
  if (socket === undefined) return 'absent';
  try {
    return lookForNatChain(socket, chain, family);
  } finally {
    socket.close();
  }
}

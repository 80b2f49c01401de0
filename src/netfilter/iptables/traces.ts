import { existsSync, readFileSync } from 'node:fs';
import { openNetfilter } from '../../sys/netlink.ts';
import { encodeChainLook } from '../nft/wire.ts';
import type { IpFamily } from './iptables.ts';

/** ENOENT, errno(3). */
const ENOENT = 2;
/** NFPROTO_IPV4 and NFPROTO_IPV6. */
const protocols: Record<IpFamily, number> = { ipv4: 2, ipv6: 10 };
/** Where the kernel lists the tables that iptables-legacy made. */
const legacyTables: Record<IpFamily, string> = {
  ipv4: '/proc/net/ip_tables_names',
  ipv6: '/proc/net/ip6_tables_names',
};

/**
 * Whether iptables, in either variant, may have this chain in a table `nat` of this network namespace. False is certain; when it
 * cannot be determined the answer is true. It starts no process: where iptables was never used it need not run.
 */
export function mayHaveIptablesChain(chain: string, family?: IpFamily): boolean {
  const asked: readonly IpFamily[] = family === undefined ? ['ipv4', 'ipv6'] : [family];
  return asked.some((one) => mayBeLegacy(one) || lookForChain(chain, one) !== 'absent');
}

/** Whether iptables-nft has this chain in its table `nat`: true is certain. */
export function hasIptablesNftChain(chain: string, family: IpFamily): boolean {
  return lookForChain(chain, family) === 'present';
}

/** The kernel cannot be asked for chains of iptables-legacy without taking the table as a whole. */
function mayBeLegacy(family: IpFamily): boolean {
  const path = legacyTables[family];
  return existsSync(path) && /^nat$/m.test(readFileSync(path, 'utf8'));
}

function lookForChain(chain: string, family: IpFamily): 'present' | 'absent' | 'unknown' {
  const socket = openNetfilter();
  // A kernel without nftables has no chains of it.
  if (socket === undefined) return 'absent';
  try {
    let failure: number | undefined;
    const heard = socket.exchange(encodeChainLook('nat', chain, protocols[family], 1), ({ error }) => {
      failure = error;
      return error !== undefined;
    });
    if (!heard) return 'unknown';
    return failure === 0 ? 'present' : failure === ENOENT ? 'absent' : 'unknown';
  } finally {
    socket.close();
  }
}

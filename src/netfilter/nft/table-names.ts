import { openNetfilter } from '../../sys/netlink.ts';
import { bodyOf, decodeTable, encodeTableLook, getTable } from './wire.ts';

/** NFPROTO_UNSPEC: every family. */
const UNSPECIFIED = 0;
/** errno(3): what nfnetlink says of a subsystem that the kernel does not have (nfnetlink_rcv_msg). */
const EINVAL = 22;
/** How often a dump is requested again when the rules changed during it. */
const MAX_DUMPS = 10;

/** A table of nf_tables, of any program. */
export interface NftTableName {
  family: string;
  name: string;
}

/**
 * The tables of nf_tables in this network namespace, without the program `nft`; none where the kernel has no nf_tables. Undefined when it does not
 * tell (no CAP_NET_ADMIN).
 */
export function nftTableNames(): NftTableName[] | undefined {
  for (let attempt = 0; attempt < MAX_DUMPS; attempt++) {
    const socket = openNetfilter();
    if (socket === undefined) return undefined;
    try {
      const payloads = socket.dump(getTable, bodyOf('', undefined, UNSPECIFIED));
      if (payloads !== undefined) return payloads.map(decodeTable);
    } finally {
      socket.close();
    }
  }
  return hasNoSubsystem() ? [] : undefined;
}

function hasNoSubsystem(): boolean {
  const socket = openNetfilter();
  if (socket === undefined) return false;
  try {
    let answer: number | undefined;
    socket.exchange(encodeTableLook('filter', 1), ({ error }) => {
      answer = error;
      return true;
    });
    return answer === EINVAL;
  } finally {
    socket.close();
  }
}

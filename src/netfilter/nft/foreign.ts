import { type NetlinkChannel, openNetfilter } from '../../sys/netlink.ts';
import { FAMILY_NUMBER, FAMILY_OF_NFT, type Family, type NftFamily } from '../../util/family.ts';
import { bodyOf, decodeRule, encodeChainLook, encodeTableLook, getRules } from './wire.ts';

/** ENOENT, errno(3). */
const ENOENT = 2;

/** Chain and comment of each rule in another program's table; empty without that table, or without nftables. */
export function listForeignRules(
  family: NftFamily,
  table: string,
): { chain: string; comment: string | undefined }[] {
  const socket = openNetfilter();
  if (socket === undefined) return [];
  try {
    const number = FAMILY_NUMBER[FAMILY_OF_NFT[family]];
    let there = false;
    socket.exchange(encodeTableLook(table, 1, number), ({ error }) => {
      there ||= error === undefined;
      return error !== undefined;
    });
    if (!there) return [];
    const rules = socket.dump(getRules, bodyOf(table, undefined, number)) ?? [];
    return rules.map(decodeRule).filter((rule) => rule.table === table);
  } finally {
    socket.close();
  }
}

/** Whether another program's table `nat` has a chain; unknown when the kernel gave no clear answer. */
export function lookForNatChain(
  socket: NetlinkChannel,
  chain: string,
  family: Family,
): 'present' | 'absent' | 'unknown' {
  let failure: number | undefined;
  const heard = socket.exchange(encodeChainLook('nat', chain, FAMILY_NUMBER[family], 1), ({ error }) => {
    failure = error;
    return error !== undefined;
  });
  if (!heard) return 'unknown';
  return failure === 0 ? 'present' : failure === ENOENT ? 'absent' : 'unknown';
}

import { openNetfilter } from '../../sys/netlink.ts';
import { bodyOf, decodeRule, encodeTableLook, getRules } from './wire.ts';

/** NFPROTO_IPV4 and NFPROTO_IPV6, linux/netfilter.h. */
const families = { ip: 2, ip6: 10 } as const;

/** Chain and comment of each rule in another program's table; empty without that table, or without nftables. */
export function listForeignRules(
  family: keyof typeof families,
  table: string,
): { chain: string; comment: string | undefined }[] {
  const socket = openNetfilter();
  if (socket === undefined) return [];
  try {
    let there = false;
    socket.exchange(encodeTableLook(table, 1, families[family]), ({ error }) => {
      there ||= error === undefined;
      return error !== undefined;
    });
    if (!there) return [];
    const rules = socket.dump(getRules, bodyOf(table, undefined, families[family])) ?? [];
    return rules.map(decodeRule).filter((rule) => rule.table === table);
  } finally {
    socket.close();
  }
}

import { REFERENCE_NFT_TABLE } from '../../portmap/layout.ts';
import type { Fault } from '../inject/fault.ts';

const TABLE = `ip ${REFERENCE_NFT_TABLE}`;

export const fault: Fault = {
  does: "adds the table of the reference portmap's nftables backend as version 1.8.0 writes it, with a mapping of port 9 to an address of nobody",
  async inject(door, { node }) {
    await door.run(node, ['nft', '-f', '-'], {
      stdin: [
        `add table ${TABLE}`,
        `add chain ${TABLE} hostports`,
        `add chain ${TABLE} hostip_hostports`,
        `add chain ${TABLE} prerouting { type nat hook prerouting priority -100; }`,
        `add rule ${TABLE} hostports tcp dport 9 dnat to 192.0.2.1:9`,
        `add rule ${TABLE} prerouting jump hostip_hostports`,
        `add rule ${TABLE} prerouting jump hostports`,
        '',
      ].join('\n'),
    });
  },
  async restore(door, { node }) {
    // Added first, so that it can be deleted whether it was there or not.
    await door.run(node, ['nft', '-f', '-'], { stdin: `add table ${TABLE}\ndelete table ${TABLE}\n` });
  },
  subjects: ({ node }) => [{ node }],
};

import { describe, expect, test } from 'bun:test';
import { attribute, netlinkMessage } from '../../sys/netlink.ts';
import { decodeTrace } from './kernel-message.ts';

/** NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_TRACE. */
const TYPE = (10 << 8) | 17;
const u32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value | 0);
  return bytes;
};
const u64 = (value: number) => Buffer.concat([u32(0), u32(value)]);
const text = (value: string) => Buffer.from(`${value}\0`);

/** 10.0.0.1:1000 to 10.0.0.2:80, TCP. */
const NETWORK = Buffer.from('45000028000040004006000000000000', 'hex');
NETWORK.set([10, 0, 0, 1], 12);
const IPV4 = Buffer.concat([NETWORK, Buffer.from([10, 0, 0, 2])]);
const SYN = Buffer.from('03e80050000000000000000050020400', 'hex');

function message(family: number, ...attributes: Buffer[]): Buffer {
  return netlinkMessage(TYPE, 0, Buffer.concat([Buffer.from([family, 0, 0, 0]), ...attributes]));
}

const RULE = message(
  2,
  attribute(1, text('mangle')),
  attribute(2, text('PREROUTING')),
  attribute(3, u64(7)),
  attribute(4, u32(3)),
  attribute(5, attribute(1, u32(0))),
  attribute(6, u32(0xbeef)),
  attribute(8, IPV4),
  attribute(9, SYN),
  attribute(10, u32(3)),
  attribute(14, u32(0x2000)),
);
const names = (index: number) => (index === 3 ? 'eth0' : undefined);

describe('a message of the kernel', () => {
  test('a rule that drops, with the packet', () => {
    expect(decodeTrace(RULE, names)).toEqual([
      {
        ...{ id: 0xbeef, family: 'ip', table: 'mangle', chain: 'PREROUTING', type: 'rule', handle: 7 },
        ...{ verdict: 'drop', mark: 0x2000 },
        packet: {
          ...{ source: '10.0.0.1', destination: '10.0.0.2', protocol: 6, sourcePort: 1000 },
          ...{ destinationPort: 80, tcpFlags: 2, inputInterface: 'eth0', outputInterface: undefined },
        },
      },
    ]);
  });

  test.each([
    ['rule', u32(3), attribute(5, attribute(1, u32(-3))), 'jump'],
    ['rule', u32(3), attribute(5, attribute(1, u32(-5))), 'return'],
    // A queue's number, and an error, are in the upper half.
    ['rule', u32(3), attribute(5, attribute(1, u32((7 << 16) | 3))), 'queue'],
    ['rule', u32(3), attribute(5, attribute(1, u32((-113 << 16) | 0))), 'drop'],
    ['policy', u32(1), attribute(16, u32(0)), 'drop'],
    ['policy', u32(1), attribute(16, u32(1)), 'accept'],
    ['return', u32(2), attribute(5, attribute(1, u32(-1))), 'continue'],
    ['rule', u32(3), Buffer.alloc(0), 'other'],
  ] as const)('%s: verdict %#', (type, number, verdict, wanted) => {
    const [event] = decodeTrace(message(10, attribute(4, number), verdict), names);
    expect(event).toMatchObject({ family: 'ip6', type, verdict: wanted });
  });

  test('several in one read, others left out', () => {
    const other = netlinkMessage(3, 0, Buffer.alloc(8));
    expect(decodeTrace(Buffer.concat([RULE, other, RULE]), names)).toHaveLength(2);
  });

  test('what is cut anywhere is not read beyond its end', () => {
    for (let size = 0; size < RULE.length; size++) {
      expect(decodeTrace(RULE.subarray(0, size), names)).toEqual([]);
    }
    for (let at = 16; at < RULE.length; at++) {
      const broken = Buffer.from(RULE);
      broken[at]! ^= 0xff;
      expect(decodeTrace(broken, names).length).toBeLessThanOrEqual(1);
    }
  });
});

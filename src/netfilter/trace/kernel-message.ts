import { formatIp } from '../../util/ip.ts';

/** One message of the kernel's own trace of a packet (linux/netfilter/nf_tables.h, NFT_MSG_TRACE). */
export interface TraceEvent {
  /** Of the packet, while it is in one network namespace: the same in all messages about it. */
  id: number;
  family: string;
  table: string;
  chain: string;
  /** A rule that matched wholly, the end of a chain, or a policy. */
  type: 'rule' | 'return' | 'policy';
  /** Handle of the rule. */
  handle?: number;
  verdict: 'accept' | 'drop' | 'queue' | 'stolen' | 'continue' | 'jump' | 'goto' | 'return' | 'other';
  mark: number;
  /** The packet as the chain sees it; in the first message of a base chain only. */
  packet?: Seen;
}

export interface Seen {
  source: string;
  destination: string;
  /** Of IP: 6, 17, 132. */
  protocol: number;
  sourcePort: number | undefined;
  destinationPort: number | undefined;
  /** The flags of a TCP header, as its byte has them. */
  tcpFlags: number | undefined;
  inputInterface: string | undefined;
  outputInterface: string | undefined;
}

/** NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_TRACE. */
const TRACE_MESSAGE = (10 << 8) | 17;
/** struct nlmsghdr, struct nfgenmsg. */
const HEADER_SIZE = 16;
const FAMILY_SIZE = 4;
const NLA_TYPE_MASK = 0x3fff;

/** enum nft_trace_attributes. */
const NFTA_TRACE = {
  table: 1,
  chain: 2,
  handle: 3,
  type: 4,
  verdict: 5,
  id: 6,
  network: 8,
  transport: 9,
  iif: 10,
  oif: 12,
  mark: 14,
  policy: 16,
} as const;
const NFTA_VERDICT_CODE = 1;
/** enum nft_trace_types. */
const TYPES: Readonly<Record<number, TraceEvent['type']>> = { 1: 'policy', 2: 'return', 3: 'rule' };
/** NFPROTO_*, linux/netfilter.h. */
const FAMILIES: Readonly<Record<number, string>> = {
  1: 'inet',
  2: 'ip',
  5: 'netdev',
  7: 'bridge',
  10: 'ip6',
};
/** NF_* and enum nft_verdicts. A verdict's upper half may say more: an error, the number of a queue. */
const VERDICTS: Readonly<Record<number, TraceEvent['verdict']>> = {
  0: 'drop',
  1: 'accept',
  2: 'stolen',
  3: 'queue',
  [-1]: 'continue',
  [-3]: 'jump',
  [-4]: 'goto',
  [-5]: 'return',
};
/** Protocols whose header begins with two ports. */
const TCP = 6;
const WITH_PORTS: readonly number[] = [TCP, 17, 132];

/**
 * The messages of a trace in what was read from a netlink socket, in order; others are left out.
 * @param linkName the name of a device by its index.
 */
export function decodeTrace(read: Buffer, linkName: (index: number) => string | undefined): TraceEvent[] {
  const events: TraceEvent[] = [];
  for (let at = 0; at + HEADER_SIZE + FAMILY_SIZE <= read.length; ) {
    const length = read.readUInt32LE(at);
    if (length < HEADER_SIZE || length > read.length - at) break;
    if (read.readUInt16LE(at + 4) === TRACE_MESSAGE && length >= HEADER_SIZE + FAMILY_SIZE)
      events.push(decode(read.subarray(at + HEADER_SIZE, at + length), linkName));
    at += (length + 3) & ~3;
  }
  return events;
}

function decode(message: Buffer, linkName: (index: number) => string | undefined): TraceEvent {
  const attributes = attributesOf(message.subarray(FAMILY_SIZE));
  const text = (type: number) => attributes.get(type)?.toString('latin1').replace(/\0.*$/s, '') ?? '';
  const number = (type: number) => numberIn(attributes.get(type));
  const type = TYPES[number(NFTA_TRACE.type) ?? 0] ?? 'return';
  const handle = attributes.get(NFTA_TRACE.handle);
  const verdict = attributes.get(NFTA_TRACE.verdict);
  const code = numberIn(verdict && attributesOf(verdict).get(NFTA_VERDICT_CODE));
  const decided = type === 'policy' ? (number(NFTA_TRACE.policy) ?? code) : code;
  const packet = packetOf(attributes, linkName);
  return {
    id: number(NFTA_TRACE.id) ?? 0,
    family: FAMILIES[message[0]!] ?? String(message[0]),
    table: text(NFTA_TRACE.table),
    chain: text(NFTA_TRACE.chain),
    type,
    ...(handle?.length === 8 && { handle: Number(handle.readBigUInt64BE(0)) }),
    verdict: verdictOf(decided),
    mark: number(NFTA_TRACE.mark) ?? 0,
    ...(packet && { packet }),
  };
}

function verdictOf(code: number | undefined): TraceEvent['verdict'] {
  if (code === undefined) return 'other';
  const signed = code | 0;
  return VERDICTS[signed < 0 && signed > -6 ? signed : signed & 0xff] ?? 'other';
}

function packetOf(
  attributes: ReadonlyMap<number, Buffer>,
  linkName: (index: number) => string | undefined,
): Seen | undefined {
  const network = attributes.get(NFTA_TRACE.network);
  if (network === undefined) return undefined;
  const isIp = network[0]! >> 4 === 4;
  if (network.length < (isIp ? 20 : 40)) return undefined;
  const address = (from: number, to: number) =>
    formatIp({ family: isIp ? 'ipv4' : 'ipv6', bytes: [...network.subarray(from, to)] });
  const protocol = network[isIp ? 9 : 6]!;
  const found = attributes.get(NFTA_TRACE.transport);
  const transport = found !== undefined && found.length >= 4 ? found : undefined;
  const ports = WITH_PORTS.includes(protocol) ? transport : undefined;
  const link = (type: number) => linkName(numberIn(attributes.get(type)) ?? 0);
  return {
    source: isIp ? address(12, 16) : address(8, 24),
    destination: isIp ? address(16, 20) : address(24, 40),
    protocol,
    sourcePort: ports?.readUInt16BE(0),
    destinationPort: ports?.readUInt16BE(2),
    tcpFlags: protocol === TCP ? transport?.[13] : undefined,
    inputInterface: link(NFTA_TRACE.iif),
    outputInterface: link(NFTA_TRACE.oif),
  };
}

function numberIn(value: Buffer | undefined): number | undefined {
  return value?.length === 4 ? value.readUInt32BE(0) : undefined;
}

function attributesOf(bytes: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < 4 || length > bytes.length - at) break;
    found.set(bytes.readUInt16LE(at + 2) & NLA_TYPE_MASK, bytes.subarray(at + 4, at + length));
    at += (length + 3) & ~3;
  }
  return found;
}

import { createHash } from 'node:crypto';
import { attribute, openRtnetlink } from '../sys/netlink.ts';

/** A kind of what rtnetlink lists: its request, and what of an answer is a state and no count or clock. linux/rtnetlink.h, linux/if_link.h. */
interface Listed {
  type: number;
  request: Buffer;
  /** Size of the header before the attributes. */
  header: number;
  /** Attributes that change while nothing does. */
  passing: ReadonlySet<number>;
  /** Attributes of which only one part is a state: the type of that part. */
  parts?: ReadonlyMap<number, number>;
}

/** AF_INET of socket(2). */
const OF_IPV4 = 2;

/** Of a link, RTEXT_FILTER_SKIP_STATS in IFLA_EXT_MASK: not its counters. */
const WITHOUT_STATISTICS = attribute(29, Buffer.from(new Uint32Array([1 << 3]).buffer));

const LISTED: readonly Listed[] = [
  {
    // RTM_GETLINK, struct ifinfomsg. IFLA_STATS, IFLA_PROTINFO, IFLA_LINKINFO (timers of bridges), IFLA_STATS64.
    ...{ type: 18, header: 16, passing: new Set([7, 12, 18, 23]) },
    // IFLA_AF_SPEC: of IPv4 the settings of /proc/sys/net/ipv4/conf (inet_fill_link_af), of IPv6 also clocks.
    parts: new Map([[26, OF_IPV4]]),
    request: Buffer.concat([Buffer.alloc(16), WITHOUT_STATISTICS]),
  },
  // RTM_GETADDR, struct ifaddrmsg. IFA_CACHEINFO: how long it is valid.
  { type: 22, request: Buffer.alloc(8), header: 8, passing: new Set([6]) },
  // RTM_GETROUTE, struct rtmsg. RTA_CACHEINFO: when it was last used.
  { type: 26, request: Buffer.alloc(12), header: 12, passing: new Set([12]) },
  // RTM_GETRULE, struct fib_rule_hdr.
  { type: 34, request: Buffer.alloc(12), header: 12, passing: new Set() },
];

/**
 * A digest of the links with their settings of IPv4, addresses, routes and policy rules of this network namespace, which is the same as long as they are. Undefined when the kernel
 * does not list them all, or something changed meanwhile.
 */
export function routingDigest(): string | undefined {
  const channel = openRtnetlink();
  if (channel === undefined) return undefined;
  try {
    const hash = createHash('sha256');
    for (const { type, request, header, passing, parts } of LISTED) {
      const payloads = channel.dump(type, request);
      if (payloads === undefined) return undefined;
      hash.update(`${payloads.length};`);
      for (const payload of payloads) {
        const kept = lasting(payload, header, passing, parts);
        hash.update(`${kept.length}:${kept}`, 'latin1');
      }
    }
    return hash.digest('hex');
  } finally {
    channel.close();
  }
}

/** A message without the attributes that pass. One character a byte. */
function lasting(
  payload: string,
  header: number,
  passing: ReadonlySet<number>,
  parts?: ReadonlyMap<number, number>,
): string {
  let kept = payload.slice(0, header);
  for (const [type, bytes] of attributesIn(payload, header)) {
    const part = parts?.get(type);
    if (part !== undefined) {
      for (const [inner, own] of attributesIn(bytes, ATTRIBUTE_HEADER)) if (inner === part) kept += own;
    } else if (!passing.has(type)) kept += bytes;
  }
  return kept;
}

/** struct rtattr: a length and a type. */
const ATTRIBUTE_HEADER = 4;

/** The attributes of a message from a place on: the type of each, and its bytes with its header. */
function* attributesIn(message: string, from: number): Generator<[type: number, bytes: string]> {
  const word = (at: number) => message.charCodeAt(at) | (message.charCodeAt(at + 1) << 8);
  for (let at = from; at + ATTRIBUTE_HEADER <= message.length; ) {
    const length = word(at);
    if (length < ATTRIBUTE_HEADER) return;
    // The upper two bits are flags, linux/netlink.h.
    yield [word(at + 2) & 0x3fff, message.slice(at, at + length)];
    at += (length + 3) & ~3;
  }
}

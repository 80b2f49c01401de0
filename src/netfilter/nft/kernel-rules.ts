import { type NetfilterSocket, openNetfilter } from '../../sys/netlink.ts';
import type { Wanted } from '../../sys/netlink-messages.ts';
import { FAMILY_NUMBER, type Family } from '../../util/family.ts';
import { lookForNatChain } from './foreign.ts';
import { decodeRule, encodeChainRemoval } from './wire.ts';

/**
 * A quick look at a `nat` table that may give no answer. It recognises only a few rules; anything else needs
 * iptables.
 */
export interface NatGlance {
  /**
   * Where a chain leads to; undefined when that is unknown or the chain has a rule that is not a {@link PortJump}. With `wanted`, jumps
   * may be left out that are of none of its ports and lead to another chain than its chain.
   */
  portJumps(chain: string, wanted?: { ports: ReadonlySet<number>; chain: string }): PortJump[] | undefined;
  /** Whether a chain has the rule `-m addrtype --dst-type LOCAL -j target`. False may also mean: unknown. */
  hasLocalJump(chain: string, target: string): boolean;
  /** Whether there is a chain of that name; undefined when that is unknown. */
  hasChain(chain: string): boolean | undefined;
  /**
   * Removes a chain with its rules, and the jumps to it in the chain `from`, in one transaction that reads nothing. False: nothing
   * was done, because something else leads to the chain, say.
   */
  removeChain(chain: string, from: string): boolean;
}

/** What `-m multiport --dports … -j CHAIN` leads where. There may be further conditions. */
export interface PortJump {
  chain: string;
  ports: number[];
}

/**
 * Looks at the table that iptables-nft keeps, straight in the kernel: a tenth of the time of `iptables -S`, which matters with
 * a thousand rules. They are compared as text of one character a byte, by string search: a loop over the bytes, or a regular expression,
 * which tries every place, costs a process that lives for milliseconds ten times as much.
 * Undefined when the kernel has no nftables.
 */
export function glanceAtKernel(family: Family): NatGlance | undefined {
  const socket = openNetfilter();
  if (socket === undefined) return undefined;
  return {
    portJumps(chain, wanted) {
      const jumps: PortJump[] = [];
      for (const rule of readKernelRules(socket, family, chain, wanted) ?? [unreadable]) {
        const jump = portJump(rule);
        if (jump === undefined) return undefined;
        jumps.push(jump);
      }
      return jumps;
    },
    hasLocalJump(chain, target) {
      return readKernelRules(socket, family, chain)?.some(localJumpTest(target)) ?? false;
    },
    hasChain(chain) {
      const state = lookForNatChain(socket, chain, family);
      return state === 'unknown' ? undefined : state === 'present';
    },
    removeChain(chain, from) {
      const jumps = readKernelRules(socket, family, from, { mark: chain })?.filter(
        (rule) => targetOf(rule) === chain,
      );
      if (jumps === undefined) return false;
      // A handle is never given twice, and a chain that is in use still is not removed: whatever happened since, it is ours or nothing.
      return removeChain(family, chain, jumps.map(decodeRule));
    },
  };
}

/** Whether the kernel took it. On a socket of its own: the unread rest of a refusal must not answer another question. */
function removeChain(
  family: Family,
  chain: string,
  jumps: readonly { chain: string; handle: bigint }[],
): boolean {
  const socket = openNetfilter();
  if (socket === undefined) return false;
  try {
    let refused = false;
    const messages = encodeChainRemoval('nat', FAMILY_NUMBER[family], chain, jumps);
    const heard = socket.exchange(messages, ({ error, sequence }) => {
      refused ||= error !== undefined && error !== 0;
      return refused || (error === 0 && sequence === jumps.length + 2);
    });
    return heard && !refused;
  } finally {
    socket.close();
  }
}

/** Stands for what could not be read: a rule of no kind. */
const unreadable = '';

// linux/netfilter/nf_tables.h
const NFT_MSG_GETRULE = (10 << 8) | 7;
const NFTA_RULE_TABLE = 1;
const NFTA_RULE_CHAIN = 2;
const NFTA_RULE_EXPRESSIONS = 4;
const NFTA_LIST_ELEM = 1;
const NFTA_EXPR_NAME = 1;
const NFTA_EXPR_DATA = 2;
const NFTA_MATCH_NAME = 1;
const NFTA_MATCH_REV = 2;
const NFTA_MATCH_INFO = 3;
const NFTA_IMMEDIATE_DREG = 1;
const NFTA_IMMEDIATE_DATA = 2;
const NFTA_DATA_VERDICT = 2;
const NFTA_VERDICT_CODE = 1;
const NFTA_VERDICT_CHAIN = 2;
/** NFT_JUMP, in network order. */
const JUMP = '\xff\xff\xff\xfd';

/**
 * Rules of a chain of the `nat` table as bytes, of which those may be left out that are not wanted; none for a chain that does not exist, undefined
 * when they could not be read.
 */
function readKernelRules(
  socket: NetfilterSocket,
  family: Family,
  chain: string,
  wanted?: Wanted,
): string[] | undefined {
  const body =
    // struct nfgenmsg: family, version 0, resource 0
    `${String.fromCharCode(FAMILY_NUMBER[family])}\0\0\0${attribute(NFTA_RULE_TABLE, 'nat\0')}${attribute(NFTA_RULE_CHAIN, `${chain}\0`)}`;
  return socket.dump(NFT_MSG_GETRULE, Buffer.from(body, 'latin1'), wanted);
}

const multiportHead = [
  attribute(NFTA_MATCH_NAME, 'multiport\0'),
  attribute(NFTA_MATCH_REV, '\0\0\0\x01'),
  attributeHeader(NFTA_MATCH_INFO, 48),
].join('');
/** In struct xt_multiport_v1: XT_MULTIPORT_DESTINATION, how many ports there are, and how many there may be. */
const DESTINATION = 1;
const MOST_PORTS = 15;
/** What follows the ports: none of them is the beginning of a range, and the match is not negated. */
const PLAIN = '\0'.repeat(MOST_PORTS + 1);
const verdictHead = attribute(NFTA_VERDICT_CODE, JUMP);
/** The type of an attribute with the name of a chain, after its length. */
const chainType = String.fromCharCode(NFTA_VERDICT_CHAIN, 0);

/** Undefined for a rule of another kind. */
export function portJump(rule: string): PortJump | undefined {
  const head = rule.indexOf(multiportHead);
  const chain = targetOf(rule);
  if (head < 0 || chain === undefined) return undefined;
  const info = head + multiportHead.length;
  const first = info + 2;
  const count = rule.charCodeAt(info + 1);
  const isPlain =
    rule.charCodeAt(info) === DESTINATION &&
    count >= 1 &&
    count <= MOST_PORTS &&
    rule.startsWith(PLAIN, first + 2 * MOST_PORTS);
  if (!isPlain) return undefined;
  const ports: number[] = [];
  for (let at = first; at < first + 2 * count; at += 2) {
    ports.push(rule.charCodeAt(at) | (rule.charCodeAt(at + 1) << 8));
  }
  return { chain, ports };
}

/** The chain that a rule jumps to at its end; undefined for a rule that ends otherwise. */
function targetOf(rule: string): string | undefined {
  const verdict = rule.lastIndexOf(verdictHead);
  if (verdict < 0) return undefined;
  const attributeAt = verdict + verdictHead.length;
  const from = attributeAt + 4;
  const end = rule.indexOf('\0', from);
  // Padded to four bytes, and nothing after it.
  const isLast = end > from && rule.length - end <= 4;
  return isLast && rule.startsWith(chainType, attributeAt + 2) ? rule.slice(from, end) : undefined;
}

/** A test for the rule `-m addrtype --dst-type LOCAL -j CHAIN` without any other condition. */
export function localJumpTest(chain: string): (rule: string) => boolean {
  // struct xt_addrtype_info_v1: source, destination as bits of RTN_*, flags. RTN_LOCAL is 2.
  const addrtype =
    attribute(NFTA_MATCH_NAME, 'addrtype\0') +
    attribute(NFTA_MATCH_REV, '\0\0\0\x01') +
    attribute(NFTA_MATCH_INFO, '\0\0\x04\0\0\0\0\0');
  const verdict = attribute(NFTA_VERDICT_CODE, JUMP) + attribute(NFTA_VERDICT_CHAIN, `${chain}\0`);
  const immediate =
    attribute(NFTA_IMMEDIATE_DREG, '\0\0\0\0') +
    attribute(NFTA_IMMEDIATE_DATA, attribute(NFTA_DATA_VERDICT, verdict));
  // The counter: its name, then packets and bytes, eight bytes each.
  const counter = `${attribute(NFTA_EXPR_NAME, 'counter\0')}${attributeHeader(NFTA_EXPR_DATA, 24)}`;
  const counted = counter.length + 24;
  const head = `${expression('match', addrtype)}${attributeHeader(NFTA_LIST_ELEM, counted)}${counter}`;
  const tail = expression('immediate', immediate);
  // With the header of the list: its length says that nothing else is in it.
  const start = `${attributeHeader(NFTA_RULE_EXPRESSIONS, head.length + 24 + tail.length)}${head}`;
  return (rule) => {
    const at = rule.indexOf(start);
    return at >= 0 && rule.startsWith(tail, at + start.length + 24);
  };
}

function expression(name: string, data: string): string {
  return attribute(NFTA_LIST_ELEM, attribute(NFTA_EXPR_NAME, `${name}\0`) + attribute(NFTA_EXPR_DATA, data));
}

/** struct nlattr: length with its header, type, value padded to four bytes. */
function attribute(type: number, value: string): string {
  return attributeHeader(type, value.length) + value + '\0'.repeat(-value.length & 3);
}

function attributeHeader(type: number, size: number): string {
  return String.fromCharCode((size + 4) & 255, (size + 4) >> 8, type, 0);
}

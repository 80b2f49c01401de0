import { type NetfilterSocket, openNetfilter } from '../../sys/netlink.ts';
import { FAMILY_NUMBER, type Family } from '../../util/family.ts';
import { lookForNatChain } from './foreign.ts';
import { decodeRule, encodeChainRemoval } from './wire.ts';

/**
 * A quick look at a `nat` table that may give no answer. It recognises only a few rules; anything else needs
 * iptables.
 */
export interface NatGlance {
  /** Where a chain leads to; undefined when that is unknown or the chain has a rule that is not a {@link PortJump}. */
  portJumps(chain: string): PortJump[] | undefined;
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
 * Looks at the table that iptables-nft keeps, straight in the kernel: a third of the time of `iptables -S`, which matters with
 * a thousand rules. They are compared as text of one character a byte, by string search and regular expressions: these are
 * fast from the start, where a loop over the bytes costs a process that lives for milliseconds ten times as much.
 * Undefined when the kernel has no nftables.
 */
export function glanceAtKernel(family: Family): NatGlance | undefined {
  const socket = openNetfilter();
  if (socket === undefined) return undefined;
  return {
    portJumps(chain) {
      const jumps: PortJump[] = [];
      for (const rule of readKernelRules(socket, family, chain) ?? [unreadable]) {
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
      const jumps = readKernelRules(socket, family, from)?.filter(
        (rule) => rule.includes(chain) && jump.exec(rule)?.[1] === chain,
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

/** Rules of a chain of the `nat` table as bytes; none for a chain that does not exist, undefined when they could not be read. */
function readKernelRules(socket: NetfilterSocket, family: Family, chain: string): string[] | undefined {
  const body =
    // struct nfgenmsg: family, version 0, resource 0
    `${String.fromCharCode(FAMILY_NUMBER[family])}\0\0\0${attribute(NFTA_RULE_TABLE, 'nat\0')}${attribute(NFTA_RULE_CHAIN, `${chain}\0`)}`;
  return socket.dump(NFT_MSG_GETRULE, Buffer.from(body, 'latin1'));
}

/** struct xt_multiport_v1: what is compared, how many ports, fifteen of them, which of them are ranges, whether negated. */
const multiportHead = [
  attribute(NFTA_MATCH_NAME, 'multiport\0'),
  attribute(NFTA_MATCH_REV, '\0\0\0\x01'),
  attributeHeader(NFTA_MATCH_INFO, 48),
].join('');
const multiport = new RegExp(`${literal(multiportHead)}\\x01([\\x01-\\x0f])(.{30})\\0{16}`, 's');
const verdictHead = literal(attribute(NFTA_VERDICT_CODE, JUMP));
const jump = new RegExp(`${verdictHead}..\\x02\\0([^\\0]+)\\0.{0,3}$`, 's');

/** Undefined for a rule of another kind. */
export function portJump(rule: string): PortJump | undefined {
  const match = multiport.exec(rule);
  const chain = jump.exec(rule)?.[1];
  if (match === null || chain === undefined) return undefined;
  const ports: number[] = [];
  const count = match[1]!.charCodeAt(0);
  for (let i = 0; i < count; i++) {
    ports.push(match[2]!.charCodeAt(2 * i) | (match[2]!.charCodeAt(2 * i + 1) << 8));
  }
  return { chain, ports };
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

/** A regular expression that matches these bytes and no others. */
function literal(bytes: string): string {
  return bytes.replace(/./gs, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

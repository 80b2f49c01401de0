import { splitWords } from '../netfilter/iptables/rule-text.ts';
import { type Cidr, parseNetwork } from '../util/cidr.ts';

/** A packet of which some things are known. */
export interface Packet {
  protocol: string;
  port: number;
  /** Whether it may go to one of the addresses of a network. */
  mayGoTo(network: Cidr): boolean;
  /** Whether it may go to an address outside of a network. */
  mayGoBeyond(network: Cidr): boolean;
}

/** Targets after which no further rule of the table is looked at. */
const TERMINAL = ['ACCEPT', 'DROP', 'DNAT', 'REDIRECT', 'SNAT', 'MASQUERADE', 'NETMAP', 'RETURN'];
/** Matches whose options {@link certainlyMatches} knows. */
const KNOWN_MATCHES = ['tcp', 'udp', 'sctp', 'multiport', 'addrtype', 'comment'];

/**
 * Follows a packet through a chain, into the chains it leads to, until a wanted rule: undefined when it gets there, otherwise the
 * rule that takes the packet first. Only rules that are certain to match count: one with a condition on something that the packet
 * leaves open (a source, an interface, a set) is skipped. So a rule that is found takes the packet; others may exist.
 */
export async function takenBefore(
  list: (chain: string) => Promise<readonly string[] | undefined>,
  start: string,
  isWanted: (line: string) => boolean,
  packet: Packet,
): Promise<string | undefined> {
  const entered = new Set<string>();
  const walk = async (chain: string): Promise<'reached' | 'passed' | { by: string }> => {
    // The kernel refuses loops; a chain that is entered twice has let the packet pass before.
    if (entered.has(chain)) return 'passed';
    entered.add(chain);
    for (const line of (await list(chain)) ?? []) {
      if (isWanted(line)) return 'reached';
      const words = splitWords(line);
      const at = words.findIndex((word) => word === '-j' || word === '-g');
      const target = words[at + 1];
      if (at < 0 || target === undefined || !certainlyMatches(words.slice(2, at), packet)) continue;
      if (target === 'RETURN' && chain !== start) return 'passed';
      if (TERMINAL.includes(target)) return { by: line };
      // A target that is not a chain only records something.
      const outcome = await walk(target);
      if (outcome !== 'passed') return outcome;
      if (words[at] === '-g') return chain === start ? { by: line } : 'passed';
    }
    return 'passed';
  };
  const outcome = await walk(start);
  return typeof outcome === 'string' ? undefined : outcome.by;
}

/** Whether a rule with these matches, as `iptables -S` prints them, is sure to take some packet of this kind. */
function certainlyMatches(words: readonly string[], packet: Packet): boolean {
  for (let i = 0; i < words.length; i++) {
    const negated = words[i] === '!';
    if (negated) i++;
    const option = words[i]!;
    const value = words[++i] ?? '';
    if (!optionMatches(option, value, negated, packet)) return false;
  }
  return true;
}

function optionMatches(option: string, value: string, negated: boolean, packet: Packet): boolean {
  switch (option) {
    case '-m':
      return KNOWN_MATCHES.includes(value);
    case '--comment':
      return true;
    case '-p':
      return (value === packet.protocol) !== negated;
    case '--dport':
    case '--dports': {
      const named = value.split(',').some((range) => {
        const [first, last = first] = range.split(':').map(Number);
        return packet.port >= first! && packet.port <= last!;
      });
      return named !== negated;
    }
    case '--dst-type':
      return value === 'LOCAL' && !negated;
    case '-d': {
      const network = parseNetwork(value);
      if (network === undefined) return false;
      return negated ? packet.mayGoBeyond(network) : packet.mayGoTo(network);
    }
    case '-i':
    case '-o':
      // A host port is reachable through every interface; only a rule for "not this interface" is sure to match most of them.
      return negated;
    default:
      return false;
  }
}

import type { PortMapping } from '../cni/types.ts';
import { joinWords, splitWords } from '../netfilter/iptables/rule-text.ts';
import { type Cidr, EVERY_ADDRESS, formatCidr, networkOf, parseNetwork } from '../util/cidr.ts';
import { formatEndpoint } from '../util/endpoint.ts';
import type { Family } from '../util/family.ts';
import { formatIp, isUnspecified, parseIp } from '../util/ip.ts';
import type { PortmapConfig } from './config.ts';

/**
 * The rules of the iptables backend, as data. Names, comments, marks and order are those of the reference plugin, so that
 * either plugin can undo what the other did; they must never change.
 */
export const DNAT_CHAIN = 'CNI-HOSTPORT-DNAT';
export const SETMARK_CHAIN = 'CNI-HOSTPORT-SETMARK';
export const MASQ_CHAIN = 'CNI-HOSTPORT-MASQ';

/** What leads to {@link DNAT_CHAIN} from each of the chains where packets to the node begin: PREROUTING and OUTPUT. */
export const ENTRY_JUMP: readonly string[] = ['-m', 'addrtype', '--dst-type', 'LOCAL', '-j', DNAT_CHAIN];

/** Length of a chain name: 28 is what iptables allows. */
const CHAIN_NAME_LENGTH = 28;
/** `-m multiport` takes at most 15 ports. */
const MULTIPORT_MAX = 15;
/** XT_MAX_COMMENT_LEN less its NUL. */
const MAX_COMMENT = 255;

/** An address of the pod with the prefix length that its result gave it. */
export type PodAddress = Cidr;

/** A rule in a chain, in the words that iptables takes. */
export interface Rule {
  chain: string;
  words: string[];
}

/** Whose mappings are, as their rules say it. */
export interface Owner {
  networkName: string;
  containerId: string;
  /**
   * Of a container's second and further interfaces on one network. The mappings of the first are by the container's name alone, as
   * the reference plugin has them.
   */
  ifName?: string;
}

/**
 * Name of the chain of one attachment: `CNI-DN-` and the start of the SHA-512 of network name and container ID; and of the
 * interface, where its mappings are by that. The slash is in no name of a network or container.
 */
export function attachmentChain(networkName: string, containerId: string, ifName?: string): string {
  const name = networkName + containerId + (ifName === undefined ? '' : `/${ifName}`);
  const hash = new Bun.CryptoHasher('sha512').update(name).digest('hex');
  return `CNI-DN-${hash}`.slice(0, CHAIN_NAME_LENGTH);
}

/** As {@link attachmentChain}. */
export function chainOf({ networkName, containerId, ifName }: Owner): string {
  return attachmentChain(networkName, containerId, ifName);
}

/** Names of interfaces that stand in a comment as they are. Whoever has another one (the kernel allows nearly all) is known by his chain. */
export const PLAIN_INTERFACE = /^[\w.@+-]+$/;

/** What everybody shares: the mark, the masquerade and the jumps. In the order the reference makes them. */
export function sharedRules(config: PortmapConfig): { chains: string[]; rules: Rule[]; first: Set<Rule> } {
  const mark = `0x${(2 ** config.markMasqBit).toString(16)}`;
  const mask = `${mark}/${mark}`;
  const chains: string[] = [];
  const rules: Rule[] = [];
  const first = new Set<Rule>();
  if (config.snat && config.externalSetMarkChain === undefined) {
    chains.push(SETMARK_CHAIN, MASQ_CHAIN);
    const jump: Rule = {
      chain: 'POSTROUTING',
      words: ['-m', 'comment', '--comment', 'CNI portfwd requiring masquerade', '-j', MASQ_CHAIN],
    };
    // Ahead of the masquerading of the primary plugin, which would take the packet before our mark is looked at.
    first.add(jump);
    rules.push(
      {
        chain: SETMARK_CHAIN,
        words: [
          ...['-m', 'comment', '--comment', 'CNI portfwd masquerade mark'],
          ...['-j', 'MARK', '--set-xmark', mask],
        ],
      },
      { chain: MASQ_CHAIN, words: ['-m', 'mark', '--mark', mask, '-j', 'MASQUERADE'] },
      jump,
    );
  }
  chains.push(DNAT_CHAIN);
  rules.push(...['PREROUTING', 'OUTPUT'].map((chain) => ({ chain, words: [...ENTRY_JUMP] })));
  return { chains, rules, first };
}

/** The mappings that apply to an address family: hostIP absent or of that family. */
export function mappingsOf(config: PortmapConfig, family: Family): PortMapping[] {
  return config.portMappings.filter(
    ({ hostIP }) => hostIP === undefined || parseIp(hostIP)?.family === family,
  );
}

/** The rules in {@link DNAT_CHAIN} that lead to the attachment's chain: at most 15 ports each, protocols in order of name. */
export function entryRules(config: PortmapConfig, owner: Owner, pod: PodAddress): Rule[] {
  const chain = chainOf(owner);
  const conditions = pod.ip.family === 'ipv6' ? config.conditionsV6 : config.conditionsV4;
  const ports = new Map<string, number[]>();
  // As the reference does, every mapping is listed, also one whose hostIP belongs to the other family.
  for (const { protocol, hostPort } of config.portMappings) {
    const list = ports.get(protocol) ?? [];
    list.push(hostPort);
    ports.set(protocol, list);
  }
  const rules: Rule[] = [];
  for (const protocol of [...ports.keys()].sort()) {
    const all = ports.get(protocol)!;
    for (let start = 0; start < all.length; start += MULTIPORT_MAX) {
      rules.push({
        chain: DNAT_CHAIN,
        words: [
          ...['-p', protocol, '-m', 'comment', '--comment', ownerComment(owner)],
          ...['-m', 'multiport', '--dports', all.slice(start, start + MULTIPORT_MAX).join(',')],
          ...conditions,
          ...['-j', chain],
        ],
      });
    }
  }
  return rules;
}

/** The rules of the attachment's chain: for each mapping the marks first, then the translation. */
export function attachmentRules(config: PortmapConfig, owner: Owner, pod: PodAddress): Rule[] {
  const chain = chainOf(owner);
  const v6 = pod.ip.family === 'ipv6';
  const setMark = config.externalSetMarkChain ?? SETMARK_CHAIN;
  const address = formatIp(pod.ip);
  return mappingsOf(config, pod.ip.family).flatMap((mapping) => {
    const base = ['-p', mapping.protocol, '--dport', String(mapping.hostPort)];
    const hostIP = mapping.hostIP === undefined ? undefined : parseIp(mapping.hostIP);
    if (hostIP !== undefined && !isUnspecified(hostIP)) base.push('-d', formatIp(hostIP));
    const sources = !config.snat
      ? []
      : config.masqAll
        ? [EVERY_ADDRESS[pod.ip.family]]
        : [`${address}/${pod.prefix}`, ...(v6 ? [] : ['127.0.0.1'])];
    const target = formatEndpoint({ address, port: mapping.containerPort });
    return [
      ...sources.map((source) => ({ chain, words: [...base, '-s', source, '-j', setMark] })),
      { chain, words: [...base, '-j', 'DNAT', '--to-destination', target] },
    ];
  });
}

/**
 * A rule of an attachment's chain in the words that both variants print it with: networks masked, source and destination first,
 * the protocol's match written out.
 */
export function asPrinted({ chain, words }: Rule): Rule {
  const after = (name: string) => {
    const at = words.indexOf(name);
    return at < 0 ? undefined : words[at + 1];
  };
  const [source, destination, protocol] = [after('-s'), after('-d'), after('-p')!];
  const address = (option: string, text: string | undefined) => {
    const network = text === undefined ? undefined : maskedNetwork(text);
    return network === undefined ? [] : [option, network];
  };
  return {
    chain,
    words: [
      ...address('-s', source),
      ...address('-d', destination),
      ...['-p', protocol, '-m', protocol, '--dport', after('--dport')!],
      ...words.slice(words.indexOf('-j')),
    ],
  };
}

/** `address/prefix` with the host bits cleared; undefined for the network of all addresses, which is not printed. */
function maskedNetwork(text: string): string | undefined {
  const network = parseNetwork(text);
  if (network === undefined || network.prefix === 0) return undefined;
  return formatCidr({ address: formatIp(networkOf(network)), prefix: network.prefix });
}

/** The comment that says whose a mapping is. */
function ownerComment({ networkName, containerId, ifName }: Owner): string {
  const named = ifName !== undefined && PLAIN_INTERFACE.test(ifName) ? ` if: "${ifName}"` : '';
  const comment = `dnat name: "${networkName}" id: "${containerId}"${named}`;
  return comment.length <= MAX_COMMENT ? comment : `${comment.slice(0, MAX_COMMENT - 3)}...`;
}

/** A rule of {@link DNAT_CHAIN} as the kernel has it. */
export interface InstalledEntry {
  /** The `-A …` line, to be deleted by its exact words. */
  line: string;
  chain: string;
  protocol: string;
  ports: number[];
  /** From the comment; undefined when it is not one of ours or was cut. */
  owner: Owner | undefined;
}

/** How both variants print an entry without conditions. */
const PLAIN_ENTRY =
  /^-A \S+ -p (\w+) -m comment --comment "dnat name: \\"([\w.-]*)\\" id: \\"([\w.-]*)\\"(?: if: \\"([\w.@+-]*)\\")?" -m multiport --dports ([\d,]+) -j (CNI-DN-\w+)$/;

/** Reads what `-S CNI-HOSTPORT-DNAT` printed; lines that are not jumps to an attachment's chain are left out. */
export function parseEntries(lines: readonly string[]): InstalledEntry[] {
  return lines.flatMap((line) => {
    // There may be a thousand of them, and a regular expression is compiled from the start: splitting takes ten times as long.
    const plain = PLAIN_ENTRY.exec(line);
    if (plain !== null) {
      const [, protocol, networkName, containerId, ifName, ports, chain] = plain as unknown as string[];
      return {
        ...{ line, chain: chain!, protocol: protocol!, ports: ports!.split(',').map(Number) },
        owner: ownerNamed(networkName!, containerId!, ifName),
      };
    }
    const words = splitWords(line);
    const after = (...names: string[]) => words[words.findIndex((word) => names.includes(word)) + 1];
    const chain = words.includes('-j') ? after('-j') : undefined;
    if (chain === undefined || !chain.startsWith('CNI-DN-')) return [];
    const owner = /^dnat name: "([^"]*)" id: "([^"]*)"(?: if: "([^"]*)")?$/.exec(
      words.includes('--comment') ? after('--comment')! : '',
    );
    return [
      {
        line,
        chain,
        protocol: words.includes('-p') ? after('-p')! : '',
        ports: words.includes('--dports')
          ? after('--dports')!
              .split(',')
              .map((port) => Number(port))
          : [],
        owner: owner === null ? undefined : ownerNamed(owner[1]!, owner[2]!, owner[3]),
      },
    ];
  });
}

function ownerNamed(networkName: string, containerId: string, ifName: string | undefined): Owner {
  return { networkName, containerId, ...(ifName === undefined ? {} : { ifName }) };
}

/** A translation in an attachment's chain as the kernel has it. */
export interface InstalledMapping {
  protocol: string;
  hostPort: number;
  hostIP: string | undefined;
  /** `address:port` of the pod. */
  target: string;
}

/** Reads the DNAT rules out of what `-S CNI-DN-…` printed. */
export function parseMappings(lines: readonly string[]): InstalledMapping[] {
  return lines.flatMap((line) => {
    const words = splitWords(line);
    const after = (name: string) => {
      const at = words.indexOf(name);
      return at < 0 ? undefined : words[at + 1];
    };
    const target = after('--to-destination');
    if (target === undefined) return [];
    return [
      {
        protocol: after('-p') ?? '',
        hostPort: Number(after('--dport')),
        hostIP: after('-d')?.replace(/\/(32|128)$/, ''),
        target,
      },
    ];
  });
}

/** `-A CHAIN …`, `-C CHAIN …`, `-I CHAIN …` or `-D CHAIN …` of a rule. */
export function command(verb: '-A' | '-C' | '-I' | '-D', rule: Rule): string {
  return joinWords([verb, rule.chain, ...rule.words]);
}

/** The command that deletes a rule as it was printed. */
export function deletion(line: string): string {
  return `-D ${line.slice('-A '.length)}`;
}

import type { PortMapping } from '../cni/types.ts';
import { joinWords, splitWords, wordAfter } from '../netfilter/iptables/rule-text.ts';
import { type Cidr, EVERY_ADDRESS, formatCidr, networkOf, parseNetwork } from '../util/cidr.ts';
import { formatEndpoint } from '../util/endpoint.ts';
import type { Family } from '../util/family.ts';
import { formatIp, isUnspecified, parseIp } from '../util/ip.ts';
import type { PortmapConfig } from './config.ts';
import {
  chainOf,
  DNAT_CHAIN,
  ENTRY_JUMP,
  MASQ_CHAIN,
  maskOf,
  type Owner,
  ownerComment,
  SETMARK_CHAIN,
} from './layout.ts';

/** The rules of the iptables backend, as data, in the order of the reference plugin; layout.ts has the names in them. */

/** `-m multiport` takes at most 15 ports. */
const MULTIPORT_MAX = 15;

/** An address of the pod with the prefix length that its result gave it. */
export type PodAddress = Cidr;

/** A rule in a chain, in the words that iptables takes. */
export interface Rule {
  chain: string;
  words: string[];
}

/** What everybody shares: the mark, the masquerade and the jumps. In the order the reference makes them. */
export function sharedRules(config: PortmapConfig): { chains: string[]; rules: Rule[]; first: Set<Rule> } {
  const mark = maskOf(config.markMasqBit);
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
  const after = (name: string) => wordAfter(words, name);
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

/** A translation in an attachment's chain as the kernel has it. */
export interface InstalledMapping {
  protocol: string;
  hostPort: number;
  hostIP: string | undefined;
  /**
   * `address:port` of the pod, IPv6 in brackets. Rules that were not written by us may lead elsewhere: see target.ts.
   */
  target: string;
}

/** Reads the DNAT rules out of what `-S CNI-DN-…` printed. */
export function parseMappings(lines: readonly string[]): InstalledMapping[] {
  return lines.flatMap((line) => {
    const words = splitWords(line);
    const after = (name: string) => wordAfter(words, name);
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

/**
 * What portmap writes into netfilter, by its names and comments: all that another room needs to recognise its rules, and the reference
 * plugin's. Names, comments and marks of the iptables backend are the reference's, so that either plugin can undo what the other did; they
 * must never change. docs/decisions/nftables-table.md describes the table of our nftables backend.
 */
import { splitWords, wordAfter } from '../netfilter/iptables/rule-text.ts';
import { sha2Hex } from '../sys/sha2.ts';

export const DNAT_CHAIN = 'CNI-HOSTPORT-DNAT';
export const SETMARK_CHAIN = 'CNI-HOSTPORT-SETMARK';
export const MASQ_CHAIN = 'CNI-HOSTPORT-MASQ';

/** What leads to {@link DNAT_CHAIN} from each of the chains where packets to the node begin: PREROUTING and OUTPUT. */
export const ENTRY_JUMP: readonly string[] = ['-m', 'addrtype', '--dst-type', 'LOCAL', '-j', DNAT_CHAIN];

/** How the names of attachments' chains begin. */
const ATTACHMENT_CHAIN = 'CNI-DN-';

/** The table of our nftables backend, of family `inet`. */
export const NFT_TABLE = 'hostport';

/**
 * The table of the reference's nftables backend, which exists since version 1.6 and is used when chosen by the configuration or
 * because iptables is missing. https://github.com/containernetworking/plugins/blob/main/plugins/meta/portmap/portmap_nftables.go
 */
export const REFERENCE_NFT_TABLE = 'cni_hostport';

/** Bit 13 of the packet mark asks for masquerade: Kubernetes uses 14 and 15, Calico 20 to 31. */
export const DEFAULT_MARK_BIT = 13;

/** A bit of the mark as the tools take it. */
export function maskOf(bit: number): string {
  return `0x${(2 ** bit).toString(16)}`;
}

/** Length of a chain name: 28 is what iptables allows. */
const CHAIN_NAME_LENGTH = 28;
/** XT_MAX_COMMENT_LEN less its NUL. */
const MAX_COMMENT = 255;
/** What a comment has in nft. */
const MAX_NFT_COMMENT = 127;
/** These and a slash fit. A container ID has 64 everywhere. */
const MAX_NETWORK = 62;
const MAX_CONTAINER = 64;

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
  const hash = sha2Hex('sha512', name);
  return `${ATTACHMENT_CHAIN}${hash}`.slice(0, CHAIN_NAME_LENGTH);
}

/** As {@link attachmentChain}. */
export function chainOf({ networkName, containerId, ifName }: Owner): string {
  return attachmentChain(networkName, containerId, ifName);
}

/** Interface names that a comment can contain. The kernel allows nearly any other, too: their mappings are recognised by the chain's name. */
const PLAIN_INTERFACE = /^[\w.@+-]+$/;

/** The comment of a rule of iptables that says whose a mapping is. */
export function ownerComment({ networkName, containerId, ifName }: Owner): string {
  const named = ifName !== undefined && PLAIN_INTERFACE.test(ifName) ? ` if: "${ifName}"` : '';
  const comment = `dnat name: "${networkName}" id: "${containerId}"${named}`;
  return comment.length <= MAX_COMMENT ? comment : `${comment.slice(0, MAX_COMMENT - 3)}...`;
}

/**
 * The comment on every element of an attachment: `network/container`, with `/interface` where the mappings are by that; or
 * `network/CHAIN~` with the name of its chain in the iptables backend, a hash, when the names cannot stand there. `~` is in no
 * name of a container.
 */
export function ownerWord(owner: Owner): string {
  const { networkName, containerId, ifName } = owner;
  const suffix = ifName === undefined ? '' : `/${ifName}`;
  const fits =
    networkName.length <= MAX_NETWORK &&
    containerId.length <= MAX_CONTAINER &&
    networkName.length + 1 + containerId.length + suffix.length <= MAX_NFT_COMMENT &&
    (ifName === undefined || PLAIN_INTERFACE.test(ifName));
  return `${networkWord(networkName)}/${fits ? containerId + suffix : `${chainOf(owner)}~`}`;
}

/** The part of a comment in nftables that says which network. */
export function networkWord(networkName: string): string {
  if (networkName.length <= MAX_NETWORK) return networkName;
  const hash = sha2Hex('sha256', networkName).slice(0, 24);
  return `${networkName.slice(0, MAX_NETWORK - 25)}~${hash}`;
}

/**
 * The owner that a comment in a table names: an {@link ownerWord} in our own nftables table, an {@link ownerComment} in any other. Undefined
 * for a comment of another form, one that was cut for example.
 */
export function parseOwner(
  comment: string | undefined,
  table: { family: string; name: string },
): Owner | undefined {
  if (comment === undefined) return undefined;
  return table.family === 'inet' && table.name === NFT_TABLE
    ? ownerOf(/^([^/\s]+)\/([^/\s]+)(?:\/([^/\s]+))?$/.exec(comment))
    : ownerOf(/^dnat name: "([^"]*)" id: "([^"]*)"(?: if: "([^"]*)")?$/.exec(comment));
}

/** From network, container and interface in the groups of a match. */
function ownerOf(match: readonly (string | undefined)[] | null): Owner | undefined {
  if (match === null) return undefined;
  const [, networkName, containerId, ifName] = match;
  return {
    ...{ networkName: networkName!, containerId: containerId! },
    ...(ifName === undefined ? {} : { ifName }),
  };
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
      const [, protocol, networkName, containerId, ifName, ports, chain] = plain;
      return {
        ...{ line, chain: chain!, protocol: protocol!, ports: portsIn(ports!) },
        owner: ownerOf([line, networkName, containerId, ifName]),
      };
    }
    const words = splitWords(line);
    const chain = wordAfter(words, '-j');
    if (chain === undefined || !chain.startsWith(ATTACHMENT_CHAIN)) return [];
    const ports = wordAfter(words, '--dports');
    return [
      {
        line,
        chain,
        protocol: wordAfter(words, '-p') ?? '',
        ports: ports === undefined ? [] : portsIn(ports),
        owner: parseOwner(wordAfter(words, '--comment'), { family: 'ip', name: 'nat' }),
      },
    ];
  });
}

function portsIn(list: string): number[] {
  return list.split(',').map(Number);
}

import { CniError } from '../cni/errors.ts';
import type { Attached } from './attached.ts';
import type { PortmapConfig } from './config.ts';
import type { Owner } from './layout.ts';
import type { InstalledMapping, PodAddress } from './rules.ts';

/** Error code of our own: the host port belongs to another attachment, whose sandbox still exists. */
export const HOST_PORT_TAKEN = 110;

/** The error that names the mapping that has the port, and its owner; and the conditions of both, where one of them has some. */
export function taken(
  mapping: string,
  own: readonly string[],
  others: readonly string[] | undefined,
): CniError {
  const inWords = (words: readonly string[]) =>
    words.length === 0 ? 'no conditions' : JSON.stringify(words.join(' '));
  const details =
    own.length === 0 && (others ?? []).length === 0
      ? ''
      : `both may have a packet: ${inWords(own)} here, ${others === undefined ? 'unknown conditions' : inWords(others)} there`;
  return new CniError(
    HOST_PORT_TAKEN,
    `host port is already in use: ${mapping}, whose sandbox still exists`,
    details,
  );
}

/** Where mappings are kept: the netfilter rules of this machine, written through iptables or nftables, for both address families. */
export interface Backend {
  readonly name: 'iptables' | 'nftables';
  /**
   * Adds the mappings of an attachment and replaces those it had before. A mapping of the same port whose sandbox is gone is
   * removed; one whose sandbox still exists is error {@link HOST_PORT_TAKEN}. Returns the attachments (by the name of their chain,
   * see `attachmentChain`) that lost their mappings to this one.
   */
  add(config: PortmapConfig, attached: Attached, pods: readonly PodAddress[]): Promise<Set<string>>;
  /**
   * Removes what is in the way of mappings that the other backend is about to add: treats mappings of others on the same ports as `add`
   * does, with the same errors, and does no more. Returns the attachments that lost their mappings.
   */
  giveWay(
    config: PortmapConfig,
    attached: Attached,
    pods: readonly PodAddress[],
  ): Promise<ReadonlySet<string>>;
  /** Verifies that everything that `add` creates exists and takes effect. */
  check(config: PortmapConfig, attached: Attached, pods: readonly PodAddress[]): Promise<void>;
  /** The mappings under a name. */
  mapped(owner: Owner): Promise<InstalledMapping[]>;
  /**
   * Removes everything that an attachment has under these names, including what the reference plugin created; it is fine if there is
   * nothing. Returns the removed mappings.
   */
  remove(owners: readonly Owner[]): Promise<InstalledMapping[]>;
  /** Removes the mappings of a network, except those under the names to keep. Returns the removed mappings. */
  collect(networkName: string, kept: readonly Owner[]): Promise<InstalledMapping[]>;
  /** Fails with error 50 when an ADD of this configuration cannot work, and says why. */
  probe(config: PortmapConfig): Promise<void>;
}

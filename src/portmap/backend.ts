import { CniError } from '../cni/errors.ts';
import type { Attached } from './attached.ts';
import type { PortmapConfig } from './config.ts';
import type { InstalledMapping, Owner, PodAddress } from './rules.ts';

/** Error code of our own: the host port belongs to another attachment, whose sandbox still exists. */
export const HOST_PORT_TAKEN = 110;

/** The error that says who has the port: `mapping` in words, and whose it is. */
export function taken(mapping: string): CniError {
  return new CniError(HOST_PORT_TAKEN, `host port is already in use: ${mapping}, whose sandbox still exists`);
}

/** Where mappings are kept: the netfilter rules of this machine by one of the two ways to write them, both address families. */
export interface Backend {
  readonly name: 'iptables' | 'nftables';
  /**
   * Makes the mappings of an attachment in place of what it had before. A mapping of the same port whose sandbox is gone is
   * removed; one whose sandbox still exists is error {@link HOST_PORT_TAKEN}. Returns the attachments (by the name of their chain,
   * see `attachmentChain`) that lost their mappings to this one.
   */
  add(config: PortmapConfig, attached: Attached, pods: readonly PodAddress[]): Promise<Set<string>>;
  /**
   * Makes way for mappings that the other backend is going to make: what `add` does about those of others on the same ports, with
   * the same errors, and no more. Returns the attachments that lost their mappings.
   */
  giveWay(
    config: PortmapConfig,
    attached: Attached,
    pods: readonly PodAddress[],
  ): Promise<ReadonlySet<string>>;
  /** Verifies that all that `add` makes is there and effective. */
  check(config: PortmapConfig, attached: Attached, pods: readonly PodAddress[]): Promise<void>;
  /** What is mapped by a name. */
  mapped(owner: Owner): Promise<InstalledMapping[]>;
  /**
   * Removes everything that an attachment has by these names, also what the reference plugin made; nothing there is fine. Returns the
   * mappings that were.
   */
  remove(owners: readonly Owner[]): Promise<InstalledMapping[]>;
  /** Removes the mappings of a network but those by the names to be kept. Returns them. */
  collect(networkName: string, kept: readonly Owner[]): Promise<InstalledMapping[]>;
  /** Fails with error 50 when an ADD of this configuration cannot work, and says why. */
  probe(config: PortmapConfig): Promise<void>;
}

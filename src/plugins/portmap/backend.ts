import type { ValidAttachment } from '../../cni/types.ts';
import type { PortmapConfig } from './config.ts';
import type { InstalledMapping, PodAddress } from './rules.ts';

/** Error code of our own: the host port belongs to another container that lives. */
export const HOST_PORT_TAKEN = 110;

/** Where mappings are kept: the netfilter rules of this machine by one of the two ways to write them, both address families. */
export interface Backend {
  readonly name: 'iptables' | 'nftables';
  /**
   * Makes the mappings of an attachment in place of what it had before. A mapping of the same port whose sandbox is gone is
   * removed; one whose sandbox lives is error {@link HOST_PORT_TAKEN}. Returns the attachments (by the name of their chain,
   * see `attachmentChain`) that lost their mappings to this one.
   */
  add(config: PortmapConfig, containerId: string, pods: readonly PodAddress[]): Promise<Set<string>>;
  /**
   * Makes way for mappings that the other backend is going to make: what `add` does about those of others on the same ports, with
   * the same errors, and no more. Returns the attachments that lost their mappings.
   */
  giveWay(
    config: PortmapConfig,
    containerId: string,
    pods: readonly PodAddress[],
  ): Promise<ReadonlySet<string>>;
  /** Verifies that all that `add` makes is there and effective. */
  check(config: PortmapConfig, containerId: string, pods: readonly PodAddress[]): Promise<void>;
  /** Removes everything of an attachment, also what the reference plugin made; nothing there is fine. Returns the mappings that were. */
  remove(networkName: string, containerId: string): Promise<InstalledMapping[]>;
  /** Removes the mappings of a network whose attachment is not among the valid ones. Returns them. */
  collect(networkName: string, valid: readonly ValidAttachment[]): Promise<InstalledMapping[]>;
  /** Fails with error 50 when an ADD of this configuration cannot work, and says why. */
  probe(config: PortmapConfig): Promise<void>;
}

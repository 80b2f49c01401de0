import { interfaceExists } from '../../net/sysctl.ts';
import type { Exec } from '../../sys/exec.ts';
import { parseIPv4 } from '../../util/address.ts';
import type { Subnet } from '../../util/cidr.ts';
import type { Allocation, Ipam } from './ipam.ts';
import { readRedirects, removeRedirect, setRedirect } from './redirects.ts';

/** The attachments of a node: which address each has, and that packets to it are delivered by its link. */
export class Endpoints {
  readonly ipam: Ipam;
  /** What the node puts on packets to pods as their destination. */
  readonly mac: string;
  readonly #exec: Exec;
  readonly #subnet: Subnet;

  constructor(exec: Exec, ipam: Ipam, subnet: Subnet, mac: string) {
    this.ipam = ipam;
    this.mac = mac;
    this.#exec = exec;
    this.#subnet = subnet;
  }

  /** Delivers packets to the address of a link. False when it has none. */
  async create(link: string): Promise<boolean> {
    const allocation = this.#of(link);
    if (allocation === undefined) return false;
    const { address } = allocation;
    await setRedirect(this.#exec, { offset: this.#offsetOf(address), address, link });
    return true;
  }

  /** Ends that, and takes the address back; a link without one is fine. */
  async delete(link: string): Promise<void> {
    const allocation = this.#of(link);
    if (allocation === undefined) return;
    // First: an address that is given again must not lead to its last user.
    await removeRedirect(this.#exec, this.#offsetOf(allocation.address));
    await this.ipam.release(link);
  }

  /** Has every attachment that is there delivered to, whatever a killed agent or somebody else has left. */
  async restore(): Promise<void> {
    const present = await readRedirects(this.#exec);
    for (const { link, address } of this.ipam.list()) {
      const isDelivered = present.some((entry) => entry.link === link && entry.address === address);
      if (!isDelivered && interfaceExists(link)) await this.create(link);
    }
  }

  /** Releases the addresses of attachments whose link is gone. Returns them. */
  async reconcile(): Promise<Allocation[]> {
    const gone = await this.ipam.reconcile(({ link }) => interfaceExists(link));
    for (const { address } of gone) await removeRedirect(this.#exec, this.#offsetOf(address));
    return gone;
  }

  #of(link: string): Allocation | undefined {
    return this.ipam.list().find((entry) => entry.link === link);
  }

  #offsetOf(address: string): number {
    return parseIPv4(address)! - this.#subnet.network;
  }
}

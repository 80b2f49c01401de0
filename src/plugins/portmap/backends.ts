import { CniError, cniErrorCode } from '../../cni/errors.ts';
import type { IpFamily } from '../../netfilter/iptables.ts';
import { mayHaveIptablesChain } from '../../netfilter/iptables-traces.ts';
import type { NatGlance } from '../../netfilter/kernel-rules.ts';
import { NftKernel } from '../../netfilter/nft-kernel.ts';
import type { Exec } from '../../sys/exec.ts';
import type { Attachments } from './attachments.ts';
import type { Backend } from './backend.ts';
import type { PortmapConfig } from './config.ts';
import { iptablesFamilies, isUnusable } from './iptables-families.ts';
import { NftablesBackend } from './nftables-backend.ts';
import { NFT_TABLE, nftMaps } from './nftables-layout.ts';
import { ReferenceTables } from './nftables-reference.ts';
import { DNAT_CHAIN, type InstalledMapping } from './rules.ts';

/** The backends of this machine, and which of them is asked. */
export interface Backends {
  /** The one that a configuration means; without `backend` iptables, and nftables where iptables cannot be used, as the reference does. */
  of(config: PortmapConfig): MappingBackend;
  /** All of them, and what the reference plugin left in nftables: a mapping may be older than the configuration. */
  readonly every: Pick<Backend, 'remove' | 'collect'>;
}

export function backends(
  exec: Exec,
  attachments: Attachments,
  warn: (message: string) => void,
  glance?: (family: IpFamily) => NatGlance | undefined,
): Backends {
  const iptables = iptablesFamilies(exec, attachments, warn, glance);
  const nftables = new NftablesBackend(new NftKernel(exec, NFT_TABLE, nftMaps), attachments, warn);
  const reference = new ReferenceTables(exec, attachments);
  const removers: Pick<Backend, 'remove' | 'collect'>[] = [nftables, reference];
  const all = () => (mayHaveIptablesChain(DNAT_CHAIN) ? [...removers, iptables] : removers);
  const mayHave = { iptables: () => mayHaveIptablesChain(DNAT_CHAIN), nftables: () => true };

  /** A backend, with an eye on the other one: a port is one port, whichever of them has it. */
  const withEyeOn = (other: Backend, backend: Backend): MappingBackend => ({
    async add(config, containerId, pods) {
      const isThere = mayHave[other.name]();
      const gone = isThere ? await other.giveWay(config, containerId, pods).catch(unlessUnusable) : undefined;
      const replaced = await backend.add(config, containerId, pods);
      // Only now: what the attachment had over there serves until there is something in its place.
      if (isThere) await other.remove(config.networkName, containerId).catch(unlessUnusable);
      return new Set([...(gone ?? []), ...replaced]);
    },
    async check(config, containerId, pods) {
      await backend.check(config, containerId, pods);
      if (backend !== iptables) return;
      const [first] = (await nftables.shadows(config, containerId, pods).catch(unlessUnusable)) ?? [];
      if (first === undefined) return;
      throw new CniError(cniErrorCode.internal, `mapping shadowed: ${first} (nftables) comes first`);
    },
    probe: (config) => backend.probe(config),
  });
  const [first, second] = [withEyeOn(nftables, iptables), withEyeOn(iptables, nftables)];
  return {
    of: ({ backend }) =>
      backend === undefined ? firstUsable(first, second) : backend === 'nftables' ? second : first,
    every: {
      remove: (networkName, containerId) =>
        fromAll(all(), warn, (backend) => backend.remove(networkName, containerId)),
      collect: (networkName, valid) => fromAll(all(), warn, (backend) => backend.collect(networkName, valid)),
    },
  };
}

type MappingBackend = Pick<Backend, 'add' | 'check' | 'probe'>;

/** Where tools, kernel support or permission are missing there is nobody to make way. */
function unlessUnusable(error: unknown): undefined {
  if (!isUnusable(error)) throw error;
}

/** The second backend does what the first cannot do for want of tools, kernel support or permission. */
function firstUsable(first: MappingBackend, second: MappingBackend): MappingBackend {
  const either = async <T>(work: (backend: MappingBackend) => Promise<T>): Promise<T> => {
    try {
      return await work(first);
    } catch (error) {
      if (!isUnusable(error)) throw error;
      try {
        return await work(second);
      } catch (next) {
        throw isUnusable(next) ? error : next;
      }
    }
  };
  return {
    add: (config, containerId, pods) => either((backend) => backend.add(config, containerId, pods)),
    check: (config, containerId, pods) => either((backend) => backend.check(config, containerId, pods)),
    probe: (config) => either((backend) => backend.probe(config)),
  };
}

/**
 * What is removed from each. One that cannot be used is a warning, as it is asked only where something of it may be; when it is
 * certain that something remains the backend says so by another error.
 */
async function fromAll<B>(
  removers: readonly B[],
  warn: (message: string) => void,
  work: (remover: B) => Promise<InstalledMapping[]>,
): Promise<InstalledMapping[]> {
  const outcomes = await Promise.allSettled(removers.map(work));
  const removed: InstalledMapping[] = [];
  const unusable: CniError[] = [];
  for (const outcome of outcomes) {
    if (outcome.status === 'fulfilled') removed.push(...outcome.value);
    else if (isUnusable(outcome.reason)) unusable.push(outcome.reason);
    else throw outcome.reason;
  }
  // The reference's tables need nothing to be found absent; of the two backends one must have been able to look.
  if (unusable.length > 1) throw unusable.at(-1)!;
  for (const { message, details } of unusable) warn(`${message}, what it may have stays: ${details}`);
  return removed;
}

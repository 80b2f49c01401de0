import { CniError, cniErrorCode } from '../../cni/errors.ts';
import type { IpFamily } from '../../netfilter/iptables.ts';
import { mayHaveIptablesChain } from '../../netfilter/iptables-traces.ts';
import type { NatGlance } from '../../netfilter/kernel-rules.ts';
import { NftKernel } from '../../netfilter/nft-kernel.ts';
import type { Exec } from '../../sys/exec.ts';
import type { Attachments } from './attachments.ts';
import type { Backend } from './backend.ts';
import type { PortmapConfig } from './config.ts';
import { iptablesFamilies } from './iptables-families.ts';
import { NftablesBackend } from './nftables-backend.ts';
import { NFT_TABLE, nftMaps } from './nftables-layout.ts';
import { ReferenceTables } from './nftables-reference.ts';
import { DNAT_CHAIN, type InstalledMapping } from './rules.ts';

/** The backends of this machine, and which of them is asked. */
export interface Backends {
  /** The one that a configuration means; without `backend` iptables, and nftables where iptables cannot be used, as the reference does. */
  of(config: PortmapConfig): Pick<Backend, 'add' | 'check' | 'probe'>;
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
  return {
    of: ({ backend }) =>
      backend === undefined ? firstUsable(iptables, nftables) : backend === 'nftables' ? nftables : iptables,
    every: {
      remove: (networkName, containerId) =>
        fromAll(all(), (backend) => backend.remove(networkName, containerId)),
      collect: (networkName, valid) => fromAll(all(), (backend) => backend.collect(networkName, valid)),
    },
  };
}

function isUnusable(error: unknown): error is CniError {
  return error instanceof CniError && error.code === cniErrorCode.pluginNotAvailable;
}

/** The second backend does what the first cannot do for want of tools, kernel support or permission. */
function firstUsable(first: Backend, second: Backend): Pick<Backend, 'add' | 'check' | 'probe'> {
  const either = async <T>(work: (backend: Backend) => Promise<T>): Promise<T> => {
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

/** What is removed from each; that one cannot be used matters when none can: nothing of ours is in it then. */
async function fromAll<B>(
  removers: readonly B[],
  work: (remover: B) => Promise<InstalledMapping[]>,
): Promise<InstalledMapping[]> {
  const outcomes = await Promise.allSettled(removers.map(work));
  const removed: InstalledMapping[] = [];
  let unusable: CniError | undefined;
  let usable = 0;
  for (const outcome of outcomes) {
    if (outcome.status === 'fulfilled') {
      usable++;
      removed.push(...outcome.value);
    } else if (isUnusable(outcome.reason)) unusable = outcome.reason;
    else throw outcome.reason;
  }
  if (usable === 0 && unusable !== undefined) throw unusable;
  return removed;
}

import { CniError, cniErrorCode } from '../cni/errors.ts';
import type { AttachmentKey } from '../cni/result-cache.ts';
import type { Exec } from '../sys/exec.ts';
import { messageOf } from '../util/errors.ts';
import type { IpAddress } from '../util/ip.ts';
import type { Attachments } from './attachments.ts';
import type { Backend } from './backend.ts';
import type { PortmapConfig } from './config.ts';
import { iptablesFamilies, isUnusable } from './iptables-families.ts';
import { DNAT_CHAIN, NFT_TABLE, type Owner } from './layout.ts';
import type { Rules } from './machine.ts';
import { NftablesBackend } from './nftables-backend.ts';
import { allNftMaps } from './nftables-layout.ts';
import { ReferenceTables } from './nftables-reference.ts';
import type { InstalledMapping } from './rules.ts';
import { addressIn } from './target.ts';

/** The backends of this machine, and which of them is asked. */
export interface Backends {
  /** The one that a configuration means; without `backend` iptables, and nftables where iptables cannot be used, as the reference does. */
  of(config: PortmapConfig): MappingBackend;
  /** All of them, and what the reference plugin left in nftables: a mapping may be older than the configuration. */
  readonly every: Pick<Backend, 'mapped' | 'collect'> & {
    /** With `key` also what the reference plugin left of that attachment. */
    remove(owners: readonly Owner[], key?: AttachmentKey): Promise<InstalledMapping[]>;
  };
  /** Where the IPv4 mappings of other plugins lead, as {@link InstalledMapping} has it. Rejects when they cannot be determined. */
  targetsOfOthers(): Promise<string[]>;
}

export function backends(
  exec: Exec,
  attachments: Attachments,
  warn: (message: string) => void,
  machine: Rules,
): Backends {
  const iptables = iptablesFamilies(exec, attachments, warn, machine);
  const nftables = new NftablesBackend(machine.nft(exec, NFT_TABLE, allNftMaps), attachments, warn);
  const reference = new ReferenceTables(exec, attachments, machine);
  const mayHave = { iptables: () => machine.mayHaveIptablesChain(DNAT_CHAIN), nftables: () => true };
  const all = (): Backend[] => (mayHave.iptables() ? [nftables, iptables] : [nftables]);

  /** A backend that also considers the other one: a host port can be mapped only once, by either of them. */
  const withEyeOn = (other: Backend, backend: Backend): MappingBackend => ({
    async add(config, attached, pods) {
      const isThere = mayHave[other.name]();
      const gone = isThere ? await other.giveWay(config, attached, pods).catch(unlessUnusable) : undefined;
      const replaced = await backend.add(config, attached, pods);
      // Only now: the mappings in the other backend serve until these replace them.
      if (isThere) await other.remove([attached]).catch(unlessUnusable);
      return new Set([...(gone ?? []), ...replaced]);
    },
    async check(config, attached, pods) {
      await backend.check(config, attached, pods);
      if (backend !== iptables) return;
      const [first] = (await nftables.shadows(config, attached, pods).catch(unlessUnusable)) ?? [];
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
      mapped: (owner) =>
        fromAll(
          all().map((backend) => () => backend.mapped(owner)),
          warn,
        ),
      remove: (owners, key) =>
        fromAll(
          [
            ...all().map((backend) => () => backend.remove(owners)),
            ...(key === undefined ? [] : [() => reference.remove(key)]),
          ],
          warn,
        ),
      collect: (networkName, kept) =>
        fromAll(
          [...all(), reference].map((backend) => () => backend.collect(networkName, kept)),
          warn,
        ),
    },
    targetsOfOthers: async () => [
      ...(await iptables.unrecorded()).map(({ target }) => target),
      ...(await reference.targets()),
    ],
  };
}

type MappingBackend = Pick<Backend, 'add' | 'check' | 'probe'>;

/** Without tools, kernel support or permission the other backend has no mappings to remove. */
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
    add: (config, attached, pods) => either((backend) => backend.add(config, attached, pods)),
    check: (config, attached, pods) => either((backend) => backend.check(config, attached, pods)),
    probe: (config) => either((backend) => backend.probe(config)),
  };
}

/**
 * What all of them find or remove. A backend that cannot be used is a warning: it is called only where it may have mappings, and when it
 * certainly has some it fails with another error.
 */
async function fromAll(
  works: readonly (() => Promise<InstalledMapping[]>)[],
  warn: (message: string) => void,
): Promise<InstalledMapping[]> {
  const outcomes = await Promise.allSettled(works.map((work) => work()));
  const found: InstalledMapping[] = [];
  const unusable: CniError[] = [];
  for (const outcome of outcomes) {
    if (outcome.status === 'fulfilled') found.push(...outcome.value);
    else if (isUnusable(outcome.reason)) unusable.push(outcome.reason);
    else throw outcome.reason;
  }
  // The reference's tables need nothing to be found absent; of the two backends one must have been able to look.
  if (unusable.length > 1) throw unusable.at(-1)!;
  for (const { message, details } of unusable)
    warn(`${message}; any mappings it holds stay in place: ${details}`);
  return found;
}

/** The addresses that another plugin's mappings lead to; undefined, with a warning, when they cannot be determined. */
export async function podsOfOthers(
  rules: Backends,
  warn: (message: string) => void,
): Promise<IpAddress[] | undefined> {
  try {
    return (await rules.targetsOfOthers()).map((target) => {
      const pod = addressIn(target);
      if (pod === undefined) throw new Error(`one of them leads to ${target}, which is not one address`);
      return pod;
    });
  } catch (error) {
    if (error instanceof CniError && error.code === cniErrorCode.tryAgainLater) throw error;
    const why = error instanceof CniError && error.details !== '' ? error.details : messageOf(error);
    warn(`route_localnet stays on: cannot determine whether another plugin's mappings need it: ${why}`);
    return undefined;
  }
}

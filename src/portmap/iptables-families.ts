import { CniError, cniErrorCode } from '../cni/errors.ts';
import type { Exec } from '../sys/exec.ts';
import { FAMILIES, type Family } from '../util/family.ts';
import type { Attachments } from './attachments.ts';
import type { Backend } from './backend.ts';
import { IptablesBackend, type Plan } from './iptables-backend.ts';
import { chainOf, DNAT_CHAIN, type Owner } from './layout.ts';
import type { Rules } from './machine.ts';
import type { InstalledMapping } from './rules.ts';

interface Unrecorded {
  /** The IPv4 mappings of which we have no record: those of another plugin. */
  unrecorded(): Promise<InstalledMapping[]>;
}

/** The iptables backend: a `nat` table for each address family, and a transaction in each. */
export function iptablesFamilies(
  exec: Exec,
  attachments: Attachments,
  warn: (message: string) => void,
  machine: Rules,
): Backend & Unrecorded {
  const made = new Map<Family, IptablesBackend>();
  const of = (family: Family) => {
    const known = made.get(family);
    if (known !== undefined) return known;
    const backend = new IptablesBackend(machine.nat(exec, family), attachments, warn, machine);
    made.set(family, backend);
    return backend;
  };
  /** A table that cannot be used is an error when the kernel reports that it holds something of the attachment. */
  const removeIn = async (family: Family, owners: readonly Owner[]) => {
    try {
      return await of(family).remove(owners);
    } catch (cause) {
      const there = owners.find((owner) => machine.hasIptablesNftChain(chainOf(owner), family));
      if (!isUnusable(cause) || there === undefined) throw cause;
      const what = `port mappings of container ${there.containerId} remain in table nat (${family})`;
      throw new CniError(cniErrorCode.internal, what, cause.details, { cause });
    }
  };
  return {
    name: 'iptables',

    async add(config, attached, pods) {
      // No table is changed before it is known that both can be: a port that is taken in one is refused in both.
      const plans: Plan[] = [];
      try {
        for (const pod of pods) plans.push(await of(pod.ip.family).plan(config, attached, pod));
      } catch (cause) {
        await Promise.all(plans.map(({ begun }) => begun?.abandon()));
        throw cause;
      }
      const outcomes = await Promise.allSettled(plans.map((plan) => of(plan.pod.ip.family).carryOut(plan)));
      const replaced = new Set<string>();
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') throw outcome.reason;
        for (const gone of outcome.value) replaced.add(gone);
      }
      // A sandbox that is gone is gone for both families, also for one in which no mapping needs its ports.
      if (replaced.size > 0) await eachUsableFamily(warn, (family) => of(family).removeChains(replaced));
      // The pod may have had an address of a family in which it has none now.
      const chain = chainOf(attached);
      for (const family of FAMILIES) {
        if (pods.some(({ ip }) => ip.family === family) || !machine.mayHaveIptablesChain(chain, family))
          continue;
        await removeIn(family, [attached]).catch((error: unknown) => {
          if (!isUnusable(error)) throw error;
          warn(`${family} skipped: ${error.details}`);
        });
      }
      return replaced;
    },

    async giveWay(config, attached, pods) {
      const gone = new Set<string>();
      for (const pod of pods) {
        const { family } = pod.ip;
        for (const chain of await of(family).staleRivals(config, attached, pod)) gone.add(chain);
      }
      if (gone.size > 0) await eachUsableFamily(warn, (family) => of(family).removeChains(gone));
      return gone;
    },

    async check(config, attached, pods) {
      for (const pod of pods) await of(pod.ip.family).check(config, attached, pod);
    },

    mapped(owner) {
      return eachUsableFamily(warn, (family) => of(family).mapped(owner));
    },

    remove(owners) {
      return eachUsableFamily(warn, (family) => removeIn(family, owners));
    },

    collect(networkName, kept) {
      return eachUsableFamily(warn, (family) => of(family).collect(networkName, kept));
    },

    async unrecorded() {
      return machine.mayHaveIptablesChain(DNAT_CHAIN, 'ipv4') ? of('ipv4').unrecorded() : [];
    },

    async probe(config) {
      await eachUsableFamily(warn, async (family) => {
        await of(family).probe(config);
        return [];
      });
    },
  };
}

/** Whether an error says that tools, kernel support or permission are missing. */
export function isUnusable(error: unknown): error is CniError {
  return error instanceof CniError && error.code === cniErrorCode.pluginNotAvailable;
}

/** Both families; one of them may be unusable on this machine (no ip6tables, say), as long as the other is not. */
async function eachUsableFamily(
  warn: (message: string) => void,
  work: (family: Family) => Promise<InstalledMapping[]>,
): Promise<InstalledMapping[]> {
  // Each family has a table of its own, so they do not wait for each other; both end before either error counts.
  const outcomes = await Promise.allSettled(FAMILIES.map(work));
  const unusable: CniError[] = [];
  const done: InstalledMapping[] = [];
  for (const outcome of outcomes) {
    if (outcome.status === 'fulfilled') {
      done.push(...outcome.value);
      continue;
    }
    const error: unknown = outcome.reason;
    if (!isUnusable(error)) throw error;
    unusable.push(error);
  }
  if (unusable.length === FAMILIES.length) throw unusable[0];
  for (const error of unusable) warn(`one address family skipped: ${error.details}`);
  return done;
}

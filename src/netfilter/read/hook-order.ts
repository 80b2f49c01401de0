import type { NftFamily } from '../../util/family.ts';
import type { BaseChain, Chain, Hook, Ruleset, Table } from './model.ts';

/** Chains that run one after the other. */
export interface Slot {
  kind: 'filter' | 'nat';
  /** At what priority the kernel runs them. */
  priority: number;
  /** In the order that is taken for the kernel's. */
  chains: readonly BaseChain[];
  /** Runs of chains of one priority from different tables: their true order is not in any listing. */
  uncertain: boolean;
}

/** Priorities of NAT in the kernel: the declared one of a `nat` chain orders it only among those of its hook. */
export const NAT_PRIORITY: Record<Hook, number> = {
  prerouting: -100,
  output: -100,
  input: 100,
  postrouting: 100,
  forward: 0,
};

/**
 * The base chains that a packet of a family passes at a hook, in order. All `nat` chains together are one slot: the kernel has
 * one NAT hook, which asks them in turn until one of them binds the connection (nf_nat_inet_fn). Of chains of equal priority the
 * one registered last runs first (nf_hook_entries_grow); tables are numbered in the order of their creation, and list their chains in
 * it. That gives the order of nft tables whose chains were created with them, and says nothing about iptables-legacy.
 */
export function slotsAt(ruleset: Ruleset, hook: Hook, family: NftFamily): Slot[] {
  let perRuleset = cache.get(ruleset);
  if (perRuleset === undefined) {
    perRuleset = { ip: {}, ip6: {} };
    cache.set(ruleset, perRuleset);
  }
  perRuleset[family][hook] ??= computeSlots(ruleset, hook, family);
  return perRuleset[family][hook];
}

const cache = new WeakMap<Ruleset, Record<NftFamily, Partial<Record<Hook, Slot[]>>>>();

function computeSlots(ruleset: Ruleset, hook: Hook, family: NftFamily): Slot[] {
  const found: { chain: BaseChain; table: Table }[] = [];
  for (const table of ruleset.tables) {
    if (table.family !== family && table.family !== 'inet') continue;
    for (const chain of [...table.chains.values()].reverse()) {
      if (isBase(chain) && chain.base.hook === hook) found.push({ chain, table });
    }
  }
  const newestFirst = (a: Table, b: Table) => (b.handle ?? -1) - (a.handle ?? -1);
  found.sort((a, b) => a.chain.base.priority - b.chain.base.priority || newestFirst(a.table, b.table));
  const chains = found.map(({ chain }) => chain);
  const nat = chains.filter((chain) => chain.base.type === 'nat');
  const slots: Slot[] = [];
  for (const group of byPriority(chains.filter((chain) => chain.base.type !== 'nat'))) {
    slots.push({
      kind: 'filter',
      priority: group[0]!.base.priority,
      chains: group,
      uncertain: group.filter(matters).length > 1,
    });
  }
  if (nat.length > 0) {
    const slot: Slot = {
      kind: 'nat',
      priority: NAT_PRIORITY[hook],
      chains: nat,
      uncertain: byPriority(nat).some((group) => group.filter(matters).length > 1),
    };
    const at = slots.findIndex(({ priority }) => priority > slot.priority);
    slots.splice(at < 0 ? slots.length : at, 0, slot);
  }
  return slots;
}

/** Chains of equal priority in reverse: the other order that they may have. */
export function reversedTies(chains: readonly BaseChain[]): BaseChain[] {
  return byPriority(chains).flatMap((group) => group.toReversed());
}

function byPriority(chains: readonly BaseChain[]): BaseChain[][] {
  const groups: BaseChain[][] = [];
  for (const chain of chains) {
    const last = groups.at(-1);
    if (last?.[0]?.base.priority === chain.base.priority) last.push(chain);
    else groups.push([chain]);
  }
  return groups;
}

export function isBase(chain: Chain): chain is BaseChain {
  return chain.base !== undefined;
}

/** Whether a packet can notice that it passes the chain. */
function matters(chain: BaseChain): boolean {
  return chain.rules.length > 0 || chain.base.policy !== 'accept';
}

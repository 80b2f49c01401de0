import {
  formatAddress,
  type NatTarget,
  type Rule,
  type Ruleset,
  type TranslationCandidate,
} from '../../netfilter/index.ts';
import { type Owner, parseOwner } from '../../portmap/layout.ts';
import type { FamilyName } from '../../util/family.ts';
import { canonicalAddress, parseIp } from '../../util/ip.ts';
import type { Sandbox } from '../model/node-report.ts';
import { known } from '../model/observed.ts';
import { memoKey, remembered } from './memory.ts';
import type { NodeView } from './node-view.ts';

/** What portmap has installed for one attachment on a node, by the comments that say so. */
export interface OwnedMapping {
  owner: Owner;
  /** Rules and elements that name the owner, as the tools print them. */
  entries: string[];
  /** The families of the tables that it is in; a table of both counts as both. */
  families: Set<FamilyName>;
  /** The translations in the attachment's own chain; empty for mappings that are map elements. */
  translations: { rule: Rule; to: NatTarget }[];
  /** The addresses that it translates to. */
  leadsTo: Set<string>;
}

const OWNED = memoKey<ReadonlyMap<string, OwnedMapping>>();

/** What portmap has installed on a node, by {@link ownerKey}; undefined when the rules are not known. */
export function ownedMappings(node: NodeView): ReadonlyMap<string, OwnedMapping> | undefined {
  const ruleset = known(node.ruleset);
  if (ruleset === undefined) return undefined;
  return remembered(node, OWNED, () => findOwned(ruleset));
}

/** A key that distinguishes one owner's mappings from those of another interface of its container. */
export function ownerKey({ containerId, ifName }: Omit<Owner, 'networkName'>): string {
  return ifName === undefined ? containerId : `${containerId}/${ifName}`;
}

/**
 * What portmap has installed for the interface of a sandbox that has its addresses, `eth0` when it is not known which: by the name of
 * the container, unless that leads to none of the addresses and so is another interface's, and by that of the interface. Undefined when
 * there is nothing.
 */
export function mappingFor(
  owned: ReadonlyMap<string, OwnedMapping>,
  { id: containerId, ips }: Pick<Sandbox, 'id' | 'ips'>,
  ifName = 'eth0',
): OwnedMapping | undefined {
  const byContainer = owned.get(containerId);
  const isAnothers = byContainer !== undefined && leadsElsewhere(byContainer, ips);
  const first = isAnothers ? undefined : byContainer;
  const second = owned.get(ownerKey({ containerId, ifName }));
  if (first === undefined || second === undefined) return first ?? second;
  return {
    owner: first.owner,
    entries: [...first.entries, ...second.entries],
    families: new Set([...first.families, ...second.families]),
    translations: [...first.translations, ...second.translations],
    leadsTo: new Set([...first.leadsTo, ...second.leadsTo]),
  };
}

/** Whether a mapping leads to none of some addresses; an invalid one says nothing about whose the mapping is. */
function leadsElsewhere({ leadsTo }: OwnedMapping, ips: readonly string[]): boolean {
  if (leadsTo.size === 0) return false;
  let isElsewhere = false;
  for (const ip of ips) {
    if (leadsTo.has(canonicalAddress(ip))) return false;
    isElsewhere ||= parseIp(ip) !== undefined;
  }
  return isElsewhere;
}

type Table = Ruleset['tables'][number];

function findOwned(ruleset: Ruleset): Map<string, OwnedMapping> {
  const owned = new Map<string, OwnedMapping>();
  const add = (table: Table, comment: string | undefined, text: string): OwnedMapping | undefined => {
    const owner = parseOwner(comment, table);
    if (owner === undefined) return undefined;
    const entry = owned.get(ownerKey(owner)) ?? {
      owner,
      entries: [],
      families: new Set(),
      translations: [],
      leadsTo: new Set(),
    };
    if (table.family !== 'ip6') entry.families.add('IPv4');
    if (table.family !== 'ip') entry.families.add('IPv6');
    entry.entries.push(text);
    owned.set(ownerKey(owner), entry);
    return entry;
  };
  for (const table of ruleset.tables) {
    for (const set of table.sets.values()) {
      for (const { comment, text, target } of set.elements) noteTarget(add(table, comment, text), target);
    }
    const followed = new Set<string>();
    for (const chain of table.chains.values()) {
      for (const rule of chain.rules) {
        const entry = add(table, rule.comment, rule.text);
        for (const expression of entry === undefined ? [] : rule.expressions) {
          if (expression.kind !== 'jump' && expression.kind !== 'goto') continue;
          if (followed.has(expression.chain)) continue;
          followed.add(expression.chain);
          for (const each of translationsIn(table.chains.get(expression.chain)?.rules ?? [])) {
            entry!.translations.push(each);
            noteTarget(entry, each.to);
          }
        }
      }
    }
  }
  return owned;
}

function noteTarget(mapping: OwnedMapping | undefined, target: NatTarget | undefined): void {
  if (target?.address !== undefined) mapping?.leadsTo.add(formatAddress(target.address.from));
}

function translationsIn(rules: readonly Rule[]): { rule: Rule; to: NatTarget }[] {
  return rules.flatMap((rule) =>
    rule.expressions.flatMap((expression) =>
      expression.kind === 'dnat' && expression.to.literal !== undefined
        ? [{ rule, to: expression.to.literal }]
        : [],
    ),
  );
}

/** Whose mapping a translation says it is: in its element's comment, its own, or that of a rule that leads to it. */
export function mappingOwner({ element, rule, via, base }: TranslationCandidate): Owner | undefined {
  const table = { family: base.family, name: base.table };
  for (const { comment } of element === undefined ? [rule, ...via] : [element, rule, ...via]) {
    const owner = parseOwner(comment, table);
    if (owner !== undefined) return owner;
  }
  return undefined;
}

/**
 * Whether the sandbox of a mapping is known to be gone: the runtime does not have it, and the network is one of the runtime's. A
 * mapping of another network may be of containers that this runtime knows nothing of (nerdctl, podman).
 */
export function isGone(node: NodeView, { networkName, containerId }: Owner): boolean {
  const ids = sandboxIds(node);
  if (ids === undefined || ids.has(containerId)) return false;
  return remembered(node, NETWORKS, () => {
    const list = known(node.active?.list);
    return new Set([
      ...(node.attachments ?? []).flatMap((entry) => (ids.has(entry.containerId) ? [entry.networkName] : [])),
      ...(list === undefined ? [] : [list.name]),
    ]);
  }).has(networkName);
}

const NETWORKS = memoKey<ReadonlySet<string>>();
const SANDBOXES = memoKey<ReadonlySet<string> | undefined>();

/** The IDs of the sandboxes that the runtime of a node has; undefined when they are not known. */
export function sandboxIds(node: NodeView): ReadonlySet<string> | undefined {
  return remembered(node, SANDBOXES, () => node.sandboxes && new Set(node.sandboxes.map(({ id }) => id)));
}

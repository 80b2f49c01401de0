import type { NftFamily } from '../../util/family.ts';
import { parseIptablesSave } from './iptables-save.ts';
import type { Backend, Ruleset, Table } from './model.ts';
import { type ChainDevices, parseNftRuleset } from './nft-json.ts';

/** What a node's tools printed. Leave out what the node has no tool for. */
export interface RulesetDocuments {
  /** The devices of nft's chains at devices, where {@link nft} does not have them. */
  chainDevices?: readonly ChainDevices[] | undefined;
  /** Outputs of `iptables-nft-save -c`, `iptables-legacy-save -c` and their ip6 forms. */
  iptables: readonly { backend: Exclude<Backend, 'nft'>; family: NftFamily; text: string }[];
  /** Output of `nft -j list ruleset`. */
  nft?: string;
}

/**
 * Puts together what the tools say of one kernel. Tables that iptables-nft manages appear in nft's listing too, with their
 * extensions left out: there iptables' word counts and nft's only says when the table was made. Without iptables' word for such a
 * table nft's is taken, its extensions being opaque. Throws {@link RulesetParseError}.
 */
export function readRuleset(documents: RulesetDocuments): Ruleset {
  const native =
    documents.nft === undefined ? undefined : parseNftRuleset(documents.nft, documents.chainDevices);
  const tables: Table[] = [];
  const managed = new Set<string>();
  for (const { backend, family, text } of documents.iptables) {
    for (const table of parseIptablesSave(text, { backend, family }).tables) {
      if (backend === 'iptables-legacy') {
        tables.push(table);
        continue;
      }
      managed.add(`${family} ${table.name}`);
      const twin = native?.tables.find((each) => each.family === family && each.name === table.name);
      tables.push({ ...table, handle: twin?.handle });
    }
  }
  for (const table of native?.tables ?? []) {
    if (!managed.has(`${table.family} ${table.name}`)) tables.push(table);
  }
  return { tables, atDevices: native?.atDevices ?? [], beyond: native?.beyond ?? [] };
}

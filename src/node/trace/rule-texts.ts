import type { Rule, Ruleset } from '../../netfilter/read/model.ts';
import { ruleText } from '../../netfilter/read/nft-text.ts';
import { readRuleset } from '../../netfilter/read/read-ruleset.ts';
import type { NodeReport } from '../../path/model/node-report.ts';
import { known } from '../../path/model/observed.ts';
import { NFT_FAMILY } from '../../util/family.ts';
import type { Json } from '../../util/json.ts';
import { rulesWithoutSecrets } from '../report/rules-without-secrets.ts';

/** What the node's rules say of the places that the kernel names. */
export interface RuleTexts {
  /** A rule as its tool writes it, by its number in its table. */
  text(family: string, table: string, chain: string, handle: number): string | undefined;
  /** Hook of each base chain, as `family table chain`. */
  hooks: Record<string, string>;
  /** Whether rules look at connections, so that the kernel tracks them anyway. */
  tracksConnections: boolean;
  /** Whether rules of iptables-legacy are loaded. */
  hasLegacyRules: boolean;
}

interface Listed {
  chain?: { family: string; table: string; name: string; hook?: string; type?: string };
  rule?: {
    family: string;
    table: string;
    chain: string;
    handle: number;
    expr?: readonly Json[];
    comment?: string;
  };
}

const NOTHING: Omit<RuleTexts, 'hasLegacyRules'> = {
  text: () => undefined,
  hooks: {},
  tracksConnections: false,
};

/** Of what the node's tools list. What cannot be read has no text; the trace itself does not depend on it. */
export function ruleTexts({ iptables, nft }: NodeReport['netfilter']): RuleTexts {
  const hasLegacyRules = iptables.some(
    ({ variant, text }) => variant === 'iptables-legacy' && /^(?:\[\d+:\d+\] )?-A /m.test(known(text) ?? ''),
  );
  const listing = known(nft);
  if (listing === undefined) return { ...NOTHING, hasLegacyRules };
  let ruleset: Ruleset;
  let listed: Listed[];
  try {
    listed = (JSON.parse(listing) as { nftables: Listed[] }).nftables;
    ruleset = readRuleset({
      nft: listing,
      iptables: iptables.flatMap(({ variant, family, text }) => {
        const saved = known(text);
        return saved === undefined ? [] : [{ backend: variant, family: NFT_FAMILY[family], text: saved }];
      }),
    });
  } catch {
    return { ...NOTHING, hasLegacyRules };
  }
  const texts = new Map<string, string>();
  const counts = new Map<string, number>();
  const rules = rulesByPlace(ruleset);
  for (const { rule } of listed) {
    if (rule === undefined) continue;
    const chain = `${rule.family} ${rule.table} ${rule.chain}`;
    const index = counts.get(chain) ?? 0;
    counts.set(chain, index + 1);
    const found = rules.get(`${chain} ${index}`);
    // Tables of devices are in no model of a packet's way through IP.
    const text = found?.text ?? ruleText(rule.expr ?? [], rule.comment);
    texts.set(`${chain} ${rule.handle}`, rulesWithoutSecrets(text));
  }
  const bases = listed.flatMap(({ chain }) => (chain?.hook === undefined ? [] : [chain]));
  return {
    text: (family, table, chain, handle) => texts.get(`${family} ${table} ${chain} ${handle}`),
    hooks: Object.fromEntries(
      bases.map(({ family, table, name, hook }) => [`${family} ${table} ${name}`, hook!]),
    ),
    tracksConnections: bases.some(({ type }) => type === 'nat') || /"ct": ?\{/.test(listing),
    hasLegacyRules,
  };
}

function rulesByPlace({ tables }: Ruleset): Map<string, Rule> {
  const rules = new Map<string, Rule>();
  for (const table of tables) {
    if (table.backend === 'iptables-legacy') continue;
    for (const chain of table.chains.values()) {
      for (const rule of chain.rules) {
        const { family, table: name, chain: within, index } = rule.location;
        rules.set(`${family} ${name} ${within} ${index}`, rule);
      }
    }
  }
  return rules;
}

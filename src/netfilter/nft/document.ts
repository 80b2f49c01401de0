import { isSafeWord, type NftChain, type NftChange, type NftLayout, ruleComment } from './nft.ts';

/** The input of `nft -f` that creates a layout: additions that do not change what exists, and each chain of `rewrite` written again. */
export function layoutDocument(table: string, layout: NftLayout, rewrite: ReadonlySet<string>): string {
  const lines = [`add table inet ${table}`];
  for (const { name, key, value } of layout.maps) {
    const type = key.join(' . ');
    if (value === undefined) lines.push(`add set inet ${table} ${name} { type ${type}; }`);
    else {
      const data = value === 'verdict' ? value : value.join(' . ');
      lines.push(`add map inet ${table} ${name} { type ${type} : ${data}; }`);
    }
  }
  // All chains before the rules: they jump to one another.
  for (const chain of layout.chains) lines.push(chainLine(table, chain));
  for (const chain of layout.chains) {
    if (!rewrite.has(chain.name)) continue;
    if (!chain.shared) lines.push(`flush chain inet ${table} ${chain.name}`);
    lines.push(...ruleLines(table, chain));
  }
  return `${lines.join('\n')}\n`;
}

/** What `nft -f` takes for these changes. */
export function changesDocument(table: string, changes: readonly NftChange[]): string {
  return `${changes.flatMap((change) => changeLines(table, change)).join('\n')}\n`;
}

function changeLines(table: string, change: NftChange): string[] {
  switch (change.verb) {
    case 'put-chain':
      return [
        chainLine(table, change.chain),
        `flush chain inet ${table} ${word(change.chain.name)}`,
        ...ruleLines(table, change.chain),
      ];
    case 'delete-chain':
      return [
        `flush chain inet ${table} ${word(change.name)}`,
        `delete chain inet ${table} ${word(change.name)}`,
      ];
    case 'delete':
      return [`delete element inet ${table} ${word(change.map)} { ${words(change.key)} }`];
    default: {
      const comment = change.comment === undefined ? '' : ` ${commentOf(change.comment)}`;
      const value = change.value === undefined ? '' : ` : ${words(change.value)}`;
      return [
        `${change.verb} element inet ${table} ${word(change.map)} { ${words(change.key)}${comment}${value} }`,
      ];
    }
  }
}

function chainLine(table: string, { name, hook }: NftChain): string {
  const base =
    hook === undefined ? '' : ` { type nat hook ${hook.name} priority ${hook.priority}; policy accept; }`;
  return `add chain inet ${table} ${word(name)}${base}`;
}

function ruleLines(table: string, { name, rules }: NftChain): string[] {
  return rules.map((rule) => `add rule inet ${table} ${word(name)} ${rule} ${commentOf(ruleComment(rule))}`);
}

function commentOf(text: string): string {
  return `comment "${words(text)}"`;
}

function words(text: string): string {
  return text.split(' ').map(word).join(' ');
}

function word(text: string): string {
  if (!isSafeWord(text)) throw new Error(`not a word of an nftables document: ${JSON.stringify(text)}`);
  return text;
}

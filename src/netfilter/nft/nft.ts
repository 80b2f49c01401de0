import { fnv1a } from '../../util/fnv1a.ts';

/**
 * One table of our own in nftables: maps, sets, chains, and changes to them in one transaction. `kernel.ts` is the real one,
 * `nft.fake.ts` the one in memory; `nft.netns.test.ts` holds both to the same table of cases.
 *
 * Keys and values are text as `nft` prints it (`tcp . 80`, `10.0.0.5 . 8080`, `jump CHAIN`, `return`, `continue`), in words that
 * {@link isSafeWord} allows, so that no value can become syntax.
 */

export type NftType = 'inet_proto' | 'inet_service' | 'ipv4_addr' | 'ipv6_addr';

/** A map, a verdict map, or (without `value`) a set. */
export interface NftMap {
  name: string;
  key: readonly NftType[];
  value?: readonly NftType[] | 'verdict';
}

export interface NftChain {
  name: string;
  /** Where the kernel enters it; a chain without is entered by jumps. */
  hook?: { name: 'prerouting' | 'output' | 'postrouting'; priority: number };
  /** Rules as nft takes them, in order, without comment. */
  rules: readonly string[];
  /** Other programs may have added rules to this chain: ours must be among them. */
  shared?: boolean;
}

/** What a table is made of, elements apart. */
export interface NftLayout {
  maps: readonly NftMap[];
  chains: readonly NftChain[];
}

export interface NftElement {
  map: string;
  key: string;
  /** Undefined in a set. */
  value?: string;
  comment?: string;
}

/**
 * One step of a transaction. `create` fails when the key is there, `add` only when it is there with another value; `put-chain`
 * makes a chain or rewrites it; `delete-chain` fails while a verdict leads to it.
 */
export type NftChange =
  | ({ verb: 'create' | 'add' } & NftElement)
  | { verb: 'delete'; map: string; key: string }
  | { verb: 'put-chain'; chain: NftChain }
  | { verb: 'delete-chain'; name: string };

/** What became of a transaction: all of it or nothing. */
export type NftOutcome =
  | { applied: true }
  | {
      applied: false;
      /** Something is there that must not be, or is not there that must; `refused` is everything else. */
      why: 'exists' | 'missing' | 'refused';
      reason: string;
    };

/** A chain as the kernel has it. */
export interface InstalledChain {
  hook: { number: number; priority: number } | undefined;
  /** The comments of its rules in order; those of ours are {@link ruleComment}s. */
  comments: (string | undefined)[];
}

export interface NftTable {
  /** Applies the changes in one transaction. */
  apply(changes: readonly NftChange[]): Promise<NftOutcome>;
  /** The elements with these keys, in their order; undefined where there is none. */
  look(keys: readonly { map: string; key: string }[]): Promise<(NftElement | undefined)[]>;
  /** The elements of a map, with `mark` those in whose comment it occurs; none when the map is not there. */
  list(map: string, mark?: string): Promise<NftElement[]>;
  /** Whether a part of the layout is missing, altered or switched off; what, for a person to read. Undefined: all is there. */
  fault(layout: NftLayout): Promise<string | undefined>;
  /** Makes what is missing of the layout and rewrites what was altered; elements stay. One transaction. */
  install(layout: NftLayout): Promise<void>;
  /**
   * The whole ruleset as `nft -j` prints it, without the elements of named sets, when it has base chains of type nat ahead of
   * this priority where packets come in or leave; undefined when there are none.
   */
  ahead(priority: number): Promise<NftRuleset | undefined>;
  /** Whether the table is there. */
  exists(): Promise<boolean>;
  /** Deletes the table with all that is in it; false when there was none. */
  destroy(): Promise<boolean>;
  /** Fails with {@link NftUnavailable} when this machine cannot have such a layout, and says why. Changes nothing. */
  probe(layout: NftLayout): Promise<void>;
}

/** What `nft -j list` prints, as far as it matters here. */
export interface NftRuleset {
  nftables: { chain?: PrintedChain; rule?: PrintedRule }[];
}

export interface PrintedChain {
  family: string;
  table: string;
  name: string;
  type?: string;
  hook?: string;
  prio?: number;
}

export interface PrintedRule {
  family: string;
  table: string;
  chain: string;
  handle: number;
  comment?: string;
  expr: Record<string, unknown>[];
}

/** The rules in what `nft -j` printed, in order. */
export function printedRules({ nftables }: NftRuleset): PrintedRule[] {
  return nftables.flatMap(({ rule }) => (rule === undefined ? [] : [rule]));
}

/** nftables cannot be used at all: no program, no kernel support, no permission. */
export class NftUnavailable extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'NftUnavailable';
  }
}

/** The comment of a rule. It differs for a rule that was altered or that another version of this program wrote. */
export function ruleComment(rule: string): string {
  return `hostport ${fnv1a(rule).toString(16).padStart(8, '0')}`;
}

/** Whether what is installed of a chain is what the layout says; what is not, otherwise. */
export function chainFault(chain: NftChain, installed: InstalledChain | undefined): string | undefined {
  if (installed === undefined) return `chain ${chain.name} is missing`;
  const { hook } = chain;
  if (hook !== undefined) {
    const wanted = hookNumbers[hook.name];
    if (installed.hook?.number !== wanted || installed.hook.priority !== hook.priority) {
      return `chain ${chain.name} is not at hook ${hook.name} with priority ${hook.priority}`;
    }
  }
  const comments = chain.rules.map(ruleComment);
  for (const [i, rule] of chain.rules.entries()) {
    const there = chain.shared
      ? installed.comments.includes(comments[i])
      : installed.comments[i] === comments[i];
    if (!there) return `chain ${chain.name} lacks its rule "${rule}"`;
  }
  if (!chain.shared && installed.comments.length > chain.rules.length) {
    return `chain ${chain.name} has an unexpected rule`;
  }
  return undefined;
}

/** enum nf_inet_hooks, linux/netfilter.h. */
export const hookNumbers = { prerouting: 0, output: 3, postrouting: 4 } as const;

/** What may be a word of a key, a value or a comment. Quotes, braces, semicolons, blanks and line breaks may not. */
export function isSafeWord(word: string): boolean {
  return /^[A-Za-z0-9_.:/~-]+$/.test(word);
}

import type { Family } from '../../util/family.ts';
import type { NatTable, NatTransaction, RestoreOutcome } from './iptables.ts';
import { joinWords, splitWords } from './rule-text.ts';

const BUILT_IN = ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'];

/**
 * A `nat` table in memory. It applies a document whole or not at all, with iptables' reasons to refuse it: a chain that exists
 * or does not, a rule that is missing, a target chain that is missing, a chain in use. It admits its differences: a rule is the
 * words it was made of (nothing is rewritten), and no match is checked for what it means.
 */
export class FakeNat implements NatTable {
  readonly family: Family;
  /** Documents given so far, applied or not. */
  readonly documents: (readonly string[])[] = [];
  /** Transactions that have begun and not ended. */
  begun = 0;
  /** How the program of a transaction that has begun fails at its end; `commit` rejects with it, `abandon` does not. */
  programError: Error | undefined;
  /** Runs before a document is looked at: what another program does meanwhile. */
  before: ((chains: Map<string, string[]>) => void) | undefined;
  #chains = new Map<string, string[]>(BUILT_IN.map((name) => [name, []]));

  constructor(family: Family = 'ipv4') {
    this.family = family;
  }

  hasChain(chain: string): boolean {
    return this.#chains.has(chain);
  }

  async listChain(chain: string): Promise<string[] | undefined> {
    return this.#chains.get(chain)?.map((rule) => `-A ${joinWords([chain])} ${rule}`);
  }

  async listAll(): Promise<string[]> {
    const lists = await Promise.all([...this.#chains.keys()].map((chain) => this.listChain(chain)));
    return lists.flatMap((lines) => lines ?? []);
  }

  async restore(commands: readonly string[], conditions: readonly string[] = []): Promise<RestoreOutcome> {
    this.documents.push([...conditions, ...commands]);
    this.before?.(this.#chains);
    const chains = new Map([...this.#chains].map(([name, rules]) => [name, [...rules]]));
    for (const condition of conditions) {
      const reason = apply(chains, condition);
      if (reason !== undefined) return { applied: false, failed: undefined, reason };
    }
    for (const [failed, command] of commands.entries()) {
      const reason = apply(chains, command);
      if (reason !== undefined) return { applied: false, failed, reason };
    }
    this.#chains = chains;
    return { applied: true };
  }

  begin(conditions: readonly string[]): NatTransaction {
    this.begun++;
    const end = () => void this.begun--;
    return {
      commit: async (commands) => {
        end();
        if (this.programError !== undefined) throw this.programError;
        return this.restore(commands, conditions);
      },
      abandon: async () => end(),
    };
  }
}

/** Applies one command; says why when it cannot be. */
function apply(chains: Map<string, string[]>, command: string): string | undefined {
  const declared = /^:(\S+) /.exec(command)?.[1];
  if (declared !== undefined) {
    chains.set(declared, []);
    return undefined;
  }
  const [verb, chain = '', ...words] = splitWords(command);
  const rules = chains.get(chain);
  if (verb === '-N') {
    if (rules !== undefined) return 'Chain already exists.';
    chains.set(chain, []);
    return undefined;
  }
  if (rules === undefined) return 'No chain/target/match by that name.';
  const rule = joinWords(words);
  const at = rules.indexOf(rule);
  const jump = words.includes('-j') ? words[words.indexOf('-j') + 1]! : '';
  const known = chains.has(jump) || ['ACCEPT', 'RETURN', 'MARK', 'MASQUERADE', 'DNAT'].includes(jump);
  switch (verb) {
    case '-A':
    case '-I':
      if (!known) return `Couldn't load target \`${jump}'`;
      if (verb === '-A') rules.push(rule);
      else rules.unshift(rule);
      return undefined;
    case '-C':
      return at < 0 ? 'Bad rule (does a matching rule exist in that chain?).' : undefined;
    case '-D':
      if (at < 0) return 'Bad rule (does a matching rule exist in that chain?).';
      rules.splice(at, 1);
      return undefined;
    case '-F':
      chains.set(chain, []);
      return undefined;
    case '-X':
      if (rules.length > 0) return 'Directory not empty';
      if ([...chains.values()].flat().some((other) => splitWords(other).at(-1) === chain)) {
        return 'Device or resource busy';
      }
      chains.delete(chain);
      return undefined;
    default:
      return `unknown command ${verb}`;
  }
}

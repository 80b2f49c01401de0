import { joinWords, splitWords } from '../../netfilter/iptables/rule-text.ts';
import type { NodeAction } from '../../path/model/action.ts';
import { type Exec, ExecError, output } from '../../sys/exec.ts';
import { formatEndpoint } from '../../util/endpoint.ts';
import { iptablesProgram } from '../../util/family.ts';
import { parseIp } from '../../util/ip.ts';
import type { ApplyContext } from './context.ts';
import type { Applied } from './result.ts';

type Action<Do extends NodeAction['do']> = Extract<NodeAction, { do: Do }>;

/** Seconds that iptables waits for the xtables lock. */
const LOCK_WAIT = '5';

/**
 * Changes rules of one table in one transaction. Commands without effect are left out: a rule is added once, and removed only as often as
 * it exists. A rule is named by its words: a number would name another rule the second time.
 */
export async function iptablesAction(action: Action<'iptables'>, context: ApplyContext): Promise<Applied> {
  const { exec } = context;
  const { table, commands } = action;
  const program = iptablesProgram(action.variant, action.family);
  const rules = new RuleCounts(exec, program, table);
  const needed: string[][] = [];
  for (const command of commands) if (await isNeeded(command, rules)) needed.push(command);
  if (needed.length === 0) return { changed: false, detail: `table ${table} is so already` };
  const save = () => output(exec, [`${program}-save`, '-t', table]);
  const before = await save();
  await output(exec, [`${program}-restore`, '--noflush', '-w', LOCK_WAIT], {
    stdin: `*${table}\n${needed.map(joinWords).join('\n')}\nCOMMIT\n`,
  });
  // Removing a rule and adding it back in the same place changes nothing.
  if (withoutCounters(await save()) === withoutCounters(before)) {
    return { changed: false, detail: `table ${table} is so already` };
  }
  const backup = context.backups.keepText(`rules/${program}-${table}`, before);
  return { changed: true, detail: needed.map(joinWords).join('; '), backup };
}

function withoutCounters(saved: string): string {
  return saved.replace(/^#.*$/gm, '').replace(/\[\d+:\d+\]/g, '');
}

async function isNeeded(command: readonly string[], rules: RuleCounts): Promise<boolean> {
  const [verb, chain] = command as [string, string];
  switch (verb) {
    case '-A':
    case '-I': {
      const words = withoutPosition(command.slice(2), verb);
      if ((await rules.count(chain, words)) > 0) return false;
      rules.change(chain, words, 1);
      return true;
    }
    case '-D': {
      const words = command.slice(2);
      if (words.length === 1 && /^\d+$/.test(words[0]!))
        throw new Error(`${joinWords(command)}: a rule must be named by its words, not by number`);
      if ((await rules.count(chain, words)) === 0) return false;
      rules.change(chain, words, -1);
      return true;
    }
    case '-N':
      return !(await rules.hasChain(chain));
    case '-F':
    case '-X':
      return rules.hasChain(chain);
    case '-P':
      return (await rules.policy(chain)) !== command[2];
    default:
      throw new Error(`${joinWords(command)}: not a supported command`);
  }
}

/** `-I CHAIN 3 …` has a position before its rule. */
function withoutPosition(words: string[], verb: string): string[] {
  return verb === '-I' && /^\d+$/.test(words[0] ?? '') ? words.slice(1) : words;
}

/** How often a rule is in its chain, as it will be after the commands so far. */
class RuleCounts {
  readonly #exec: Exec;
  readonly #program: string;
  readonly #table: string;
  readonly #counts = new Map<string, number>();
  readonly #chains = new Map<string, string[] | undefined>();

  constructor(exec: Exec, program: string, table: string) {
    this.#exec = exec;
    this.#program = program;
    this.#table = table;
  }

  async count(chain: string, words: readonly string[]): Promise<number> {
    const key = joinWords([chain, ...words]);
    let count = this.#counts.get(key);
    if (count === undefined) {
      count = await this.#look(chain, words);
      this.#counts.set(key, count);
    }
    return count;
  }

  change(chain: string, words: readonly string[], by: number): void {
    const key = joinWords([chain, ...words]);
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + by);
  }

  async hasChain(chain: string): Promise<boolean> {
    return (await this.#list(chain)) !== undefined;
  }

  async policy(chain: string): Promise<string | undefined> {
    const line = (await this.#list(chain))?.find((text) => text.startsWith('-P '));
    return line === undefined ? undefined : splitWords(line)[2];
  }

  /** By the text that the tool prints; a rule that is written otherwise there is asked for, and counts once. */
  async #look(chain: string, words: readonly string[]): Promise<number> {
    const lines = await this.#list(chain);
    if (lines === undefined) return 0;
    const wanted = joinWords(['-A', chain, ...words]);
    const same = lines.filter((line) => joinWords(splitWords(line)) === wanted).length;
    if (same > 0) return same;
    const { code } = await this.#run(['-C', chain, ...words]);
    return code === 0 ? 1 : 0;
  }

  async #list(chain: string): Promise<string[] | undefined> {
    if (!this.#chains.has(chain)) {
      const { code, stdout } = await this.#run(['-S', chain]);
      this.#chains.set(chain, code === 0 ? stdout.split('\n').filter((line) => line !== '') : undefined);
    }
    return this.#chains.get(chain);
  }

  #run(words: readonly string[]) {
    return this.#exec.run([this.#program, '-w', LOCK_WAIT, '-t', this.#table, ...words]);
  }
}

/** A name in nft's language that needs no quotes. */
const NFT_NAME = /^[A-Za-z_][\w./\\-]{0,127}$/;

/** Deletes a rule of nft by its handle, which is never given to another rule of the table. */
export async function deleteNftRuleAction(
  { family, table, chain, handle }: Action<'delete-nft-rule'>,
  context: ApplyContext,
): Promise<Applied> {
  for (const name of [table, chain]) if (!NFT_NAME.test(name)) throw new Error(`${name}: not a name of nft`);
  const { exec, backups } = context;
  const where = [family, table, chain];
  const listed = await exec.run(['nft', '-a', 'list', 'chain', ...where]);
  const rule = listed.stdout.split('\n').find((line) => line.endsWith(`# handle ${handle}`));
  if (listed.code !== 0 || rule === undefined) {
    return { changed: false, detail: `${where.join(' ')} has no rule with handle ${handle}` };
  }
  const backup = backups.keepText(`rules/nft-${family}-${table}-${chain}`, listed.stdout);
  await output(exec, ['nft', 'delete', 'rule', ...where, 'handle', String(handle)]);
  return { changed: true, detail: `deleted from ${where.join(' ')}: ${rule.trim()}`, backup };
}

/** Forgets one tracked connection, so that its next packet goes through the rules again. */
export async function deleteFlowAction(
  { protocol, family, source, sourcePort, destination, destinationPort }: Action<'delete-flow'>,
  { exec }: ApplyContext,
): Promise<Applied> {
  for (const address of [source, destination]) {
    if (parseIp(address)?.family !== family) throw new Error(`${address}: not an address of ${family}`);
  }
  const argv = [
    ...['conntrack', '-D', '-f', family, '-p', protocol, '--orig-src', source, '--orig-dst', destination],
    ...['--orig-port-src', String(sourcePort), '--orig-port-dst', String(destinationPort)],
  ];
  const result = await exec.run(argv);
  const flow = `${protocol} ${formatEndpoint({ address: source, port: sourcePort })} to ${formatEndpoint({ address: destination, port: destinationPort })}`;
  if (result.code === 0) return { changed: true, detail: `forgot ${flow}` };
  // Status 1 with this summary: it ended by itself meanwhile.
  if (/\b0 flow entries have been deleted/.test(result.stderr)) {
    return { changed: false, detail: `${flow} is not tracked` };
  }
  throw new ExecError(argv, result);
}

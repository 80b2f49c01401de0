import { type Exec, ExecError } from '../../sys/exec.ts';
import { type Family, iptablesProgram } from '../../util/family.ts';

/** What became of a document given to iptables-restore: all of it or nothing. */
export type RestoreOutcome =
  | { applied: true }
  | {
      applied: false;
      /** Zero-based index of the command that failed; undefined when the failure is not of one of them. */
      failed: number | undefined;
      reason: string;
    };

/**
 * The `nat` table of one address family. A command is one line of iptables-restore without its table: `-A CHAIN …`,
 * `-I`, `-D`, `-C` (fails the document when the rule is missing), `-N` (fails it when the chain exists), `-F`, `-X`.
 */
export interface NatTable {
  readonly family: Family;
  /** The `-A` lines of a chain in order, as `iptables -S` prints them; undefined when there is no such chain. */
  listChain(chain: string): Promise<string[] | undefined>;
  /** The `-A` lines of every chain. */
  listAll(): Promise<string[]>;
  /**
   * Applies the commands in one transaction. `conditions` are `-C` commands that are asked before it, in the same call: when one
   * fails, nothing is applied. iptables-nft reads every rule of every chain that a transaction names, if it asks for one rule.
   */
  restore(commands: readonly string[], conditions?: readonly string[]): Promise<RestoreOutcome>;
  /** As `restore`, of which the commands follow later: the program starts and asks the conditions while its caller looks for what they are. */
  begin(conditions: readonly string[]): NatTransaction;
}

/** A transaction of which the commands are not known yet. One of its functions is to be called, once. */
export interface NatTransaction {
  commit(commands: readonly string[]): Promise<RestoreOutcome>;
  /** Ends it without a change. Never rejects: whatever becomes of the program, nothing is applied. */
  abandon(): Promise<void>;
}

/** The iptables programs cannot be used at all: not installed, no kernel support, no permission. */
export class IptablesUnavailable extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'IptablesUnavailable';
  }
}

/** Another process held the xtables lock for longer than we waited. */
export class XtablesLockBusy extends Error {
  constructor(program: string, waitedSeconds: number) {
    super(
      `${program}: another process held the xtables lock (/run/xtables.lock) for more than ${waitedSeconds} s`,
    );
    this.name = 'XtablesLockBusy';
  }
}

/** Seconds that iptables waits for the xtables lock. The nft variant needs no lock and ignores it. */
const LOCK_WAIT_SECONDS = 5;
/** Milliseconds that a program may take. */
const TIMEOUT_MS = (LOCK_WAIT_SECONDS + 5) * 1000;
/** `RESOURCE_PROBLEM` in xtables.h: the lock, or a transient failure of the kernel interface. */
const EXIT_RESOURCE_PROBLEM = 4;

/** How {@link ExecError} says that a program could not be started. */
const EXIT_NOT_FOUND = 127;

/** The real table, through `iptables`/`ip6tables` and their `-restore`, legacy or nft, whatever the machine has under these names. */
export class IptablesNat implements NatTable {
  readonly family: Family;
  readonly #exec: Exec;
  readonly #program: string;

  constructor(exec: Exec, family: Family) {
    this.#exec = exec;
    this.family = family;
    this.#program = iptablesProgram('iptables', family);
  }

  async listChain(chain: string): Promise<string[] | undefined> {
    const { code, stdout, stderr } = await this.#list(chain);
    if (code === 0) return rulesIn(stdout);
    if (isMissingChain(stderr)) return undefined;
    throw this.#unavailable(this.#program, code, stderr);
  }

  async listAll(): Promise<string[]> {
    const { code, stdout, stderr } = await this.#list();
    if (code === 0) return rulesIn(stdout);
    throw this.#unavailable(this.#program, code, stderr);
  }

  async restore(commands: readonly string[], conditions: readonly string[] = []): Promise<RestoreOutcome> {
    const ahead = aheadOf(conditions);
    const stdin = [...ahead, ...blockOf(commands), ''].join('\n');
    const { code, stderr } = await this.#run(this.#restoreArgv, stdin);
    return this.#outcomeOf(code, stderr, ahead.length, commands.length);
  }

  begin(conditions: readonly string[]): NatTransaction {
    const ahead = aheadOf(conditions);
    const stdin = [...ahead, ''].join('\n');
    const program = this.#exec.start?.(this.#restoreArgv, { stdin });
    if (program === undefined) {
      return { commit: (commands) => this.restore(commands, conditions), abandon: async () => {} };
    }
    return {
      commit: async (commands) => {
        const rest = [...blockOf(commands), ''].join('\n');
        const { code, stderr } = await program.end(rest, { timeoutMs: TIMEOUT_MS });
        return this.#outcomeOf(code, stderr, ahead.length, commands.length);
      },
      abandon: async () => {
        try {
          await program.end('', { timeoutMs: TIMEOUT_MS });
        } catch {
          // What it thinks of the conditions does not matter any more, nor how it ended: it has read no command. Its caller abandons it for a reason of
          // its own, which is the one to report.
        }
      },
    };
  }

  get #restoreArgv(): string[] {
    return [`${this.#program}-restore`, '--noflush', '-w', String(LOCK_WAIT_SECONDS)];
  }

  /** How a document ended that has so many lines ahead of the commands' block, and so many commands. */
  #outcomeOf(code: number, stderr: string, ahead: number, commands: number): RestoreOutcome {
    const program = `${this.#program}-restore`;
    if (code === 0) return { applied: true };
    if (code === EXIT_RESOURCE_PROBLEM && /xtables lock/.test(stderr)) {
      throw new XtablesLockBusy(program, LOCK_WAIT_SECONDS);
    }
    const line = /line:? (\d+)/.exec(stderr)?.[1];
    // A line names the table before the commands; iptables counts from 1.
    const index = line === undefined ? undefined : Number(line) - 2 - ahead;
    return {
      applied: false,
      failed: index !== undefined && index >= 0 && index < commands ? index : undefined,
      reason: `${program}: exit status ${code}: ${stderr.trim()}`,
    };
  }

  #list(...chain: string[]) {
    return this.#run([this.#program, '-w', String(LOCK_WAIT_SECONDS), '-t', 'nat', '-S', ...chain]);
  }

  async #run(argv: string[], stdin?: string) {
    try {
      return await this.#exec.run(argv, { stdin, timeoutMs: TIMEOUT_MS });
    } catch (cause) {
      // One that started and gave no answer in time is there: another call may get one.
      if (!(cause instanceof ExecError) || cause.result.code !== EXIT_NOT_FOUND) throw cause;
      throw new IptablesUnavailable(cause.message, { cause });
    }
  }

  #unavailable(program: string, code: number, stderr: string): Error {
    if (code === EXIT_RESOURCE_PROBLEM && /xtables lock/.test(stderr)) {
      return new XtablesLockBusy(program, LOCK_WAIT_SECONDS);
    }
    return new IptablesUnavailable(`${program}: exit status ${code}: ${stderr.trim()}`);
  }
}

/** The lines of a transaction. */
function blockOf(commands: readonly string[]): string[] {
  return ['*nat', ...commands, 'COMMIT'];
}

/** The lines that ask conditions. */
function aheadOf(conditions: readonly string[]): string[] {
  return conditions.length === 0 ? [] : blockOf(conditions);
}

function rulesIn(listing: string): string[] {
  return listing.split('\n').filter((line) => line.startsWith('-A '));
}

/**
 * Neither variant has an exit status of its own for a missing chain: legacy says "No chain/target/match by that name", nft up
 * to 1.8.9 that the chain "is incompatible, use 'nft' tool" (nft_is_chain_compatible of a chain that it could not find).
 */
function isMissingChain(stderr: string): boolean {
  return /No chain\/target\/match by that name|is incompatible, use 'nft' tool/.test(stderr);
}

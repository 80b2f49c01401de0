import { type Exec, ExecError } from '../../sys/exec.ts';
import { type NetfilterChannel, openNetfilter } from '../../sys/netlink.ts';
import { changesDocument, layoutDocument } from './document.ts';
import {
  chainFault,
  hookNumbers,
  type InstalledChain,
  type NftChange,
  type NftElement,
  type NftLayout,
  type NftMap,
  type NftOutcome,
  type NftRuleset,
  type NftTable,
  NftUnavailable,
} from './nft.ts';
import {
  bodyOf,
  decodeChain,
  decodeDormant,
  decodeElements,
  decodeRule,
  decodeSet,
  type ElementChange,
  encodeBatch,
  encodeChainLook,
  encodeLooks,
  encodeTableLook,
  encodeTableRemoval,
  getChains,
  getElements,
  getRules,
  getSets,
} from './wire.ts';

/** errno(3) of what a transaction can meet. */
const ENOENT = 2;
const EBUSY = 16;
const EINVAL = 22;
const EEXIST = 17;

/** NFPROTO_UNSPEC: every family. */
const UNSPECIFIED = 0;
/** NFPROTO_INET: that of our table. */
const INET = 1;

/** What is longer goes by the program, which takes care of the sizes of sockets' buffers: by default they take 208 KiB. */
const MAX_BATCH_BYTES = 160 * 1024;
/** As many questions as have answers that fit into a socket's buffer. */
const LOOKS_AT_ONCE = 32;
/** How often a dump is requested again when the rules changed during it. */
const MAX_DUMPS = 10;
/** Milliseconds that the program may take. */
const NFT_TIMEOUT_MS = 20_000;

/**
 * Said where the kernel has no netlink socket of netfilter, or no subsystem of nftables behind it: the error of a question is EINVAL then. Source:
 * net/netfilter/nfnetlink.c, nfnetlink_rcv_msg.
 */
const NO_NFTABLES =
  'the kernel has no nftables; load its module nf_tables, or set "backend": "iptables" in the configuration';

/**
 * The real table, of family inet. Elements are written and read over netlink: `nft` 1.0 fetches every element of every set when
 * it is to list or get one (300 ms at ten thousand), and starting it costs more than the change. Chains and rules are made by
 * `nft -f -`, one process a transaction.
 */
export class NftKernel implements NftTable {
  readonly #exec: Exec;
  readonly #name: string;
  readonly #maps: ReadonlyMap<string, NftMap>;
  #open: NetfilterChannel | undefined;

  constructor(exec: Exec, name: string, maps: readonly NftMap[]) {
    this.#exec = exec;
    this.#name = name;
    this.#maps = new Map(maps.map((map) => [map.name, map]));
  }

  async apply(changes: readonly NftChange[]): Promise<NftOutcome> {
    if (changes.length === 0) return { applied: true };
    // Rendered in any case: what could not be said to nft is not said to the kernel either.
    const document = changesDocument(this.#name, changes);
    if (!changes.every(isElementChange)) return this.#run(document);
    const { bytes, messages } = encodeBatch(this.#name, this.#maps, changes);
    if (bytes.length > MAX_BATCH_BYTES) return this.#run(document);
    let failed: { error: number; sequence: number } | undefined;
    const heard = this.#channel().exchange(bytes, ({ error, sequence }) => {
      if (error !== undefined && error !== 0) failed ??= { error, sequence };
      return failed !== undefined || (error === 0 && sequence === messages.length);
    });
    if (heard && failed === undefined) return { applied: true };
    // Unread answers must not be taken for answers to the next question.
    this.close();
    if (failed === undefined) throw new NftUnavailable('the kernel did not answer a netfilter transaction');
    const [change, ...others] = messages[failed.sequence - 1] ?? [];
    const more = others.length === 0 ? '' : ` or one of ${others.length} after it`;
    const what = change === undefined ? '' : ` (${changesDocument(this.#name, [change]).trim()}${more})`;
    return outcomeOf(failed.error, what);
  }

  async look(keys: readonly { map: string; key: string }[]): Promise<(NftElement | undefined)[]> {
    const found: (NftElement | undefined)[] = Array.from({ length: keys.length });
    for (let from = 0; from < keys.length; from += LOOKS_AT_ONCE) {
      const asked = keys.slice(from, from + LOOKS_AT_ONCE);
      const messages = encodeLooks(this.#name, (map) => this.#map(map), asked);
      let left = asked.length;
      let failed: { map: string; error: number } | undefined;
      const heard = this.#channel().exchange(messages, ({ error, sequence, payload }) => {
        const { map } = asked[sequence - 1]!;
        if (error === undefined) found[from + sequence - 1] = decodeElements(payload, this.#map(map))[0];
        else if (error !== ENOENT) failed ??= { map, error };
        left--;
        return left === 0;
      });
      if (!heard || failed !== undefined) {
        this.close();
        throw cannotRead(`set ${failed?.map ?? asked[0]!.map}`, failed?.error ?? 0);
      }
    }
    return found;
  }

  async list(name: string, mark?: string): Promise<NftElement[]> {
    const map = this.#map(name);
    // A table or set that is not there is an error of the dump; whether it is there is asked first.
    if (this.#table() === undefined || !this.#setNames().has(name)) return [];
    return this.#dump(getElements, bodyOf(this.#name, name), mark).flatMap((payload) =>
      decodeElements(payload, map, mark),
    );
  }

  async fault(layout: NftLayout): Promise<string | undefined> {
    const table = this.#table();
    if (table === undefined) return `table ${this.#name} is missing`;
    if (decodeDormant(table)) return `table ${this.#name} is switched off (flag dormant)`;
    const sets = this.#setNames();
    const missing = layout.maps.find(({ name }) => !sets.has(name));
    if (missing !== undefined) return `map ${missing.name} is missing`;
    const installed = this.#chains(layout.chains.map(({ name }) => name));
    for (const chain of layout.chains) {
      const fault = chainFault(chain, installed.get(chain.name));
      if (fault !== undefined) return fault;
    }
    return undefined;
  }

  async exists(): Promise<boolean> {
    return this.#table() !== undefined;
  }

  async destroy(): Promise<boolean> {
    let failure: number | undefined;
    const heard = this.#channel().exchange(encodeTableRemoval(this.#name), ({ error }) => {
      failure = error;
      return error !== undefined;
    });
    if (heard && failure === 0) return true;
    this.close();
    if (failure === ENOENT) return false;
    const outcome = outcomeOf(failure ?? 0, '');
    throw new NftUnavailable(
      `cannot delete table inet ${this.#name}: ${'reason' in outcome ? outcome.reason : ''}`,
    );
  }

  async install(layout: NftLayout): Promise<void> {
    const names = this.#table() === undefined ? [] : layout.chains.map(({ name }) => name);
    const installed = this.#chains(names);
    const faulty = layout.chains.filter(
      (chain) => chainFault(chain, installed.get(chain.name)) !== undefined,
    );
    const rewrite = new Set(faulty.map(({ name }) => name));
    // A base chain elsewhere cannot be moved; it is ours by its name, so it goes.
    const misplaced = faulty.filter(
      (chain) =>
        installed.has(chain.name) &&
        chainFault({ ...chain, rules: [], shared: true }, installed.get(chain.name)) !== undefined,
    );
    const removals = changesDocument(
      this.#name,
      misplaced.map(({ name }): NftChange => ({ verb: 'delete-chain', name })),
    );
    const outcome = await this.#run(removals + layoutDocument(this.#name, layout, rewrite));
    if (!outcome.applied) throw new NftUnavailable(outcome.reason);
  }

  async ahead(priority: number): Promise<NftRuleset | undefined> {
    const hooks: number[] = [hookNumbers.prerouting, hookNumbers.output];
    // Of every family: starting the program is for the rare machine that has such a chain.
    const some = this.#dump(getChains, bodyOf(this.#name, undefined, UNSPECIFIED))
      .map(decodeChain)
      .some(
        ({ type, hook }) =>
          type === 'nat' && hook !== undefined && hooks.includes(hook.number) && hook.priority < priority,
      );
    if (!some) return undefined;
    const argv = ['nft', '-j', '-t', 'list', 'ruleset'];
    const result = await this.#exec.run(argv, { timeoutMs: NFT_TIMEOUT_MS }).catch((cause: Error) => {
      throw new NftUnavailable(cause.message, { cause });
    });
    if (result.code !== 0) throw new NftUnavailable(new ExecError(argv, result).message);
    return JSON.parse(result.stdout) as NftRuleset;
  }

  /** Whether the kernel and the program can do what the layout asks for, without doing it. */
  async probe(layout: NftLayout): Promise<void> {
    this.#table();
    const rewrite = new Set(layout.chains.map(({ name }) => name));
    const outcome = await this.#run(layoutDocument(`${this.#name}-probe`, layout, rewrite), ['-c']);
    if (!outcome.applied) throw new NftUnavailable(outcome.reason);
  }

  close(): void {
    this.#open?.close();
    this.#open = undefined;
  }

  #channel(): NetfilterChannel {
    this.#open ??= openNetfilter();
    if (this.#open === undefined) throw new NftUnavailable(NO_NFTABLES);
    return this.#open;
  }

  #map(name: string): NftMap {
    const map = this.#maps.get(name);
    if (map === undefined) throw new Error(`no map ${name} in table ${this.#name}`);
    return map;
  }

  #table(): string | undefined {
    let found: string | undefined;
    let failure = 0;
    const heard = this.#channel().exchange(encodeTableLook(this.#name, 1), ({ error, payload }) => {
      if (error === undefined) found = payload;
      else failure = error;
      return error !== undefined;
    });
    if (failure === EINVAL) throw new NftUnavailable(NO_NFTABLES);
    if (!heard || (failure !== 0 && failure !== ENOENT)) throw cannotRead(`table ${this.#name}`, failure);
    return found;
  }

  #setNames(): Set<string> {
    const sets = this.#dump(getSets, bodyOf(this.#name)).map(decodeSet);
    return new Set(sets.filter(({ table }) => table === this.#name).map(({ name }) => name));
  }

  /** Those of these chains that are there. Each is asked for by its name: others may have thousands in the table. */
  #chains(names: readonly string[]): Map<string, InstalledChain> {
    const chains = new Map<string, InstalledChain>();
    if (names.length === 0) return chains;
    let failure: number | undefined;
    const looks = names.map((name, i) => encodeChainLook(this.#name, name, INET, i + 1));
    const heard = this.#channel().exchange(Buffer.concat(looks), ({ error, sequence, payload }) => {
      if (error === undefined) {
        const { name, hook } = decodeChain(payload);
        chains.set(name, { hook, comments: [] });
      } else if (error !== 0 && error !== ENOENT) failure ??= error;
      return error !== undefined && sequence === names.length;
    });
    if (!heard || failure !== undefined) {
      this.close();
      throw cannotRead(`chains of table ${this.#name}`, failure ?? 0);
    }
    for (const [name, { comments }] of chains) {
      for (const rule of this.#dump(getRules, bodyOf(this.#name, name)))
        comments.push(decodeRule(rule).comment);
    }
    return chains;
  }

  #dump(type: number, body: Uint8Array, mark?: string): string[] {
    for (let attempt = 0; attempt < MAX_DUMPS; attempt++) {
      const payloads = this.#channel().dump(type, body, mark === undefined ? undefined : { mark });
      if (payloads !== undefined) return payloads;
      this.close();
    }
    throw cannotRead(`table ${this.#name}`, 0);
  }

  async #run(document: string, options: string[] = []): Promise<NftOutcome> {
    let result: Awaited<ReturnType<Exec['run']>>;
    try {
      result = await this.#exec.run(['nft', ...options, '-f', '-'], {
        stdin: document,
        timeoutMs: NFT_TIMEOUT_MS,
      });
    } catch (cause) {
      throw new NftUnavailable((cause as Error).message, { cause });
    }
    if (result.code === 0) return { applied: true };
    const said = result.stderr.trim();
    if (/Operation not permitted|must be root/.test(said)) throw new NftUnavailable(`nft: ${said}`);
    const why = /File exists|Device or resource busy/.test(said)
      ? 'exists'
      : /No such file or directory/.test(said)
        ? 'missing'
        : 'refused';
    return { applied: false, why, reason: `nft: exit status ${result.code}: ${said.slice(0, 2000)}` };
  }
}

function isElementChange(change: NftChange): change is ElementChange {
  return 'map' in change;
}

function outcomeOf(error: number, what: string): NftOutcome {
  if (error === ENOENT)
    return { applied: false, why: 'missing', reason: `no such set, chain or element${what}` };
  if (error === EEXIST || error === EBUSY) {
    return { applied: false, why: 'exists', reason: `element already exists${what}` };
  }
  if (error === 1)
    throw new NftUnavailable('cannot change nftables: refused by the kernel; needs CAP_NET_ADMIN');
  return { applied: false, why: 'refused', reason: `nftables transaction refused, error ${error}${what}` };
}

function cannotRead(what: string, error: number): NftUnavailable {
  const why =
    error === 1
      ? 'refused by the kernel; needs CAP_NET_ADMIN'
      : error === 0
        ? 'no answer, or it kept changing'
        : `error ${error}`;
  return new NftUnavailable(`cannot read nftables ${what}: ${why}`);
}

import { CniError, cniErrorCode } from '../cni/errors.ts';
import {
  IptablesUnavailable,
  type NatTable,
  type NatTransaction,
  XtablesLockBusy,
} from '../netfilter/iptables/iptables.ts';
import { splitWords } from '../netfilter/iptables/rule-text.ts';
import type { NatGlance } from '../netfilter/nft/kernel-rules.ts';
import { contains } from '../util/cidr.ts';
import { formatIp, isUnspecified, parseIp } from '../util/ip.ts';
import { type Attached, inWords, isSuperseded } from './attached.ts';
import type { Attachments } from './attachments.ts';
import { taken } from './backend.ts';
import { conditionsOf, type PortmapConfig } from './config.ts';
import { areDisjoint } from './disjoint.ts';
import {
  chainOf,
  DNAT_CHAIN,
  type InstalledEntry,
  MASQ_CHAIN,
  type Owner,
  parseEntries,
  SETMARK_CHAIN,
} from './layout.ts';
import type { Rules } from './machine.ts';
import { type Packet, takenBefore } from './precedence.ts';
import {
  asPrinted,
  attachmentRules,
  command,
  deletion,
  entryRules,
  type InstalledMapping,
  mappingsOf,
  type PodAddress,
  parseMappings,
  type Rule,
  sharedRules,
} from './rules.ts';

/** How often a transaction is planned, when something else changes the table at the same time. */
const MAX_ATTEMPTS = 4;

/** How the mappings of an attachment come into a table. */
export interface Plan {
  readonly config: PortmapConfig;
  readonly attached: Attached;
  readonly pod: PodAddress;
  /** The transaction, if it has begun: it has conditions that the table is as the plan assumes. */
  readonly begun: NatTransaction | undefined;
  /** Commands of the transaction that depend on what was there. */
  readonly preparing: readonly string[];
  /** The commands that add the mappings. */
  readonly adding: readonly string[];
  /** Chains of other attachments that it removes. */
  readonly gone: ReadonlySet<string>;
}

/** Mappings of one address family in iptables' `nat` table. */
export class IptablesBackend {
  readonly #nat: NatTable;
  readonly #attachments: Attachments;
  readonly #warn: (message: string) => void;
  readonly #machine: Pick<Rules, 'glance' | 'localAddressTest'>;
  readonly #glance: NatGlance | undefined;

  constructor(
    nat: NatTable,
    attachments: Attachments,
    warn: (message: string) => void,
    machine: Pick<Rules, 'glance' | 'localAddressTest'>,
  ) {
    this.#nat = nat;
    this.#attachments = attachments;
    this.#warn = warn;
    this.#machine = machine;
    this.#glance = machine.glance(nat.family);
  }

  /**
   * Plans the mappings of an attachment, in place of what it had before. A mapping of the same port whose sandbox is gone is
   * removed with it; one whose sandbox still exists is error {@link HOST_PORT_TAKEN}; one whose sandbox is unknown stays, behind ours.
   */
  async plan(config: PortmapConfig, attached: Attached, pod: PodAddress): Promise<Plan> {
    const plan = await this.#planByGlance(config, attached, pod);
    return plan ?? this.#planByReading(config, attached, pod, true);
  }

  /** The chains that have one of the ports and whose sandbox is gone; fails as {@link plan} does when one of them lives. */
  async staleRivals(
    config: PortmapConfig,
    attached: Attached,
    pod: PodAddress,
  ): Promise<ReadonlySet<string>> {
    const wanted = new Set(config.portMappings.map(({ hostPort }) => hostPort));
    const jumps = this.#glance?.portJumps(DNAT_CHAIN, { ports: wanted, chain: chainOf(attached) });
    if (jumps?.every(({ ports }) => !ports.some((port) => wanted.has(port)))) return new Set();
    const entries = parseEntries((await this.#list(DNAT_CHAIN)) ?? []);
    return (await this.#rivals(config, attached, pod, entries)).gone;
  }

  /** Carries a plan out in one transaction; plans again when something else changed the table. Returns the chains it removed. */
  async carryOut(plan: Plan): Promise<ReadonlySet<string>> {
    const { config, attached, pod } = plan;
    let current = plan;
    for (let attempt = 1; ; attempt++) {
      const { begun, preparing, adding, gone } = current;
      const commands = [...preparing, ...adding];
      const outcome = await (begun?.commit(commands).catch(asCniError) ?? this.#restore(commands));
      if (outcome.applied) return gone;
      const failed = outcome.failed === undefined ? undefined : commands[outcome.failed];
      // A new rule that is refused will be refused again; a condition that does not hold asks for a new plan.
      const refused = failed !== undefined && outcome.failed! >= preparing.length;
      if (refused || attempt === MAX_ATTEMPTS) {
        throw new CniError(
          cniErrorCode.internal,
          `cannot map ports of container ${attached.containerId} (${this.#nat.family})`,
          `${outcome.reason}${failed === undefined ? '' : `: ${failed}`}`,
        );
      }
      current = await this.#planByReading(config, attached, pod, false);
    }
  }

  /**
   * The plan for the usual case, from what a glance shows: nobody has one of the ports, the jumps into our chain exist, the
   * attachment's own chain does not. The rest becomes conditions, which iptables asks meanwhile. Undefined in any other case, and when a
   * glance is not enough.
   */
  async #planByGlance(config: PortmapConfig, attached: Attached, pod: PodAddress): Promise<Plan | undefined> {
    const glance = this.#glance;
    const chain = chainOf(attached);
    // A repeated ADD is not the usual case: it is recognised before a program is started for nothing.
    if (glance === undefined || glance.hasChain(chain) !== false) return undefined;
    const { rules } = sharedRules(config);
    // The target counts as named: a condition on it would have iptables read all of our chain.
    const [jumps, others] = [rules.filter(isJumpToOurs), rules.filter((rule) => !isJumpToOurs(rule))];
    const begun = this.#nat.begin(others.map((rule) => command('-C', rule)));
    let plan: Plan | undefined;
    try {
      if (
        isFree(glance, config, chain) &&
        jumps.every((rule) => glance.hasLocalJump(rule.chain, DNAT_CHAIN))
      ) {
        const added = [...attachmentRules(config, attached, pod), ...entryRules(config, attached, pod)];
        plan = {
          ...{ config, attached, pod, begun, gone: new Set() },
          preparing: [`-N ${chain}`],
          adding: added.map((rule) => command('-A', rule)),
        };
      }
    } finally {
      // The program would wait for its commands as long as this process lives, and holds the rules lock.
      if (plan === undefined) await begun.abandon();
    }
    return plan;
  }

  async #planByReading(
    config: PortmapConfig,
    attached: Attached,
    pod: PodAddress,
    optimistic: boolean,
  ): Promise<Plan> {
    const chain = chainOf(attached);
    const entries = parseEntries((await this.#list(DNAT_CHAIN)) ?? []);
    const rivals = await this.#rivals(config, attached, pod, entries);
    // Usually the shared rules exist and the chain does not: as commands of the transaction, this needs no reading.
    const usual =
      optimistic && !entries.some((entry) => entry.chain === chain) && (await this.#trustsChecks(config));
    const prepare = usual
      ? [...sharedRules(config).rules.map((rule) => command('-C', rule)), `-N ${chain}`]
      : await this.#prepare(config, chain, entries);
    const rules = attachmentRules(config, attached, pod).map((rule) => command('-A', rule));
    const entering = entryRules(config, attached, pod);
    const jumps = rivals.unknown
      ? entering.reverse().map((rule) => command('-I', rule))
      : entering.map((rule) => command('-A', rule));
    return {
      ...{ config, attached, pod, begun: undefined, gone: rivals.gone },
      preparing: [...prepare, ...(await this.#removals(rivals.gone, entries))],
      adding: [...rules, ...jumps],
    };
  }

  /**
   * Verifies that every rule of the attachment is there and takes effect: that no earlier mapping takes its ports, that no earlier
   * rule takes packets to them on their way to ours, nor marked ones on their way to the masquerade.
   */
  async check(config: PortmapConfig, attached: Attached, pod: PodAddress): Promise<void> {
    const lists = new Map<string, Promise<string[] | undefined>>();
    const list = (name: string) => {
      const known = lists.get(name) ?? this.#list(name);
      lists.set(name, known);
      return known;
    };
    const chain = chainOf(attached);
    for (const rule of sharedRules(config).rules) {
      if (!(await list(rule.chain))?.some((line) => isRule(line, rule))) throw this.#missing(rule);
    }
    // The whole chain in its order: a mark after the translation would mark nothing.
    const wanted = attachmentRules(config, attached, pod).map(asPrinted);
    const installed = (await list(chain)) ?? [];
    for (const [i, rule] of wanted.entries()) {
      if (installed[i] === undefined || !isRule(installed[i], rule)) throw this.#missing(rule);
    }
    if (installed.length > wanted.length) {
      throw new CniError(
        cniErrorCode.internal,
        `unexpected ${this.#nat.family} rule in table nat`,
        installed[wanted.length],
      );
    }
    const entries = parseEntries((await list(DNAT_CHAIN)) ?? []);
    const own = entries.findIndex((entry) => entry.chain === chain);
    const entering = entryRules(config, attached, pod);
    for (const rule of entering) {
      const [expected] = parseEntries([command('-A', rule)]);
      if (!entries.some((entry) => sameEntry(entry, expected!))) throw this.#missing(rule);
    }
    // Every extension prints its conditions in its own way, so iptables itself checks whether they are there.
    const outcome = await this.#restore(entering.map((rule) => command('-C', rule)));
    if (!outcome.applied) throw this.#missing(entering[outcome.failed ?? 0]!);
    for (const rival of await this.#overlapping(config, chain, pod, entries.slice(0, own))) {
      throw new CniError(
        cniErrorCode.internal,
        `mapping shadowed: ${this.#inWords(rival, attached)} comes first`,
      );
    }
    await this.#checkPrecedence(config, pod, list);
  }

  async #checkPrecedence(
    config: PortmapConfig,
    pod: PodAddress,
    list: (chain: string) => Promise<string[] | undefined>,
  ): Promise<void> {
    const isLocal = this.#machine.localAddressTest(this.#nat.family);
    const masquerade = sharedRules(config).rules.find(({ chain }) => chain === MASQ_CHAIN);
    for (const { protocol, hostPort, containerPort, hostIP } of mappingsOf(config, pod.ip.family)) {
      const host = hostIP === undefined ? undefined : parseIp(hostIP);
      const only = host === undefined || isUnspecified(host) ? undefined : host;
      const packet: Packet = {
        ...{ protocol, port: hostPort },
        // On every address of this machine: a rule for one of them takes the port there.
        mayGoTo: (network) =>
          only === undefined
            ? network.prefix === 0 || isLocal(formatIp(network.ip))
            : contains(network, only),
        mayGoBeyond: (network) => (only === undefined ? network.prefix > 0 : !contains(network, only)),
      };
      const isOurs = (line: string) => line.endsWith(`-j ${DNAT_CHAIN}`);
      const takers = [
        await takenBefore(list, 'PREROUTING', isOurs, packet),
        await takenBefore(list, 'OUTPUT', isOurs, packet),
      ];
      if (masquerade !== undefined) {
        const translated: Packet = {
          ...{ protocol, port: containerPort },
          mayGoTo: (network) => contains(network, pod.ip),
          mayGoBeyond: (network) => !contains(network, pod.ip),
        };
        const by = await takenBefore(list, 'POSTROUTING', (line) => isRule(line, masquerade), translated);
        // A rule that masquerades everything does the same as ours.
        if (by !== undefined && !/-j (MASQUERADE|SNAT)/.test(by)) takers.push(by);
      }
      const first = takers.find((line) => line !== undefined);
      if (first === undefined) continue;
      throw new CniError(
        cniErrorCode.internal,
        `mapping shadowed: an earlier rule takes ${protocol} ${hostPort} (${this.#nat.family})`,
        first,
      );
    }
  }

  /** The mappings under a name. */
  async mapped(owner: Owner): Promise<InstalledMapping[]> {
    const chain = chainOf(owner);
    if (this.#glance?.hasChain(chain) === false) return [];
    return parseMappings((await this.#list(chain)) ?? []);
  }

  /** The mappings of chains that have no record here: those of another plugin. */
  async unrecorded(): Promise<InstalledMapping[]> {
    const jumps = this.#glance?.portJumps(DNAT_CHAIN) ?? parseEntries((await this.#list(DNAT_CHAIN)) ?? []);
    const chains = new Set(jumps.map(({ chain }) => chain));
    for (const chain of chains) if (this.#attachments.hasRecord(chain)) chains.delete(chain);
    if (chains.size === 0) return [];
    // All chains by one process, however many of them are another plugin's.
    const lines = await this.#nat.listAll().catch(asCniError);
    return parseMappings(lines.filter((line) => chains.has(line.split(' ', 2)[1]!)));
  }

  /**
   * Removes everything that an attachment has under these names; it is fine if there is nothing. Returns the removed mappings, of which those may
   * be missing that a record says are not of UDP.
   */
  async remove(owners: readonly Owner[]): Promise<InstalledMapping[]> {
    const removed: InstalledMapping[] = [];
    const left: Owner[] = [];
    for (const owner of owners) {
      const mappings = await this.#removeByGlance(chainOf(owner));
      if (mappings === undefined) left.push(owner);
      else removed.push(...mappings);
    }
    if (left.length === 0) return removed;
    const byReading = await this.#removeSelected((entries) => {
      // Listing a chain costs a process: a chain by the name of an interface, which is rare, is listed only where something indicates it.
      const isLikely = (owner: Owner, chain: string) =>
        owner.ifName === undefined ||
        entries.some((entry) => entry.chain === chain) ||
        this.#attachments.interfaceOf(chain) !== undefined;
      return new Set(left.flatMap((owner) => (isLikely(owner, chainOf(owner)) ? [chainOf(owner)] : [])));
    });
    return [...removed, ...byReading];
  }

  /** As {@link remove}, for attachments by the names of their chains. */
  async removeChains(chains: ReadonlySet<string>): Promise<InstalledMapping[]> {
    return this.#removeSelected(() => chains);
  }

  /** Removes the mappings of a network, except those to keep. Returns the mappings of the removed chains. */
  async collect(networkName: string, kept: readonly Owner[]): Promise<InstalledMapping[]> {
    const keep = new Set(kept.map(chainOf));
    return this.#removeSelected((entries) => {
      const stale = entries.filter(
        ({ chain, owner }) => owner?.networkName === networkName && !keep.has(chain),
      );
      return new Set(stale.map(({ chain }) => chain));
    });
  }

  /** Fails with error 50 when the table cannot be used by either program, or a chain that an ADD needs is missing; says why. */
  async probe(config: PortmapConfig): Promise<void> {
    await this.#list('PREROUTING');
    const outcome = await this.#restore([]);
    const { externalSetMarkChain: needed } = config;
    const reason = !outcome.applied
      ? outcome.reason
      : needed !== undefined && (await this.#list(needed)) === undefined
        ? `chain ${needed}, named by externalSetMarkChain, does not exist`
        : undefined;
    if (reason !== undefined) {
      throw new CniError(cniErrorCode.pluginNotAvailable, 'iptables cannot be used', reason);
    }
  }

  /**
   * Whether `-C` is reliable for the shared rules. ip6tables-legacy 1.8 ignores the values of matches and targets when it compares
   * (`--mark 0x1/0x1` is found where `--mark 0x2000/0x2000` is), so for IPv6 the rules that have such a value are read.
   */
  async #trustsChecks(config: PortmapConfig): Promise<boolean> {
    if (this.#nat.family === 'ipv4') return true;
    for (const rule of sharedRules(config).rules) {
      if (rule.chain !== MASQ_CHAIN && rule.chain !== SETMARK_CHAIN) continue;
      if (!(await this.#list(rule.chain))?.some((line) => isRule(line, rule))) return false;
    }
    return true;
  }

  #missing(rule: Rule): CniError {
    return new CniError(
      cniErrorCode.internal,
      `${this.#nat.family} rule missing in table nat`,
      command('-A', rule),
    );
  }

  /**
   * Removes a chain and the jumps to it without reading all that jump elsewhere; a chain that is not there, which is the usual case
   * in the second family, starts no program. Undefined when it was not done.
   */
  async #removeByGlance(chain: string): Promise<InstalledMapping[] | undefined> {
    const there = this.#glance?.hasChain(chain);
    if (there !== true) return there === false ? [] : undefined;
    // What was removed is asked for its flows, which only UDP has; among thousands of rules, listing one chain takes longer than all the rest.
    const ports = this.#attachments.portsOf(chain) ?? [];
    const isWithoutUdp = ports.length > 0 && ports.every(({ protocol }) => protocol !== 'udp');
    const lines = isWithoutUdp ? [] : await this.#list(chain);
    if (lines === undefined) return [];
    return this.#glance!.removeChain(chain, DNAT_CHAIN) ? parseMappings(lines) : undefined;
  }

  async #removeSelected(
    select: (entries: InstalledEntry[]) => ReadonlySet<string>,
  ): Promise<InstalledMapping[]> {
    let last = '';
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const entries = parseEntries((await this.#list(DNAT_CHAIN)) ?? []);
      const chains = select(entries);
      const removed: InstalledMapping[] = [];
      const commands = await this.#removals(chains, entries, removed);
      if (commands.length === 0) return removed;
      const outcome = await this.#restore(commands);
      if (outcome.applied) return removed;
      last = outcome.reason;
    }
    throw new CniError(cniErrorCode.internal, `cannot remove port mappings (${this.#nat.family})`, last);
  }

  /** The commands that remove these chains and all jumps to them; collects what they translated. */
  async #removals(
    chains: ReadonlySet<string>,
    entries: readonly InstalledEntry[],
    removed: InstalledMapping[] = [],
  ): Promise<string[]> {
    const commands = entries.filter(({ chain }) => chains.has(chain)).map(({ line }) => deletion(line));
    const listed = await Promise.all(
      [...chains].map(async (chain) => [chain, await this.#list(chain)] as const),
    );
    for (const [chain, lines] of listed) {
      if (lines === undefined) continue;
      removed.push(...parseMappings(lines));
      commands.push(`-F ${chain}`, `-X ${chain}`);
    }
    return commands;
  }

  /** Commands that leave the shared rules in place and the attachment's chain empty, from what is there now. */
  async #prepare(
    config: PortmapConfig,
    chain: string,
    entries: readonly InstalledEntry[],
  ): Promise<string[]> {
    const { chains, rules, first } = sharedRules(config);
    const commands: string[] = [];
    const installed = new Map<string, string[] | undefined>();
    for (const name of new Set([...chains, ...rules.map((rule) => rule.chain), chain])) {
      installed.set(name, await this.#list(name));
    }
    for (const name of chains) if (installed.get(name) === undefined) commands.push(`-N ${name}`);
    for (const rule of rules) {
      const present = installed.get(rule.chain)?.some((line) => isRule(line, rule)) ?? false;
      commands.push(command(present ? '-C' : first.has(rule) ? '-I' : '-A', rule));
    }
    commands.push(...entries.filter((entry) => entry.chain === chain).map(({ line }) => deletion(line)));
    commands.push(installed.get(chain) === undefined ? `-N ${chain}` : `-F ${chain}`);
    return commands;
  }

  /** Which other attachments have one of the wanted ports: those whose sandbox is gone, and whether there is one that is unknown. */
  async #rivals(
    config: PortmapConfig,
    attached: Attached,
    pod: PodAddress,
    entries: readonly InstalledEntry[],
  ): Promise<{ gone: Set<string>; unknown: boolean }> {
    const gone = new Set<string>();
    let unknown = false;
    for (const rival of await this.#overlapping(config, chainOf(attached), pod, entries)) {
      const { chain, owner } = rival.entry;
      const state =
        owner === undefined
          ? 'unknown'
          : isSuperseded(owner, attached)
            ? 'gone'
            : this.#attachments.sandboxState(chain, owner);
      if (state === 'alive') {
        const { words } = conditionsOf(config, pod.ip.family);
        throw taken(this.#inWords(rival, attached), words, conditionsIn(rival.entry.line));
      }
      if (state === 'gone') gone.add(rival.entry.chain);
      else {
        unknown = true;
        this.#warn(
          `${this.#inWords(rival, attached)}: cannot determine whether its sandbox still exists; the new mapping is placed before it`,
        );
      }
    }
    return { gone, unknown };
  }

  async #overlapping(
    config: PortmapConfig,
    chain: string,
    pod: PodAddress,
    entries: readonly InstalledEntry[],
  ): Promise<Rival[]> {
    const wanted = mappingsOf(config, pod.ip.family);
    const ports = new Set(wanted.map(({ protocol, hostPort }) => `${protocol} ${hostPort}`));
    const own = conditionsOf(config, pod.ip.family);
    const rivals: Rival[] = [];
    const seen = new Set([chain]);
    for (const entry of entries) {
      const touches = entry.ports.some((port) => ports.has(`${entry.protocol} ${port}`));
      if (!touches || seen.has(entry.chain)) continue;
      seen.add(entry.chain);
      // No packet of ours is one of theirs: both may have the port.
      if (areDisjoint(own, { language: 'iptables', words: splitWords(entry.line) })) continue;
      const mapping = parseMappings((await this.#list(entry.chain)) ?? []).find((installed) =>
        wanted.some(
          ({ protocol, hostPort, hostIP }) =>
            protocol === installed.protocol &&
            hostPort === installed.hostPort &&
            addressesOverlap(hostIP, installed.hostIP),
        ),
      );
      if (mapping !== undefined) rivals.push({ entry, mapping });
    }
    return rivals;
  }

  #inWords({ entry, mapping }: Rival, attached: Attached): string {
    const { owner, chain } = entry;
    const who = owner === undefined ? `chain ${chain}` : inWords(owner, attached, this.#attachments);
    const where = mapping.hostIP === undefined ? '' : `${mapping.hostIP} `;
    return `${where}${mapping.protocol} ${mapping.hostPort} of ${who} at ${mapping.target}`;
  }

  async #list(chain: string): Promise<string[] | undefined> {
    return this.#nat.listChain(chain).catch(asCniError);
  }

  async #restore(commands: readonly string[]) {
    return this.#nat.restore(commands).catch(asCniError);
  }
}

/** Whether a rule leads into the chain of all attachments. */
function isJumpToOurs(rule: Rule): boolean {
  return rule.words.at(-1) === DNAT_CHAIN;
}

/** Whether a glance shows that nobody has one of the ports, and that nothing leads to the attachment's own chain. */
function isFree(glance: NatGlance, config: PortmapConfig, chain: string): boolean {
  const ports = new Set(config.portMappings.map(({ hostPort }) => hostPort));
  const jumps = glance.portJumps(DNAT_CHAIN, { ports, chain });
  return jumps?.every((jump) => jump.chain !== chain && !jump.ports.some((port) => ports.has(port))) ?? false;
}

interface Rival {
  entry: InstalledEntry;
  mapping: InstalledMapping;
}

/** Kubernetes' rule for host ports: the same address, or either of them every address. */
function addressesOverlap(a: string | undefined, b: string | undefined): boolean {
  const [first, second] = [a, b].map((text) => (text === undefined ? undefined : parseIp(text)));
  if (first === undefined || second === undefined || isUnspecified(first) || isUnspecified(second))
    return true;
  return formatIp(first) === formatIp(second);
}

function sameEntry(a: InstalledEntry, b: InstalledEntry): boolean {
  return a.chain === b.chain && a.protocol === b.protocol && a.ports.join() === b.ports.join();
}

function isRule(line: string, rule: Rule): boolean {
  const words = splitWords(line).slice(2);
  return words.length === rule.words.length && words.every((word, i) => word === rule.words[i]);
}

function asCniError(cause: unknown): never {
  if (cause instanceof IptablesUnavailable) {
    throw new CniError(cniErrorCode.pluginNotAvailable, 'iptables cannot be used', cause.message, { cause });
  }
  if (cause instanceof XtablesLockBusy) {
    throw new CniError(cniErrorCode.tryAgainLater, cause.message, '', { cause });
  }
  throw cause;
}

/** The conditions of an entry as it is printed: what is left without that which every entry has. */
function conditionsIn(line: string): string[] {
  const words = splitWords(line).slice(2);
  for (const option of ['-p', '--comment', '--dports', '-j']) {
    const at = words.indexOf(option);
    if (at < 0) continue;
    // Its match is named before it.
    const from = words[at - 2] === '-m' ? at - 2 : at;
    words.splice(from, at + 2 - from);
  }
  return words;
}

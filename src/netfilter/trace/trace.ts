import { type AddressValue, formatAddress, parseAddress } from '../../util/address.ts';
import { NAT_PRIORITY, reversedTies, type Slot, slotsAt } from '../read/hook-order.ts';
import {
  type BaseChain,
  type Chain,
  type Element,
  type Expression,
  type Hook,
  type Lookup,
  MAX_CHAIN_DEPTH,
  MAX_RULES,
  type Match,
  type NatTarget,
  type Rule,
  type Ruleset,
  type Statement,
  type Table,
  type Verdict,
} from '../read/model.ts';
import { rulesForPort } from '../read/port-index.ts';
import { Branch, type Ended, hasConnection, isTemplate, join } from './branch.ts';
import { ABSENT, evaluateMatch, lookUp } from './evaluate.ts';
import { summarise } from './outcomes.ts';
import { PacketValues } from './packet-values.ts';
import { push } from './shared-list.ts';
import type {
  Decision,
  Environment,
  Outcome,
  Packet,
  Route,
  RuleBudget,
  Trace,
  Translation,
  Unknown,
} from './trace-types.ts';

/** NF_IP_PRI_CONNTRACK: from here on a packet has a connection. */
const CONNTRACK_PRIORITY = -200;
/** Branches that are followed at a time. */
const MAX_BRANCHES = 256;
/** What a branch costs to be made and merged, in rules. */
const RULES_PER_BRANCH = 10;
/** Outcomes of a packet that are kept apart. Each has its own assumptions, so their number grows with the square of this. */
const MAX_ENDED = 1024;

/**
 * Follows the first packet of a connection, or an answer to it, through the rules, as the kernel would take it: every base chain of every table in
 * order of priority, one translation of each kind, the routing decisions in between. Where a condition is not modelled both
 * branches are followed, and what they agree on is known all the same. Throws when an address of the packet is not of its family.
 * `budget`: how many rules may still be looked at, for several packets together; the trace ends early when none are left.
 */
export function tracePacket(
  ruleset: Ruleset,
  packet: Packet,
  environment: Environment,
  budget?: RuleBudget,
): Trace {
  const tracer = new Tracer(ruleset, packet, environment, budget);
  return summarise(tracer.run());
}

/**
 * What the chains at the devices that a packet comes in by do to it, before all others: its way ends there where the verdict is `drop`, and what
 * comes afterwards is {@link tracePacket}'s. Undefined where they have none.
 */
export function traceAtDevices(
  { atDevices }: Ruleset,
  devices: readonly string[],
  packet: Packet,
  environment: Environment,
  budget?: RuleBudget,
): Trace | undefined {
  const tables = atDevices.flatMap((chain) =>
    chain.devices.some((device) => devices.includes(device)) ? [chain.table] : [],
  );
  if (tables.length === 0) return undefined;
  return tracePacket({ tables, atDevices: [], beyond: [] }, packet, environment, budget);
}

/** How branches leave a chain. */
interface Leaving {
  /** By its end or a return. */
  returned: Branch[];
  accepted: Branch[];
}

class Tracer {
  readonly #ruleset: Ruleset;
  readonly #packet: Packet;
  readonly #environment: Environment;
  readonly #values: PacketValues;
  readonly #ended: Ended[] = [];
  readonly #budget: RuleBudget;
  #looked = 0;
  // Where the packet is.
  #hook: Hook;
  #base: BaseChain | undefined;
  #ids: Map<object, number> | undefined;

  constructor(
    ruleset: Ruleset,
    packet: Packet,
    environment: Environment,
    budget: RuleBudget = { rules: Number.POSITIVE_INFINITY },
  ) {
    this.#budget = budget;
    this.#ruleset = ruleset;
    this.#packet = packet;
    this.#environment = environment;
    this.#values = new PacketValues(ruleset, packet, environment);
    if (packet.entry === 'prerouting' && packet.inputInterface === undefined) {
      throw new Error('packet: an incoming packet needs its input interface');
    }
    if (packet.answers !== undefined && (packet.entry !== 'prerouting' || packet.ctState !== 'established')) {
      throw new Error('packet: an answer comes in, of an established connection');
    }
    this.#hook = packet.entry;
  }

  run(): readonly Ended[] {
    const packet = this.#packet;
    const start = new Branch();
    start.source = this.#values.own.source;
    start.destination = this.#values.own.destination;
    start.sourcePort = packet.sourcePort;
    start.destinationPort = packet.destinationPort;
    start.mark = packet.mark ?? 0;
    if (packet.answers !== undefined) {
      start.connectionMark = packet.answers.mark;
      start.destinationChanged = packet.answers.translated.includes('dnat');
      start.sourceChanged = packet.answers.translated.includes('snat');
    }
    if (packet.entry === 'prerouting') {
      start.inputInterface = packet.inputInterface;
      this.#afterPrerouting(this.#passHook('prerouting', [start]));
    } else this.#output(start);
    return this.#ended;
  }

  #afterPrerouting(branches: Branch[]): void {
    const local: Branch[] = [];
    const forwarded: Branch[] = [];
    for (const branch of branches) {
      const route = this.#route(branch);
      if (route.kind === 'local') local.push(branch);
      else if (route.kind === 'forward') {
        branch.outputInterface = route.outputInterface;
        forwarded.push(branch);
      } else this.#endRoute(branch, route);
    }
    for (const branch of this.#passHook('input', local)) {
      branch.delivery = { kind: 'local' };
      this.#end(branch, 'accept');
    }
    for (const branch of this.#passHook('postrouting', this.#passHook('forward', forwarded))) {
      branch.delivery = { kind: 'forward', outputInterface: branch.outputInterface! };
      this.#end(branch, 'accept');
    }
  }

  #output(start: Branch): void {
    const route = this.#route(start);
    if (this.#packet.outputInterface !== undefined) start.nextInterface = this.#packet.outputInterface;
    else if (!this.#setOutput(start, route)) return;
    start.outputInterface = start.nextInterface;
    const leaving = this.#passHook('output', [start], (branch) => {
      // The packet is routed again when its destination or mark changed (ip_route_me_harder).
      return this.#setOutput(branch, this.#route(branch));
    });
    for (const branch of leaving) branch.outputInterface = branch.nextInterface;
    const local: Branch[] = [];
    for (const branch of this.#passHook('postrouting', leaving)) {
      if (branch.outputInterface === 'lo') local.push(branch);
      else {
        branch.delivery = { kind: 'forward', outputInterface: branch.outputInterface! };
        this.#end(branch, 'accept');
      }
    }
    // By way of lo it comes in again, with its connection. With any `nat` chain the kernel settles both ends on the way out, at hooks
    // that have no such chain as well (nf_nat_register_fn): no rule is asked again.
    for (const branch of local) {
      branch.destinationBound = true;
      branch.sourceBound = true;
      branch.inputInterface = 'lo';
      branch.outputInterface = undefined;
      branch.byLoopbackTo = branch.destination;
    }
    this.#afterPrerouting(this.#passHook('prerouting', local));
  }

  /** Whether the branch continues; it is ended otherwise. */
  #setOutput(branch: Branch, route: Route): boolean {
    if (route.kind === 'local') branch.nextInterface = 'lo';
    else if (route.kind === 'forward') branch.nextInterface = route.outputInterface;
    else {
      this.#endRoute(branch, route);
      return false;
    }
    return true;
  }

  #endRoute(branch: Branch, route: Route & { kind: 'unroutable' | 'unknown' }): void {
    if (route.kind === 'unknown') branch.assume({ kind: 'route', reason: route.reason }, true);
    this.#end(branch, route.kind);
  }

  #route(branch: Branch): Route {
    if (this.#isMartian(branch)) {
      return { kind: 'unroutable', reason: 'it came in, and its source is an address of the node itself' };
    }
    if (branch.redirected) return { kind: 'local' };
    if (branch.destination === undefined || branch.source === undefined) {
      return { kind: 'unknown', reason: 'the kernel chooses the address' };
    }
    return this.#environment.route({
      family: this.#packet.family,
      source: formatAddress(branch.source),
      destination: formatAddress(branch.destination),
      inputInterface: branch.inputInterface,
      mark: branch.mark,
    });
  }

  /**
   * Whether the kernel looks for the way of a packet that came in from an address of the node itself, which it does with none that is for where lo
   * brought it (ip_rcv_finish, fib_validate_source). IPv6 does not look at sources.
   */
  #isMartian({ byLoopbackTo, destination, source }: Branch): boolean {
    return (
      this.#packet.family === 'ip' &&
      byLoopbackTo !== undefined &&
      destination !== byLoopbackTo &&
      source !== undefined &&
      this.#values.isLocal(source)
    );
  }

  /** Takes branches through all chains of a hook; returns those that pass. */
  #passHook(hook: Hook, branches: Branch[], reroute?: (branch: Branch) => boolean): Branch[] {
    this.#hook = hook;
    let passing = branches;
    const entry = hook === 'prerouting' || hook === 'output';
    let tracked = !entry;
    let translated = this.#packet.answers === undefined;
    for (const slot of slotsAt(this.#ruleset, hook, this.#packet.family)) {
      if (passing.length === 0) return passing;
      if (!translated && slot.priority >= NAT_PRIORITY[hook]) {
        for (const branch of passing) this.#translateBack(branch);
        translated = true;
      }
      if (!tracked && slot.priority >= CONNTRACK_PRIORITY) {
        passing = this.#track(passing);
        tracked = true;
      }
      if (reroute === undefined) passing = this.#passSlot(slot, passing);
      else {
        const next: Branch[] = [];
        for (const branch of passing) {
          const { destination, mark } = branch;
          for (const after of this.#passSlot(slot, [branch])) {
            const remarked = after.mark !== mark && slot.chains.some((chain) => chain.base.type === 'route');
            if ((after.destination === destination && !after.redirected && !remarked) || reroute(after)) {
              next.push(after);
            }
          }
        }
        passing = next;
      }
    }
    if (!tracked) passing = this.#track(passing);
    if (!translated) for (const branch of passing) this.#translateBack(branch);
    return passing;
  }

  /**
   * What the kernel does at a hook's NAT priority with an answer, rules or not: each end that was translated gets the address that it had
   * before (nf_nat_packet). The destination where packets come in, the source where they leave or are delivered.
   */
  #translateBack(branch: Branch): void {
    const { answers } = this.#packet;
    if (answers === undefined || branch.tracking === 'untracked') return;
    if (this.#hook === 'prerouting' && branch.sourceChanged) {
      branch.destination = this.#values.original.source;
      branch.destinationPort = undefined;
    }
    if ((this.#hook === 'postrouting' || this.#hook === 'input') && branch.destinationChanged) {
      branch.source = this.#values.original.destination;
      branch.sourcePort = answers.destinationPort;
    }
  }

  #passSlot(slot: Slot, branches: Branch[]): Branch[] {
    if (!slot.uncertain) return this.#passChains(slot, slot.chains, branches);
    const unknown: Unknown = { kind: 'order', hook: this.#hook, chains: slot.chains };
    const other = branches.map((branch) => branch.fork().assume(unknown, false));
    for (const branch of branches) branch.assume(unknown, true);
    const before = this.#ended.length;
    const passed = [
      ...this.#passChains(slot, slot.chains, branches),
      ...this.#passChains(slot, reversedTies(slot.chains), other),
    ];
    this.#mergeEnded(before);
    return this.#merge(passed);
  }

  /**
   * Connection tracking. A connection that the packet belongs to is one of its zone: in another zone that rules chose, it may be none, or
   * another.
   */
  #track(branches: readonly Branch[]): Branch[] {
    const tracked: Branch[] = [];
    for (const branch of branches) {
      const { zone, tracking } = branch;
      if (tracking === 'not yet') branch.tracking = 'tracked';
      if (tracking !== 'not yet' || zone === undefined || !IN_A_CONNECTION.has(this.#packet.ctState ?? 'new'))
        tracked.push(branch);
      else this.#end(branch.assume({ kind: 'statement', ...zone }, true), 'unknown');
    }
    return tracked;
  }

  #passChains(slot: Slot, chains: readonly BaseChain[], branches: Branch[]): Branch[] {
    if (slot.kind === 'filter') {
      let passing = branches;
      for (const chain of chains) passing = this.#passBase(chain, passing);
      return passing;
    }
    const end = NAT_PRIORITY[this.#hook] < 0 ? 'destinationBound' : 'sourceBound';
    const done: Branch[] = [];
    let asking: Branch[] = [];
    for (const branch of branches) {
      // Rules of NAT see the first packet of a tracked connection only, and each end once.
      const first = branch.tracking === 'tracked' && (this.#packet.ctState ?? 'new') === 'new';
      (first && !branch[end] ? asking : done).push(branch);
    }
    for (const chain of chains) {
      if (asking.length === 0) break;
      const next: Branch[] = [];
      for (const branch of this.#passBase(chain, asking)) (branch[end] ? done : next).push(branch);
      asking = next;
    }
    for (const branch of asking) {
      // The null binding: from here on the end is settled as it is.
      branch[end] = true;
    }
    addAll(done, asking);
    return this.#merge(done);
  }

  /** Takes branches through a base chain; returns those that it accepts. */
  #passBase(chain: BaseChain, branches: Branch[]): Branch[] {
    if (branches.length === 0) return branches;
    if (chain.rules.length === 0 && chain.base.policy === 'accept') return branches;
    this.#base = chain;
    const table = this.#tableOf(chain);
    const { returned, accepted } = this.#walk(table, chain, branches, 0);
    if (chain.base.policy === 'accept') {
      addAll(accepted, returned);
      return this.#merge(accepted);
    }
    for (const branch of returned) this.#end(branch, 'drop', { kind: 'policy', chain });
    return this.#merge(accepted);
  }

  #walk(table: Table | undefined, chain: Chain, branches: Branch[], depth: number): Leaving {
    const leaving: Leaving = { returned: takeList(), accepted: takeList() };
    let current = branches;
    // Two lists by turns, in place of one a rule.
    let spare = takeList();
    for (const rule of rulesForPort(chain, commonPort(branches))) {
      if (current.length === 0) return leaving;
      const next = spare;
      next.length = 0;
      const reason = this.#tooMuch(current.length);
      if (reason !== undefined) {
        this.#giveUp(current, reason);
        return leaving;
      }
      for (const branch of current) this.#apply(table, rule, branch, depth, next, leaving, 0);
      spare = current === branches ? takeList() : current;
      current = next.length > 1 ? this.#merge(next) : next;
      if (current.length > MAX_BRANCHES) {
        this.#giveUp(current, `more than ${MAX_BRANCHES} branches`);
        return leaving;
      }
      leaving.accepted = this.#few(leaving.accepted);
      leaving.returned = this.#few(leaving.returned);
    }
    addAll(leaving.returned, current);
    if (current !== branches) giveBack(current);
    giveBack(spare);
    return leaving;
  }

  /** Why no more rules are looked at, so many more branches included; undefined when they are. */
  #tooMuch(branches: number): string | undefined {
    this.#looked += branches;
    this.#budget.rules -= branches;
    if (this.#looked > MAX_RULES) return `more than ${MAX_RULES} rules`;
    if (this.#ended.length > MAX_ENDED) return `more than ${MAX_ENDED} outcomes`;
    return this.#budget.rules < 0 ? 'too many rules to evaluate in the time available' : undefined;
  }

  /** Merges branches that do not differ; returns none when too many remain to be followed. */
  #few(branches: Branch[]): Branch[] {
    // Seldom enough that each is compared with others but a few times.
    if (branches.length <= 2 * MAX_BRANCHES) return branches;
    const merged = this.#merge(branches);
    if (merged.length <= MAX_BRANCHES) return merged;
    this.#giveUp(merged, `more than ${MAX_BRANCHES} branches`);
    return [];
  }

  /** Applies a rule from one of its expressions on; branches that continue with the next rule are added to `next`. */
  #apply(
    table: Table | undefined,
    rule: Rule,
    branch: Branch,
    depth: number,
    next: Branch[],
    leaving: Leaving,
    from: number,
  ): void {
    let stepped = from > 0 && branch.steps?.item.rule === rule;
    let lastActing: number | undefined;
    for (let i = from; i < rule.expressions.length; i++) {
      const expression = rule.expressions[i]!;
      if (expression.kind === 'match' || expression.kind === 'any-of' || expression.kind === 'opaque-match') {
        const truth = evaluateMatch(expression, this.#values.at(branch, this.#base!));
        if (truth === true) continue;
        if (truth === undefined) {
          const opaque = expression.kind === 'opaque-match';
          const unknown: Unknown = {
            kind: 'match',
            rule,
            text: opaque ? expression.text : `the packet's ${fieldsOf(expression)}`,
            random: opaque && expression.random === true,
          };
          // A condition without any effect does not count as unknown.
          lastActing ??= rule.expressions.findLastIndex((each) => !isIdle(each));
          if (lastActing < i) {
            next.push(branch);
            return;
          }
          next.push(branch.fork().assume(unknown, false));
          branch.assume(unknown, true);
          continue;
        }
        next.push(branch);
        return;
      }
      if (expression.kind === 'neutral') continue;
      // What looks something up is a step with what it finds, or none.
      if (!stepped && !LOOKS_UP.has(expression.kind)) {
        this.#step(branch, rule);
        stepped = true;
      }
      switch (expression.kind) {
        case 'verdict-map':
          for (const { elements, branch: found } of this.#lookUp(rule, [expression.lookup], branch)) {
            if (elements === undefined) next.push(found);
            else {
              this.#step(found, rule, elements[0]);
              const verdict = elements[0]!.verdict ?? { kind: 'continue' };
              this.#decide(table, rule, elements[0], verdict, found, depth, next, leaving);
            }
          }
          return;
        case 'dnat':
        case 'snat':
        case 'redirect':
        case 'masquerade':
          // A translation to the other family does nothing (nft_nat_inet_eval).
          if ('family' in expression && (expression.family ?? this.#packet.family) !== this.#packet.family)
            break;
          this.#translate(rule, expression, branch, next, leaving);
          return;
        case 'set-mark-from-map':
          for (const { elements, branch: found } of this.#lookUp(rule, [expression.lookup], branch)) {
            if (elements === undefined) next.push(found);
            else {
              this.#step(found, rule, elements[0]);
              this.#writeMark(found, expression.of, () => elements[0]!.value);
              this.#apply(table, rule, found, depth, next, leaving, i + 1);
            }
          }
          return;
        case 'set-mark':
          this.#writeMark(branch, expression.of, (mark) =>
            mark === undefined ? undefined : ((mark & ~expression.clear) ^ expression.flip) >>> 0,
          );
          break;
        case 'copy-mark':
          this.#copyMark(branch, expression.to, expression.mask);
          break;
        case 'opaque-mark':
          this.#writeMark(branch, expression.of, () => undefined);
          break;
        case 'notrack':
          // Too late for a packet that has its connection.
          if (branch.tracking === 'not yet' && branch.zone === undefined) {
            branch.tracking = 'untracked';
            branch.notrack = rule;
          }
          break;
        case 'set-zone':
          // The first one counts (nft_ct_set_zone_eval, xt_ct_target).
          if (branch.tracking === 'tracked' || branch.zone !== undefined) break;
          if (branch.tracking === 'untracked' && !expression.retracks) break;
          // What went through lo untracked begins a connection only now, whose ends are open.
          if (branch.tracking === 'untracked') {
            branch.destinationBound = false;
            branch.sourceBound = false;
          }
          branch.tracking = 'not yet';
          branch.notrack = undefined;
          branch.zone = { rule, text: expression.text };
          break;
        case 'tproxy':
        case 'opaque-statement': {
          const unknown: Unknown = { kind: 'statement', rule, text: expression.text };
          this.#end(branch.fork().assume(unknown, true), 'unknown');
          next.push(branch.assume(unknown, false));
          return;
        }
        default:
          this.#decide(table, rule, undefined, expression, branch, depth, next, leaving);
          return;
      }
    }
    next.push(branch);
  }

  #decide(
    table: Table | undefined,
    rule: Rule,
    element: Element | undefined,
    verdict: Verdict,
    branch: Branch,
    depth: number,
    next: Branch[],
    leaving: Leaving,
  ): void {
    switch (verdict.kind) {
      case 'accept':
        leaving.accepted.push(branch);
        return;
      case 'return':
        leaving.returned.push(branch);
        return;
      case 'continue':
        next.push(branch);
        return;
      case 'drop':
      case 'reject':
      case 'queue':
        this.#end(branch, verdict.kind, { kind: 'rule', rule, element });
        return;
      case 'jump':
      case 'goto': {
        const target = table?.chains.get(verdict.chain);
        if (target === undefined) {
          const text = `${verdict.kind} ${verdict.chain}: no such chain`;
          this.#end(branch.assume({ kind: 'statement', rule, text }, true), 'unknown');
          return;
        }
        if (depth >= MAX_CHAIN_DEPTH) {
          this.#giveUp([branch], `chains nested deeper than ${MAX_CHAIN_DEPTH}`);
          return;
        }
        const entering = takeList();
        entering.push(branch);
        const { accepted, returned } = this.#walk(table, target, entering, depth + 1);
        addAll(leaving.accepted, accepted);
        addAll(verdict.kind === 'jump' ? next : leaving.returned, returned);
        for (const list of [entering, accepted, returned]) giveBack(list);
      }
    }
  }

  #writeMark(
    branch: Branch,
    of: 'packet' | 'connection',
    change: (mark: number | undefined) => number | undefined,
  ): void {
    if (of === 'packet') branch.mark = change(branch.mark);
    else if (hasConnection(branch, this.#packet)) branch.connectionMark = change(branch.connectionMark);
  }

  #copyMark(branch: Branch, to: 'packet' | 'connection', mask: number): void {
    // Without a connection there is nothing to copy to or from.
    const ofTemplate = isTemplate(branch) && to === 'packet' && this.#base?.backend !== 'nft';
    if (!hasConnection(branch, this.#packet) && !ofTemplate) return;
    const ofConnection = ofTemplate ? this.#values.templateMark() : branch.connectionMark;
    const from = to === 'packet' ? ofConnection : branch.mark;
    this.#writeMark(branch, to, (mark) =>
      mark === undefined || from === undefined ? undefined : ((mark & ~mask) | (from & mask)) >>> 0,
    );
  }

  #translate(
    rule: Rule,
    { kind, to }: Statement & { kind: 'dnat' | 'snat' | 'redirect' | 'masquerade' },
    branch: Branch,
    next: Branch[],
    leaving: Leaving,
  ): void {
    if (to.address === undefined && to.port === undefined) {
      const reason = this.#tooMuch(0);
      if (reason !== undefined) {
        this.#giveUp([branch], reason);
        return;
      }
      this.#step(branch, rule);
      this.#bind(branch, kind, to.literal ?? {}, to.opaque !== undefined, rule, undefined);
      leaving.accepted.push(branch);
      return;
    }
    const lookups = [to.address, to.port].filter((lookup) => lookup !== undefined);
    for (const { elements, branch: found } of this.#lookUp(rule, lookups, branch)) {
      if (elements === undefined) {
        next.push(found);
        continue;
      }
      this.#step(found, rule, elements[0]);
      const target: NatTarget = Object.assign({}, to.literal, ...elements.map((element) => element.target));
      this.#bind(found, kind, target, to.opaque !== undefined, rule, elements[0]);
      leaving.accepted.push(found);
    }
  }

  #bind(
    branch: Branch,
    kind: Translation['kind'],
    target: NatTarget,
    opaque: boolean,
    rule: Rule,
    element: Element | undefined,
  ): void {
    const ofDestination = kind === 'dnat' || kind === 'redirect';
    const before = ofDestination ? branch.destination : branch.source;
    const portBefore = ofDestination ? branch.destinationPort : branch.sourcePort;
    let { address } = target;
    if (kind === 'redirect' || kind === 'masquerade') {
      const own = this.#ownAddress(kind, branch);
      address = own === undefined ? undefined : { from: own, to: own };
    }
    const chosen = address?.from === address?.to ? address?.from : undefined;
    const keeps = kind === 'dnat' || kind === 'snat' ? address === undefined && !opaque : false;
    const after = keeps ? before : chosen;
    const port = opaque ? undefined : chosenPort(target, portBefore);
    const translation: Translation = {
      kind,
      to: { ...(address && { address }), ...(target.port && { port: target.port }) },
      rule,
      element,
      hook: this.#hook,
    };
    const changed = after !== before || port !== portBefore;
    if (ofDestination) {
      branch.destination = after;
      branch.destinationPort = port;
      branch.redirected = kind === 'redirect';
      branch.translation = translation;
      branch.destinationChanged = changed;
      branch.destinationBound = true;
    } else {
      branch.source = after;
      branch.sourcePort = port;
      branch.sourceTranslation = translation;
      branch.sourceChanged = changed;
      branch.sourceBound = true;
    }
  }

  /** The address of the node that a redirect or masquerade writes; undefined when it is not known. */
  #ownAddress(kind: 'redirect' | 'masquerade', branch: Branch): AddressValue | undefined {
    const { family } = this.#packet;
    if (kind === 'redirect' && this.#hook === 'output') return family === 'ip' ? 0x7f000001 : 1n;
    if (kind === 'redirect' && family === 'ip' && branch.inputInterface === 'lo') return 0x7f000001;
    const { destination } = branch;
    // Of IPv6 the source is selected for the destination, and one of the node's own selects itself (RFC 6724, rule 1).
    if (kind === 'masquerade' && typeof destination === 'bigint' && this.#values.isLocal(destination))
      return destination;
    const name = kind === 'redirect' ? branch.inputInterface : branch.outputInterface;
    const text = name === undefined ? undefined : this.#environment.primaryAddress?.(name, family);
    const value = text === undefined ? undefined : parseAddress(text);
    return (typeof value === 'number') === (family === 'ip') ? value : undefined;
  }

  /**
   * The elements that lookups may find together, each combination with a branch that assumes it; `undefined` stands for one of them
   * finding none.
   */
  #lookUp(
    rule: Rule,
    lookups: readonly Lookup[],
    branch: Branch,
  ): { elements: Element[] | undefined; branch: Branch }[] {
    // One rule may look up again and again, each time for all branches that it has made.
    const reason = this.#tooMuch(0);
    if (reason !== undefined) {
      this.#giveUp([branch], reason);
      return [];
    }
    let results: { elements: Element[] | undefined; branch: Branch }[] = [{ elements: [], branch }];
    for (const lookup of lookups) {
      results = results.flatMap((result) => {
        const { elements, branch: current } = result;
        if (elements === undefined) return [result];
        return this.#lookUpOne(rule, lookup, current).map((found) => ({
          elements: found.element && [...elements, found.element],
          branch: found.branch,
        }));
      });
    }
    this.#looked += (results.length - 1) * RULES_PER_BRANCH;
    return results;
  }

  #lookUpOne(rule: Rule, lookup: Lookup, branch: Branch): { element: Element | undefined; branch: Branch }[] {
    let possible: (Element | undefined)[];
    if (lookup.key === undefined) possible = [...lookup.map.elements];
    else {
      const found = lookUp(lookup.key, lookup.map, this.#values.at(branch, this.#base!));
      if (found === ABSENT) return [{ element: undefined, branch }];
      if (found.certain !== undefined) return [{ element: found.certain, branch }];
      possible = [...found.possible];
    }
    if (lookup.map.opaque !== undefined) {
      // What was not understood of the map may be what is found, and do anything.
      const unread: Unknown = { kind: 'statement', rule, text: `${lookup.text}: ${lookup.map.opaque}` };
      this.#end(branch.fork().assume(unread, true), 'unknown');
      branch.assume(unread, false);
    }
    if (possible.length === 0) return [{ element: undefined, branch }];
    // A random key finds an element each time, as such maps are full.
    if (lookup.random !== true) possible.push(undefined);
    const unknown: Unknown = { kind: 'match', rule, text: lookup.text, random: lookup.random === true };
    if (possible.length > MAX_BRANCHES) {
      this.#giveUp([branch], `more than ${MAX_BRANCHES} possible elements`);
      return [];
    }
    return possible.map((element, i) => ({
      element,
      branch: (i === possible.length - 1 ? branch : branch.fork()).assume(unknown, element !== undefined),
    }));
  }

  #step(branch: Branch, rule: Rule, element?: Element): void {
    branch.steps = push(branch.steps, { hook: this.#hook, chain: this.#base!, rule, element });
  }

  #tableOf(chain: Chain): Table | undefined {
    return this.#ruleset.tables.find(
      (table) =>
        table.name === chain.table && table.family === chain.family && table.backend === chain.backend,
    );
  }

  #giveUp(branches: readonly Branch[], reason: string): void {
    for (const branch of branches) this.#end(branch.assume({ kind: 'bound', reason }, true), 'unknown');
  }

  #end(branch: Branch, verdict: Outcome['verdict'], decision?: Decision): void {
    this.#ended.push({ branch, verdict, decision });
  }

  /** One branch for those that nothing can tell apart any more; what they assumed differently makes no difference then. */
  #merge(branches: Branch[]): Branch[] {
    if (branches.length < 2) return branches;
    const merged = new Map<string, Branch>();
    for (const branch of branches) {
      const key = this.#signature(branch);
      const same = merged.get(key);
      if (same === undefined) merged.set(key, branch);
      else join(same, branch);
    }
    return merged.size === branches.length ? branches : [...merged.values()];
  }

  #mergeEnded(from: number): void {
    const merged = new Map<string, Ended>();
    for (const ended of this.#ended.splice(from)) {
      const { decision } = ended;
      const by =
        decision === undefined ? undefined : decision.kind === 'rule' ? decision.rule : decision.chain;
      const key = `${ended.verdict} ${this.#id(by)} ${this.#signature(ended.branch)}`;
      const same = merged.get(key);
      if (same === undefined) merged.set(key, ended);
      else join(same.branch, ended.branch);
    }
    addAll(this.#ended, [...merged.values()]);
  }

  #id(object: object | undefined): number {
    if (object === undefined) return 0;
    this.#ids ??= new Map();
    let id = this.#ids.get(object);
    if (id === undefined) {
      id = this.#ids.size + 1;
      this.#ids.set(object, id);
    }
    return id;
  }

  /** Equal for branches that nothing can tell apart from here on. */
  #signature(branch: Branch): string {
    const { translation, sourceTranslation } = branch;
    return [
      branch.source,
      branch.destination,
      branch.sourcePort,
      branch.destinationPort,
      branch.redirected,
      branch.byLoopbackTo,
      branch.mark,
      branch.connectionMark,
      branch.tracking,
      branch.inputInterface,
      branch.outputInterface,
      branch.nextInterface,
      this.#id(translation?.rule),
      this.#id(translation?.element),
      this.#id(sourceTranslation?.rule),
      this.#id(sourceTranslation?.element),
      this.#id(branch.notrack),
      this.#id(branch.zone?.rule),
      branch.destinationBound,
      branch.sourceBound,
    ].join(' ');
  }
}

const LOOKS_UP: ReadonlySet<Expression['kind']> = new Set([
  'verdict-map',
  'set-mark-from-map',
  'dnat',
  'snat',
  'redirect',
  'masquerade',
]);

/** States of a packet whose connection was there before it. */
const IN_A_CONNECTION: ReadonlySet<string> = new Set(['established', 'related']);

/** Lists that were used for a moment: a packet needs dozens, and a large cluster's doctor follows a hundred thousand packets. */
const lists: Branch[][] = [];
const MAX_LISTS = 64;
/** Longer ones are not kept. */
const MAX_LENGTH = 64;

function takeList(): Branch[] {
  return lists.pop() ?? [];
}

/** Nobody uses the list any more. */
function giveBack(list: Branch[]): void {
  if (lists.length === MAX_LISTS || list.length > MAX_LENGTH) return;
  list.length = 0;
  lists.push(list);
}

/** `push(...items)` takes what fits on the stack. */
function addAll<T>(list: T[], items: readonly T[]): void {
  for (let i = 0; i < items.length; i++) list.push(items[i]!);
}

/** The port after a translation; undefined when the kernel chooses it. One in the range is kept. */
function chosenPort(target: NatTarget, before: number | undefined): number | undefined {
  const { port } = target;
  if (port === undefined) return before;
  if (port.from === port.to) return port.from;
  return before !== undefined && before >= port.from && before <= port.to ? before : undefined;
}

/** Whether an expression leaves the packet as it is. */
function isIdle(expression: Expression): boolean {
  return (
    expression.kind === 'neutral' ||
    expression.kind === 'continue' ||
    expression.kind === 'match' ||
    expression.kind === 'any-of' ||
    expression.kind === 'opaque-match'
  );
}

function fieldsOf(match: Match): string {
  switch (match.kind) {
    case 'match':
      return match.key.map(({ field }) => field).join(' and ');
    case 'any-of':
      return match.matches.map(fieldsOf).join(' or ');
    case 'opaque-match':
      return match.text;
  }
}

/** The destination port that all branches have; undefined when they differ or it is not known. */
function commonPort(branches: readonly Branch[]): number | undefined {
  const port = branches[0]?.destinationPort;
  if (branches.length === 1) return port;
  return branches.every(({ destinationPort }) => destinationPort === port) ? port : undefined;
}

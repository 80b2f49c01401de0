import { type AddressValue, parseAddress } from '../../util/address.ts';
import type { NftFamily } from '../../util/family.ts';
import { ABSENT, addressType, evaluateMatch, type FieldReader, lookUp } from '../trace/evaluate.ts';
import type { RuleBudget } from '../trace/trace-types.ts';
import { slotsAt } from './hook-order.ts';
import {
  type Backend,
  type BaseChain,
  type Chain,
  type Element,
  type Expression,
  HOOKS,
  type Hook,
  type Lookup,
  MAX_CHAIN_DEPTH,
  MAX_RULES,
  type Match,
  type NatSource,
  type NatTarget,
  protocolNumber,
  type Rule,
  type Ruleset,
  type Table,
  type Verdict,
} from './model.ts';
import { rulesForPort } from './port-index.ts';

/** Translations of one destination that are listed. A Service has one for each of its endpoints. */
const MAX_CANDIDATES = 2000;

/** A rule, with the rules that lead to it from a base chain, outermost first. */
export interface Reached {
  base: BaseChain;
  rule: Rule;
  via: readonly Rule[];
}

/** Where the packets of interest go to; the rest of them (source, interface, mark) may be anything. */
export interface Destination {
  family: NftFamily;
  protocol: string | number;
  address: string;
  port: number;
  /** Whether the address is one of the node's own. */
  local: boolean;
}

/** A translation that takes packets to a destination. */
export interface TranslationCandidate extends Reached {
  kind: 'dnat' | 'redirect';
  hook: Hook;
  to: NatTarget;
  element?: Element;
  /** It takes only some packets: conditions on the source, interface or mark, or conditions that are not modelled, precede it. */
  conditional: boolean;
  /** Rules ahead of it by which some of the packets to the destination pass its base chain untranslated, in their order. */
  exemptions: readonly Reached[];
}

/** What a rule takes packets by: a comparison, or a lookup of the verdict. */
export type Condition = Match | Extract<Expression, { kind: 'verdict-map' }>;

/** The answer to {@link translationsFor}. */
export interface Translations {
  /** In the order in which the kernel reaches them. The first that is not conditional hides those after it. */
  candidates: TranslationCandidate[];
  /** Whether these are all: false when there were more rules than there is time for. */
  complete: boolean;
}

/**
 * All translations at one hook that packets to a destination reach, or would reach if an earlier one did not take them. A rule behind one
 * that ends processing for all of these packets is not included. For the packets of one client, with all that is known of it, see
 * {@link tracePacket}. `budget`: as there.
 */
export function translationsFor(
  ruleset: Ruleset,
  hook: 'prerouting' | 'output',
  destination: Destination,
  budget: RuleBudget = { rules: Number.POSITIVE_INFINITY },
): Translations {
  const protocol = protocolNumber(destination.protocol);
  const address = parseAddress(destination.address);
  if (protocol === undefined || address === undefined) {
    throw new Error(`${destination.protocol} ${destination.address} is not a protocol and an address`);
  }
  const read = readerFor(destination, protocol, address);
  const candidates: TranslationCandidate[] = [];
  let complete = true;
  for (const slot of slotsAt(ruleset, hook, destination.family)) {
    if (slot.kind !== 'nat') continue;
    const slotted: TranslationCandidate[] = [];
    for (const base of slot.chains) {
      const passed: Reached[] = [];
      const walk = new Walk(ruleset, base, read, destination.port, budget, (rule, via, conditional) => {
        if (passed.length < MAX_CANDIDATES && lets(rule, PASSING)) passed.push({ base, rule, via });
        for (const expression of rule.expressions) {
          if (expression.kind !== 'dnat' && expression.kind !== 'redirect') continue;
          if ('family' in expression && (expression.family ?? destination.family) !== destination.family)
            continue;
          const targets = targetsOf(expression.to, read);
          if (targets === undefined || candidates.length + slotted.length + targets.length > MAX_CANDIDATES)
            return false;
          const exemptions = passed.filter((ahead) => exempts(ahead, { base, rule, via }));
          for (const { to, element, certain } of targets) {
            slotted.push({
              kind: expression.kind,
              hook,
              base,
              rule,
              via,
              to,
              element,
              conditional: conditional || !certain,
              exemptions,
            });
          }
        }
        return true;
      });
      walk.run();
      if (walk.isStopped) return { candidates: [...candidates, ...slotted], complete: false };
      complete &&= walk.complete;
    }
    // No listing shows which of two tables with the same priority comes first, so no translation of theirs is certain.
    const isTied = slot.uncertain && new Set(slotted.map(({ base }) => base)).size > 1;
    for (const each of slotted) candidates.push(isTied ? { ...each, conditional: true } : each);
  }
  return { candidates, complete };
}

/** Whether packets that a rule takes never come to another behind it: it ends the base chain, or a chain that leads to the other. */
function exempts({ rule, via }: Reached, behind: Reached): boolean {
  if (lets(rule, ACCEPTING)) return true;
  const way = [...behind.via, behind.rule];
  return way[via.length]?.location.chain === rule.location.chain && via.every((each, i) => each === way[i]);
}

const ACCEPTING: ReadonlySet<Expression['kind']> = new Set(['accept']);
const PASSING: ReadonlySet<Expression['kind']> = new Set(['accept', 'return']);

function lets({ expressions }: Rule, verdicts: ReadonlySet<Expression['kind']>): boolean {
  return expressions.some(({ kind }) => verdicts.has(kind));
}

/**
 * The conditions of rules that one packet to a destination may meet and another may not: on its source, interface or mark, and all that is not
 * modelled. None: the rules take every connection to it that comes to them.
 */
export function openConditions(rules: readonly Rule[], destination: Destination): Condition[] {
  const protocol = protocolNumber(destination.protocol);
  const address = parseAddress(destination.address);
  if (protocol === undefined || address === undefined) return [];
  const read = readerFor(destination, protocol, address);
  return rules.flatMap(({ expressions }) =>
    expressions.filter((expression): expression is Condition => {
      if (expression.kind === 'verdict-map') return !found(expression.lookup, read).certain;
      return isMatch(expression) && evaluateMatch(expression, read) === undefined;
    }),
  );
}

/** Those of some rules that not every packet to a destination meets. */
export function choosyRules(rules: readonly Rule[], destination: Destination): Rule[] {
  const protocol = protocolNumber(destination.protocol);
  const address = parseAddress(destination.address);
  if (protocol === undefined || address === undefined) return [];
  const read = readerFor(destination, protocol, address);
  return rules.filter((rule) => certainty(rule, read) !== 'certain');
}

/** The first of some rules with a condition that a packet to a destination does not meet, by its source and the interface that it comes in by. */
export function refusing(
  rules: readonly Rule[],
  destination: Destination,
  { source, inputInterface = '' }: { source: string; inputInterface?: string | undefined },
): Rule | undefined {
  const protocol = protocolNumber(destination.protocol);
  const address = parseAddress(destination.address);
  const from = parseAddress(source);
  if (protocol === undefined || address === undefined || from === undefined) return undefined;
  const read = readerFor(destination, protocol, address);
  const readWhole: FieldReader = (field) => {
    if (field === 'source') return from;
    return field === 'input-interface' ? inputInterface : read(field);
  };
  return rules.find((rule) => certainty(rule, readWhole) === 'never');
}

/** What is at a hook, by who put it there. */
export interface HookUse {
  hook: Hook;
  type: 'nat' | 'filter';
  backend: Backend;
  /** Base chains with rules, or with a policy that drops. */
  chains: readonly BaseChain[];
}

/** Which backends do something at which hook. */
export function hookUses(ruleset: Ruleset, family: NftFamily): HookUse[] {
  const uses: HookUse[] = [];
  for (const hook of HOOKS) {
    for (const type of ['nat', 'filter'] as const) {
      const chains = slotsAt(ruleset, hook, family)
        .filter(({ kind }) => kind === type)
        .flatMap((slot) => slot.chains)
        .filter(({ rules, base }) => rules.length > 0 || base.policy === 'drop');
      for (const backend of new Set(chains.map((chain) => chain.backend))) {
        uses.push({ hook, type, backend, chains: chains.filter((chain) => chain.backend === backend) });
      }
    }
  }
  return uses;
}

type Certainty = 'certain' | 'conditional' | 'never';

/** How many of the packets that reach a chain. */
type Share = 'none' | 'some' | 'all';

/** Is shown a rule, with those that lead to it; whether it is also to see those behind it. */
type Visit = (rule: Rule, via: readonly Rule[], conditional: boolean) => boolean;

/** A walk through a base chain and the chains it leads to. */
class Walk {
  readonly #table: Table | undefined;
  readonly #base: BaseChain;
  readonly #read: FieldReader;
  readonly #port: number;
  readonly #budget: RuleBudget;
  readonly #visit: Visit;
  #looked = 0;
  /** Whether all rules were looked at that there were to look at. */
  complete = true;
  /** Whether the visitor wanted to see no more. */
  isStopped = false;

  /** `port`: only rules that packets to it may match are of interest. */
  constructor(
    ruleset: Ruleset,
    base: BaseChain,
    read: FieldReader,
    port: number,
    budget: RuleBudget,
    visit: Visit,
  ) {
    this.#table = ruleset.tables.find(
      ({ name, family, backend }) =>
        name === base.table && family === base.family && backend === base.backend,
    );
    this.#base = base;
    this.#read = read;
    this.#port = port;
    this.#budget = budget;
    this.#visit = visit;
  }

  run(): void {
    this.#walk(this.#base, [], false);
  }

  /** Shows the rules of a chain and of those that it leads to; returns which of the packets that came in are done with the base chain. */
  #walk(chain: Chain, via: readonly Rule[], conditional: boolean): Share {
    let done: Share = 'none';
    // Some may have gone back to the caller, or be done, by a rule with conditions: what follows is for the others.
    let returned = false;
    for (const rule of rulesForPort(chain, this.#port)) {
      if (++this.#looked > MAX_RULES || --this.#budget.rules < 0) {
        this.complete = false;
        return 'some';
      }
      const certain = certainty(rule, this.#read);
      if (certain === 'never') continue;
      const some = conditional || returned || done === 'some' || certain === 'conditional';
      if (!this.#visit(rule, via, some)) {
        this.isStopped = true;
        return 'some';
      }
      // Packets that a translation does not take, by conditions in its own lookup, continue; the others never reach what follows.
      if (rule.expressions.some(({ kind }) => kind === 'dnat' || kind === 'redirect')) continue;
      for (const { verdict, certain: isSure } of this.#verdictsOf(rule)) {
        const sure = certain === 'certain' && isSure;
        if (verdict === undefined) {
          done = 'some';
          continue;
        }
        if (verdict.kind === 'continue') continue;
        if (verdict.kind === 'return') {
          if (sure) return done;
          returned = true;
          continue;
        }
        if (verdict.kind !== 'jump' && verdict.kind !== 'goto') {
          if (sure) return returned ? 'some' : 'all';
          done = 'some';
          continue;
        }
        const target = this.#table?.chains.get(verdict.chain);
        // A chain that leads to itself is entered once: the kernel has none such, a document may.
        if (target === undefined || via.some(({ location }) => location.chain === verdict.chain)) continue;
        if (via.length >= MAX_CHAIN_DEPTH) {
          this.complete = false;
          return 'some';
        }
        const inside = this.#walk(target, [...via, rule], some || !isSure);
        if (this.isStopped) return 'some';
        if (inside === 'all' && sure) return returned ? 'some' : 'all';
        if (inside !== 'none') done = 'some';
        // What comes back from there goes to where this chain was called from.
        if (verdict.kind === 'goto') {
          if (sure) return done;
          returned = true;
        }
      }
    }
    return done;
  }

  /** The verdicts of a rule, with whether all packets that match it get them; undefined for a statement that may be any. */
  #verdictsOf({ expressions }: Rule): { verdict: Verdict | undefined; certain: boolean }[] {
    const verdicts: { verdict: Verdict | undefined; certain: boolean }[] = [];
    for (const expression of expressions) {
      switch (expression.kind) {
        case 'accept':
        case 'drop':
        case 'return':
        case 'continue':
        case 'queue':
        case 'reject':
        case 'jump':
        case 'goto':
          verdicts.push({ verdict: expression, certain: true });
          break;
        case 'verdict-map': {
          const { elements, certain } = found(expression.lookup, this.#read);
          for (const { verdict } of elements) if (verdict !== undefined) verdicts.push({ verdict, certain });
          break;
        }
        case 'opaque-statement':
          verdicts.push({ verdict: undefined, certain: false });
      }
    }
    return verdicts;
  }
}

function readerFor(destination: Destination, protocol: number, address: AddressValue): FieldReader {
  return (field) => {
    switch (field) {
      case 'family':
        return destination.family;
      case 'protocol':
        return protocol;
      case 'destination':
      case 'ct-original-destination':
        return address;
      case 'destination-port':
      case 'ct-original-destination-port':
        return destination.port;
      case 'destination-type':
        return addressType(address, destination.local);
      case 'ct-state':
        return 'new';
      default:
        return undefined;
    }
  };
}

function certainty(rule: Rule, read: FieldReader): Certainty {
  let result: Certainty = 'certain';
  for (const expression of rule.expressions) {
    if (!isMatch(expression)) continue;
    const truth = evaluateMatch(expression, read);
    if (truth === false) return 'never';
    if (truth === undefined) result = 'conditional';
  }
  return result;
}

function isMatch(expression: Expression): expression is Match {
  return expression.kind === 'match' || expression.kind === 'any-of' || expression.kind === 'opaque-match';
}

/** What a translation may write; undefined when that is more than can be listed. */
function targetsOf(
  to: NatSource,
  read: FieldReader,
): { to: NatTarget; element: Element | undefined; certain: boolean }[] | undefined {
  let results: { to: NatTarget; element: Element | undefined; certain: boolean }[] = [
    { to: { ...to.literal }, element: undefined, certain: to.opaque === undefined },
  ];
  for (const lookup of [to.address, to.port]) {
    if (lookup === undefined) continue;
    const { elements, certain } = found(lookup, read);
    if (results.length * elements.length > MAX_CANDIDATES) return undefined;
    results = results.flatMap((result) =>
      elements.map((element) => ({
        to: { ...result.to, ...element.target },
        element: result.element ?? element,
        certain: result.certain && certain,
      })),
    );
  }
  return results;
}

function found(lookup: Lookup, read: FieldReader): { elements: readonly Element[]; certain: boolean } {
  if (lookup.key === undefined) return { elements: lookup.map.elements, certain: false };
  const result = lookUp(lookup.key, lookup.map, read);
  if (result === ABSENT) return { elements: [], certain: true };
  if (result.certain !== undefined) return { elements: [result.certain], certain: true };
  return { elements: result.possible, certain: false };
}

import type { NftFamily } from '../../util/family.ts';
import { ABSENT, evaluateMatch, type FieldReader, lookUp } from '../trace/evaluate.ts';
import { NAT_PRIORITY, type Slot, slotsAt } from './hook-order.ts';
import {
  type BaseChain,
  type Chain,
  type ElementSet,
  type Expression,
  type FieldMatch,
  HOOKS,
  type Hook,
  type Lookup,
  type Match,
  type Operand,
  type Rule,
  type Ruleset,
  type Table,
} from './model.ts';

/**
 * A port mapper sets a bit of the packet mark on what it translates (PREROUTING and OUTPUT of nat), and masquerades what carries the bit
 * (POSTROUTING of nat). This finds the rules of other programs that interfere in between.
 */
export interface MarkClash {
  rule: Rule;
  /**
   * - `sets`: on packets of others, before they pass the masquerading, so that they are masqueraded, too;
   * - `clears`: on the mapper's packets, before they are masqueraded, so that they are not;
   * - `acts`: decides about the mapper's packets by the bit.
   */
  does: 'sets' | 'clears' | 'acts';
  /** The rules that save the bit in the connection mark, where the bit reaches the rule through them. */
  through: readonly Rule[];
}

/** Where a rule is on the path of the mapper's packets. */
type Phase =
  /** They have no bit yet. */
  | 'before'
  /** They carry it, and are not masqueraded yet. */
  | 'marked'
  /** They carry it, and are masqueraded. */
  | 'masqueraded'
  /** The packets do not reach it, or nothing depends on the mark any more. */
  | 'elsewhere';

interface PlacedRule {
  rule: Rule;
  table: Table;
  phase: Phase;
  priority: number;
  /** In a NAT chain, which sees only the first packet of a connection. */
  isNat: boolean;
}

/** NF_IP_PRI_CONNTRACK: rules before it have no connection to copy a mark from or to. */
const CONNTRACK_PRIORITY = -200;
const WHOLE = 0xffffffff;

type MarkField = 'mark' | 'ct-mark';

/**
 * The rules of other programs that share a bit of the packet mark with a port mapper; `isOwn` recognises the mapper's own rules. `devices`: by which the
 * packets come in that the mapper marks, besides those of the node itself; undefined when it may be any.
 */
export function markClashes(
  ruleset: Ruleset,
  family: NftFamily,
  bit: number,
  isOwn: (rule: Rule) => boolean,
  devices?: readonly string[],
): MarkClash[] {
  const m = bitValue(bit);
  const isOthers = (rule: Rule) => isAboutMarks(rule) && !isOwn(rule);
  // Many nodes have no such rule, and to find the places of all takes longest.
  if (!hasRule(tablesOf(ruleset, family), isOthers)) return [];
  const placed = placedRules(ruleset, family, isOwn).filter(({ rule }) => isOthers(rule));
  const having = (test: (expression: Expression) => boolean, packet: () => Packet) =>
    placed.filter(({ rule: { expressions } }) =>
      expressions.some((expression, i) => test(expression) && mayReach(expressions.slice(0, i), packet())),
    );
  const ours = (): Packet => ({
    ...{ family, m, bit: true, states: OURS },
    ...(devices !== undefined && { inputs: [OF_THE_NODE, ...devices] }),
  });
  const others = (): Packet => ({ family, m, bit: false, states: FIRST });
  const any = (): Packet => ({ family, m, states: ANY_STATE });

  const restoring = having((each) => restores(each, m), any).filter(hasConnection);
  const saving = having((each) => saves(each, m), ours).filter(carries);
  const ofConnection = having((each) => setsConnection(each, m), others).filter(hasConnection);

  const clashes = new Map<Rule, MarkClash>();
  const add = (
    rules: readonly PlacedRule[],
    does: MarkClash['does'],
    through: readonly PlacedRule[] = [],
  ) => {
    for (const { rule } of rules) {
      if (!clashes.has(rule)) clashes.set(rule, { rule, does, through: through.map((at) => at.rule) });
    }
  };
  const precedesMasquerade = ({ phase }: PlacedRule) => phase === 'before' || phase === 'marked';
  add(having((each) => sets(each, m), others).filter(precedesMasquerade), 'sets');
  if (ofConnection.length > 0) add(restoring.filter(precedesMasquerade), 'sets', ofConnection);
  const clearing = having((each) => clears(each, m), ours);
  add(
    clearing.filter(({ phase }) => phase === 'marked'),
    'clears',
  );
  const acting = (rules: readonly PlacedRule[], field: MarkField, packet: Packet) =>
    rules.filter((at) => actsOn(field, at, packet));
  add(acting(placed.filter(carries), 'mark', ours()), 'acts');
  if (saving.length > 0) {
    // Through the connection mark, later packets have the bit wherever a mark is restored, in both directions.
    const later = placed.filter((at) => hasConnection(at) && !at.isNat);
    if (restoring.length > 0) add(acting(later, 'mark', any()), 'acts', [saving[0]!, restoring[0]!]);
    add(acting(later, 'ct-mark', any()), 'acts', [saving[0]!]);
  }
  return placed.flatMap(({ rule }) => {
    const clash = clashes.get(rule);
    clashes.delete(rule);
    return clash ?? [];
  });
}

/** Whether setting a bit changes the result of a comparison with a value under a mask, for the possible values of the other bits. */
export function comparesBit({ value, mask }: { value: number; mask: number }, bit: number): boolean {
  const m = bitValue(bit);
  const holds = (mark: number) => ((mark ^ value) & mask) === 0;
  return otherBits([value], isWhole(mask), m).some((rest) => holds(rest | m) !== holds(rest));
}

/**
 * The bits to which a comparison or a change under a mask gives a meaning. A mask of more than half of the mark means the whole mark: then
 * these are the bits of the value.
 */
export function markField({ value, mask }: { value: number; mask: number }): number {
  return bitsIn(mask) <= 16 ? mask : value;
}

/** The bits of the packet mark and the connection mark to which rules of other programs give a meaning, in any chain. */
export function markFields(ruleset: Ruleset, family: NftFamily, isOwn: (rule: Rule) => boolean): number {
  let fields = 0;
  for (const table of tablesOf(ruleset, family)) {
    for (const { rules } of table.chains.values()) {
      for (const rule of rules) {
        if (isOwn(rule)) continue;
        for (const expression of rule.expressions) fields |= fieldIn(expression);
      }
    }
  }
  return fields >>> 0;
}

function fieldIn(expression: Expression): number {
  switch (expression.kind) {
    case 'match':
      return fieldCompared(expression.key, expression.set);
    case 'verdict-map':
      return fieldCompared(expression.lookup.key ?? [], expression.lookup.map);
    case 'set-mark':
      return markField({ value: expression.flip, mask: expression.clear | expression.flip });
    case 'set-mark-from-map':
      return expression.lookup.map.elements.reduce((bits, { value }) => bits | (value ?? 0), 0);
    case 'copy-mark':
      return markField({ value: 0, mask: expression.mask });
    case 'tproxy': {
      const [, value, mask] = /--tproxy-mark (\w+)(?:\/(\w+))?/.exec(expression.text) ?? [];
      return value === undefined ? 0 : markField({ value: Number(value), mask: Number(mask ?? WHOLE) });
    }
    default:
      return 0;
  }
}

function fieldCompared(key: readonly Operand[], set: ElementSet): number {
  return (['mark', 'ct-mark'] as const).reduce((bits, field) => {
    const operand = key.find((each) => each.field === field);
    if (operand === undefined) return bits;
    const value = valuesIn(key, set, field).reduce((all, each) => all | each, 0);
    return bits | markField({ value, mask: operand.mask ?? WHOLE });
  }, 0);
}

/** Every rule that packets may reach, each chain once from each base chain and phase. */
function placedRules(ruleset: Ruleset, family: NftFamily, isOwn: (rule: Rule) => boolean): PlacedRule[] {
  const placed: PlacedRule[] = [];
  for (const hook of HOOKS) {
    for (const slot of slotsAt(ruleset, hook, family)) {
      const { priority } = slot;
      const isNat = slot.kind === 'nat';
      const phases = isNat && hook === 'postrouting' ? natPhases(ruleset, slot, isOwn) : undefined;
      for (const base of slot.chains) {
        const table = tableOf(ruleset, base);
        for (const rule of rulesFrom(base, table)) {
          const phase = phases === undefined ? phaseOf(hook, slot) : phases(base, rule);
          placed.push({ rule, table, phase, priority, isNat });
        }
      }
    }
  }
  return placed;
}

function phaseOf(hook: Hook, { kind, priority }: Slot): Phase {
  switch (hook) {
    case 'input':
      return 'elsewhere';
    case 'forward':
      return 'marked';
    case 'postrouting':
      // Of chains at one priority, either may come first.
      return priority <= NAT_PRIORITY.postrouting ? 'marked' : 'masqueraded';
    default:
      return kind === 'nat' || priority < NAT_PRIORITY[hook] ? 'before' : 'marked';
  }
}

/**
 * The phases of the rules that translate sources: packets that the mapper masquerades reach no such rule after its own. It puts its rules first in
 * the chain of iptables, so when they are missing only chains with a lower priority precede their place.
 */
function natPhases(
  ruleset: Ruleset,
  slot: Slot,
  isOwn: (rule: Rule) => boolean,
): (base: BaseChain, rule: Rule) => Phase {
  const isMasquerade = (rule: Rule) =>
    isOwn(rule) && rule.expressions.some(({ kind }) => kind === 'masquerade');
  const own = slot.chains.find((base) => rulesFrom(base, tableOf(ruleset, base)).some(isMasquerade));
  const priority = own?.base.priority ?? NAT_PRIORITY.postrouting;
  let passed = false;
  return (base, rule) => {
    if (base === own) {
      passed ||= isMasquerade(rule);
      return passed ? 'elsewhere' : 'marked';
    }
    const mayPrecede = own === undefined ? base.base.priority < priority : base.base.priority <= priority;
    return mayPrecede ? 'marked' : 'elsewhere';
  };
}

/** The rules of a base chain and of those that it leads to, in order, each chain once. */
function rulesFrom(base: BaseChain, table: Table): Rule[] {
  const rules: Rule[] = [];
  const entered = new Set<Chain>([base]);
  const stack = [base.rules.values()];
  for (let walk = stack.at(-1); walk !== undefined; walk = stack.at(-1)) {
    const { done, value: rule } = walk.next();
    if (done) {
      stack.pop();
      continue;
    }
    rules.push(rule);
    for (const name of chainsIn(rule.expressions)) {
      const target = table.chains.get(name);
      if (target === undefined || entered.has(target)) continue;
      entered.add(target);
      stack.push(target.rules.values());
    }
  }
  return rules;
}

function chainsIn(expressions: readonly Expression[]): string[] {
  return expressions.flatMap((expression) => {
    if (expression.kind === 'jump' || expression.kind === 'goto') return [expression.chain];
    if (expression.kind !== 'verdict-map') return [];
    return expression.lookup.map.elements.flatMap(({ verdict }) =>
      verdict?.kind === 'jump' || verdict?.kind === 'goto' ? [verdict.chain] : [],
    );
  });
}

function carries({ phase }: PlacedRule): boolean {
  return phase === 'marked' || phase === 'masqueraded';
}

function hasConnection({ priority }: PlacedRule): boolean {
  return priority >= CONNTRACK_PRIORITY;
}

/** What is known of a packet that reaches a rule. */
interface Packet {
  family: NftFamily;
  m: number;
  /** Whether it carries the bit; undefined: it may or may not. */
  bit?: boolean;
  /** The states that its connection may be in, each with all that holds at once; undefined: any. */
  states: readonly (readonly string[] | undefined)[];
  /** The devices by one of which it came in; undefined: any. */
  inputs?: readonly string[];
}

/** No device: a packet of the node itself. */
const OF_THE_NODE = '';

/** The packets that NAT sees are the first ones of their connections. */
const OURS = [['new', 'dnat']];
const FIRST = [['new'], ['new', 'dnat'], ['related']];
const ANY_STATE = [undefined];

/** Whether all of some conditions may hold for a packet. */
function mayReach(expressions: readonly Expression[], packet: Packet): boolean {
  const inputs: readonly (string | undefined)[] = packet.inputs ?? [undefined];
  return packet.states.some((state) =>
    inputs.some((input) =>
      expressions.every((expression) => {
        if (!isMatch(expression)) return true;
        const marks = marksOf(expression, packet);
        return marks.some(
          (mark) => evaluateMatch(expression, reader(packet, state, { mark }, input)) !== false,
        );
      }),
    ),
  );
}

/** Marks that a packet may have: some for which a condition on the rest of the mark holds, and some for which it does not. */
function marksOf(match: Match, { m, bit }: Packet): (number | undefined)[] {
  if (match.kind !== 'match' || bit === undefined) return [undefined];
  const values = valuesIn(match.key, match.set, 'mark');
  return [0, WHOLE, ...values].map((mark) => (bit ? mark | m : mark & ~m) >>> 0);
}

function reader(
  { family }: Packet,
  state: readonly string[] | undefined,
  marks: { [field in MarkField]?: number | undefined },
  input?: string,
): FieldReader {
  return (field) => {
    switch (field) {
      case 'family':
        return family;
      case 'mark':
      case 'ct-mark':
        return marks[field];
      case 'ct-state':
        return state;
      case 'input-interface':
        return input;
      default:
        return undefined;
    }
  };
}

/** Whether a rule decides by the bit: it compares it, and then does something. */
function actsOn(field: MarkField, { rule, table }: PlacedRule, packet: Packet): boolean {
  return rule.expressions.some((expression, i) => {
    const rest = rule.expressions.slice(i + 1);
    if (expression.kind === 'match') {
      const others = [...rule.expressions.slice(0, i), ...rest];
      return (
        dependsOnBit(field, expression, packet) &&
        mayReach(others, { ...packet, bit: undefined }) &&
        rest.some((each) => hasEffect(each, table))
      );
    }
    return (
      lookupsOf(expression).some((lookup) => findsByBit(field, lookup, packet)) &&
      mayReach(rule.expressions.slice(0, i), { ...packet, bit: undefined }) &&
      hasEffect(expression, table)
    );
  });
}

function dependsOnBit(field: MarkField, match: FieldMatch, packet: Packet): boolean {
  const holds = (mark: number) => evaluateMatch(match, reader(packet, undefined, { [field]: mark >>> 0 }));
  return restsOf(field, match.key, match.set, packet.m).some(
    (rest) => holds(rest | packet.m) !== holds(rest),
  );
}

function findsByBit(field: MarkField, { key, map }: Lookup, packet: Packet): boolean {
  if (key === undefined) return false;
  const find = (mark: number) => {
    const found = lookUp(key, map, reader(packet, undefined, { [field]: mark >>> 0 }));
    return found === ABSENT ? [] : [...found.possible, found.certain];
  };
  return restsOf(field, key, map, packet.m).some((rest) => {
    const [set, unset] = [find(rest | packet.m), find(rest)];
    return set.length !== unset.length || set.some((element, i) => element !== unset[i]);
  });
}

/** The other bits that a mark may have, when the question is whether a bit changes the result of a lookup. */
function restsOf(field: MarkField, key: readonly Operand[], set: ElementSet, m: number): number[] {
  const at = key.findIndex((operand) => operand.field === field);
  if (at < 0) return [];
  const isZeroTest = set.elements.every(({ key: patterns }) => {
    const pattern = patterns[at];
    if (pattern?.kind !== 'range') return true;
    return pattern.from === 1 && pattern.to === WHOLE;
  });
  return otherBits(valuesIn(key, set, field), isWhole(key[at]!.mask) && isZeroTest, m);
}

/**
 * The other bits of a mark for which a comparison with some values may depend on a bit: those that a value has beside the bit; and none, as in most
 * packets. In a comparison with the whole mark, the case of none only asks whether there is a mark at all, which no choice of a bit
 * changes. Marks that another program gives to its own packets are left out: the mapper's packets do not have them.
 */
function otherBits(values: readonly number[], isOfWholeMark: boolean, m: number): number[] {
  return [...(isOfWholeMark ? [] : [0]), ...values.flatMap((value) => (value & m ? (value & ~m) >>> 0 : []))];
}

/** The numbers that a set or map compares a mark with. */
function valuesIn(key: readonly Operand[], { elements }: ElementSet, field: MarkField): number[] {
  const at = key.findIndex((operand) => operand.field === field);
  if (at < 0) return [];
  return elements.flatMap((element) => {
    const pattern = element.key[at];
    const ends =
      pattern?.kind === 'exact'
        ? [pattern.value]
        : pattern?.kind === 'range'
          ? [pattern.from, pattern.to]
          : [];
    return ends.filter((end) => typeof end === 'number');
  });
}

/** Whether a statement affects a packet, or leads to one that does. */
function hasEffect(expression: Expression, table: Table): boolean {
  const entered = new Set<string>();
  const waiting = [expression];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (changesPacket(next)) return true;
    for (const name of chainsIn([next])) {
      if (entered.has(name)) continue;
      entered.add(name);
      const rules = table.chains.get(name)?.rules ?? [];
      // To return from a chain that was entered is the same as not entering it.
      for (const { expressions } of rules)
        waiting.push(...expressions.filter(({ kind }) => kind !== 'return'));
    }
  }
  return false;
}

function changesPacket(expression: Expression): boolean {
  switch (expression.kind) {
    case 'match':
    case 'any-of':
    case 'opaque-match':
    case 'continue':
    case 'neutral':
    // For packets that have a connection it does nothing.
    case 'notrack':
    case 'set-zone':
    case 'jump':
    case 'goto':
      return false;
    case 'verdict-map':
      return expression.lookup.map.elements.some(
        ({ verdict }) => verdict !== undefined && !['jump', 'goto', 'continue'].includes(verdict.kind),
      );
    case 'set-mark':
      return expression.clear !== 0 || expression.flip !== 0;
    default:
      return true;
  }
}

function readsMark(key: readonly Operand[] = []): boolean {
  return key.some(({ field }) => field === 'mark' || field === 'ct-mark');
}

function isAboutMarks({ expressions }: Rule): boolean {
  return expressions.some((expression) => {
    switch (expression.kind) {
      case 'match':
        return readsMark(expression.key);
      case 'set-mark':
      case 'set-mark-from-map':
      case 'copy-mark':
      case 'opaque-mark':
        return true;
      default:
        return lookupsOf(expression).some(({ key }) => readsMark(key));
    }
  });
}

function sets(expression: Expression, m: number): boolean {
  if (expression.kind === 'set-mark') return expression.of === 'packet' && (expression.flip & m) !== 0;
  return (
    expression.kind === 'set-mark-from-map' && expression.of === 'packet' && givesBit(expression.lookup, m)
  );
}

function setsConnection(expression: Expression, m: number): boolean {
  if (expression.kind === 'set-mark') return expression.of === 'connection' && (expression.flip & m) !== 0;
  return (
    expression.kind === 'set-mark-from-map' &&
    expression.of === 'connection' &&
    givesBit(expression.lookup, m)
  );
}

function givesBit({ map }: Lookup, m: number): boolean {
  return map.elements.some(({ value = 0 }) => (value & m) !== 0);
}

/** Whether a packet may lose the bit. The mark of a new connection is 0, and a change that is not modelled writes the whole mark. */
function clears(expression: Expression, m: number): boolean {
  switch (expression.kind) {
    case 'set-mark':
      return expression.of === 'packet' && (((m & ~expression.clear) ^ expression.flip) & m) === 0;
    case 'set-mark-from-map':
      return (
        expression.of === 'packet' &&
        expression.lookup.map.elements.some(({ value = 0 }) => (value & m) === 0)
      );
    case 'opaque-mark':
      return expression.of === 'packet';
    default:
      return restores(expression, m);
  }
}

function restores(expression: Expression, m: number): boolean {
  return expression.kind === 'copy-mark' && expression.to === 'packet' && (expression.mask & m) !== 0;
}

function saves(expression: Expression, m: number): boolean {
  return expression.kind === 'copy-mark' && expression.to === 'connection' && (expression.mask & m) !== 0;
}

function lookupsOf(expression: Expression): Lookup[] {
  switch (expression.kind) {
    case 'verdict-map':
    case 'set-mark-from-map':
      return [expression.lookup];
    case 'dnat':
    case 'snat':
    case 'redirect':
    case 'masquerade':
      return [expression.to.address, expression.to.port].filter((lookup) => lookup !== undefined);
    default:
      return [];
  }
}

function isMatch(expression: Expression): expression is Match {
  return expression.kind === 'match' || expression.kind === 'any-of' || expression.kind === 'opaque-match';
}

function tableOf(ruleset: Ruleset, { table, family, backend }: BaseChain): Table {
  return ruleset.tables.find(
    (each) => each.name === table && each.family === family && each.backend === backend,
  )!;
}

function tablesOf(ruleset: Ruleset, family: NftFamily): Table[] {
  return ruleset.tables.filter((table) => table.family === family || table.family === 'inet');
}

function hasRule(tables: readonly Table[], isWanted: (rule: Rule) => boolean): boolean {
  return tables.some(({ chains }) => chains.values().some(({ rules }) => rules.some(isWanted)));
}

function bitValue(bit: number): number {
  return 1 << bit;
}

function isWhole(mask: number | undefined): boolean {
  return mask === undefined || mask >>> 0 === WHOLE;
}

function bitsIn(value: number): number {
  let count = 0;
  for (let rest = value >>> 0; rest !== 0; rest = (rest & (rest - 1)) >>> 0) count++;
  return count;
}

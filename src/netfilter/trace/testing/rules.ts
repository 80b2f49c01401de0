import { formatAddress, parseAddress } from '../../../util/address.ts';
import type { NftFamily } from '../../../util/family.ts';
import { ANY, exact, range } from '../../read/match-builders.ts';
import type {
  BaseChain,
  Chain,
  ChainType,
  Element,
  Expression,
  Field,
  FieldMatch,
  Hook,
  Lookup,
  NatTarget,
  Operand,
  Pattern,
  Rule,
  RuleLocation,
  Ruleset,
  Statement,
  Table,
  TableFamily,
  Verdict,
} from '../../read/model.ts';
import { parseNatTarget } from '../../read/nat-target.ts';
import { readRuleset } from '../../read/read-ruleset.ts';
import type { Outcome, Translation, Unknown } from '../trace-types.ts';

// Rules in few words, as nftables has them, and what becomes of a packet in one line.

/** A value, a range `[from, to]`, the beginning of a text (`eth*`), or anything (`*`). Addresses are text. */
type Value = number | bigint | string | readonly [number | string, number | string];

export const accept: Verdict = { kind: 'accept' };
export const drop: Verdict = { kind: 'drop' };
export const leave: Verdict = { kind: 'return' };
export const next: Verdict = { kind: 'continue' };
export const notrack: Statement = { kind: 'notrack' };
export const zone = (retracks: boolean): Statement => ({ kind: 'set-zone', text: 'ct zone set 1', retracks });
export const jump = (chain: string): Verdict => ({ kind: 'jump', chain });
export const goto = (chain: string): Verdict => ({ kind: 'goto', chain });

/** A field is one of these values. */
export function is(field: Field | Operand, ...values: Value[]): FieldMatch {
  const elements = values.map((value): Element => ({ key: [patternOf(value)], text: String(value) }));
  return { kind: 'match', key: [operandOf(field)], negated: false, set: { elements } };
}

/** A field differs from all these values. */
export function isNot(field: Field | Operand, ...values: Value[]): FieldMatch {
  return { ...is(field, ...values), negated: true };
}

/** A condition that is not modelled. */
export function unknown(text: string, random?: boolean): Expression {
  return { kind: 'opaque-match', text, ...(random === undefined ? {} : { random }) };
}

/** `mark = (mark & ~clear) ^ flip`. */
export function mark(flip: number, clear = 0xffffffff, of: 'packet' | 'connection' = 'packet'): Statement {
  return { kind: 'set-mark', of, clear, flip };
}

export function nat(kind: 'dnat' | 'snat', to: string, family?: NftFamily): Statement {
  return { kind, to: { literal: targetOf(to) }, ...(family === undefined ? {} : { family }) };
}

export function own(kind: 'redirect' | 'masquerade', ports?: string): Statement {
  return { kind, to: ports === undefined ? {} : { literal: targetOf(`:${ports}`) } };
}

/** What a packet is looked up in: entries `[key, what it gives]`; without a key the lookup itself is not modelled. */
export function lookup(
  key: readonly (Field | Operand)[] | undefined,
  entries: readonly (readonly [Value | readonly Value[], Partial<Element>])[],
  options: { random?: boolean; opaque?: string } = {},
): Lookup {
  const elements = entries.map(([keys, gives]): Element => {
    const patterns = key !== undefined && key.length > 1 ? (keys as readonly Value[]) : [keys as Value];
    return { key: patterns.map(patternOf), text: String(keys), ...gives };
  });
  return {
    key: key?.map(operandOf),
    text: key === undefined ? 'any of the map' : `the packet's ${key.map((each) => operandOf(each).field)}`,
    map: { elements, ...(options.opaque === undefined ? {} : { opaque: options.opaque }) },
    ...(options.random === undefined ? {} : { random: options.random }),
  };
}

export const to = (text: string): { target: NatTarget } => ({ target: targetOf(text) });

/**
 * A table `t` of native nftables. A chain is named with its type, hook, priority and policy where it has them: `pre nat prerouting -100`,
 * `fwd filter forward 0 drop`, `other`.
 */
export function table(
  chains: Record<string, readonly (readonly Expression[])[]>,
  where: { family?: TableFamily; name?: string; handle?: number } = {},
): Table {
  const { family = 'ip', name: tableName = 't', handle } = where;
  const place = { backend: 'nft' as const, family, table: tableName };
  const made = Object.entries(chains).map(([text, rules]): Chain => {
    const [name = '', type, hook, priority, policy = 'accept'] = text.split(' ');
    return {
      ...{ ...place, name, rules: rules.map((each, index) => rule(each, { ...place, chain: name, index })) },
      ...(type === undefined
        ? {}
        : {
            base: {
              ...{ type: type as ChainType, hook: hook as Hook, priority: Number(priority) },
              policy: policy as 'accept' | 'drop',
            },
          }),
    };
  });
  return {
    ...{ backend: 'nft', family, name: tableName, sets: new Map() },
    chains: new Map(made.map((chain) => [chain.name, chain])),
    ...(handle === undefined ? {} : { handle }),
  };
}

function rule(expressions: readonly Expression[], location: RuleLocation): Rule {
  return { location, expressions, text: expressions.map(({ kind }) => kind).join(' ') };
}

export function ruleset(...tables: Table[]): Ruleset {
  return { tables, atDevices: [], beyond: [] };
}

/** One table of iptables by its `-A` lines; chains are declared for them, those named in `policies` with a policy. */
export function iptables(
  name: string,
  lines: readonly string[],
  options: {
    family?: NftFamily;
    policies?: Record<string, string>;
    backend?: 'iptables-nft' | 'iptables-legacy';
  } = {},
): Ruleset {
  const { family = 'ip', policies = {}, backend = 'iptables-nft' } = options;
  const chains = new Set([...Object.keys(policies), ...lines.map((line) => line.split(' ', 2)[1]!)]);
  const isBuiltIn = (chain: string) => /^(PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING)$/.test(chain);
  const declared = [...chains].map(
    (chain) => `:${chain} ${policies[chain] ?? (isBuiltIn(chain) ? 'ACCEPT' : '-')} [0:0]`,
  );
  const text = [`*${name}`, ...declared, ...lines, 'COMMIT', ''].join('\n');
  return readRuleset({ iptables: [{ backend, family, text }] });
}

export function together(...rulesets: Ruleset[]): Ruleset {
  return ruleset(...rulesets.flatMap(({ tables }) => tables));
}

/**
 * An outcome in one line: verdict and what decided, where it arrives, addresses, mark, translations, the rules that took it
 * (`t:sub.0<base` where the rule is in another chain than the base chain), and what was assumed.
 */
export function outcomeText(outcome: Outcome): string {
  const { decision, delivery, steps, assumed } = outcome;
  const element = (each: Element | undefined) => (each === undefined ? '' : `[${each.text}]`);
  const nameOf = ({ location: { table, chain, index } }: Rule) => `${table}:${chain}.${index}`;
  const chainName = (chain: BaseChain) => `${chain.table}:${chain.name}`;
  const by =
    decision === undefined
      ? ''
      : decision.kind === 'policy'
        ? ` by policy of ${chainName(decision.chain)}`
        : ` by ${nameOf(decision.rule)}${element(decision.element)}`;
  const arrives =
    delivery === undefined ? '' : delivery.kind === 'local' ? ' here' : ` by ${delivery.outputInterface}`;
  const translated = (translation: Translation | undefined) =>
    translation === undefined
      ? ''
      : `; ${translation.kind} ${targetText(translation.to)} at ${translation.hook} by ${nameOf(translation.rule)}${element(translation.element)}`;
  const way = steps.map((step) => {
    if (step.hook !== step.chain.base.hook)
      throw new Error(`a step of ${step.chain.base.hook} at ${step.hook}`);
    const base = step.chain.name === step.rule.location.chain ? '' : `<${step.chain.name}`;
    return `${nameOf(step.rule)}${element(step.element)}${base}`;
  });
  return [
    `${outcome.verdict}${by}${arrives}`,
    `; ${outcome.source ?? '?'} > ${outcome.destination ?? '?'} :${outcome.destinationPort ?? '?'}`,
    outcome.mark === 0 ? '' : ` mark ${outcome.mark ?? '?'}`,
    translated(outcome.translation),
    translated(outcome.sourceTranslation),
    way.length === 0 ? '' : `; steps ${way.join(' ')}`,
    outcome.notrack === undefined ? '' : `; notrack by ${nameOf(outcome.notrack)}`,
    outcome.several ? '; several' : '',
    ...assumed.map(({ unknown, holds }) => `; ${holds ? 'if' : 'unless'} ${reason(unknown)}`),
  ].join('');
}

export function reason(unknown: Unknown): string {
  switch (unknown.kind) {
    case 'match':
      return `${unknown.random ? 'random ' : ''}${unknown.text}`;
    case 'statement':
      return `statement ${unknown.text}`;
    case 'order':
      return `order at ${unknown.hook} of ${unknown.chains.map((chain) => `${chain.table}:${chain.name}`).join(' ')}`;
    default:
      return `${unknown.kind} ${unknown.reason}`;
  }
}

/** What a translation writes. */
export function targetText({ address, port }: NatTarget): string {
  const ends = [address?.from, address?.to].map((end) => (end === undefined ? '' : formatAddress(end)));
  const addresses = ends[0] === ends[1] ? ends[0]! : ends.join('-');
  const ports =
    port === undefined ? '' : port.from === port.to ? `:${port.from}` : `:${port.from}-${port.to}`;
  return `${addresses}${ports}` || 'nothing';
}

function targetOf(text: string): NatTarget {
  const target = parseNatTarget(text);
  if (target === undefined) throw new Error(`${text} is not what a translation writes`);
  return target;
}

function operandOf(field: Field | Operand): Operand {
  return typeof field === 'string' ? { field } : field;
}

function patternOf(value: Value): Pattern {
  if (value === '*') return ANY;
  if (typeof value === 'object') return range(plain(value[0]) as number, plain(value[1]) as number);
  if (typeof value === 'string' && value.endsWith('*')) return { kind: 'prefix', text: value.slice(0, -1) };
  return exact(plain(value));
}

/** Text that is an address is its number. */
function plain(value: number | bigint | string): number | bigint | string {
  return typeof value === 'string' ? (parseAddress(value) ?? value) : value;
}

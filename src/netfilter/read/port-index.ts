import type { Chain, Rule } from './model.ts';

/** Chains shorter than this are not worth an index. */
const SHORT = 8;
/** A rule for more ports than this is looked at for any: ports times rules would fill the memory. */
const FEW_PORTS = 64;
/** Up to this many rules that any packet may match are merged again for each port that is asked for. */
const MANY = 256;

interface PortIndex {
  /** Positions of the rules that packets to any port may match, in order, and the rules themselves. */
  anyPort: readonly number[];
  anyPortRules: readonly Rule[];
  /** Positions of the rules that only packets to a port match. */
  byPort: ReadonlyMap<number, readonly number[]>;
  /** Both together, by the ports that were asked for. */
  merged: Map<number, readonly Rule[]>;
}

/** By what has the rules: a chain, or a part of one. */
const indexes = new WeakMap<Pick<Chain, 'rules'>, PortIndex>();

/**
 * The rules of a chain that a packet to a port may match, in their order. What is left out would be looked at and not match: chains of
 * hostports have one rule a port, and a node has hundreds.
 */
export function rulesForPort(chain: Pick<Chain, 'rules'>, port: number | undefined): readonly Rule[] {
  const { rules } = chain;
  if (port === undefined || rules.length < SHORT) return rules;
  let index = indexes.get(chain);
  if (index === undefined) {
    index = indexOf(rules);
    indexes.set(chain, index);
  }
  const own = index.byPort.get(port);
  if (own === undefined) return index.anyPortRules;
  let merged = index.merged.get(port);
  if (merged === undefined) {
    merged = inOrder(index.anyPort, own).map((position) => rules[position]!);
    if (merged.length <= MANY) index.merged.set(port, merged);
  }
  return merged;
}

/** Two ordered lists as one. */
function inOrder(one: readonly number[], other: readonly number[]): number[] {
  const both: number[] = [];
  let next = 0;
  for (const position of one) {
    while (next < other.length && other[next]! < position) both.push(other[next++]!);
    both.push(position);
  }
  while (next < other.length) both.push(other[next++]!);
  return both;
}

function indexOf(rules: readonly Rule[]): PortIndex {
  const anyPort: number[] = [];
  const byPort = new Map<number, number[]>();
  for (const [position, rule] of rules.entries()) {
    const ports = portsOf(rule);
    if (ports === undefined) anyPort.push(position);
    for (const port of ports ?? []) {
      const list = byPort.get(port);
      if (list === undefined) byPort.set(port, [position]);
      else list.push(position);
    }
  }
  const anyPortRules = anyPort.map((position) => rules[position]!);
  return { anyPort, anyPortRules, byPort, merged: new Map() };
}

/** The ports that a rule is confined to before it does anything; undefined when it is not, or they are not a few. */
function portsOf({ expressions }: Rule): ReadonlySet<number> | undefined {
  for (const expression of expressions) {
    if (expression.kind === 'any-of' || expression.kind === 'opaque-match' || expression.kind === 'neutral')
      continue;
    if (expression.kind !== 'match') return undefined;
    const { key, negated, set } = expression;
    const [operand] = key;
    if (key.length !== 1 || operand!.field !== 'destination-port') continue;
    if (negated || operand!.mask !== undefined || set.opaque !== undefined) continue;
    if (set.elements.length > FEW_PORTS) return undefined;
    const ports = new Set<number>();
    for (const element of set.elements) {
      const [pattern] = element.key;
      if (pattern?.kind !== 'exact' || typeof pattern.value !== 'number') return undefined;
      ports.add(pattern.value);
    }
    return ports;
  }
  return undefined;
}

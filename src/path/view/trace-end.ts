import type { BaseChain, Rule, Trace } from '../../netfilter/index.ts';
import type { Evidence } from '../model/finding.ts';

/** What ends a packet before it is delivered: a rule, or a chain's policy. */
export interface TraceEnd {
  verdict: 'drop' | 'reject';
  /** The chain at whose hook it happens. */
  base: BaseChain;
  /** Undefined when it is the policy of {@link base}. */
  rule: Rule | undefined;
}

/** What drops or rejects a packet; undefined when nothing does, or when it is not known whether something does. */
export function endOf({ verdict, outcomes }: Trace): TraceEnd | undefined {
  if (!verdict.known || (verdict.value !== 'drop' && verdict.value !== 'reject')) return undefined;
  for (const { decision, steps } of outcomes) {
    if (decision === undefined) continue;
    if (decision.kind === 'policy') return { verdict: verdict.value, base: decision.chain, rule: undefined };
    const base = steps.findLast(({ rule }) => rule === decision.rule)?.chain;
    if (base !== undefined) return { verdict: verdict.value, base, rule: decision.rule };
  }
  return undefined;
}

/** The rule or policy that ends a packet, as evidence. */
export function endEvidence({ base, rule }: TraceEnd): Evidence {
  const { backend, table, chain } = rule?.location ?? { ...base, chain: base.name };
  return {
    kind: 'rule',
    where: `${backend} ${table} ${chain}`,
    saw: rule?.text ?? `policy ${base.base.policy} of ${base.name}`,
  };
}

/** As {@link endEvidence}, with how many packets it has ended, where its rules are counted. */
export function countedEnd(end: TraceEnd): Evidence {
  const evidence = endEvidence(end);
  const counters = end.rule === undefined ? end.base.counters : end.rule.counters;
  return counters === undefined
    ? evidence
    : { ...evidence, saw: `${counters.packets} packets: ${evidence.saw}` };
}

/** Whether a rule was written about one destination: it names an address or a port that packets go to. */
export function namesDestination(rule: Rule | undefined): boolean {
  if (rule === undefined) return false;
  const fields = [
    'destination',
    'destination-port',
    'ct-original-destination',
    'ct-original-destination-port',
  ];
  return rule.expressions.some((expression) => {
    const matches = expression.kind === 'any-of' ? expression.matches : [expression];
    return matches.some(
      (match) => match.kind === 'match' && match.key.some(({ field }) => fields.includes(field)),
    );
  });
}

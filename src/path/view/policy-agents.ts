import type { BaseChain, Rule } from '../../netfilter/index.ts';

/** How the chains begin that agents of network policies fill, and who they are. */
const AGENTS: readonly [string, string][] = [
  ['cali-', 'Calico'],
  ['KUBE-POD-FW-', 'kube-router'],
  ['KUBE-NWPLCY-', 'kube-router'],
  ['KUBE-ROUTER-', 'kube-router'],
  ['KUBE-NETWORK-POLICIES', 'kube-network-policies'],
  ['ANTREA-', 'Antrea'],
  ['WEAVE-NPC', 'Weave Net'],
];

/** Which agent of network policies a rule belongs to, by the chain it is in; undefined when it is none's. */
export function policyAgentOf(rule: Rule | undefined): string | undefined {
  if (rule === undefined) return undefined;
  return AGENTS.find(([prefix]) => rule.location.chain.startsWith(prefix))?.[1];
}

export function isPolicyAgents(rule: Rule | undefined): boolean {
  return policyAgentOf(rule) !== undefined;
}

/**
 * The agent whose chains a base chain leads to; undefined when it leads to none's. An accept ahead of them would let by what a policy denies.
 */
export function policyAgentBehind(base: Pick<BaseChain, 'rules'>): string | undefined {
  const targets = base.rules.flatMap(({ expressions }) =>
    expressions.flatMap((entry) => (entry.kind === 'jump' || entry.kind === 'goto' ? [entry.chain] : [])),
  );
  return AGENTS.find(([prefix]) => targets.some((chain) => chain.startsWith(prefix)))?.[1];
}

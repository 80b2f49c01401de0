import { describe, expect, test } from 'bun:test';
import { type BaseChain, type Rule, readRuleset } from '../../netfilter/index.ts';
import { isPolicyAgents, policyAgentBehind, policyAgentOf } from './policy-agents.ts';

const AGENTS: [chain: string, agent: string][] = [
  ['cali-FORWARD', 'Calico'],
  ['KUBE-POD-FW-ABC', 'kube-router'],
  ['KUBE-NWPLCY-ABC', 'kube-router'],
  ['KUBE-ROUTER-FORWARD', 'kube-router'],
  ['KUBE-NETWORK-POLICIES', 'kube-network-policies'],
  ['ANTREA-FORWARD', 'Antrea'],
  ['WEAVE-NPC-DEFAULT', 'Weave Net'],
];

/** The chain FORWARD of a table with these rules and chains. */
function forwardWith(
  chains: readonly string[],
  rules: readonly string[],
): { base: BaseChain; rules: Rule[] } {
  const lines = [':FORWARD ACCEPT [0:0]', ...chains.map((chain) => `:${chain} - [0:0]`), ...rules];
  const text = `*filter\n${lines.join('\n')}\nCOMMIT\n`;
  const { tables } = readRuleset({ iptables: [{ backend: 'iptables-nft', family: 'ip', text }] });
  const all = tables.flatMap((table) => [...table.chains.values()]);
  const base = all.find((chain) => chain.name === 'FORWARD') as BaseChain;
  return { base, rules: all.flatMap((chain) => chain.rules) };
}

describe('an agent of network policies', () => {
  test.each(AGENTS)('has chains like %s: %s', (chain, agent) => {
    const { base, rules } = forwardWith([chain], [`-A FORWARD -j ${chain}`, `-A ${chain} -j DROP`]);
    expect(rules.map(policyAgentOf).sort()).toEqual([agent, undefined]);
    expect(rules.filter(isPolicyAgents).map(({ text }) => text)).toEqual([`-A ${chain} -j DROP`]);
    expect(policyAgentBehind(base)).toBe(agent);
  });

  test.each<[string, string[], string | undefined]>([
    ['behind a goto', ['-A FORWARD -g cali-x'], 'Calico'],
    ['behind others', ['-A FORWARD -j MINE', '-A FORWARD -j ACCEPT', '-A FORWARD -j cali-x'], 'Calico'],
    ['not behind other chains', ['-A FORWARD -j MINE', '-A FORWARD -j xcali-x'], undefined],
    ['not behind what leads there from another chain', ['-A MINE -j cali-x'], undefined],
    ['not behind nothing', [], undefined],
  ])('is %s', (_, rules, agent) => {
    expect(policyAgentBehind(forwardWith(['cali-x', 'xcali-x', 'MINE'], rules).base)).toBe(agent as string);
  });

  test('has no rule that is not there', () => {
    expect(policyAgentOf(undefined)).toBeUndefined();
    expect(isPolicyAgents(undefined)).toBe(false);
  });
});

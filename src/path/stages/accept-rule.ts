import type { BaseChain } from '../../netfilter/index.ts';
import type { HealStep } from '../model/action.ts';
import type { HostPort } from '../model/finding.ts';
import type { NodeView } from '../view/node-view.ts';

/**
 * A step that lets packets of a mapping by what a chain of iptables would do to them: a rule of our own, by its comment, ahead of all others,
 * or behind them where only the policy is to be kept from deciding. Nobody's rule is removed. Undefined where a rule of ours would not decide: in tables of native nft an accept ends one chain, and the
 * chains of others are asked all the same.
 */
export function acceptAhead(
  node: NodeView,
  chain: Pick<BaseChain, 'backend' | 'family' | 'table' | 'name'>,
  match: readonly string[],
  why: string,
  place: 'first' | 'last' = 'first',
): HealStep | undefined {
  const { backend, family, table, name } = chain;
  if (backend === 'nft' || family === 'inet' || !isTable(table)) return undefined;
  return {
    on: 'node',
    node: node.name,
    why,
    action: {
      do: 'iptables',
      variant: backend,
      family: family === 'ip' ? 'ipv4' : 'ipv6',
      table,
      commands: [
        [
          ...(place === 'first' ? ['-I', name, '1'] : ['-A', name]),
          ...[...match, '-m', 'comment', '--comment', `hostport: ${why}`, '-j', 'ACCEPT'],
        ],
      ],
    },
  };
}

/**
 * The connections of a mapping once they are translated, in both directions: by the port that they were made to, whatever address the pod has.
 */
export function translatedTo({ protocol, hostPort }: HostPort): string[] {
  return [
    ...['-p', protocol.toLowerCase(), '-m', 'conntrack', '--ctstate', 'DNAT'],
    ...['--ctorigdstport', String(hostPort)],
  ];
}

function isTable(name: string): name is 'raw' | 'mangle' | 'nat' | 'filter' {
  return ['raw', 'mangle', 'nat', 'filter'].includes(name);
}

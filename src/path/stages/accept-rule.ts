import type { BaseChain } from '../../netfilter/index.ts';
import { FAMILY_OF_NFT } from '../../util/family.ts';
import type { HealStep } from '../model/action.ts';
import type { HostPort } from '../model/finding.ts';
import type { NodeView } from '../view/node-view.ts';

/**
 * A step that accepts packets of a mapping in an iptables chain that would drop or change them: a rule of our own, marked by its comment, before all
 * others, or behind them where only the policy must not apply. No other rule is removed. Undefined where such a rule would not decide: in native nft
 * tables an accept ends one chain, and the chains of other tables still apply.
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
      family: FAMILY_OF_NFT[family],
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
 * The connections of a mapping once they are translated, in both directions: by their original port, whatever address the pod has.
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

import { expect, test } from 'bun:test';
import type { NodeView } from '../view/node-view.ts';
import { acceptAhead, translatedTo } from './accept-rule.ts';

type Chain = Parameters<typeof acceptAhead>[1];
const node = { name: 'n1' } as NodeView;
const chain = (more: Partial<Chain> = {}): Chain => ({
  ...{ backend: 'iptables-nft', family: 'ip', table: 'filter', name: 'FORWARD' },
  ...more,
});
const SAYS = ['-p', 'tcp', '-m', 'comment', '--comment', 'hostport: so', '-j', 'ACCEPT'];

test.each<[string, Chain, 'first' | 'last' | undefined, object]>([
  ['first', chain(), undefined, { variant: 'iptables-nft', family: 'ipv4', table: 'filter' }],
  ['last', chain(), 'last', { variant: 'iptables-nft', family: 'ipv4', table: 'filter' }],
  [
    'of the other family',
    chain({ family: 'ip6' }),
    'first',
    { variant: 'iptables-nft', family: 'ipv6', table: 'filter' },
  ],
  ...(['raw', 'mangle', 'nat'] as const).map(
    (table) =>
      [
        `of legacy, in table ${table}`,
        chain({ backend: 'iptables-legacy', table }),
        undefined,
        { variant: 'iptables-legacy', family: 'ipv4', table },
      ] as [string, Chain, undefined, object],
  ),
])('a rule that comes %s', (_, of, place, where) => {
  expect(acceptAhead(node, of, ['-p', 'tcp'], 'so', place)).toEqual({
    ...{ on: 'node', node: 'n1', why: 'so' },
    action: {
      do: 'iptables',
      ...where,
      commands: [[...(place === 'last' ? ['-A', 'FORWARD'] : ['-I', 'FORWARD', '1']), ...SAYS]],
    },
  } as never);
});

test.each<[string, Chain]>([
  ['nft', chain({ backend: 'nft' })],
  ['both families', chain({ family: 'inet' })],
  ['another table', chain({ table: 'security' })],
])('no rule in a chain of %s', (_, of) => {
  expect(acceptAhead(node, of, [], 'so')).toBeUndefined();
});

test('a translated connection is known by its protocol and port', () => {
  expect(translatedTo({ protocol: 'UDP', hostPort: 53, containerPort: 5353 })).toEqual(
    '-p udp -m conntrack --ctstate DNAT --ctorigdstport 53'.split(' '),
  );
});

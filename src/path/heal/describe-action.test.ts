import { expect, test } from 'bun:test';
import type { NodeAction } from '../model/action.ts';
import { describeStep } from '../testing/describe-step.ts';
import { describeAction } from './describe-action.ts';

const ID = '9b2bd130537c7b8adcd51e7c';
const attach = { do: 'attach', sandbox: ID, config: '/etc/a', plugin: 'portmap' } as const;
const iptables = { do: 'iptables', variant: 'iptables-nft', family: 'ipv4', table: 'nat' } as const;
const route = { do: 'replace-route', family: 'ipv4', destination: '10.1.0.2/32' } as const;

test.each<[string, NodeAction]>([
  ['write /etc/a', { do: 'write-file', path: '/etc/a', content: '{}' }],
  ['mv /etc/a /etc/b', { do: 'rename-file', from: '/etc/a', to: '/etc/b' }],
  ['chmod 0755 /etc/a', { do: 'set-mode', path: '/etc/a', mode: '0755' }],
  ['write /etc/a again in place', { do: 'rewrite-file', path: '/etc/a' }],
  ['install portmap in /opt/cni/bin', { do: 'install-plugin', name: 'portmap', directory: '/opt/cni/bin' }],
  ['sysctl -w net.ipv4.ip_forward=1', { do: 'set-sysctl', name: 'net.ipv4.ip_forward', value: '1' }],
  ['run portmap of /etc/a on sandbox 9b2bd130537c7', attach],
  ["run hostport's portmap of /etc/a on sandbox 9b2bd130537c7", { ...attach, own: true }],
  [
    "remove portmap's rules for 9b2bd130537c7 of network net",
    { do: 'detach', networkName: 'net', containerId: ID, ifName: 'eth0' },
  ],
  ['run GC of /etc/a', { do: 'collect', config: '/etc/a' }],
  [
    "iptables-nft -t nat -A X -m comment --comment 'hostport: it'\\''s $1' -j ACCEPT",
    {
      ...iptables,
      commands: [['-A', 'X', '-m', 'comment', '--comment', "hostport: it's $1", '-j', 'ACCEPT']],
    },
  ],
  ["mv '/etc/a b' /etc/b", { do: 'rename-file', from: '/etc/a b', to: '/etc/b' }],
  ['iptables-nft -t nat -F X', { ...iptables, commands: [['-F', 'X']] }],
  [
    'ip6tables-nft -t nat -F X; ip6tables-nft -t nat -X X',
    {
      ...iptables,
      family: 'ipv6',
      commands: [
        ['-F', 'X'],
        ['-X', 'X'],
      ],
    },
  ],
  [
    'ip6tables-legacy -t nat -F X',
    { ...iptables, variant: 'iptables-legacy', family: 'ipv6', commands: [['-F', 'X']] },
  ],
  [
    'nft delete rule inet filter input handle 7',
    { do: 'delete-nft-rule', family: 'inet', table: 'filter', chain: 'input', handle: 7 },
  ],
  [
    'conntrack -D -p udp -s 10.0.0.1 --sport 1024 -d 10.0.0.2 --dport 53',
    {
      do: 'delete-flow',
      protocol: 'udp',
      family: 'ipv4',
      source: '10.0.0.1',
      sourcePort: 1024,
      destination: '10.0.0.2',
      destinationPort: 53,
    },
  ],
  ['ip route replace 10.1.0.2/32', route],
  ['ip route replace 10.1.0.2/32 dev lxc1', { ...route, device: 'lxc1' }],
  ['ip route replace 10.1.0.2/32 via 10.0.0.1', { ...route, gateway: '10.0.0.1' }],
  ['ip route replace 10.1.0.2/32 via 10.0.0.1 dev eth0', { ...route, gateway: '10.0.0.1', device: 'eth0' }],
])('%s', (words, action) => {
  expect(describeAction(action)).toBe(words);
  expect(describeStep({ on: 'node', node: 'n1', why: 'so', action })).toBe(`n1: ${words}`);
});

test('a step on the cluster is described as its command', () => {
  const action = { do: 'delete-pod', namespace: 'web', name: 'a', uid: 'u' } as const;
  expect(describeStep({ on: 'cluster', why: 'so', action })).toBe('kubectl -n web delete pod a');
});

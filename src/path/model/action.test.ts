/** What a node is sent to do is checked there again: nothing but these actions, with nothing but what belongs in them. */
import { describe, expect, test } from 'bun:test';
import { type NodeAction, nodeActionSchema } from './action.ts';

const iptables = {
  do: 'iptables',
  variant: 'iptables-nft',
  family: 'ipv4',
  table: 'nat',
  commands: [['-D', 'FORWARD', '-j', 'DROP']],
} as const satisfies object;
const rule = { do: 'delete-nft-rule', family: 'inet', table: 't', chain: 'c', handle: 4 } as const;
const flow = {
  do: 'delete-flow',
  protocol: 'udp',
  family: 'ipv4',
  source: '10.0.0.1',
  sourcePort: 1024,
  destination: '10.0.0.2',
  destinationPort: 53,
} as const;
const route = { do: 'replace-route', family: 'ipv6', destination: 'fd00::/64' } as const;
const attach = { do: 'attach', sandbox: 's', config: '/etc/cni/net.d/a', plugin: 'portmap' } as const;

/** One of each kind with all that it may have. */
const ACTIONS: readonly NodeAction[] = [
  { do: 'write-file', path: '/a/b', content: '{}\n', mode: '0600' },
  { do: 'rename-file', from: '/a', to: '/b' },
  { do: 'set-mode', path: '/a', mode: '0755' },
  { do: 'rewrite-file', path: '/a' },
  { do: 'install-plugin', name: 'portmap', directory: '/opt/cni/bin' },
  { do: 'set-sysctl', name: 'net.ipv4.ip_forward', value: '1' },
  { ...attach, own: true },
  { do: 'detach', networkName: 'net', containerId: 'c', ifName: 'eth0' },
  { do: 'collect', config: '/a' },
  iptables as unknown as NodeAction,
  rule,
  flow,
  { ...route, device: 'eth0', gateway: 'fd00::1' },
];

describe('an action', () => {
  test.each(ACTIONS.map((action) => [action.do, action] as const))(
    '%s is read as it was sent',
    (_, action) => {
      expect(nodeActionSchema.parse(action)).toEqual(action);
    },
  );

  test.each(
    ACTIONS.flatMap((action) =>
      Object.keys(action)
        .filter((key) => key !== 'do')
        .map((key) => [action.do, key, action] as const),
    ),
  )('%s with %s of another type is refused', (_, key, action) => {
    expect(nodeActionSchema.safeParse({ ...action, [key]: { not: 'this' } }).success).toBe(false);
  });

  test.each<[object, boolean]>([
    [{ do: 'write-file', path: '/a', content: '' }, true],
    [attach, true],
    [{ ...attach, own: false }, false],
    [route, true],
    [{ do: 'run', command: 'sh' }, false],
    ...(['iptables-nft', 'iptables-legacy'] as const).map((variant): [object, boolean] => [
      { ...iptables, variant },
      true,
    ]),
    [{ ...iptables, variant: 'nft' }, false],
    ...['raw', 'mangle', 'nat', 'filter'].map((table): [object, boolean] => [{ ...iptables, table }, true]),
    [{ ...iptables, table: 'security' }, false],
    ...['ipv4', 'ipv6'].map((family): [object, boolean] => [{ ...iptables, family }, true]),
    [{ ...iptables, family: 'ip' }, false],
    [{ ...iptables, commands: [] }, false],
    [{ ...iptables, commands: [['-F']] }, false],
    [{ ...iptables, commands: [['-F', 'c']] }, true],
    [
      {
        ...iptables,
        commands: [
          ['-F', 'c'],
          ['-X', 'c'],
        ],
      },
      true,
    ],
    [{ ...iptables, commands: [['-F', 'c\n-X d']] }, false],
    [{ ...iptables, commands: [['-F', 'c\0']] }, false],
    [{ ...iptables, commands: [['-F', '']] }, true],
    ...['ip', 'ip6', 'inet'].map((family): [object, boolean] => [{ ...rule, family }, true]),
    [{ ...rule, family: 'bridge' }, false],
    [{ ...rule, handle: 1.5 }, false],
    ...['tcp', 'udp', 'sctp'].map((protocol): [object, boolean] => [{ ...flow, protocol }, true]),
    [{ ...flow, protocol: 'icmp' }, false],
    [{ ...flow, sourcePort: 0.5 }, false],
    [{ ...flow, destinationPort: 0.5 }, false],
  ])('%j is one: %p', (action, valid) => {
    expect(nodeActionSchema.safeParse(action).success).toBe(valid);
  });
});

/** The reason why a value is refused; undefined where it is not. */
function refusal(action: object): string | undefined {
  return nodeActionSchema.safeParse(action).error?.issues[0]?.message;
}

describe('what is in an action', () => {
  const path = (value: string) => ({ do: 'rewrite-file', path: value });
  const mode = (value: string) => ({ do: 'set-mode', path: '/a', mode: value });
  const name = (value: string) => ({ do: 'install-plugin', name: value, directory: '/a' });
  const sysctl = (value: string) => ({ do: 'set-sysctl', name: value, value: '1' });
  const set = (value: string) => ({ do: 'set-sysctl', name: 'a', value });

  test.each<[string, (value: string) => object, string[], string[]]>([
    ['an absolute path', path, ['/', '/a b/c'], ['', 'a', 'a/b', '/a\nb', '/a\0', '/a\n']],
    ['permission bits', mode, ['0755', '0000'], ['755', '00755', '0758', '1755', 'x0755', '0755x']],
    [
      'a plain file name',
      name,
      ['a', 'A-1_b.c', '.a', '..a', '...', 'a'.repeat(255)],
      ['', '.', '..', 'a/b', 'a b', '/a', 'a/', 'a'.repeat(256)],
    ],
    [
      'a setting',
      sysctl,
      ['net.ipv4.conf.eth0/1.rp_filter', 'net.ipv4.conf.A-b@c:d.x'],
      ['', 'a b', ' a', 'a ', 'a=b'],
    ],
    ['a number', set, ['0', '12', '-1', '-12'], ['', '-', '--1', '1.5', 'x1', '1x', 'one']],
  ])('%s', (_, action, accepted, refused) => {
    expect(accepted.filter((value) => refusal(action(value)) !== undefined)).toEqual([]);
    expect(refused.filter((value) => refusal(action(value)) === undefined)).toEqual([]);
  });

  test.each([
    [path('a'), 'must be an absolute path'],
    [mode('rwx'), 'must be permission bits like 0755'],
    [name('a/b'), 'must be a plain file name'],
  ])('%j is refused with what it must be', (action, why) => {
    expect(refusal(action)).toBe(why);
  });
});

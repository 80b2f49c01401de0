import { describe, expect, test } from 'bun:test';
import { type NodeAction, nodeActionSchema } from '../../path/model/action.ts';
import { areMet, needsOf, needsOfFiles } from './needs.ts';

const CONF = '/etc/cni/net.d';
const BIN = '/opt/cni/bin';
const flow = {
  do: 'delete-flow',
  protocol: 'udp',
  family: 'ipv4',
  source: '192.0.2.1',
  sourcePort: 1,
  destination: '192.0.2.2',
  destinationPort: 2,
} as const;

/** What an action needs besides what every one does. */
const CASES: readonly [NodeAction, writes: string[], capabilities: string[]][] = [
  [{ do: 'write-file', path: `${CONF}/10.conflist`, content: '' }, [CONF], ['DAC_OVERRIDE']],
  [{ do: 'rewrite-file', path: `${CONF}/10.conflist` }, [CONF], ['DAC_OVERRIDE']],
  [{ do: 'rename-file', from: `${CONF}/a`, to: `${CONF}/b` }, [CONF], ['DAC_OVERRIDE']],
  [{ do: 'rename-file', from: '/a/a', to: '/b/b' }, ['/a', '/b'], ['DAC_OVERRIDE']],
  [{ do: 'set-mode', path: `${BIN}/portmap`, mode: '0755' }, [BIN], ['DAC_OVERRIDE', 'FOWNER']],
  [{ do: 'install-plugin', name: 'portmap', directory: `${BIN}/` }, [BIN], ['DAC_OVERRIDE']],
  [{ do: 'set-sysctl', name: 'net.ipv4.ip_forward', value: '1' }, ['/proc/sys/net'], ['NET_ADMIN']],
  [
    { do: 'attach', sandbox: 's', config: `${CONF}/10.conflist`, plugin: 'portmap' },
    ['/proc/sys/net', '/run/hostport', '/run/xtables.lock', '/var/lib/cni'],
    ['DAC_OVERRIDE', 'NET_ADMIN', 'NET_RAW', 'SYS_ADMIN'],
  ],
  [
    { do: 'detach', networkName: 'n', containerId: 'c', ifName: 'eth0' },
    ['/proc/sys/net', '/run', '/var/lib/cni'],
    ['DAC_OVERRIDE', 'NET_ADMIN', 'NET_RAW', 'SYS_ADMIN'],
  ],
  [
    { do: 'collect', config: `${CONF}/10.conflist` },
    ['/proc/sys/net', '/run', '/var/lib/cni'],
    ['DAC_OVERRIDE', 'NET_ADMIN', 'NET_RAW', 'SYS_ADMIN'],
  ],
  [iptables('iptables-nft'), [], ['NET_ADMIN', 'NET_RAW']],
  [iptables('iptables-legacy'), ['/run/xtables.lock'], ['NET_ADMIN', 'NET_RAW']],
  [{ do: 'delete-nft-rule', family: 'ip', table: 't', chain: 'c', handle: 1 }, [], ['NET_ADMIN']],
  [flow, [], ['NET_ADMIN']],
  [{ do: 'replace-route', family: 'ipv4', destination: '192.0.2.0/24', device: 'd' }, [], ['NET_ADMIN']],
];

function iptables(variant: 'iptables-nft' | 'iptables-legacy'): NodeAction {
  return { do: 'iptables', variant, family: 'ipv4', table: 'nat', commands: [['-D', 'X']] };
}

const paths = (writes: readonly { path: string }[]) => writes.map(({ path }) => path);

test.each(CASES)('%j', (action, writes, capabilities) => {
  const needed = needsOf([action]);
  expect({ writes: paths(needed.writes), capabilities: needed.capabilities }).toEqual({
    writes: [...writes, '/var/lib/hostport'].sort(),
    capabilities: ['DAC_READ_SEARCH', 'SYS_CHROOT', ...capabilities].sort(),
  });
});

test('every action has a case', () => {
  const known = nodeActionSchema.options.map(({ shape }) => shape.do.value);
  expect([...new Set(CASES.map(([action]) => action.do))].sort()).toEqual(known.sort());
});

test('of several actions each place is there once, and none that is inside another', () => {
  const all = needsOf(CASES.map(([action]) => action));
  expect(paths(all.writes)).toEqual([
    ...['/a', '/b', CONF, BIN, '/proc/sys/net', '/run', '/var/lib/cni', '/var/lib/hostport'],
  ]);
});

describe("what is in the node's root directory is refused: all of the node would be writable", () => {
  test.each<[string, () => unknown]>([
    ['a file', () => needsOf([{ do: 'write-file', path: '/x', content: '' }])],
    ['a new name', () => needsOf([{ do: 'rename-file', from: '/a/a', to: '/b' }])],
    ['a plugin', () => needsOf([{ do: 'install-plugin', name: 'portmap', directory: '//' }])],
    ['a file to be put back', () => needsOfFiles(['/x'])],
  ])('%s', (_, needed) => expect(needed).toThrow("cannot change what is in the node's root directory"));
});

test.each<[NodeAction, boolean]>([
  [CASES[0]![0], false],
  [{ do: 'install-plugin', name: 'portmap', directory: BIN }, true],
  [{ do: 'attach', sandbox: 's', config: `${CONF}/10.conflist`, plugin: 'portmap' }, false],
  [{ do: 'attach', sandbox: 's', config: `${CONF}/10.conflist`, plugin: 'portmap', own: true }, true],
  [{ do: 'collect', config: `${CONF}/10.conflist` }, true],
])('plugins of this program for %j: %p', (action, expected) => {
  expect(needsOf([action]).plugins).toBe(expected);
  expect(areMet(needsOf([action]), { ...needsOf([action]), plugins: false })).toBe(!expected);
});

describe('whether needs are met', () => {
  const [attach] = CASES.filter(([{ do: what }]) => what === 'attach').map(([action]) => needsOf([action]));
  const [detach] = CASES.filter(([{ do: what }]) => what === 'detach').map(([action]) => needsOf([action]));
  test.each([
    ['of the same', attach!, attach!, true],
    ['of less, inside a place that is given', attach!, detach!, true],
    ['of more', detach!, attach!, false],
    ['without a capability', attach!, { ...detach!, capabilities: ['NET_ADMIN'] }, false],
    ['of a file, by its directory', needsOfFiles([`${CONF}/a`]), needsOfFiles([`${CONF}/b`]), true],
    [
      'of anything, by the root',
      attach!,
      { ...attach!, writes: [{ path: '/', is: 'directory' as const }] },
      true,
    ],
    ['of a file elsewhere', needsOfFiles(['/etc/cni/net.dx/a']), needsOfFiles([`${CONF}/b`]), false],
  ])('%s', (_, wanted, given, expected) => expect(areMet(wanted, given)).toBe(expected));
});

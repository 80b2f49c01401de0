import { describe, expect, test } from 'bun:test';
import type { NodeReport } from '../model/node-report.ts';
import { mapped, type Otherwise } from '../testing/mapped-node.ts';
import { podOn } from '../testing/small-world.ts';
import { devicesWithoutLocalnet, type LoopbackDevice, localnetOf } from './localnet.ts';

type Links = Extract<NodeReport['network']['links'], { value: unknown }>['value'];
type Passed = Record<string, LoopbackDevice['passedBy']>;

const OUT = 'cilium_host';
const link = (name: string, more: object = {}) => ({ name, index: 1, up: true, mtu: 1500, ...more });
const peer = (name: string) => link(name, { peerNamespace: 'cni-1' });

interface Seen extends Otherwise {
  /** The settings of devices; those of others were not seen. */
  on?: Record<string, string>;
  links?: Links | { unknown: string };
  /** Device of the route to the pod. */
  out?: string;
}

/** What is said of a pod behind lxc1, whose route leads by the device {@link OUT} unless it is said otherwise. */
function lacking({ on = {}, links = [peer('lxc1')], out = OUT, report, ...otherwise }: Seen) {
  const { path, scene } = mapped({
    ...otherwise,
    report: (seen) => {
      const { network } = seen;
      network.links = 'unknown' in links ? links : { value: links };
      network.sysctls = {
        value: Object.fromEntries(Object.entries(on).map(([key, value]) => [localnetOf(key), value])),
      };
      if ('value' in network.routes) network.routes.value[1]!.device = out;
      report?.(seen);
    },
  });
  return devicesWithoutLocalnet(path, scene);
}

const devices = (passed: Passed) => ({
  value: Object.entries(passed).map(([device, passedBy]) => ({ device, passedBy })),
});

test('the setting of a device is named with its dots as slashes', () => {
  expect(localnetOf('eth0.1.2')).toBe('net.ipv4.conf.eth0/1/2.route_localnet');
});

describe('devices without the setting', () => {
  const OFF = { all: '0', [OUT]: '0', lxc1: '0' };
  test.each<[string, Seen, Passed]>([
    ['on all', { on: { all: '1' } }, {}],
    ['on all, by another number', { on: { all: '-2', [OUT]: '0', lxc1: '0' } }, {}],
    ['on each', { on: { all: '0', [OUT]: '1', lxc1: '1' } }, {}],
    ['on each, where that of all was not seen', { on: { [OUT]: '1', lxc1: '1' } }, {}],
    ['on none', { on: OFF }, { [OUT]: 'connections', lxc1: 'answers' }],
    ['not where packets leave', { on: { ...OFF, lxc1: '1' } }, { [OUT]: 'connections' }],
    ['not where answers enter', { on: { ...OFF, [OUT]: '1' } }, { lxc1: 'answers' }],
    [
      'not where packets leave, and it is not known where answers enter',
      { on: { all: '0', [OUT]: '0' } },
      { [OUT]: 'connections' },
    ],
    ['not on the one device of both', { on: OFF, out: 'lxc1' }, { lxc1: 'both' }],
    ['on the one device of both', { on: { ...OFF, lxc1: '1' }, out: 'lxc1' }, {}],
    [
      'on none of several that answers may enter by',
      { on: { ...OFF, net1: '0' }, links: [peer('lxc1'), peer('net1')] },
      { [OUT]: 'connections', lxc1: 'answers', net1: 'answers' },
    ],
    [
      'on none of several, of which packets leave by one',
      { on: { ...OFF, net1: '0' }, links: [peer('lxc1'), peer('net1')], out: 'net1' },
      { net1: 'both', lxc1: 'answers' },
    ],
    [
      'on one of several that answers may enter by, and not where packets leave',
      { on: { ...OFF, net1: '1' }, links: [peer('lxc1'), peer('net1')] },
      { [OUT]: 'connections' },
    ],
    [
      'on all of several',
      { on: { all: '0', [OUT]: '1', lxc1: '1', net1: '1' }, links: [peer('lxc1'), peer('net1')] },
      {},
    ],
  ])('%s', (_, seen, expected) => {
    expect(lacking(seen)).toEqual(devices(expected));
  });

  test.each<[string, Seen, string]>([
    ['where none was seen', { on: {} }, `net.ipv4.conf.${OUT}.route_localnet of n1 was not seen`],
    [
      'where that of all was not seen, and one is off',
      { on: { [OUT]: '0', lxc1: '1' } },
      `net.ipv4.conf.${OUT}.route_localnet of n1 was not seen`,
    ],
    [
      'where one is no number',
      { on: { all: '0', [OUT]: 'on', lxc1: '1' } },
      `net.ipv4.conf.${OUT}.route_localnet of n1 was not seen`,
    ],
    [
      'where one has more than a number',
      { on: { all: '0', [OUT]: '1 x', lxc1: '1' } },
      `net.ipv4.conf.${OUT}.route_localnet of n1 was not seen`,
    ],
    [
      'where one is no whole number',
      { on: { all: '0', [OUT]: 'x1', lxc1: '1' } },
      `net.ipv4.conf.${OUT}.route_localnet of n1 was not seen`,
    ],
    [
      'where that of answers was not seen',
      { on: { all: '0', [OUT]: '1' } },
      'net.ipv4.conf.lxc1.route_localnet of n1 was not seen',
    ],
    [
      'where the links were not seen',
      { on: { all: '0', [OUT]: '1' }, links: { unknown: 'EPERM' } },
      'the links of n1 are not known',
    ],
    [
      'where one of several has it',
      { on: { all: '0', [OUT]: '1', lxc1: '1', net1: '0' }, links: [peer('lxc1'), peer('net1')] },
      'answers of a enter n1 by lxc1 or net1, and not all of these have route_localnet',
    ],
  ])('are not known %s', (_, seen, why) => {
    expect(lacking(seen)).toEqual({ unknown: why });
  });
});

describe('something is said of the setting, or nothing', () => {
  const on = { all: '0', [OUT]: '0', lxc1: '0' };
  const LOOPBACK = { address: '127.0.0.1', port: 80 };
  const CHAIN = [
    { type: 'cilium-cni' },
    { type: 'portmap', capabilities: { portMappings: true }, snat: false },
  ];
  const routes =
    (change: (route: { type: string; device?: string | undefined }) => void): Otherwise['report'] =>
    ({ network }) => {
      if ('value' in network.routes) change(network.routes.value[1]!);
    };

  test.each<[string, Seen, boolean]>([
    ['of a mapping for all addresses', {}, true],
    ['of one for the loopback', { hostIP: '127.0.0.1' }, true],
    ['of one for another address of the loopback', { hostIP: '127.0.0.2' }, true],
    [
      'of one whose rules are for another address of it alone',
      {
        hostIP: '127.0.0.2',
        own: ['-A CNI-DN-a -d 127.0.0.2/32 -p tcp -j DNAT --to-destination 10.1.0.2:8080'],
      },
      false,
    ],
    ['of one for another address', { hostIP: '172.17.0.2' }, false],
    ['of one of IPv6', { families: ['ipv6'] }, false],
    ['of one for ::1', { hostIP: '::1', families: ['ipv4', 'ipv6'] }, false],
    ['where portmap does not masquerade', { plugins: CHAIN }, false],
    ['where portmap says that it does', { plugins: [CHAIN[0]!, { ...CHAIN[1]!, snat: true }] }, true],
    ['of a pod without a node', { world: { pods: [podOn(undefined, 'a', 80)] } }, false],
    [
      'of a pod without an address',
      {
        pod: (pod) => {
          pod.status!.podIPs = [];
        },
        report: (report) => {
          report.sandboxes = { value: [] };
        },
      },
      false,
    ],
    ['where it is seen to work', { probes: { loopback: { target: LOOPBACK } } }, false],
    [
      'where it is seen not to work',
      { probes: { loopback: { target: LOOPBACK, outcome: 'timeout' } } },
      true,
    ],
    [
      'where another address is seen to work',
      { probes: { loopback: { target: { address: '::1', port: 80 } } } },
      true,
    ],
    [
      'without a route',
      {
        report: ({ network }) => {
          network.routes = { value: [] };
        },
      },
      false,
    ],
    [
      'with a route that ends',
      {
        report: routes((route) => {
          route.type = 'unreachable';
        }),
      },
      false,
    ],
    [
      'with a route without a device',
      {
        report: routes((route) => {
          route.device = undefined;
        }),
      },
      false,
    ],
    ['without rules', { own: [] }, false],
    [
      'where the rules are not known',
      {
        report: ({ netfilter }) => {
          netfilter.nft = { unknown: 'EPERM' };
        },
      },
      false,
    ],
  ])('%s', (_, seen, isSaid) => {
    expect(lacking({ on, ...seen }) !== undefined).toBe(isSaid);
  });
});

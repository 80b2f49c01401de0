import { describe, expect, test } from 'bun:test';
import type { NodeReport } from '../model/node-report.ts';
import { CHAINED, cniNode, listOf } from '../testing/cni-node.ts';
import { podOn, smallWorld } from '../testing/small-world.ts';
import { NodeView } from './node-view.ts';
import { entryDevices, linksToPod } from './pod-devices.ts';
import { Scene } from './scene.ts';

type Value<O> = Extract<O, { value: unknown }>['value'];
type Link = Value<NodeReport['network']['links']>[number];
type Route = Value<NodeReport['network']['routes']>[number];
type Attachment = Value<NodeReport['cni']['attachments']>[number];

const POD = '10.1.0.2';
const NETNS = 'cni-1';
const link = (name: string, more: Partial<Link> = {}): Link => ({
  name,
  index: 1,
  up: true,
  mtu: 1500,
  kind: 'veth',
  ...more,
});
const peer = (name: string, more: Partial<Link> = {}) => link(name, { peerNamespace: NETNS, ...more });
const route = (device: string, more: Partial<Route> = {}): Route => ({
  ...{ family: 'ipv4', destination: '10.1.0.0/24', device, table: 'main', type: 'unicast' },
  ...more,
});

/** A result of CNI 1.0.0 with devices on the node, and the pod's. */
const result = (names: string[], address = `${POD}/32`) => ({
  interfaces: [...names.map((name) => ({ name })), { name: 'eth0', sandbox: `/run/netns/${NETNS}` }],
  ips: [{ address, interface: names.length }],
});

interface Seen {
  links: Link[] | { unknown: string };
  routes?: Route[];
  results?: Attachment['result'][];
  /** Results of another sandbox, which come first. */
  others?: Attachment['result'][];
  netns?: string | undefined;
}

function seenOf({
  links,
  routes = [route('cilium_host')],
  results = [],
  others = [],
  netns = `/var/run/netns/${NETNS}`,
}: Seen) {
  const sandbox = 's1';
  const report = cniNode(
    { '10-net.conflist': listOf(CHAINED) },
    {
      network: { links: Array.isArray(links) ? { value: links } : links, routes: { value: routes } },
      cni: {
        attachments: {
          value: [...others, ...results].map((each, i) => ({
            ...{
              file: `f${i}`,
              modified: '2026-01-01T00:00:00Z',
              networkName: 'net',
              containerId: i < others.length ? 's0' : sandbox,
            },
            ...{ ifName: `eth${i}`, config: '{}', portMappings: [], result: each },
          })),
        },
      },
    },
  );
  const seen: NodeReport = {
    ...report,
    sandboxes: {
      value: [
        {
          ...{ id: sandbox, name: 'a', namespace: 'default', uid: 'uid-a', attempt: 0, ready: true },
          ...{
            createdAt: '2026-01-01T00:00:00Z',
            hostNetwork: false,
            netnsExists: true,
            ips: [POD],
            portMappings: [],
          },
          ...(netns === '' ? {} : { netns }),
        },
      ],
    },
  };
  const scene = new Scene(
    smallWorld([podOn('n1', 'a', 80)], { reports: new Map([['n1', { value: seen }]]) }),
  );
  return scene.paths[0]!;
}

function entries(seen: Seen, address = POD) {
  const path = seenOf(seen);
  return entryDevices(path, path.node!, address);
}

describe('packets of a pod enter by', () => {
  test.each<[string, Seen, string[]]>([
    [
      'the device that its result names',
      { links: [link('lxc1'), link('lxc2')], results: [result(['lxc1'])] },
      ['lxc1'],
    ],
    [
      'the device of a result whose keys have another case',
      {
        links: [link('lxc1'), link('lxc2')],
        results: [{ CNIVersion: '1.0.0', Interfaces: [{ Name: 'lxc1' }], IPs: [{ Address: `${POD}/32` }] }],
      },
      ['lxc1'],
    ],
    [
      'the other end of its interface, where the result names none',
      {
        links: [peer('lxc1'), link('lxc2', { peerNamespace: 'cni-2' })],
        results: [{ cniVersion: '0.1.0', ip4: { ip: `${POD}/32` } }],
      },
      ['lxc1'],
    ],
    ['the other end of its interface, without a result', { links: [peer('lxc1')] }, ['lxc1']],
    [
      'the other end, where the device of the result is gone',
      { links: [peer('lxc1')], results: [result(['lxc9'])] },
      ['lxc1'],
    ],
    [
      'the bridge of its device',
      {
        links: [peer('veth1', { master: 'cni0' }), link('cni0', { kind: 'bridge' })],
        results: [result(['cni0', 'veth1'])],
      },
      ['cni0'],
    ],
    [
      'the VRF of its device',
      { links: [peer('veth1', { master: 'red' }), link('red', { kind: 'vrf' })] },
      ['red'],
    ],
    [
      'the VRF of the bridge of its device',
      {
        links: [
          peer('veth1', { master: 'cni0' }),
          link('cni0', { kind: 'bridge', master: 'red' }),
          link('red', { kind: 'vrf' }),
        ],
      },
      ['red'],
    ],
    [
      'the internal port of Open vSwitch that leads there',
      {
        links: [
          peer('p1', { master: 'ovs-system' }),
          link('ovs-system', { kind: 'openvswitch' }),
          link('gw0', { kind: 'openvswitch' }),
        ],
        routes: [route('gw0')],
      },
      ['gw0'],
    ],
    [
      'the bridge that the route leads to, where nothing else is known',
      { links: [link('cni0', { kind: 'bridge' })], routes: [route('cni0')] },
      ['cni0'],
    ],
    [
      'the device of the result, of several in its namespace',
      { links: [peer('lxc1'), peer('net1')], results: [result(['lxc1'])] },
      ['lxc1'],
    ],
    [
      'the device of the attachment that gave it the address',
      { links: [peer('net1'), peer('lxc1')], results: [result(['net1'], '10.9.0.2/24'), result(['lxc1'])] },
      ['lxc1'],
    ],
    [
      'the device of its own result, not of a sandbox that had the address before',
      { links: [link('lxc9'), link('lxc1')], others: [result(['lxc9'])], results: [result(['lxc1'])] },
      ['lxc1'],
    ],
    [
      'the device of a result without addresses',
      { links: [link('lxc1')], results: [{ interfaces: [{ name: 'lxc1' }] }] },
      ['lxc1'],
    ],
    [
      'the devices of the result, of several',
      { links: [peer('lxc1'), peer('lxc2'), peer('net1')], results: [result(['lxc1', 'lxc2'])] },
      ['lxc1', 'lxc2'],
    ],
    [
      'one of those in its namespace, where the result names others',
      { links: [peer('lxc1'), peer('net1')], results: [result(['lxc9'])] },
      ['lxc1', 'net1'],
    ],
    [
      'the bridge of both its devices',
      {
        links: [
          peer('veth1', { master: 'cni0' }),
          peer('veth2', { master: 'cni0' }),
          link('cni0', { kind: 'bridge' }),
        ],
      },
      ['cni0'],
    ],
    ...['bond', 'team'].map((kind): [string, Seen, string[]] => [
      `the ${kind} of its device`,
      { links: [peer('veth1', { master: 'm0' }), link('m0', { kind })] },
      ['m0'],
    ]),
    [
      'the device of the result that it has by an address of the oldest form',
      {
        links: [link('lxc1'), link('lxc2')],
        results: [
          { interfaces: [{ name: 'lxc1' }], ip4: { ip: `${POD}/24` } },
          { interfaces: [{ name: 'lxc2' }], ip4: { ip: '10.9.0.9/24' }, ip6: { ip: 'fd00::9/64' } },
        ],
      },
      ['lxc1'],
    ],
    [
      'the device of the result of its own interface, where none has its address',
      {
        links: [link('lxc1'), link('lxc2')],
        results: [result(['lxc1'], '10.9.0.8'), result(['lxc2'], '10.9.0.9')],
      },
      ['lxc1'],
    ],
    [
      'a device of the result without a name of a sandbox',
      {
        links: [link('lxc1'), link('eth0')],
        results: [
          {
            interfaces: [
              { name: 'lxc1', sandbox: '' },
              { name: 'eth0', sandbox: '/x' },
            ],
          },
        ],
      },
      ['lxc1'],
    ],
    [
      'the other end, where the result is not one',
      { links: [peer('lxc1')], results: [{ interfaces: 'none', ips: 'none', ip4: 'none', ip6: 'none' }] },
      ['lxc1'],
    ],
    ['one of those in its namespace', { links: [peer('lxc1'), peer('net1')] }, ['lxc1', 'net1']],
  ])('%s', (_, seen, devices) => {
    expect(entries(seen)).toEqual({ value: devices });
  });

  test.each<[string, Seen, string]>([
    [
      'no link to its namespace',
      { links: [link('lxc1', { peerNamespace: 'cni-2' })] },
      'no link leads to its network namespace',
    ],
    [
      'a namespace that the runtime does not name',
      { links: [peer('lxc1')], netns: '' },
      'no link leads to its network namespace',
    ],
    [
      'a veth on the way that is nobody’s in particular',
      { links: [link('cilium_host')], routes: [route('cilium_host', { destination: `${POD}/32` })] },
      'no link leads',
    ],
    [
      'a gateway behind a bridge',
      { links: [link('br0', { kind: 'bridge' })], routes: [route('br0', { gateway: '10.0.0.1' })] },
      'no link leads',
    ],
    [
      'a port of a switch that another device leads to',
      {
        links: [
          peer('p1', { master: 'ovs-system' }),
          link('ovs-system', { kind: 'openvswitch' }),
          link('eth0'),
        ],
        routes: [route('eth0')],
      },
      'p1 is part of ovs-system',
    ],
    [
      'a port of something else that is not known',
      {
        links: [
          peer('p1', { master: 'm0' }),
          link('m0', { kind: 'hsr' }),
          link('gw0', { kind: 'openvswitch' }),
        ],
        routes: [route('gw0')],
      },
      'p1 is part of m0',
    ],
    [
      'two ports of what is not known',
      { links: [peer('p1', { master: 'm0' }), peer('p2', { master: 'm0' }), link('m0', { kind: 'hsr' })] },
      'it is unknown by which device answers enter n1: p1 and p2 is part of m0',
    ],
    [
      'a port of a switch whose way out is not known',
      { links: [peer('p1', { master: 'm0' }), link('m0', { kind: 'openvswitch' })], routes: [] },
      'p1 is part of m0',
    ],
    [
      'a bridge without a route',
      { links: [link('cni0', { kind: 'bridge' })], routes: [] },
      'it is unknown by which device answers of a enter n1: no link leads to its network namespace',
    ],
    [
      'a route by what is no bridge',
      { links: [link('cni0', { kind: 'bridge' }), link('eth0')], routes: [route('eth0')] },
      'no link leads',
    ],
    ['links that were not seen', { links: { unknown: 'EPERM' } }, 'the links of n1 are not known'],
    ['a master that is not seen', { links: [peer('p1', { master: 'gone' })] }, 'p1 is part of gone'],
  ])('a device that is not known: %s', (_, seen, why) => {
    expect(entries(seen)).toEqual({ unknown: expect.stringContaining(why) });
  });
});

test('an address of IPv6 finds its result in any spelling', () => {
  const seen: Seen = {
    links: [link('lxc1'), link('lxc2')],
    results: [
      result(['lxc1'], 'FD00:0::2/64'),
      { interfaces: [{ name: 'lxc2' }], ip6: { ip: 'fd00::3/64' } },
    ],
  };
  expect(entries(seen, 'fd00::2')).toEqual({ value: ['lxc1'] });
  expect(entries(seen, 'fd00:0:0::3')).toEqual({ value: ['lxc2'] });
});

test('masters that lead to each other are followed to an end', () => {
  const seen: Seen = {
    links: [
      peer('p1', { master: 'a' }),
      link('a', { kind: 'bridge', master: 'b' }),
      link('b', { kind: 'bridge', master: 'a' }),
    ],
  };
  expect(entries(seen)).toEqual({ value: ['a'] });
});

test('the links to a pod are those that its result names and those into its namespace', () => {
  const names = (seen: Seen) => {
    const path = seenOf(seen);
    const { named, peers } = linksToPod(path, path.node!, POD);
    return [named, peers].map((links) => links.map(({ name }) => name));
  };
  const links = [link('lxc1'), peer('lxc2'), link('lxc3', { peerNamespace: 'cni-2' })];
  expect(names({ links, results: [result(['lxc1'])] })).toEqual([['lxc1'], ['lxc2']]);
  expect(names({ links, netns: '' })).toEqual([[], []]);
  expect(names({ links: { unknown: 'EPERM' }, results: [result(['lxc1'])] })).toEqual([[], []]);
  const path = seenOf({ links });
  expect(linksToPod(path, new NodeView('n1', { unknown: 'EPERM' }), POD)).toEqual({ named: [], peers: [] });
});

test('the result of the mapping counts where the attachments of the node are not those of its sandbox', () => {
  const path = seenOf({ links: [link('lxc1')], results: [result(['lxc1'])] });
  const { named } = linksToPod({ ...path, sandbox: undefined, memory: new Map() }, path.node!, POD);
  expect(named.map(({ name }) => name)).toEqual(['lxc1']);
  const without = linksToPod(
    { ...path, sandbox: undefined, attachment: undefined, memory: new Map() },
    path.node!,
    POD,
  );
  expect(without).toEqual({ named: [], peers: [] });
});

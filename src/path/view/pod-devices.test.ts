import { describe, expect, test } from 'bun:test';
import type { NodeReport } from '../model/node-report.ts';
import { CHAINED, cniNode, listOf } from '../testing/cni-node.ts';
import { podOn, smallWorld } from '../testing/small-world.ts';
import { entryDevices } from './pod-devices.ts';
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
  links: Link[];
  routes?: Route[];
  results?: Attachment['result'][];
  /** Results of another sandbox, which come first. */
  others?: Attachment['result'][];
  netns?: string | undefined;
}

function entries({
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
      network: { links: { value: links }, routes: { value: routes } },
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
  const [path] = scene.paths;
  return entryDevices(path!, path!.node!, POD);
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
    ['a master that is not seen', { links: [peer('p1', { master: 'gone' })] }, 'p1 is part of gone'],
  ])('a device that is not known: %s', (_, seen, why) => {
    expect(entries(seen)).toEqual({ unknown: expect.stringContaining(why) });
  });
});

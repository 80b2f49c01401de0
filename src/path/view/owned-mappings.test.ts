import { describe, expect, test } from 'bun:test';
import { judge } from '../diagnose/judge.ts';
import type { NodeReport } from '../model/node-report.ts';
import { attachmentLeaked } from '../stages/attached/attachment-leaked.ts';
import { conflistRenamed } from '../stages/configured/conflist-renamed.ts';
import { mappingMissing } from '../stages/translated/mapping-missing.ts';
import { CHAINED, cniNode, listOf } from '../testing/cni-node.ts';
import { podOn, smallWorld } from '../testing/small-world.ts';
import { mappingFor, ownedMappings } from './owned-mappings.ts';
import { Scene } from './scene.ts';

// A container may have several interfaces on one network, each with mappings of its own.
const ID = 'abc';
const GONE = 'dead';

type Mapped = [containerId: string, ifName: string | undefined, hostPort: number, to: string];

function natTable(mappings: readonly Mapped[]): string {
  const chain = (containerId: string, ifName = '') => `CNI-DN-${containerId}${ifName}`;
  return [
    '*nat',
    ...['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'].map((name) => `:${name} ACCEPT [0:0]`),
    ':CNI-HOSTPORT-DNAT - [0:0]',
    ...mappings.map(([containerId, ifName]) => `:${chain(containerId, ifName)} - [0:0]`),
    '-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
    '-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
    ...mappings.flatMap(([containerId, ifName, hostPort, to]) => {
      const named = ifName === undefined ? '' : ` if: \\"${ifName}\\"`;
      return [
        `-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"net\\" id: \\"${containerId}\\"${named}" -m multiport --dports ${hostPort} -j ${chain(containerId, ifName)}`,
        `-A ${chain(containerId, ifName)} -p tcp -m tcp --dport ${hostPort} -j DNAT --to-destination ${to}:8080`,
      ];
    }),
    'COMMIT',
    '',
  ].join('\n');
}

/** `attachedBy`: the list that ran for the pod; `files`: those of the node, of which the first is in use. */
function sceneOf(
  mappings: readonly Mapped[],
  attachedBy = listOf(CHAINED),
  files: Readonly<Record<string, string>> = { '10-net.conflist': listOf(CHAINED) },
  nftables: readonly object[] = [],
): Scene {
  const route = { family: 'ipv4' as const, table: 'main', type: 'unicast' };
  const network = {
    addresses: {
      value: [
        { device: 'eth0', family: 'ipv4' as const, address: '172.17.0.2', prefix: 16, scope: 'global' },
      ],
    },
    routes: {
      value: [
        { ...route, destination: '0.0.0.0/0', gateway: '172.17.0.1', device: 'eth0' },
        { ...route, destination: '10.1.0.2/32', device: 'lxc1' },
      ],
    },
    sysctls: { value: { 'net.ipv4.ip_forward': '1' } },
  };
  const base = cniNode(files, { loaded: Object.values(files)[0], network });
  const report: NodeReport = {
    ...base,
    cni: {
      ...base.cni,
      attachments: {
        value: ['eth0', 'net1'].map((ifName) => ({
          file: `/var/lib/cni/results/net-${ID}-${ifName}`,
          modified: '2026-01-01T00:00:00Z',
          networkName: 'net',
          containerId: ID,
          ifName,
          config: attachedBy,
          portMappings: [{ hostPort: 80, containerPort: 8080, protocol: 'tcp' }],
          result: {},
        })),
      },
    },
    sandboxes: {
      value: [
        {
          ...{ id: ID, name: 'a', namespace: 'default', uid: 'uid-a', attempt: 0, ready: true },
          ...{ createdAt: '2026-01-01T00:00:00Z', hostNetwork: false, netnsExists: true },
          ...{ ips: ['10.1.0.2'], portMappings: [] },
        },
      ],
    },
    netfilter: {
      tools: { iptables: '/sbin/iptables' },
      iptables: [{ variant: 'iptables-nft', family: 'ipv4', text: { value: natTable(mappings) } }],
      nft: { value: JSON.stringify({ nftables }) },
    },
  };
  return new Scene(smallWorld([podOn('n1', 'a', 80)], { reports: new Map([['n1', { value: report }]]) }));
}

const eth0: Mapped = [ID, undefined, 80, '10.1.0.2'];
const net1: Mapped = [ID, 'net1', 81, '10.2.0.2'];

describe('mappings of two interfaces', () => {
  test('are distinguished', () => {
    const owned = ownedMappings(sceneOf([eth0, net1]).paths[0]!.node!)!;
    const sandbox = { id: ID, ips: ['10.1.0.2'] };
    expect(mappingFor(owned, sandbox)!.translations).toHaveLength(1);
    expect(mappingFor(owned, sandbox, 'net1')!.translations).toHaveLength(2);
    expect(mappingFor(owned, { ...sandbox, id: GONE })).toBeUndefined();
  });

  test('one that is there does not hide that the other is missing', () => {
    expect(mappingMissing.detect(sceneOf([eth0, net1]))).toEqual([]);
    expect(mappingMissing.detect(sceneOf([net1]))).toHaveLength(1);
    expect(mappingMissing.detect(sceneOf([]))).toHaveLength(1);
  });

  test('one by the name of the container is that of the interface it leads to', () => {
    const [path] = sceneOf([[ID, undefined, 80, '10.2.0.2']]).paths;
    const owned = ownedMappings(path!.node!)!;
    expect(mappingFor(owned, { id: ID, ips: ['10.1.0.2'] })).toBeUndefined();
    expect(mappingFor(owned, { id: ID, ips: ['10.2.0.2'] }, 'net1')).toBeDefined();
    // The runtime may not tell its addresses.
    expect(mappingFor(owned, { id: ID, ips: [] })).toBeDefined();
  });

  test('so is an element of a map', () => {
    const table = { family: 'inet', name: 'hostport', handle: 1 };
    const type = { type: ['inet_proto', 'inet_service'], map: 'ipv4_addr . inet_service' };
    const key = { elem: { val: { concat: ['tcp', 80] }, comment: `net/${ID}` } };
    const elem = [[key, { concat: ['10.2.0.2', 8080] }]];
    const map = { family: 'inet', table: 'hostport', name: 'any4_targets', handle: 2, ...type, elem };
    const scene = sceneOf([], undefined, undefined, [{ table }, { map }]);
    const owned = ownedMappings(scene.paths[0]!.node!)!;
    expect(mappingFor(owned, { id: ID, ips: ['10.1.0.2'] })).toBeUndefined();
    expect(mappingFor(owned, { id: ID, ips: ['10.2.0.2'] })).toBeDefined();
  });

  describe.each<[string, Mapped]>([
    ['of another interface by the name of the container', [ID, undefined, 81, '10.2.0.2']],
    ['of another interface by its own name', net1],
    ['of its own by the name of the container', eth0],
    ['of its own by the name of its interface', [ID, 'eth0', 80, '10.1.0.2']],
  ])('with a mapping %s', (what, mapping) => {
    const isOwn = what.startsWith('of its own');
    const alone = listOf(CHAINED.slice(0, 1));

    test(`a pod has ${isOwn ? 'its' : 'no'} mapping`, () => {
      expect(mappingMissing.detect(sceneOf([mapping]))).toHaveLength(isOwn ? 0 : 1);
    });

    test(`a pod that the chain without portmap was run for counts as attached: ${isOwn}`, () => {
      const scene = sceneOf([mapping], alone);
      expect(judge('attached', scene.paths[0]!, scene).holds).toBe(isOwn ? true : 'unknown');
    });

    test(`a pod that the chain without portmap was run for is named: ${!isOwn}`, () => {
      const files = { '05-cilium.conflist': alone, '10-net.conflist.cilium_bak': listOf(CHAINED) };
      const [found] = conflistRenamed.detect(sceneOf([mapping], alone, files));
      expect(found!.message?.includes('attached without portmap')).toBe(!isOwn);
    });
  });

  test('left by a container that is gone are removed interface by interface', () => {
    const scene = sceneOf([eth0, [GONE, undefined, 90, '10.1.0.9'], [GONE, 'net1', 91, '10.2.0.9']]);
    const steps = attachmentLeaked.detect(scene).map((found) => attachmentLeaked.heal(found, scene));
    expect(steps).toMatchObject(
      ['eth0', 'net1'].map((ifName) => ({
        steps: [{ action: { do: 'detach', networkName: 'net', containerId: GONE, ifName } }],
      })),
    );
  });
});

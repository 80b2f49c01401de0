import { describe, expect, test } from 'bun:test';
import type { FamilyName } from '../../util/family.ts';
import { judge } from '../diagnose/judge.ts';
import { textOf } from '../model/message.ts';
import type { CachedAttachment, NodeReport, Sandbox } from '../model/node-report.ts';
import { attachmentLeaked } from '../stages/attached/attachment-leaked.ts';
import { conflistRenamed } from '../stages/configured/conflist-renamed.ts';
import { mappingMissing } from '../stages/translated/mapping-missing.ts';
import { CHAINED, cniNode, listOf } from '../testing/cni-node.ts';
import { podOn, smallWorld } from '../testing/small-world.ts';
import { NodeView } from './node-view.ts';
import {
  isGone,
  mappingFor,
  type OwnedMapping,
  ownedMappings,
  ownerKey,
  sandboxIds,
} from './owned-mappings.ts';
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
      expect(textOf(found!.message).includes('attached without portmap')).toBe(!isOwn);
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

test.each([
  ['c', { containerId: 'c' }],
  ['c/net1', { containerId: 'c', ifName: 'net1' }],
])('the key %s', (key, owner) => {
  expect(ownerKey(owner)).toBe(key);
});

describe('what portmap has installed', () => {
  type TableFamily = NodeReport['netfilter']['iptables'][number]['family'];

  /** What is found in these rules of table nat, of each family, and in nft's tables. */
  function ownedIn(rules: Partial<Record<TableFamily, string[]>>, nftables: readonly object[] = []) {
    const chains = ['CNI-HOSTPORT-DNAT', 'CNI-DN-a', 'CNI-DN-b', 'CNI-MASQ'];
    const report = cniNode({});
    report.netfilter.nft = { value: JSON.stringify({ nftables }) };
    report.netfilter.iptables = Object.entries(rules).map(([family, lines]) => {
      const declared = [':PREROUTING ACCEPT [0:0]', ...chains.map((chain) => `:${chain} - [0:0]`)];
      const value = `*nat\n${[...declared, ...lines].join('\n')}\nCOMMIT\n`;
      return { variant: 'iptables-nft', family: family as TableFamily, text: { value } };
    });
    const owned = ownedMappings(new NodeView('n1', { value: report }));
    return [...owned!].map(([key, { owner, entries, families, translations, leadsTo }]) => ({
      key,
      network: owner.networkName,
      entries,
      families: [...families],
      translations: translations.map(({ rule }) => rule.text),
      leadsTo: [...leadsTo],
    }));
  }

  const jump = (id: string, to: string, how = '-j', port = 80) =>
    `-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"net\\" id: \\"${id}\\"" -m multiport --dports ${port} ${how} ${to}`;
  const dnat = (chain: string, to: string, port = 80) =>
    `-A ${chain} -p tcp -m tcp --dport ${port} -j DNAT --to-destination ${to}`;
  const mark = '-A CNI-DN-a -s 10.1.0.2/32 -j CNI-MASQ';

  test('is nothing where no rule names an owner', () => {
    expect(
      ownedIn({ ipv4: ['-A CNI-HOSTPORT-DNAT -p tcp -j CNI-DN-a', dnat('CNI-DN-a', '10.1.0.2:8080')] }),
    ).toEqual([]);
    expect(ownedIn({ ipv4: [`-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment other -j CNI-DN-a`] })).toEqual(
      [],
    );
  });

  test.each(['-j', '-g'])('is in the chain that a rule with its comment leads to by %s', (how) => {
    const own = [mark, dnat('CNI-DN-a', '10.1.0.2:8080'), dnat('CNI-DN-a', '10.1.0.3:8081', 81)];
    expect(ownedIn({ ipv4: [jump('a', 'CNI-DN-a', how), ...own, dnat('CNI-DN-b', '10.9.0.9')] })).toEqual([
      {
        key: 'a',
        network: 'net',
        entries: [jump('a', 'CNI-DN-a', how)],
        families: ['IPv4'],
        translations: own.slice(1),
        leadsTo: ['10.1.0.2', '10.1.0.3'],
      },
    ]);
  });

  test('is of both families where it is in tables of both, and once where several rules lead to its chain', () => {
    const v4 = [jump('a', 'CNI-DN-a'), jump('a', 'CNI-DN-a', '-j', 81), dnat('CNI-DN-a', '10.1.0.2:8080')];
    const v6 = [jump('a', 'CNI-DN-a'), dnat('CNI-DN-a', '[fd00:1::2]:8080')];
    expect(ownedIn({ ipv4: v4, ipv6: v6 })).toEqual([
      {
        key: 'a',
        network: 'net',
        entries: [...v4.slice(0, 2), v6[0]!],
        families: ['IPv4', 'IPv6'],
        translations: [v4[2]!, v6[1]!],
        leadsTo: ['10.1.0.2', 'fd00:1::2'],
      },
    ]);
  });

  test('is of IPv6 alone in a table of IPv6', () => {
    expect(ownedIn({ ipv6: [jump('a', 'CNI-DN-a')] })).toMatchObject([
      { families: ['IPv6'], translations: [], leadsTo: [] },
    ]);
  });

  test('is distinguished by owner', () => {
    const rules = [
      jump('a', 'CNI-DN-a'),
      jump('b', 'CNI-DN-b'),
      dnat('CNI-DN-a', '10.1.0.2'),
      dnat('CNI-DN-b', '10.1.0.3'),
    ];
    expect(ownedIn({ ipv4: rules }).map(({ key, leadsTo }) => [key, ...leadsTo])).toEqual([
      ['a', '10.1.0.2'],
      ['b', '10.1.0.3'],
    ]);
  });

  test('is only a port, where a chain redirects', () => {
    const own = '-A CNI-DN-a -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080';
    expect(ownedIn({ ipv4: [jump('a', 'CNI-DN-a'), own] })).toMatchObject([
      { translations: [], leadsTo: [] },
    ]);
  });

  test('is in elements of maps, which are of both families', () => {
    const table = { family: 'inet', name: 'hostport', handle: 1 };
    const type = { type: ['inet_proto', 'inet_service'], map: 'ipv4_addr . inet_service' };
    const element = (port: number, to: string, comment: string) => [
      { elem: { val: { concat: ['tcp', port] }, comment } },
      { concat: [to, 8080] },
    ];
    const elem = [
      element(80, '10.1.0.2', 'net/a'),
      element(81, '10.1.0.3', 'net/a/net1'),
      element(82, '10.9.0.9', 'of somebody else'),
    ];
    const map = { family: 'inet', table: 'hostport', name: 'any4_targets', handle: 2, ...type, elem };
    const owned = ownedIn({}, [{ table }, { map }]);
    expect(owned.map(({ entries }) => entries.length)).toEqual([1, 1]);
    expect(owned).toMatchObject([
      { key: 'a', families: ['IPv4', 'IPv6'], translations: [], leadsTo: ['10.1.0.2'] },
      { key: 'a/net1', families: ['IPv4', 'IPv6'], translations: [], leadsTo: ['10.1.0.3'] },
    ]);
  });

  test('is not known where the rules are not', () => {
    expect(ownedMappings(new NodeView('n1', { unknown: 'EPERM' }))).toBeUndefined();
  });
});

describe('the mapping of a sandbox', () => {
  const made = (
    key: string,
    leadsTo: string[] = [],
    families: FamilyName[] = ['IPv4'],
  ): [string, OwnedMapping] => {
    const owner = { networkName: 'net', containerId: key };
    const to = {} as OwnedMapping['translations'][number];
    return [
      key,
      { owner, entries: [key], families: new Set(families), translations: [to], leadsTo: new Set(leadsTo) },
    ];
  };
  const found = (entries: [string, OwnedMapping][], ips: string[], ifName?: string) =>
    mappingFor(new Map(entries), { id: 'c', ips }, ifName)?.entries;

  test.each<[string, [string, OwnedMapping][], string[], string | undefined, string[] | undefined]>([
    ['is that of its container', [made('c', ['10.1.0.2'])], ['10.1.0.2'], undefined, ['c']],
    ['is that of its interface', [made('c/eth0', ['10.1.0.2'])], ['10.1.0.2'], undefined, ['c/eth0']],
    ['is not that of another interface', [made('c/net1', ['10.1.0.2'])], ['10.1.0.2'], undefined, undefined],
    ['is that of the interface that is meant', [made('c/net1')], ['10.1.0.2'], 'net1', ['c/net1']],
    ['is not that of another container', [made('d', ['10.1.0.2'])], ['10.1.0.2'], undefined, undefined],
    ['is not one that leads elsewhere', [made('c', ['10.9.0.9'])], ['10.1.0.2'], undefined, undefined],
    [
      'is one that leads there among others',
      [made('c', ['10.9.0.9', '10.1.0.2'])],
      ['10.1.0.2'],
      undefined,
      ['c'],
    ],
    [
      'is one that leads to one of its addresses',
      [made('c', ['fd00::2'])],
      ['10.1.0.2', 'FD00:0::2'],
      undefined,
      ['c'],
    ],
    ['is one that leads nowhere', [made('c')], ['10.1.0.2'], undefined, ['c']],
    [
      'is one that leads elsewhere, where its address is not known',
      [made('c', ['10.9.0.9'])],
      [],
      undefined,
      ['c'],
    ],
    [
      'is one that leads elsewhere, where its address is none',
      [made('c', ['10.9.0.9'])],
      ['x'],
      undefined,
      ['c'],
    ],
    [
      'is not one that leads elsewhere, beside that of its interface',
      [made('c', ['10.9.0.9']), made('c/eth0')],
      ['10.1.0.2'],
      undefined,
      ['c/eth0'],
    ],
    ['is both', [made('c'), made('c/eth0')], [], undefined, ['c', 'c/eth0']],
  ])('%s', (_, entries, ips, ifName, expected) => {
    expect(found(entries, ips, ifName)).toEqual(expected as string[]);
  });

  test('has all parts of both', () => {
    const both = [made('c', ['10.1.0.2'], ['IPv4']), made('c/eth0', ['fd00::2'], ['IPv6'])];
    expect(mappingFor(new Map(both), { id: 'c', ips: [] })).toEqual({
      owner: { networkName: 'net', containerId: 'c' },
      entries: ['c', 'c/eth0'],
      families: new Set<FamilyName>(['IPv4', 'IPv6']),
      translations: [...both[0]![1].translations, ...both[1]![1].translations],
      leadsTo: new Set(['10.1.0.2', 'fd00::2']),
    });
  });
});

describe('a mapping whose container the runtime does not have', () => {
  const sandbox = { id: 'lives' } as Sandbox;
  const attached = (containerId: string, networkName: string) =>
    ({ containerId, networkName }) as CachedAttachment;
  const nodeWith = (report: Partial<NodeReport>, cni: Partial<NodeReport['cni']> = {}) =>
    new NodeView('n1', {
      value: {
        ...cniNode({ '10-net.conflist': listOf(CHAINED) }, { cni }),
        sandboxes: { value: [sandbox] },
        ...report,
      },
    });
  const of = (networkName: string, containerId = 'dead') => ({ networkName, containerId });
  const unlisted = { files: { unknown: 'EPERM' } };

  test.each<[string, NodeView, ReturnType<typeof of>, boolean]>([
    ['is gone when it is of the network in use', nodeWith({}), of('net'), true],
    ['is not when it is of another network', nodeWith({}), of('podman'), false],
    ['is not when it lives', nodeWith({}), of('net', 'lives'), false],
    [
      'is gone when another that lives is of its network',
      nodeWith({}, { attachments: { value: [attached('lives', 'other')] } }),
      of('other'),
      true,
    ],
    [
      'is not when another that is gone, too, is of its network',
      nodeWith({}, { attachments: { value: [attached('dead', 'other')] } }),
      of('other'),
      false,
    ],
    ['is not known to be gone where the list is not known', nodeWith({}, unlisted), of('net'), false],
    [
      'is gone where only the attachments are known',
      nodeWith({}, { ...unlisted, attachments: { value: [attached('lives', 'net')] } }),
      of('net'),
      true,
    ],
    [
      'is gone where the attachments are not known',
      nodeWith({}, { attachments: { unknown: 'EPERM' } }),
      of('net'),
      true,
    ],
    [
      'is not known to be gone where the sandboxes are not known',
      nodeWith({ sandboxes: { unknown: 'EPERM' } }),
      of('net'),
      false,
    ],
  ])('%s', (_, node, owner, expected) => {
    expect(isGone(node, owner)).toBe(expected);
  });

  test('is found among the sandboxes of the node', () => {
    expect(sandboxIds(nodeWith({}))).toEqual(new Set(['lives']));
    expect(sandboxIds(nodeWith({ sandboxes: { unknown: 'EPERM' } }))).toBeUndefined();
  });
});

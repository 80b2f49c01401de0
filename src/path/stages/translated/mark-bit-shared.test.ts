import { describe, expect, test } from 'bun:test';
import { type Diagnosed, diagnose } from '../../diagnose/diagnose.ts';
import { planHeal } from '../../heal/plan.ts';
import type { CachedAttachment, NodeReport, PolicyRule, Sandbox } from '../../model/node-report.ts';
import type { World } from '../../model/world.ts';
import { cniNode, listOf } from '../../testing/cni-node.ts';
import { findingsText, testFindings } from '../../testing/findings-text.ts';
import { podOn, smallWorld } from '../../testing/small-world.ts';

interface Otherwise {
  /** Of portmap's entry. */
  portmap?: Record<string, unknown>;
  primary?: string;
  /** Rules of mangle. */
  mangle?: string[];
  /** Rules of mangle, IPv6. */
  mangle6?: string[];
  nat?: string[];
  nat6?: string[];
  nft?: unknown[];
  policyRules?: PolicyRule[];
  policyRules6?: PolicyRule[];
  /** Lists of other networks, by file name. */
  lists?: Record<string, string>;
  /** Names of pods with two mappings each. */
  pods?: string[];
  attachments?: CachedAttachment[];
  routes?: Extract<NodeReport['network']['routes'], { value: unknown }>['value'];
}

const tables = (mangle: string[] = [], nat: string[] = []) =>
  [
    '*mangle',
    ...['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'].map((chain) => `:${chain} ACCEPT [0:0]`),
    ...mangle,
    'COMMIT',
    '*nat',
    ...['PREROUTING', 'OUTPUT', 'POSTROUTING'].map((chain) => `:${chain} ACCEPT [0:0]`),
    ...nat,
    'COMMIT',
    '',
  ].join('\n');

const OWN = [
  ':CNI-HOSTPORT-MASQ - [0:0]',
  ':CNI-HOSTPORT-SETMARK - [0:0]',
  '-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ',
  '-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE',
  '-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000',
];

const diagnosed = (otherwise: Otherwise): Diagnosed => diagnose(worldFor(otherwise));

function worldFor(otherwise: Otherwise): World {
  const { portmap, primary = 'bridge', mangle, mangle6, nat = OWN, nat6, nft = [] } = otherwise;
  const list = listOf([
    { type: primary },
    { type: 'portmap', capabilities: { portMappings: true }, ...portmap },
  ]);
  const report = cniNode(
    { '10-net.conflist': list, ...otherwise.lists },
    {
      loaded: list,
      network: { routes: { value: otherwise.routes ?? [] } },
      cni: { attachments: { value: otherwise.attachments ?? [] } },
    },
  );
  const standard = (priority: number, table: string): PolicyRule => ({ priority, table });
  const withStandard = (rules: PolicyRule[] = []) => ({
    value: [standard(0, 'local'), ...rules, standard(32766, 'main')],
  });
  const seen: NodeReport = {
    ...report,
    network: {
      ...report.network,
      rules: { ipv4: withStandard(otherwise.policyRules), ipv6: withStandard(otherwise.policyRules6) },
    },
    netfilter: {
      tools: { iptables: '/sbin/iptables' },
      iptables: [
        { variant: 'iptables-nft', family: 'ipv4', text: { value: tables(mangle, nat) } },
        { variant: 'iptables-nft', family: 'ipv6', text: { value: tables(mangle6, nat6) } },
      ],
      nft: { value: JSON.stringify({ nftables: nft }) },
    },
  };
  const pods = otherwise.pods ?? [];
  const withSandboxes = { ...seen, sandboxes: { value: pods.map(sandboxOf) } };
  return smallWorld(
    pods.map((name) => podOn('n1', name, 80, 81)),
    { reports: new Map([['n1', { value: withSandboxes }]]) },
  );
}

const sandboxOf = (name: string): Sandbox => ({
  ...{ id: `sandbox-of-${name}`, name, namespace: 'default', uid: `uid-${name}`, attempt: 0, ready: true },
  ...{ createdAt: '', hostNetwork: false, netnsExists: true, ips: ['10.1.0.2'], portMappings: [] },
});

const found = (otherwise: Otherwise) =>
  diagnosed(otherwise).diagnosis.findings.find(({ code }) => code === 'mark-bit-shared');

const nftTable = (name: string) => ({ table: { family: 'inet', name, handle: 1 } });

/** A chain of nft that sets the bit. */
function baseChain(table: string, hook: string): unknown[] {
  const mark = { meta: { key: 'mark' } };
  const where = { family: 'inet', table };
  return [
    nftTable(table),
    { chain: { ...where, name: 'c', handle: 1, type: 'filter', hook, prio: 0, policy: 'accept' } },
    {
      rule: {
        ...where,
        chain: 'c',
        handle: 2,
        expr: [{ mangle: { key: mark, value: { '|': [mark, 0x2000] } } }],
      },
    },
  ];
}

/** The own table as it masquerades by some bits, a rule each; with a port of IPv6 in it, or none. */
function ownTable(bits: readonly number[], options: { v6?: boolean } = {}): unknown[] {
  const where = { family: 'inet', table: 'hostport' };
  const chain = { ...where, type: 'nat', hook: 'postrouting', prio: 99, policy: 'accept' };
  const elem = options.v6 ? [[{ concat: ['tcp', 80] }, { goto: { target: 'ipv6' } }]] : [];
  return [
    nftTable('hostport'),
    { chain: { ...chain, name: 'postrouting', handle: 2 } },
    {
      map: { ...where, name: 'any6', handle: 3, type: ['inet_proto', 'inet_service'], map: 'verdict', elem },
    },
    ...bits.map((bit) => {
      const mask = 2 ** bit;
      const left = { '&': [{ meta: { key: 'mark' } }, mask] };
      const expr = [{ match: { op: '==', left, right: mask } }, { masquerade: null }];
      return { rule: { ...where, chain: 'postrouting', handle: 100 + bit, expr } };
    }),
  ];
}

const SET = '-A PREROUTING -p tcp -m tcp --dport 9099 -j MARK --set-xmark 0x2000/0x2000';
const ROUTE = { family: 'ipv4', destination: '0.0.0.0/0', type: 'local', device: 'lo' } as const;

describe('portmap’s bit', () => {
  test.each<[string, Otherwise, boolean]>([
    ['is nobody else’s', {}, false],
    ['is set by a rule', { mangle: [SET] }, true],
    ['is another, by its configuration', { mangle: [SET], portmap: { markMasqBit: 12 }, nat: [] }, false],
    [
      'is that of a rule, by its configuration',
      { mangle: [SET.replaceAll('0x2000', '0x1000')], portmap: { markMasqBit: 12 } },
      true,
    ],
    ['is not used without masquerading', { mangle: [SET], portmap: { snat: false } }, false],
    [
      'is not used where somebody else marks',
      { mangle: [SET], portmap: { externalSetMarkChain: 'KUBE-MARK-MASQ' } },
      false,
    ],
    ['is used in nftables', { mangle: [SET], portmap: { backend: 'nftables' } }, true],
    [
      'is used there beside what the reference plugin left',
      {
        mangle: [SET],
        portmap: { backend: 'nftables' },
        nft: [nftTable('cni_hostport'), nftTable('hostport')],
      },
      true,
    ],
    [
      'is not used by the reference plugin there',
      { mangle: [SET], portmap: { backend: 'nftables' }, nft: [nftTable('cni_hostport')] },
      false,
    ],
    ['is used by the reference plugin elsewhere', { mangle: [SET], nft: [nftTable('cni_hostport')] }, true],
    [
      'is set by its own rules',
      {
        nat: [
          ...OWN,
          '-A PREROUTING -j CNI-HOSTPORT-SETMARK',
          '-A CNI-HOSTPORT-SETMARK -j MARK --set-xmark 0x2000/0x2000',
        ],
      },
      false,
    ],
    [
      'is set by its own rules of nftables',
      { portmap: { backend: 'nftables' }, nft: baseChain('hostport', 'prerouting') },
      false,
    ],
    [
      'is set by rules of nftables',
      { portmap: { backend: 'nftables' }, nft: baseChain('mine', 'prerouting') },
      true,
    ],
    [
      'is spared by a rule of our healing',
      {
        nat: [
          '-A POSTROUTING -m mark ! --mark 0x2000/0x2000 -m comment --comment "hostport: keep" -j ACCEPT',
          ...OWN,
        ],
      },
      false,
    ],
    [
      'is spared by a rule of somebody else',
      {
        nat: ['-A POSTROUTING -m mark ! --mark 0x2000/0x2000 -m comment --comment "keep" -j ACCEPT', ...OWN],
      },
      true,
    ],
    ['is set for IPv6, where nothing is mapped', { mangle6: [SET] }, false],
    ['is set for IPv6, where ports are mapped', { mangle6: [SET], nat6: OWN }, true],
    [
      'is set for IPv6, where the table of nftables has both families',
      { mangle6: [SET], portmap: { backend: 'nftables' } },
      true,
    ],
    [
      'is cleared for IPv6, where no port of that is mapped',
      {
        mangle6: ['-A FORWARD -j MARK --set-xmark 0x0/0x2000'],
        portmap: { backend: 'nftables' },
        nft: ownTable([13]),
      },
      false,
    ],
    [
      'is cleared for IPv6, where nftables maps a port of that',
      {
        mangle6: ['-A FORWARD -j MARK --set-xmark 0x0/0x2000'],
        portmap: { backend: 'nftables' },
        nft: ownTable([13], { v6: true }),
      },
      true,
    ],
    [
      'leads to a table in IPv6, where nftables maps a port of that',
      {
        portmap: { backend: 'nftables' },
        nft: ownTable([13], { v6: true }),
        policyRules6: [{ priority: 9, mark: { value: 0x2000, mask: 0x2000 }, table: '100' }],
        routes: [{ ...ROUTE, family: 'ipv6', table: '100' }],
      },
      true,
    ],
    [
      'leads to a table in IPv6, where no port of that is mapped',
      {
        policyRules6: [{ priority: 9, mark: { value: 0x2000, mask: 0x2000 }, table: '100' }],
        routes: [{ ...ROUTE, family: 'ipv6', table: '100' }],
      },
      false,
    ],
    [
      'leads to a table',
      {
        policyRules: [{ priority: 9, mark: { value: 0x2000, mask: 0x2000 }, table: '100' }],
        routes: [
          { ...ROUTE, table: 'main' },
          { ...ROUTE, table: '100' },
        ],
      },
      true,
    ],
    [
      'leads to a table that has a route of IPv6',
      {
        policyRules: [{ priority: 9, mark: { value: 0x2000, mask: 0x2000 }, table: '100' }],
        routes: [{ ...ROUTE, family: 'ipv6', table: '100' }],
      },
      false,
    ],
    [
      'leads to a table that has no route',
      {
        policyRules: [{ priority: 9, mark: { value: 0x2000, mask: 0x2000 }, table: '100' }],
        routes: [{ ...ROUTE, table: 'main' }],
      },
      false,
    ],
    [
      'leads nowhere',
      { policyRules: [{ priority: 9, mark: { value: 0x2000, mask: 0x2000 }, action: 'blackhole' }] },
      true,
    ],
    [
      'leads past a rule',
      { policyRules: [{ priority: 9, mark: { value: 0x2000, mask: 0x2000 }, action: 'nop' }] },
      false,
    ],
    [
      'is not that of a policy rule',
      {
        policyRules: [{ priority: 9, mark: { value: 0x200, mask: 0xf00 }, table: '100' }],
        routes: [{ ...ROUTE, table: '100' }],
      },
      false,
    ],
    [
      'is part of nobody’s default rule',
      {
        policyRules: [
          { priority: 9, inverted: true, mark: { value: 0xca6c, mask: 0xffffffff }, table: '100' },
        ],
        routes: [{ ...ROUTE, table: '100' }],
      },
      false,
    ],
  ])('%s', (_, otherwise, isFound) => {
    expect(found(otherwise) !== undefined).toBe(isFound);
  });

  test('is reported with the rule, and what that does', () => {
    const saved = '-A POSTROUTING -j CONNMARK --save-mark --nfmask 0x2000 --ctmask 0x2000';
    const dropped = '-A FORWARD -m connmark --mark 0x2000/0x2000 -j DROP';
    const cleared = '-A FORWARD -j MARK --set-xmark 0x0/0x2000';
    const finding = found({
      mangle: [SET, saved, dropped, cleared],
      policyRules: [{ priority: 9, mark: { value: 0x2000, mask: 0x2000 }, action: 'prohibit' }],
    });
    expect(finding?.message).toBe(
      'portmap uses bit 13 of the packet mark on n1, and 4 rules of another component use it too',
    );
    expect(finding?.evidence.map(({ kind, where, saw }) => [kind, where, saw])).toEqual([
      ['rule', 'iptables-nft mangle PREROUTING (sets the bit)', SET],
      ['rule', 'iptables-nft mangle FORWARD (acts on the bit)', dropped],
      ['rule', 'iptables-nft mangle POSTROUTING (keeps the bit with the connection)', saved],
      ['rule', 'iptables-nft mangle FORWARD (clears the bit before packets are masqueraded)', cleared],
      ['route', 'policy rule of n1 (acts on the bit)', '9: from all fwmark 0x2000/0x2000 prohibit'],
    ]);
  });

  test('is reported once for a rule of both families', () => {
    expect(found({ nat6: OWN, nft: baseChain('mine', 'forward') })?.evidence).toHaveLength(1);
    expect(found({ nat6: OWN, nft: baseChain('mine', 'input') })).toBeUndefined();
  });
});

describe('another bit is proposed', () => {
  const field = (mask: string) => `-A INPUT -m mark --mark ${mask}/${mask} -j ACCEPT`;
  test.each<[string, Otherwise, number | undefined]>([
    ['the first', {}, 12],
    ['one that no rule has in its field', { mangle: [field('0x1800')] }, 10],
    [
      'one that no rule restores',
      { mangle: ['-A PREROUTING -j CONNMARK --restore-mark --nfmask 0x1000 --ctmask 0x1000'] },
      11,
    ],
    [
      'one that no policy rule goes by',
      {
        policyRules: [{ priority: 9, mark: { value: 0x200, mask: 0x1f00 }, table: '100' }],
        routes: [{ ...ROUTE, table: '100' }],
      },
      7,
    ],
    ['one that no rule of IPv6 has', { mangle6: [field('0x1000')] }, 11],
    // The whole mark is compared or written where that does not matter.
    [
      'beside a rule for the whole mark',
      { mangle: ['-A PREROUTING -m mark --mark 0xa00/0xfffffeff -j MARK --set-xmark 0x200/0xffffffff'] },
      12,
    ],
    [
      'none where every mark is overwritten before it is looked at',
      { mangle: ['-A FORWARD -j MARK --set-xmark 0x1/0xffffffff'] },
      undefined,
    ],
    ['none of Cilium’s, by its plugin', { primary: 'cilium-cni', mangle: [field('0x1000')] }, undefined],
    [
      'none of Cilium’s, by its chains',
      { mangle: [':CILIUM_PRE_mangle - [0:0]', field('0x1000')] },
      undefined,
    ],
    ['the one that Cilium leaves', { primary: 'cilium-cni' }, 12],
    [
      'none of Cilium’s with IPsec, by its policy rule',
      {
        primary: 'cilium-cni',
        policyRules: [{ priority: 1, mark: { value: 0xd00, mask: 0xf00 }, table: '200' }],
      },
      undefined,
    ],
    [
      'none of Cilium’s with IPsec, by its rules',
      {
        primary: 'cilium-cni',
        mangle: [
          '-A PREROUTING -m mark --mark 0xd00/0xf00 -m comment --comment "cilium-xfrm-notrack:" -j ACCEPT',
        ],
      },
      undefined,
    ],
    [
      'the one that Cilium leaves with WireGuard',
      {
        primary: 'cilium-cni',
        policyRules: [{ priority: 1, mark: { value: 0xe00, mask: 0xf00 }, table: '201' }],
      },
      12,
    ],
    [
      'the one that Cilium leaves, where its table has another mark',
      {
        primary: 'cilium-cni',
        policyRules: [{ priority: 1, mark: { value: 0x300, mask: 0xf00 }, table: '200' }],
      },
      12,
    ],
    [
      'not the one that portmap has now',
      {
        portmap: { markMasqBit: 12 },
        mangle: [SET.replaceAll('0x2000', '0x1000'), '-A POSTROUTING -m mark --mark 0x1000/0x1000 -j DROP'],
      },
      11,
    ],
    ['an upper one where there are rules for all others', { mangle: [field('0x1fff')] }, 31],
    ['none of Calico’s', { primary: 'calico', mangle: [field('0x1fff')] }, undefined],
    ['none of Kubernetes’', { mangle: [field('0x1fff'), field('0xffff0000')] }, undefined],
    ['one below Calico’s', { primary: 'calico', mangle: [field('0x1f00')] }, 7],
  ])('%s', (_, otherwise, bit) => {
    const mangle = [...(otherwise.mangle ?? []), SET];
    const result = diagnosed({ ...otherwise, mangle });
    const finding = result.diagnosis.findings.find(({ code }) => code === 'mark-bit-shared')!;
    const [plan] = planHeal(result, { restart: false, codes: ['mark-bit-shared'] });
    const [step] = plan!.steps;
    if (bit === undefined) {
      expect(finding.remedy).toStartWith('no bit of the mark is free on n1');
      expect(finding.command).toBeUndefined();
      expect(plan).toMatchObject({ steps: [], left: { to: 'hand', why: finding.remedy } });
    } else {
      const condition = otherwise.primary === 'cilium-cni' ? " (not with Cilium's IPsec)" : '';
      expect(finding.remedy).toBe(
        `Give portmap bit ${bit} (\`markMasqBit\`), which no rule of n1 uses${condition}.`,
      );
      expect(step!.why).toBe(`let portmap use bit ${bit}${condition}`);
      expect(step).toMatchObject({
        action: { do: 'write-file', content: expect.stringContaining(`"markMasqBit": ${bit}`) },
      });
    }
  });

  test('and the components are named that have more than their rules show', () => {
    expect(found({ primary: 'cilium-cni', mangle: [field('0x1000'), SET] })?.remedy).toBe(
      'no bit of the mark is free on n1: rules there or Kubernetes, Cilium use each of them, so one of the components must give one up',
    );
  });

  test('and the old one is taken out of every table that has it', () => {
    const result = diagnosed({ mangle: [SET], nat6: OWN });
    const [plan] = planHeal(result, { restart: false, codes: ['mark-bit-shared'] });
    const removed = plan!.steps.flatMap((step) =>
      step.on === 'node' && step.action.do === 'iptables'
        ? [`${step.action.variant} ${step.action.family} ${step.action.commands.length}`]
        : [],
    );
    expect(removed).toEqual(['iptables-nft ipv4 2', 'iptables-nft ipv6 2']);
  });

  test('and the old one is taken out of the table of nftables', () => {
    const plan = planOf({
      mangle: [SET],
      portmap: { backend: 'nftables' },
      nat: [],
      nft: ownTable([13, 12]),
    });
    expect(plan!.steps.map((step) => step.on === 'node' && step.action)).toEqual([
      expect.objectContaining({ do: 'write-file' }),
      NO_BIT_13,
    ]);
  });
});

const NO_BIT_13 = {
  do: 'delete-nft-rule',
  family: 'inet',
  table: 'hostport',
  chain: 'postrouting',
  handle: 113,
} as const;

function planOf(otherwise: Otherwise) {
  return planHeal(diagnosed(otherwise), { restart: false, codes: ['mark-bit-shared'] })[0];
}

describe('a rule of portmap for a bit that it no longer uses', () => {
  const nftables = { backend: 'nftables', markMasqBit: 12 };

  test('is reported with the rules that set the bit, and is taken out', () => {
    const otherwise = { mangle: [SET], portmap: nftables, nat: [], nft: ownTable([13, 12]) };
    const finding = found(otherwise);
    expect(finding?.message).toBe(
      'portmap uses bit 12 of the packet mark on n1, and rules of its own still masquerade by bit 13',
    );
    expect(finding?.evidence.map(({ where }) => where)).toEqual([
      'nft hostport postrouting (masquerades by a bit that portmap no longer uses)',
      'iptables-nft mangle PREROUTING (sets the bit)',
    ]);
    expect(planOf(otherwise)!.steps.map((step) => step.on === 'node' && step.action)).toEqual([NO_BIT_13]);
  });

  test('is reported in iptables', () => {
    const plan = planOf({ portmap: { markMasqBit: 12 } });
    expect(plan!.steps).toMatchObject([
      {
        action: {
          do: 'iptables',
          commands: [expect.arrayContaining(['-D']), expect.arrayContaining(['-D'])],
        },
      },
    ]);
  });

  test.each<[string, Otherwise]>([
    ['is not reported for the configured bit', { portmap: nftables, nft: ownTable([12]) }],
    [
      'is not reported for the bit of another network',
      {
        portmap: nftables,
        nft: ownTable([12, 13]),
        lists: { '20-x.conflist': listOf([{ type: 'bridge' }, { type: 'portmap' }], { name: 'x' }) },
      },
    ],
    ['is not reported in another table', { portmap: nftables, nft: baseChain('mine', 'input') }],
  ])('%s', (_, otherwise) => expect(found({ nat: [], ...otherwise })).toBeUndefined());
});

const attachmentOf = (config: string): CachedAttachment => ({
  ...{
    file: '/var/lib/cni/results/x',
    modified: '',
    networkName: 'x',
    containerId: 'x',
    ifName: 'eth0',
    config,
  },
  ...{ portMappings: [], result: {} },
});
const networkX = (portmap: object) =>
  listOf([{ type: 'bridge' }, { type: 'portmap', ...portmap }], { name: 'x' });
const NFT = { portmap: { backend: 'nftables', markMasqBit: 12 }, nat: [] };
const BY_MARK: PolicyRule = { priority: 9, mark: { value: 0x2000, mask: 0x2000 }, action: 'prohibit' };
const unrouted = (world: World): World => {
  const report = (world.reports.get('n1') as { value: NodeReport }).value;
  const value = { ...report, network: { ...report.network, routes: { unknown: 'EACCES' } } };
  return { ...world, reports: new Map([['n1', { value }]]) };
};
const legacyToo = (world: World): World => {
  const report = (world.reports.get('n1') as { value: NodeReport }).value;
  const iptables = report.netfilter.iptables.map((entry) => ({
    ...entry,
    variant: 'iptables-legacy' as const,
  }));
  const value = { ...report, netfilter: { ...report.netfilter, iptables } };
  return { ...world, reports: new Map([['n1', { value }]]) };
};

testFindings('mark-bit-shared', [
  [
    'with one rule, on a node with two pods',
    worldFor({ mangle: [SET], pods: ['a', 'b'] }),
    [
      'risk n1: portmap uses bit 13 of the packet mark on n1, and a rule of another component uses it too',
      'remedy: Give portmap bit 12 (`markMasqBit`), which no rule of n1 uses.',
      'rule | iptables-nft mangle PREROUTING (sets the bit) | -A PREROUTING -p tcp -m tcp --dport 9099 -j MARK --set-xmark 0x2000/0x2000',
      'write-file on n1, to let portmap use bit 12: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"bridge"},{"capabilities":{"portMappings":true},"type":"portmap","markMasqBit":12}]}}',
      'attach on n1, to mark packets of a by bit 12: {"sandbox":"sandbox-of-a","config":"/etc/cni/net.d/10-net.conflist","plugin":"portmap","own":true}',
      'attach on n1, to mark packets of b by bit 12: {"sandbox":"sandbox-of-b","config":"/etc/cni/net.d/10-net.conflist","plugin":"portmap","own":true}',
      'iptables on n1, to no longer use bit 13: {"variant":"iptables-nft","family":"ipv4","table":"nat","commands":[["-D","CNI-HOSTPORT-SETMARK","-m","comment","--comment","CNI portfwd masquerade mark","-j","MARK","--set-xmark","0x2000/0x2000"],["-D","CNI-HOSTPORT-MASQ","-m","mark","--mark","0x2000/0x2000","-j","MASQUERADE"]]}',
    ],
  ],
  [
    'with two rules, of legacy',
    legacyToo(worldFor({ mangle: [SET, SET.replace('9099', '9098')] })),
    [
      'risk n1: portmap uses bit 13 of the packet mark on n1, and 2 rules of another component use it too',
      'remedy: Give portmap bit 12 (`markMasqBit`), which no rule of n1 uses.',
      'rule | iptables-legacy mangle PREROUTING (sets the bit) | -A PREROUTING -p tcp -m tcp --dport 9099 -j MARK --set-xmark 0x2000/0x2000',
      'rule | iptables-legacy mangle PREROUTING (sets the bit) | -A PREROUTING -p tcp -m tcp --dport 9098 -j MARK --set-xmark 0x2000/0x2000',
      'write-file on n1, to let portmap use bit 12: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"bridge"},{"capabilities":{"portMappings":true},"type":"portmap","markMasqBit":12}]}}',
      'iptables on n1, to no longer use bit 13: {"variant":"iptables-legacy","family":"ipv4","table":"nat","commands":[["-D","CNI-HOSTPORT-SETMARK","-m","comment","--comment","CNI portfwd masquerade mark","-j","MARK","--set-xmark","0x2000/0x2000"],["-D","CNI-HOSTPORT-MASQ","-m","mark","--mark","0x2000/0x2000","-j","MASQUERADE"]]}',
    ],
  ],
  [
    'with a policy rule of IPv6',
    worldFor({ nat6: OWN, policyRules6: [BY_MARK] }),
    [
      'risk n1: portmap uses bit 13 of the packet mark on n1, and a rule of another component uses it too',
      'remedy: Give portmap bit 12 (`markMasqBit`), which no rule of n1 uses.',
      'route | IPv6 policy rule of n1 (acts on the bit) | 9: from all fwmark 0x2000/0x2000 prohibit',
      'write-file on n1, to let portmap use bit 12: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"bridge"},{"capabilities":{"portMappings":true},"type":"portmap","markMasqBit":12}]}}',
      'iptables on n1, to no longer use bit 13: {"variant":"iptables-nft","family":"ipv4","table":"nat","commands":[["-D","CNI-HOSTPORT-SETMARK","-m","comment","--comment","CNI portfwd masquerade mark","-j","MARK","--set-xmark","0x2000/0x2000"],["-D","CNI-HOSTPORT-MASQ","-m","mark","--mark","0x2000/0x2000","-j","MASQUERADE"]]}',
      'iptables on n1, to no longer use bit 13: {"variant":"iptables-nft","family":"ipv6","table":"nat","commands":[["-D","CNI-HOSTPORT-SETMARK","-m","comment","--comment","CNI portfwd masquerade mark","-j","MARK","--set-xmark","0x2000/0x2000"],["-D","CNI-HOSTPORT-MASQ","-m","mark","--mark","0x2000/0x2000","-j","MASQUERADE"]]}',
    ],
  ],
  [
    'with a policy rule of both families',
    worldFor({ nat6: OWN, policyRules: [BY_MARK], policyRules6: [BY_MARK] }),
    [
      'risk n1: portmap uses bit 13 of the packet mark on n1, and 2 rules of another component use it too',
      'remedy: Give portmap bit 12 (`markMasqBit`), which no rule of n1 uses.',
      'route | policy rule of n1 (acts on the bit) | 9: from all fwmark 0x2000/0x2000 prohibit',
      'route | IPv6 policy rule of n1 (acts on the bit) | 9: from all fwmark 0x2000/0x2000 prohibit',
      'write-file on n1, to let portmap use bit 12: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"bridge"},{"capabilities":{"portMappings":true},"type":"portmap","markMasqBit":12}]}}',
      'iptables on n1, to no longer use bit 13: {"variant":"iptables-nft","family":"ipv4","table":"nat","commands":[["-D","CNI-HOSTPORT-SETMARK","-m","comment","--comment","CNI portfwd masquerade mark","-j","MARK","--set-xmark","0x2000/0x2000"],["-D","CNI-HOSTPORT-MASQ","-m","mark","--mark","0x2000/0x2000","-j","MASQUERADE"]]}',
      'iptables on n1, to no longer use bit 13: {"variant":"iptables-nft","family":"ipv6","table":"nat","commands":[["-D","CNI-HOSTPORT-SETMARK","-m","comment","--comment","CNI portfwd masquerade mark","-j","MARK","--set-xmark","0x2000/0x2000"],["-D","CNI-HOSTPORT-MASQ","-m","mark","--mark","0x2000/0x2000","-j","MASQUERADE"]]}',
    ],
  ],
  [
    'with none, and one bit is old',
    worldFor({ ...NFT, nft: ownTable([12, 13]), pods: ['a'] }),
    [
      'risk n1: portmap uses bit 12 of the packet mark on n1, and rules of its own still masquerade by bit 13',
      "remedy: Write the mappings again with bit 12, then delete portmap's rules for bit 13.",
      'rule | nft hostport postrouting (masquerades by a bit that portmap no longer uses) | meta mark & 8192 == 8192 masquerade',
      'attach on n1, to mark packets of a by bit 12: {"sandbox":"sandbox-of-a","config":"/etc/cni/net.d/10-net.conflist","plugin":"portmap"}',
      'delete-nft-rule on n1, to no longer use bit 13: {"family":"inet","table":"hostport","chain":"postrouting","handle":113}',
    ],
  ],
  [
    'with none, and two bits are old',
    worldFor({ ...NFT, nft: ownTable([13, 12, 11]) }),
    [
      'risk n1: portmap uses bit 12 of the packet mark on n1, and rules of its own still masquerade by bits 11, 13',
      "remedy: Write the mappings again with bit 12, then delete portmap's rules for bits 11, 13.",
      'rule | nft hostport postrouting (masquerades by a bit that portmap no longer uses) | meta mark & 2048 == 2048 masquerade',
      'rule | nft hostport postrouting (masquerades by a bit that portmap no longer uses) | meta mark & 8192 == 8192 masquerade',
      'delete-nft-rule on n1, to no longer use bit 11: {"family":"inet","table":"hostport","chain":"postrouting","handle":111}',
      'delete-nft-rule on n1, to no longer use bit 13: {"family":"inet","table":"hostport","chain":"postrouting","handle":113}',
    ],
  ],
  [
    'with one rule, and another bit is old',
    worldFor({ ...NFT, nft: ownTable([13, 12, 11]), mangle: [SET.replaceAll('0x2000', '0x1000')] }),
    [
      'risk n1: portmap uses bit 12 of the packet mark on n1, and a rule of another component uses it too',
      'remedy: Give portmap bit 11 (`markMasqBit`), which no rule of n1 uses.',
      'rule | iptables-nft mangle PREROUTING (sets the bit) | -A PREROUTING -p tcp -m tcp --dport 9099 -j MARK --set-xmark 0x1000/0x1000',
      'rule | nft hostport postrouting (masquerades by a bit that portmap no longer uses) | meta mark & 2048 == 2048 masquerade',
      'rule | nft hostport postrouting (masquerades by a bit that portmap no longer uses) | meta mark & 8192 == 8192 masquerade',
      'write-file on n1, to let portmap use bit 11: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"bridge"},{"backend":"nftables","capabilities":{"portMappings":true},"markMasqBit":11,"type":"portmap"}]}}',
      'delete-nft-rule on n1, to no longer use bit 12: {"family":"inet","table":"hostport","chain":"postrouting","handle":112}',
      'delete-nft-rule on n1, to no longer use bit 13: {"family":"inet","table":"hostport","chain":"postrouting","handle":113}',
    ],
  ],
  [
    'with one rule, and no other bit is free',
    worldFor({ mangle: ['-A FORWARD -j MARK --set-xmark 0x1/0xffffffff'] }),
    [
      'risk n1: portmap uses bit 13 of the packet mark on n1, and a rule of another component uses it too',
      'remedy: no bit of the mark is free on n1: rules there or Kubernetes use each of them, so one of the components must give one up',
      'rule | iptables-nft mangle FORWARD (clears the bit before packets are masqueraded) | -A FORWARD -j MARK --set-xmark 0x1/0xffffffff',
      'by hand: no bit of the mark is free on n1: rules there or Kubernetes use each of them, so one of the components must give one up',
    ],
  ],
  [
    "with none, and the old bit is another network's that is attached",
    worldFor({ ...NFT, nft: ownTable([12, 13]), attachments: [attachmentOf(networkX({}))] }),
    [],
  ],
  [
    'with none, and the old bit is not that of another network',
    worldFor({
      ...NFT,
      nft: ownTable([12, 13]),
      attachments: [
        attachmentOf('{'),
        attachmentOf(listOf([{ type: 'bridge' }], { name: 'x' })),
        attachmentOf(networkX({ markMasqBit: 7 })),
        attachmentOf(listOf([{ type: 'bridge' }, { type: 'portmap' }])),
      ],
    }),
    [
      'risk n1: portmap uses bit 12 of the packet mark on n1, and rules of its own still masquerade by bit 13',
      "remedy: Write the mappings again with bit 12, then delete portmap's rules for bit 13.",
      'rule | nft hostport postrouting (masquerades by a bit that portmap no longer uses) | meta mark & 8192 == 8192 masquerade',
      'delete-nft-rule on n1, to no longer use bit 13: {"family":"inet","table":"hostport","chain":"postrouting","handle":113}',
    ],
  ],
  [
    'with a policy rule, where the routes are not known',
    unrouted(
      worldFor({ policyRules: [{ priority: 9, mark: { value: 0x2000, mask: 0x2000 }, table: '100' }] }),
    ),
    [
      'risk n1: portmap uses bit 13 of the packet mark on n1, and a rule of another component uses it too',
      'remedy: Give portmap bit 12 (`markMasqBit`), which no rule of n1 uses.',
      'route | policy rule of n1 (acts on the bit) | 9: from all fwmark 0x2000/0x2000 lookup 100',
      'write-file on n1, to let portmap use bit 12: {"path":"/etc/cni/net.d/10-net.conflist","content":{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"bridge"},{"capabilities":{"portMappings":true},"type":"portmap","markMasqBit":12}]}}',
      'iptables on n1, to no longer use bit 13: {"variant":"iptables-nft","family":"ipv4","table":"nat","commands":[["-D","CNI-HOSTPORT-SETMARK","-m","comment","--comment","CNI portfwd masquerade mark","-j","MARK","--set-xmark","0x2000/0x2000"],["-D","CNI-HOSTPORT-MASQ","-m","mark","--mark","0x2000/0x2000","-j","MASQUERADE"]]}',
    ],
  ],
  [
    'with none, and another component masquerades by another bit',
    worldFor({
      ...NFT,
      nft: [
        ...ownTable([12]),
        ...JSON.parse(JSON.stringify(ownTable([11])).replaceAll('"hostport"', '"mine"')),
      ],
    }),
    [],
  ],
  ['with none', worldFor({}), []],
]);

test('nothing is known where the rules, or the configurations, are not', () => {
  const world = worldFor({ mangle: [SET] });
  const { value } = world.reports.get('n1') as { value: NodeReport };
  const unread = { ...value, netfilter: { ...value.netfilter, nft: { unknown: 'EACCES' } } };
  const unlisted = { ...value, cni: { ...value.cni, files: { unknown: 'EACCES' } } };
  for (const report of [unread, unlisted]) {
    const other = { ...world, reports: new Map([['n1', { value: report }]]) };
    expect(findingsText('mark-bit-shared', other)).toEqual([]);
  }
});

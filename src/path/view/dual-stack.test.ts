import { describe, expect, test } from 'bun:test';
import type { Pod } from '../../kube/types.ts';
import type { FamilyName } from '../../util/family.ts';
import { diagnose } from '../diagnose/diagnose.ts';
import type { NodeReport } from '../model/node-report.ts';
import type { ProbeResult, Vantage } from '../model/probe.ts';
import { CHAINED, cniNode, listOf } from '../testing/cni-node.ts';
import { podOn, smallWorld } from '../testing/small-world.ts';

const SANDBOX = '9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e';
const CHAIN = 'CNI-DN-548df12b6bfbdd0f68f88';
const NODE = { IPv4: '172.17.0.2', IPv6: 'fd00::2' } as const;
const POD = { IPv4: '10.1.0.2', IPv6: 'fd00:1::2' } as const;

interface Otherwise {
  /** InternalIPs of the node, and addresses of the pod. Default: both families. */
  node?: readonly string[];
  pod?: readonly string[];
  hostIP?: string;
  /** Of a second mapping, of hostPort 81. */
  also?: string;
  /** The families that portmap has rules of. Default: both. */
  mapped?: readonly FamilyName[];
  sysctls?: Record<string, string>;
  /** The families that the node has no route to the pod in. Default: none. */
  unrouted?: readonly FamilyName[];
  /** Outcomes of the probes from outside; none are made when absent. */
  outside?: Partial<Record<FamilyName, ProbeResult['outcome']>>;
}

function rulesOf(family: FamilyName, also: string | undefined): string {
  const to = family === 'IPv4' ? POD.IPv4 : `[${POD.IPv6}]`;
  const hasAlso = also !== undefined && also.includes(':') === (family === 'IPv6');
  // IPv6 has no loopback that could be masqueraded.
  const sources = family === 'IPv4' ? [`${POD.IPv4}/32`, '127.0.0.1/32'] : [`${POD.IPv6}/128`];
  return [
    '*nat',
    ...['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'].map((chain) => `:${chain} ACCEPT [0:0]`),
    `:${CHAIN} - [0:0]`,
    ':CNI-HOSTPORT-DNAT - [0:0]',
    ':CNI-HOSTPORT-MASQ - [0:0]',
    ':CNI-HOSTPORT-SETMARK - [0:0]',
    '-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ',
    '-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE',
    '-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000',
    ...sources.map((source) => `-A ${CHAIN} -s ${source} -p tcp -m tcp --dport 80 -j CNI-HOSTPORT-SETMARK`),
    '-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
    '-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
    `-A ${CHAIN} -p tcp -m tcp --dport 80 -j DNAT --to-destination ${to}:8080`,
    ...(hasAlso
      ? [
          ...sources.map(
            (source) =>
              `-A ${CHAIN} -s ${source} -d ${also} -p tcp -m tcp --dport 81 -j CNI-HOSTPORT-SETMARK`,
          ),
          `-A ${CHAIN} -d ${also} -p tcp -m tcp --dport 81 -j DNAT --to-destination ${to}:8080`,
        ]
      : []),
    `-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"net\\" id: \\"${SANDBOX}\\"" -m multiport --dports 80,81 -j ${CHAIN}`,
    'COMMIT',
    '',
  ].join('\n');
}

function reportOf({
  pod = Object.values(POD),
  also,
  mapped = ['IPv4', 'IPv6'],
  sysctls = {},
  unrouted = [],
}: Otherwise): NodeReport {
  const config = listOf(CHAINED);
  const mapping = { hostPort: 80, containerPort: 8080, protocol: 'tcp' };
  const portMappings = also === undefined ? [mapping] : [mapping, { ...mapping, hostPort: 81, hostIP: also }];
  const families = [
    {
      family: 'ipv4' as const,
      node: NODE.IPv4,
      pod: POD.IPv4,
      all: '0.0.0.0/0',
      whole: 32,
      gateway: '172.17.0.1',
    },
    { family: 'ipv6' as const, node: NODE.IPv6, pod: POD.IPv6, all: '::/0', whole: 128, gateway: 'fd00::1' },
  ];
  const report = cniNode(
    { '10-net.conflist': config },
    {
      loaded: config,
      network: {
        addresses: {
          value: families.map(({ family, node }) => ({
            device: 'eth0',
            family,
            address: node,
            prefix: 64,
            scope: 'global',
          })),
        },
        routes: {
          value: families.flatMap(({ family, all, gateway, pod: address, whole }) => [
            { family, destination: all, gateway, device: 'eth0', table: 'main', type: 'unicast' },
            {
              family,
              destination: `${address}/${whole}`,
              device: 'lxc1',
              table: 'main',
              type: unrouted.some((other) => other.toLowerCase() === family) ? 'unreachable' : 'unicast',
            },
          ]),
        },
        sysctls: {
          value: {
            'net.ipv4.ip_forward': '1',
            'net.ipv6.conf.all.forwarding': '1',
            'net.ipv4.conf.all.route_localnet': '1',
            ...sysctls,
          },
        },
      },
      cni: {
        attachments: {
          value: [
            {
              file: `/var/lib/cni/results/net-${SANDBOX}-eth0`,
              modified: '2026-01-01T00:00:00Z',
              networkName: 'net',
              containerId: SANDBOX,
              ifName: 'eth0',
              config,
              portMappings,
              result: {},
            },
          ],
        },
      },
    },
  );
  return {
    ...report,
    sandboxes: {
      value: [
        {
          id: SANDBOX,
          name: 'echo',
          namespace: 'default',
          uid: 'uid-echo',
          attempt: 0,
          ready: true,
          createdAt: '2026-01-01T00:00:00Z',
          hostNetwork: false,
          netnsExists: true,
          ips: [...pod],
          portMappings,
        },
      ],
    },
    netfilter: {
      tools: { iptables: '/sbin/iptables', ip6tables: '/sbin/ip6tables' },
      iptables: mapped.map((family) => ({
        variant: 'iptables-nft',
        family: family === 'IPv4' ? 'ipv4' : 'ipv6',
        text: { value: rulesOf(family, also) },
      })),
      nft: { value: '{"nftables":[]}' },
    },
  };
}

function probesOf({ outside = {} }: Otherwise): ProbeResult[] {
  return (Object.entries(outside) as [FamilyName, ProbeResult['outcome']][]).flatMap(([family, outcome]) =>
    (['direct', 'outside'] as Vantage[]).map((vantage) => ({
      vantage,
      node: 'n1',
      podUid: 'uid-echo',
      protocol: 'TCP',
      hostPort: 80,
      target:
        vantage === 'direct' ? { address: POD[family], port: 8080 } : { address: NODE[family], port: 80 },
      outcome: vantage === 'direct' ? 'answered' : outcome,
      detail: outcome,
      milliseconds: 1,
      ...(outcome === 'timeout' ? { tracked: true, replied: false } : {}),
    })),
  );
}

function diagnosed(otherwise: Otherwise) {
  const { node = Object.values(NODE), pod: ips = Object.values(POD), hostIP, also } = otherwise;
  const pod: Pod = {
    ...podOn('n1', 'echo', 80),
    status: { phase: 'Running', podIP: ips[0]!, podIPs: ips.map((ip) => ({ ip })) },
  };
  if (hostIP !== undefined) pod.spec!.containers[0]!.ports![0]!.hostIP = hostIP;
  if (also !== undefined) {
    pod.spec!.containers[0]!.ports!.push({ hostPort: 81, containerPort: 8080, hostIP: also });
  }
  const world = smallWorld([pod], {
    nodes: [
      {
        metadata: { name: 'n1' },
        status: { addresses: node.map((address) => ({ type: 'InternalIP', address })) },
      },
    ],
    reports: new Map([['n1', { value: reportOf(otherwise) }]]),
    probes: probesOf(otherwise),
  });
  const {
    diagnosis: { findings },
    verdictOf,
  } = diagnose(world);
  return {
    findings: findings.map(
      ({ code, subject: { family } }) => `${code}${family === undefined ? '' : ` ${family}`}`,
    ),
    /** Of each path: its family and the verdicts on translated, forwarded and answered. */
    paths: [...verdictOf.values()].map(({ family, stages: { translated, forwarded, answered } }) =>
      [family ?? 'one', ...[translated, forwarded, answered].map(({ verdict }) => verdict)].join(' '),
    ),
  };
}

const answered = { IPv4: 'answered', IPv6: 'answered' } as const;

describe('a mapping of pod and node', () => {
  test.each<[string, Otherwise, string[], string[]]>([
    ['with both families has a path of each', { outside: answered }, [], ['IPv4 ok ok ok', 'IPv6 ok ok ok']],
    [
      'whose node lists IPv6 first',
      { node: [NODE.IPv6, NODE.IPv4], outside: answered },
      [],
      ['IPv6 ok ok ok', 'IPv4 ok ok ok'],
    ],
    ['whose node has one', { node: [NODE.IPv4], outside: { IPv4: 'answered' } }, [], ['one ok ok ok']],
    [
      'whose pod has one, and its node lists the other first',
      { node: [NODE.IPv6, NODE.IPv4], pod: [POD.IPv4], outside: { IPv4: 'answered' } },
      [],
      ['one ok ok ok'],
    ],
    ['for one address', { hostIP: NODE.IPv4 }, [], ['one ok ok unknown']],
    [
      'that was asked for by one family alone is not known to answer by the other',
      { outside: { IPv4: 'answered' } },
      [],
      ['IPv4 ok ok ok', 'IPv6 ok ok unknown'],
    ],
    [
      'that answers on IPv4 and not on IPv6',
      { outside: { IPv4: 'answered', IPv6: 'timeout' } },
      ['netfilter-bypassed IPv6'],
      ['IPv4 ok ok ok', 'IPv6 ok broken muted'],
    ],
    [
      'that has rules of IPv4 alone',
      { mapped: ['IPv4'], outside: { IPv4: 'answered', IPv6: 'refused' } },
      ['mapping-missing IPv6'],
      ['IPv4 ok ok ok', 'IPv6 broken muted muted'],
    ],
    [
      'that has rules of neither is one cause',
      { mapped: [], outside: { IPv4: 'refused', IPv6: 'refused' } },
      ['mapping-missing'],
      ['IPv4 broken muted muted', 'IPv6 broken muted muted'],
    ],
    [
      'whose node forwards IPv4 alone',
      { sysctls: { 'net.ipv6.conf.all.forwarding': '0' }, outside: { IPv4: 'answered', IPv6: 'timeout' } },
      ['ip-forward-off IPv6'],
      ['IPv4 ok ok ok', 'IPv6 ok broken muted'],
    ],
    [
      'whose node forwards IPv6 alone, beside one for an IPv4 address',
      {
        also: NODE.IPv4,
        sysctls: { 'net.ipv4.ip_forward': '0' },
        outside: { IPv4: 'timeout', IPv6: 'answered' },
      },
      ['ip-forward-off IPv4'],
      ['IPv4 ok broken muted', 'IPv6 ok ok ok', 'one ok broken muted'],
    ],
    [
      'whose node forwards IPv6 alone, beside one for an IPv6 address',
      {
        also: NODE.IPv6,
        sysctls: { 'net.ipv4.ip_forward': '0' },
        outside: { IPv4: 'timeout', IPv6: 'answered' },
      },
      ['ip-forward-off IPv4'],
      ['IPv4 ok broken muted', 'IPv6 ok ok ok', 'one ok ok unknown'],
    ],
    [
      'whose node forwards nothing, beside one for an IPv4 address',
      {
        also: NODE.IPv4,
        sysctls: { 'net.ipv4.ip_forward': '0', 'net.ipv6.conf.all.forwarding': '0' },
        outside: { IPv4: 'timeout', IPv6: 'timeout' },
      },
      ['ip-forward-off'],
      ['IPv4 ok broken muted', 'IPv6 ok broken muted', 'one ok broken muted'],
    ],
    [
      'whose node has no route to its IPv4 address',
      { unrouted: ['IPv4'], outside: { IPv4: 'timeout', IPv6: 'answered' } },
      ['pod-route-missing IPv4'],
      ['IPv4 ok broken muted', 'IPv6 ok ok ok'],
    ],
    [
      'for an IPv4 address, whose node has no route to its IPv4 address, beside one for an IPv6 address',
      { hostIP: NODE.IPv4, also: NODE.IPv6, unrouted: ['IPv4'] },
      ['pod-route-missing IPv4'],
      ['one ok broken muted', 'one ok ok unknown'],
    ],
    [
      'for an IPv6 address, whose node has no route to its IPv6 address, beside one for an IPv4 address',
      { hostIP: NODE.IPv6, also: NODE.IPv4, unrouted: ['IPv6'] },
      ['pod-route-missing IPv6'],
      ['one ok broken muted', 'one ok ok unknown'],
    ],
    [
      'for an IPv4 address alone, whose node has no route to its IPv4 address',
      { hostIP: NODE.IPv4, unrouted: ['IPv4'] },
      ['pod-route-missing'],
      ['one ok broken muted'],
    ],
    [
      'whose node has no route to any of its addresses is one cause',
      { unrouted: ['IPv4', 'IPv6'], outside: { IPv4: 'timeout', IPv6: 'timeout' } },
      ['pod-route-missing'],
      ['IPv4 ok broken muted', 'IPv6 ok broken muted'],
    ],
  ])('%s', (_, otherwise, findings, paths) => {
    expect(diagnosed(otherwise)).toEqual({ findings, paths });
  });
});

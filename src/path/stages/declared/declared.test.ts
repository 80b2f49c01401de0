import type { Pod, Service } from '../../../kube/types.ts';
import type { World } from '../../model/world.ts';
import { cniNode, listOf } from '../../testing/cni-node.ts';
import { testFindings } from '../../testing/findings-text.ts';
import { podOn, smallWorld, warningOf } from '../../testing/small-world.ts';
import { inNamespace, NODE, type Otherwise, withoutNode, withPorts, worldOf } from '../../testing/worker.ts';

/** The worker, whose pod asks for an address. */
const asking = (hostIP: string | undefined, more: Otherwise = {}): World =>
  worldOf({
    ...more,
    pod: (pod) => {
      const asks = withPorts(pod, [{ hostPort: 80, containerPort: 8080, ...(hostIP && { hostIP }) }]);
      return more.pod?.(asks) ?? asks;
    },
  });

const withIps = (pod: Pod, ...ips: (string | undefined)[]): Pod => ({
  ...pod,
  status: { ...pod.status, podIPs: ips.map((ip) => (ip === undefined ? {} : { ip })) as { ip: string }[] },
});
const withoutSandbox: Otherwise = { report: (report) => ({ ...report, sandboxes: { value: [] } }) };

testFindings('hostip-family-mismatch', [
  [
    'another family',
    asking('fd00::1'),
    [
      'broken worker echo TCP [fd00::1]:80: echo requests TCP [fd00::1]:80, but has only 192.168.1.2',
      'object | pod echo: hostIP | fd00::1',
      'object | pod echo: status.podIPs | 192.168.1.2',
      'by hand: only the owner of the pod can change its spec: hostIP must be of a family that the pod has',
    ],
  ],
  [
    'another family, of a pod elsewhere',
    asking('fd00::1', inNamespace),
    [
      'broken worker shop/echo TCP [fd00::1]:80: shop/echo requests TCP [fd00::1]:80, but has only 192.168.1.2',
      'object | pod shop/echo: hostIP | fd00::1',
      'object | pod shop/echo: status.podIPs | 192.168.1.2',
      'by hand: only the owner of the pod can change its spec: hostIP must be of a family that the pod has',
    ],
  ],
  [
    'another family, by what the API says of a pod without a sandbox',
    asking('10.9.9.9', {
      ...withoutSandbox,
      pod: (pod) => withIps(pod, 'fd00:1::2', undefined, 'fd00:1::3'),
    }),
    [
      'broken worker echo TCP 10.9.9.9:80: echo requests TCP 10.9.9.9:80, but has only fd00:1::2, fd00:1::3',
      'object | pod echo: hostIP | 10.9.9.9',
      'object | pod echo: status.podIPs | fd00:1::2, fd00:1::3',
      'by hand: only the owner of the pod can change its spec: hostIP must be of a family that the pod has',
    ],
  ],
  [
    'another family, by what the API says where the sandbox has no address',
    asking('fd00::1', {
      report: (report) => {
        const { value } = report.sandboxes as { value: { ips: string[] }[] };
        return { ...report, sandboxes: { value: value.map((entry) => ({ ...entry, ips: [] })) } } as never;
      },
    }),
    [
      'broken worker echo TCP [fd00::1]:80: echo requests TCP [fd00::1]:80, but has only 192.168.1.2',
      'object | pod echo: hostIP | fd00::1',
      'object | pod echo: status.podIPs | 192.168.1.2',
      'by hand: only the owner of the pod can change its spec: hostIP must be of a family that the pod has',
    ],
  ],
  ['the same family', asking(NODE.address), []],
  ['one of two families', asking('fd00::1', { second: { pod: 'fd00:1::2', node: 'fd00::3' } }), []],
  ['no address', asking(undefined), []],
  ['every address', asking('::'), []],
  ['no valid address', asking('fd00::x'), []],
  ['a pod without an address', asking('fd00::1', { ...withoutSandbox, pod: (pod) => withIps(pod) }), []],
  [
    'a pod of which no status is known',
    asking('fd00::1', { ...withoutSandbox, pod: ({ status: _, ...pod }) => pod }),
    [],
  ],
]);

testFindings('hostip-not-on-node', [
  [
    'an address of nobody',
    asking('10.9.9.9'),
    [
      'broken worker echo TCP 10.9.9.9:80: echo requests TCP 10.9.9.9:80, but worker does not have the address 10.9.9.9',
      'object | pod echo: hostIP | 10.9.9.9',
      'route | addresses of worker | 127.0.0.1 (lo), 172.17.0.3 (eth0)',
      'by hand: only the owner of the pod can change its spec: hostIP must be an address of the node',
    ],
  ],
  [
    'an address of nobody, of a pod elsewhere',
    asking('10.9.9.9', inNamespace),
    [
      'broken worker shop/echo TCP 10.9.9.9:80: shop/echo requests TCP 10.9.9.9:80, but worker does not have the address 10.9.9.9',
      'object | pod shop/echo: hostIP | 10.9.9.9',
      'route | addresses of worker | 127.0.0.1 (lo), 172.17.0.3 (eth0)',
      'by hand: only the owner of the pod can change its spec: hostIP must be an address of the node',
    ],
  ],
  ["the node's address", asking(NODE.address), []],
  ['no address', asking(undefined), []],
  ['every address', asking('::'), []],
  [
    'the addresses of the node are not known',
    asking('10.9.9.9', {
      report: (report) => ({
        ...report,
        network: { ...report.network, addresses: { unknown: 'ip: not found' } },
      }),
    }),
    [],
  ],
  ['a pod without a node', asking('10.9.9.9', { pod: withoutNode }), []],
]);

type Port = { hostPort?: number; hostIP?: string; protocol?: string };

/** A pod on n1, created at this hour, with these mappings. */
const at = (hour: number, name: string, ports: Port[], more: Pod['status'] = {}): Pod => {
  const pod = podOn('n1', name);
  return {
    ...withPorts(
      pod,
      ports.map((port) => ({ hostPort: 80, containerPort: 8080, ...port })),
    ),
    metadata: { ...pod.metadata, creationTimestamp: `2026-01-01T0${hour}:00:00Z` as never },
    status: { ...pod.status, ...more },
  };
};
const A = { hostIP: '10.0.0.1' };
const B = { hostIP: '10.0.0.2' };
const REFUSED = { phase: 'Failed', reason: 'NodePorts' };

/** Pods `a`, `b`, … on n1 with one port, each attached by a portmap that was given these conditions. */
function underConditions(...conditions: string[][]): World {
  return underConditionsOf('conditionsV4', ...conditions);
}

function underConditionsOf(field: string, ...conditions: string[][]): World {
  const names = conditions.map((_, i) => 'abc'[i]!);
  const report = cniNode(
    {},
    {
      cni: {
        attachments: {
          value: names.map((name, i) => ({
            file: `/var/lib/cni/results/net-${name}-eth0`,
            modified: '2026-01-01T00:00:00Z',
            networkName: 'net',
            containerId: `sandbox-of-${name}`,
            ifName: 'eth0',
            config: listOf([{ type: 'bridge' }, { type: 'portmap', [field]: conditions[i] }]),
            portMappings: [{ hostPort: 80, containerPort: 8080, protocol: 'tcp' }],
            result: {},
          })),
        },
      },
    },
  );
  const sandboxes = names.map((name) => ({
    ...{ id: `sandbox-of-${name}`, name, namespace: 'default', uid: `uid-${name}`, attempt: 0, ready: true },
    ...{ createdAt: '', hostNetwork: false, netnsExists: true, ips: ['10.1.0.2'], portMappings: [] },
  }));
  return smallWorld(
    names.map((name, i) => at(i + 1, name, [{}])),
    { reports: new Map([['n1', { value: { ...report, sandboxes: { value: sandboxes } } }]]) },
  );
}

/** What is said of a pod that wants the port 80 of another one; they were created at their places in the alphabet. */
function conflictOf(pod: string, holder: string): string[] {
  const created = (name: string) => `TCP 80, created 2026-01-01T0${'abc'.indexOf(name) + 1}:00:00Z`;
  return [
    `broken n1 ${pod} TCP 80: ${pod} requests TCP 80 of n1, which ${holder} has`,
    `object | pod ${holder} | ${created(holder)}`,
    `object | pod ${pod} | ${created(pod)}`,
    'by hand: their owners must decide which of the two pods keeps the port',
  ];
}

testFindings('hostport-conflict', [
  [
    'the later one loses',
    smallWorld([at(2, 'late', [{}]), at(1, 'early', [{}])]),
    [
      'broken n1 late TCP 80: late requests TCP 80 of n1, which early has',
      'object | pod early | TCP 80, created 2026-01-01T01:00:00Z',
      'object | pod late | TCP 80, created 2026-01-01T02:00:00Z',
      'by hand: their owners must decide which of the two pods keeps the port',
    ],
  ],
  [
    'of the same hour, the first by name wins',
    smallWorld([at(1, 'b', [{}]), at(1, 'a', [{}])]),
    [
      'broken n1 b TCP 80: b requests TCP 80 of n1, which a has',
      'object | pod a | TCP 80, created 2026-01-01T01:00:00Z',
      'object | pod b | TCP 80, created 2026-01-01T01:00:00Z',
      'by hand: their owners must decide which of the two pods keeps the port',
    ],
  ],
  [
    'one that the kubelet rejected loses, whenever it was created',
    smallWorld([at(1, 'early', [{}], { ...REFUSED, message: 'Pod was rejected' }), at(2, 'late', [{}])]),
    [
      'broken n1 early TCP 80: early requests TCP 80 of n1, which late has',
      'object | pod late | TCP 80, created 2026-01-01T02:00:00Z',
      'object | pod early | TCP 80, created 2026-01-01T01:00:00Z, rejected by the kubelet: Pod was rejected',
      'by hand: their owners must decide which of the two pods keeps the port',
    ],
  ],
  [
    'one that a scheduler chose the node for is another failure',
    smallWorld([at(2, 'late', [{}], REFUSED), at(1, 'early', [{}])], {
      events: [warningOf('late', 'Successfully assigned default/late to n1', { reason: 'Scheduled' })],
    }),
    [],
  ],
  [
    'one that was rejected without a message',
    smallWorld([at(1, 'early', [{}]), at(2, 'late', [{}], REFUSED)]),
    [
      'broken n1 late TCP 80: late requests TCP 80 of n1, which early has',
      'object | pod early | TCP 80, created 2026-01-01T01:00:00Z',
      'object | pod late | TCP 80, created 2026-01-01T02:00:00Z, rejected by the kubelet: NodePorts',
      'by hand: their owners must decide which of the two pods keeps the port',
    ],
  ],
  [
    'pods of an unknown age come first',
    smallWorld([at(1, 'a', [{}]), podOn('n1', 'b', 80)]),
    [
      'broken n1 a TCP 80: a requests TCP 80 of n1, which b has',
      'object | pod b | TCP 80, created at an unknown time',
      'object | pod a | TCP 80, created 2026-01-01T01:00:00Z',
      'by hand: their owners must decide which of the two pods keeps the port',
    ],
  ],
  ['another protocol', smallWorld([at(1, 'a', [{}]), at(2, 'b', [{ protocol: 'UDP' }])]), []],
  ['another port', smallWorld([at(1, 'a', [{}]), at(2, 'b', [{ hostPort: 81 }])]), []],
  ['another node', smallWorld([podOn('n1', 'a', 80), podOn('n2', 'b', 80)]), []],
  ['no node yet', smallWorld([podOn(undefined, 'a', 80), podOn(undefined, 'b', 80)]), []],
  ['another address', smallWorld([at(1, 'a', [A]), at(2, 'b', [B])]), []],
  ['twice in one pod', smallWorld([at(1, 'a', [{}, A, A])]), []],
  ['two whose conditions no packet meets both of', underConditions(['-i', 'eth0'], ['-i', 'eth1']), []],
  [
    'two whose conditions one packet may meet',
    underConditions(['-i', 'eth0'], ['-s', '10.0.0.0/8']),
    conflictOf('b', 'a'),
  ],
  ['one of two without conditions', underConditions(['-i', 'eth0'], []), conflictOf('b', 'a')],
  [
    'the third, apart from the first and not from the second',
    underConditions(['-i', 'eth0'], ['-i', 'eth1'], ['!', '-i', 'eth0']),
    conflictOf('c', 'b'),
  ],
  [
    'two whose conditions are of one family only',
    underConditionsOf('conditionsV6', ['-i', 'eth0'], ['-i', 'eth1']),
    conflictOf('b', 'a'),
  ],
  [
    'the same address',
    smallWorld([at(1, 'a', [A]), at(2, 'b', [A])]),
    [
      'broken n1 b TCP 10.0.0.1:80: b requests TCP 10.0.0.1:80 of n1, which a has',
      'object | pod a | TCP 10.0.0.1:80, created 2026-01-01T01:00:00Z',
      'object | pod b | TCP 10.0.0.1:80, created 2026-01-01T02:00:00Z',
      'by hand: their owners must decide which of the two pods keeps the port',
    ],
  ],
  [
    'the same address, of three',
    smallWorld([at(1, 'a', [A]), at(2, 'b', [A]), at(3, 'c', [A])]),
    [
      'broken n1 b TCP 10.0.0.1:80: b requests TCP 10.0.0.1:80 of n1, which a has',
      'object | pod a | TCP 10.0.0.1:80, created 2026-01-01T01:00:00Z',
      'object | pod b | TCP 10.0.0.1:80, created 2026-01-01T02:00:00Z',
      'by hand: their owners must decide which of the two pods keeps the port',
      'broken n1 c TCP 10.0.0.1:80: c requests TCP 10.0.0.1:80 of n1, which a has',
      'object | pod a | TCP 10.0.0.1:80, created 2026-01-01T01:00:00Z',
      'object | pod c | TCP 10.0.0.1:80, created 2026-01-01T03:00:00Z',
      'by hand: their owners must decide which of the two pods keeps the port',
    ],
  ],
  [
    'every address, before one',
    smallWorld([at(1, 'a', [{}]), at(2, 'b', [A])]),
    [
      'broken n1 b TCP 10.0.0.1:80: b requests TCP 10.0.0.1:80 of n1, which a has',
      'object | pod a | TCP 80, created 2026-01-01T01:00:00Z',
      'object | pod b | TCP 10.0.0.1:80, created 2026-01-01T02:00:00Z',
      'by hand: their owners must decide which of the two pods keeps the port',
    ],
  ],
  [
    'every address of another spelling',
    smallWorld([at(1, 'a', [{ hostIP: '::' }]), at(2, 'b', [A])]),
    [
      'broken n1 b TCP 10.0.0.1:80: b requests TCP 10.0.0.1:80 of n1, which a has',
      'object | pod a | TCP [::]:80, created 2026-01-01T01:00:00Z',
      'object | pod b | TCP 10.0.0.1:80, created 2026-01-01T02:00:00Z',
      'by hand: their owners must decide which of the two pods keeps the port',
    ],
  ],
  [
    'every address, after one',
    smallWorld([at(1, 'a', [A]), at(2, 'b', [{}])]),
    [
      'broken n1 b TCP 80: b requests TCP 80 of n1, which a has',
      'object | pod a | TCP 10.0.0.1:80, created 2026-01-01T01:00:00Z',
      'object | pod b | TCP 80, created 2026-01-01T02:00:00Z',
      'by hand: their owners must decide which of the two pods keeps the port',
    ],
  ],
  [
    'the first of several that are in its way wins: of another address',
    smallWorld([at(1, 'a', [A]), at(2, 'b', [B]), at(3, 'c', [{}])]),
    [
      'broken n1 c TCP 80: c requests TCP 80 of n1, which a has',
      'object | pod a | TCP 10.0.0.1:80, created 2026-01-01T01:00:00Z',
      'object | pod c | TCP 80, created 2026-01-01T03:00:00Z',
      'by hand: their owners must decide which of the two pods keeps the port',
    ],
  ],
  [
    'the first of several that are in its way wins: of the same address',
    smallWorld([at(1, 'a', [A]), at(2, 'b', [{}]), at(3, 'c', [A])]),
    [
      'broken n1 b TCP 80: b requests TCP 80 of n1, which a has',
      'object | pod a | TCP 10.0.0.1:80, created 2026-01-01T01:00:00Z',
      'object | pod b | TCP 80, created 2026-01-01T02:00:00Z',
      'by hand: their owners must decide which of the two pods keeps the port',
      'broken n1 c TCP 10.0.0.1:80: c requests TCP 10.0.0.1:80 of n1, which a has',
      'object | pod a | TCP 10.0.0.1:80, created 2026-01-01T01:00:00Z',
      'object | pod c | TCP 10.0.0.1:80, created 2026-01-01T03:00:00Z',
      'by hand: their owners must decide which of the two pods keeps the port',
    ],
  ],
  [
    'the first of several that are in its way wins: of every address',
    smallWorld([at(1, 'a', [{}]), at(2, 'b', [A]), at(3, 'c', [A])]),
    [
      'broken n1 b TCP 10.0.0.1:80: b requests TCP 10.0.0.1:80 of n1, which a has',
      'object | pod a | TCP 80, created 2026-01-01T01:00:00Z',
      'object | pod b | TCP 10.0.0.1:80, created 2026-01-01T02:00:00Z',
      'by hand: their owners must decide which of the two pods keeps the port',
      'broken n1 c TCP 10.0.0.1:80: c requests TCP 10.0.0.1:80 of n1, which a has',
      'object | pod a | TCP 80, created 2026-01-01T01:00:00Z',
      'object | pod c | TCP 10.0.0.1:80, created 2026-01-01T03:00:00Z',
      'by hand: their owners must decide which of the two pods keeps the port',
    ],
  ],
]);

const service = (
  ports: { port: number; nodePort?: number; protocol?: string }[],
  more: Service = {},
): Service => ({ metadata: { namespace: 'shop', name: 'web' }, spec: { ports }, ...more }) as Service;
const withServices = (...services: Service[]) => smallWorld([podOn('n1', 'a', 30080)], { services });

testFindings('nodeport-collision', [
  [
    'the same port',
    withServices(service([{ port: 80, nodePort: 30080 }])),
    [
      'risk n1 a TCP 30080: TCP 30080 of a is also the nodePort of Service shop/web',
      'object | service shop/web | nodePort 30080',
      'by hand: their owners must decide which of the two keeps the port',
    ],
  ],
  [
    'the second port of the second Service, of the same protocol',
    withServices(
      service([{ port: 80, nodePort: 30081 }]),
      service(
        [
          { port: 81, protocol: 'UDP', nodePort: 30080 },
          { port: 80, protocol: 'TCP', nodePort: 30080 },
        ],
        { metadata: { namespace: 'default', name: 'second' } },
      ),
    ),
    [
      'risk n1 a TCP 30080: TCP 30080 of a is also the nodePort of Service second',
      'object | service second | nodePort 30080',
      'by hand: their owners must decide which of the two keeps the port',
    ],
  ],
  [
    'a Service without a name',
    withServices(service([{ port: 80, nodePort: 30080 }], { metadata: undefined })),
    [
      'risk n1 a TCP 30080: TCP 30080 of a is also the nodePort of Service /',
      'object | service / | nodePort 30080',
      'by hand: their owners must decide which of the two keeps the port',
    ],
  ],
  ['another protocol', withServices(service([{ port: 80, nodePort: 30080, protocol: 'UDP' }])), []],
  ['another port', withServices(service([{ port: 30080, nodePort: 30081 }])), []],
  [
    'no port of a node',
    withServices(service([{ port: 30080 }]), service([{ port: 30080, nodePort: 0 }])),
    [],
  ],
  ['Services without ports', withServices(service([], { spec: {} }), service([], { spec: undefined })), []],
]);

import { expect, test } from 'bun:test';
import type { Event } from '../../../kube/types.ts';
import type { ProbeResult, Vantage } from '../../model/probe.ts';
import { findingsText, testFindings } from '../../testing/findings-text.ts';
import {
  CHAIN,
  DPORT,
  ELSEWHERE,
  forAddress,
  inNamespace,
  MAYBE,
  NODE,
  OTHER,
  type Otherwise,
  POD,
  REFUSED,
  SILENT,
  unreadRules,
  withoutAddresses,
  withoutNode,
  withPorts,
  worldOf,
} from '../../testing/worker.ts';

type Probes = Partial<Record<Vantage, Partial<ProbeResult>>>;

const UNSEEN = { ...SILENT, tracked: false };
const AWAY: Probes = { 'other-node': UNSEEN, outside: UNSEEN };

type Status = NonNullable<NonNullable<Parameters<NonNullable<Otherwise['pod']>>[0]['status']>>;
const withStatus =
  (more: Partial<Status>): Otherwise['pod'] =>
  (pod) => ({ ...pod, status: { ...pod.status, ...more } });
const container = (more: object) => [
  { name: 'echo', ready: true, restartCount: 3, image: '', imageID: '', ...more },
];
const deleted: Otherwise['pod'] = (pod) => ({
  ...pod,
  metadata: { ...pod.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' as never },
});
const refused = { direct: REFUSED };

testFindings('application-not-listening', [
  [
    'of a container that runs',
    worldOf({ probes: refused, ...inNamespace }),
    [
      'broken worker shop/echo TCP 80: shop/echo refuses TCP 8080, where TCP 80 of worker leads',
      'probe | direct to 192.168.1.2:8080 | refused: ECONNREFUSED',
      'object | container echo | running, ready, restarted 0 times',
      'by hand: only the owner of the application can change where it listens',
    ],
  ],
  ['of a pod without a node', worldOf({ probes: refused, pod: withoutNode }), []],
  [
    'of a container that is not ready',
    worldOf({ probes: refused, pod: withStatus({ containerStatuses: container({ ready: false }) }) }),
    [
      'broken worker echo TCP 80: echo refuses TCP 8080, where TCP 80 of worker leads',
      'probe | direct to 192.168.1.2:8080 | refused: ECONNREFUSED',
      'object | container echo | running, not ready, restarted 3 times',
      'by hand: only the owner of the application can change where it listens',
    ],
  ],
  [
    'of a container that waits',
    worldOf({
      probes: refused,
      pod: withStatus({
        containerStatuses: container({ state: { waiting: { reason: 'CrashLoopBackOff' } } }),
      }),
    }),
    [
      'broken worker echo TCP 80: echo refuses TCP 8080, where TCP 80 of worker leads',
      'probe | direct to 192.168.1.2:8080 | refused: ECONNREFUSED',
      'object | container echo | CrashLoopBackOff, restarted 3 times',
      'by hand: only the owner of the application can change where it listens',
    ],
  ],
  [
    'of a container that has ended',
    worldOf({
      probes: refused,
      pod: withStatus({ containerStatuses: container({ state: { terminated: { reason: 'Error' } } }) }),
    }),
    [
      'broken worker echo TCP 80: echo refuses TCP 8080, where TCP 80 of worker leads',
      'probe | direct to 192.168.1.2:8080 | refused: ECONNREFUSED',
      'object | container echo | Error, restarted 3 times',
      'by hand: only the owner of the application can change where it listens',
    ],
  ],
  [
    'of one of several containers',
    worldOf({
      probes: refused,
      pod: (pod) => {
        const [own] = pod.spec!.containers;
        return {
          ...pod,
          spec: {
            ...pod.spec!,
            containers: [{ name: 'plain' }, { name: 'other', ports: [{ containerPort: 9 }] }, own!],
          },
          status: {
            ...pod.status,
            containerStatuses: [
              ...container({ name: 'plain', restartCount: 1 }),
              ...container({ name: 'other', restartCount: 2 }),
              ...container({}),
            ],
          },
        };
      },
    }),
    [
      'broken worker echo TCP 80: echo refuses TCP 8080, where TCP 80 of worker leads',
      'probe | direct to 192.168.1.2:8080 | refused: ECONNREFUSED',
      'object | container echo | running, ready, restarted 3 times',
      'by hand: only the owner of the application can change where it listens',
    ],
  ],
  [
    'of a container of which nothing is known',
    worldOf({ probes: refused, pod: withStatus({ containerStatuses: undefined }) }),
    [
      'broken worker echo TCP 80: echo refuses TCP 8080, where TCP 80 of worker leads',
      'probe | direct to 192.168.1.2:8080 | refused: ECONNREFUSED',
      'by hand: only the owner of the application can change where it listens',
    ],
  ],
  ['of a pod that is coming up', worldOf({ probes: refused, pod: withStatus({ phase: 'Pending' }) }), []],
  ['of a pod that is going down', worldOf({ probes: refused, pod: deleted }), []],
  [
    'of a pod of which nothing is known',
    worldOf({ probes: refused, pod: ({ status: _, ...pod }) => pod }),
    [],
  ],
  ['which does not answer', worldOf({ probes: { direct: SILENT } }), []],
  ['and nobody has asked', worldOf({}), []],
]);

const saying = (message: string): Otherwise => ({
  world: (world) => ({
    ...world,
    events: [
      {
        ...{ metadata: {}, message, reason: 'Unhealthy' },
        involvedObject: { kind: 'Pod', namespace: 'default', name: 'echo', uid: POD.uid },
      } as Event,
    ],
  }),
});
const listeners: Otherwise['listeners'] = [{ protocol: 'tcp', address: '0.0.0.0', port: 80 }];

testFindings('no-listening-socket', [
  [
    'of the port',
    worldOf({ ...saying('nothing listens on port 80'), ...inNamespace, probes: AWAY }),
    [
      'note worker shop/echo TCP 80: a check looks for a socket that listens on TCP 80 of worker: there is no such socket, and shop/echo does not need one',
      'event | pod default/echo: Unhealthy | nothing listens on port 80',
      'probe | direct to 192.168.1.2:8080 | answered: connected',
      'probe | node to 172.17.0.3:80 | answered: connected',
      'probe | loopback to 127.0.0.1:80 | answered: connected',
      'probe | other-node to 172.17.0.3:80 | timeout: no answer',
      'probe | pod to 172.17.0.3:80 | answered: connected',
      'probe | outside to 172.17.0.3:80 | timeout: no answer',
      'by hand: only the check is wrong: let it connect to the port instead',
    ],
  ],
  [
    'of UDP',
    worldOf({ ...saying('0.0.0.0:80 is not in LISTEN'), protocol: 'UDP', listeners }),
    [
      'note worker echo UDP 80: a check looks for a socket that listens on UDP 80 of worker: there is no such socket, and echo does not need one',
      'event | pod default/echo: Unhealthy | 0.0.0.0:80 is not in LISTEN',
      'by hand: only the check is wrong: let it connect to the port instead',
    ],
  ],
  ['of another port', worldOf(saying('nothing listens on port 81, 180 or 801')), []],
  ['of a number that is no port', worldOf(saying('nothing listens on port 800000080')), []],
  ['of something else', worldOf(saying('port 80 is slow')), []],
  ['where something listens', worldOf({ ...saying('nothing listens on port 80'), listeners }), []],
  [
    'where nobody knows what listens',
    worldOf({
      ...saying('nothing listens on port 80'),
      report: (report) => ({ ...report, network: { ...report.network, listeners: { unknown: '' } } }),
    }),
    [],
  ],
  ['of a pod without a node', worldOf({ ...saying('nothing listens on port 80'), pod: withoutNode }), []],
]);

const EVERYBODY: Probes = { direct: SILENT, node: SILENT, loopback: SILENT, pod: SILENT, ...AWAY };
const policy = (spec: Record<string, unknown>, name = 'inside-only') => ({
  metadata: { namespace: 'default', name },
  spec: { podSelector: {}, ...spec },
});
const CLOSED = policy({ ingress: [{ from: [{ podSelector: {} }] }] });

testFindings('not-answering', [
  [
    'to anybody',
    worldOf({ probes: EVERYBODY, ...inNamespace }),
    [
      'broken worker shop/echo TCP 80: TCP 80 of shop/echo on worker does not answer the node, past the mapping, the node itself, 127.0.0.1 of the node, another node, the pod itself, outside',
      'probe | direct to 192.168.1.2:8080 | timeout: no answer',
      'probe | node to 172.17.0.3:80 | timeout: no answer',
      'probe | loopback to 127.0.0.1:80 | timeout: no answer',
      'probe | other-node to 172.17.0.3:80 | timeout: no answer',
      'probe | pod to 172.17.0.3:80 | timeout: no answer',
      'probe | outside to 172.17.0.3:80 | timeout: no answer',
      'by hand: the cause is unknown, so there is no known fix',
    ],
  ],
  [
    'to some, in any way',
    worldOf({ probes: { node: REFUSED, pod: { outcome: 'unreachable' } } }),
    [
      'broken worker echo TCP 80: TCP 80 of echo on worker does not answer the node itself, the pod itself',
      'probe | direct to 192.168.1.2:8080 | answered: connected',
      'probe | node to 172.17.0.3:80 | refused: ECONNREFUSED',
      'probe | loopback to 127.0.0.1:80 | answered: connected',
      'probe | other-node to 172.17.0.3:80 | answered: connected',
      'probe | pod to 172.17.0.3:80 | unreachable: connected',
      'probe | outside to 172.17.0.3:80 | answered: connected',
      'by hand: the cause is unknown, so there is no known fix',
    ],
  ],
  [
    'to one that may not expect it',
    worldOf({ probes: { loopback: { ...SILENT, target: { address: '::1', port: 80 } } } }),
    [],
  ],
  ['nobody knows', worldOf({ probes: { node: { outcome: 'unknown' } } }), []],
  ['to nobody who has asked', worldOf({ probes: {} }), []],
  ['to those whom a policy denies it', worldOf({ probes: AWAY, policies: [CLOSED] }), []],
  ['of a pod that is coming up', worldOf({ probes: EVERYBODY, pod: withStatus({ phase: 'Pending' }) }), []],
  ['of a pod that is going down', worldOf({ probes: EVERYBODY, pod: deleted }), []],
  ['of a pod without a sandbox', worldOf({ probes: EVERYBODY, sandboxes: () => [] }), []],
  [
    'of a pod of which a container does not run',
    worldOf({
      probes: EVERYBODY,
      pod: withStatus({
        containerStatuses: [
          ...container({ state: { running: {} } }),
          ...container({ state: { waiting: {} } }),
        ],
      }),
    }),
    [],
  ],
  [
    'of a pod of which a container has no state',
    worldOf({ probes: EVERYBODY, pod: withStatus({ containerStatuses: container({}) }) }),
    [],
  ],
  [
    'of a pod of which no container is known',
    worldOf({ probes: { node: SILENT }, pod: withStatus({ containerStatuses: undefined }) }),
    [
      'broken worker echo TCP 80: TCP 80 of echo on worker does not answer the node itself',
      'probe | direct to 192.168.1.2:8080 | answered: connected',
      'probe | node to 172.17.0.3:80 | timeout: no answer',
      'probe | loopback to 127.0.0.1:80 | answered: connected',
      'probe | other-node to 172.17.0.3:80 | answered: connected',
      'probe | pod to 172.17.0.3:80 | answered: connected',
      'probe | outside to 172.17.0.3:80 | answered: connected',
      'by hand: the cause is unknown, so there is no known fix',
    ],
  ],
  [
    'of a pod of which nothing is known',
    worldOf({ probes: EVERYBODY, pod: ({ status: _, ...pod }) => pod }),
    [],
  ],
]);

/** A match that the model does not know. */
const UNREAD = { xt: { type: 'match', name: 'u32' } };
/** Chains of nft at a device, of which nobody knows what they do. */
const ingress = (name: string, count: number, hook = 'ingress') => {
  const where = { family: 'netdev', table: 'edge' };
  return [
    { chain: { ...where, name, handle: 1, type: 'filter', hook, prio: 0, policy: 'accept', dev: 'eth0' } },
    ...Array.from({ length: count }, (_, handle) => ({
      rule: { ...where, chain: name, handle, expr: [UNREAD, { drop: null }] },
    })),
  ];
};
const EDGE = { table: { family: 'netdev', name: 'edge', handle: 1 } };

testFindings('off-node-blocked', [
  [
    'before the node',
    worldOf({ probes: AWAY, ...inNamespace }),
    [
      'broken worker shop/echo TCP 80: packets from other machines to TCP 80 of shop/echo never arrive at worker, whose own connections work',
      'probe | direct to 192.168.1.2:8080 | answered: connected',
      'probe | node to 172.17.0.3:80 | answered: connected',
      'probe | other-node to 172.17.0.3:80 | timeout: no answer',
      'probe | outside to 172.17.0.3:80 | timeout: no answer',
      'by hand: firewalls block ports on purpose, and most are not on the node: the owner of the firewall must open the port',
    ],
  ],
  [
    'before the node, or by a program at its device',
    worldOf({
      probes: AWAY,
      links: (links) => links.map((link) => (link.name === 'eth0' ? { ...link, xdpProgram: 7 } : link)),
    }),
    [
      'broken worker echo TCP 80: packets from other machines to TCP 80 of echo never arrive at worker, whose own connections work',
      'object | device eth0 of worker | XDP program 7, before all rules',
      'probe | direct to 192.168.1.2:8080 | answered: connected',
      'probe | node to 172.17.0.3:80 | answered: connected',
      'probe | other-node to 172.17.0.3:80 | timeout: no answer',
      'probe | outside to 172.17.0.3:80 | timeout: no answer',
      'by hand: firewalls block ports on purpose, and most are not on the node: the owner of the firewall must open the port',
    ],
  ],
  [
    'before the node, or by rules that are not followed',
    worldOf({
      probes: AWAY,
      nft: [
        EDGE,
        ...ingress('one', 1),
        ...ingress('two', 2),
        ...ingress('none', 0),
        ...ingress('out', 1, 'egress'),
      ],
    }),
    [
      'broken worker echo TCP 80: packets from other machines to TCP 80 of echo never arrive at worker, whose own connections work',
      'rule | nft edge one | 1 rule at ingress, not known to drop anything',
      'rule | nft edge two | 2 rules at ingress, not known to drop anything',
      'probe | direct to 192.168.1.2:8080 | answered: connected',
      'probe | node to 172.17.0.3:80 | answered: connected',
      'probe | other-node to 172.17.0.3:80 | timeout: no answer',
      'probe | outside to 172.17.0.3:80 | timeout: no answer',
      'by hand: firewalls block ports on purpose, and most are not on the node: the owner of the firewall must open the port',
    ],
  ],
  [
    'on the node, before the translation',
    worldOf({ mangle: [`-A PREROUTING -i eth0 ${DPORT} -j DROP`] }),
    [],
  ],
  ['on the node, behind the translation', worldOf({ filter: ['-A FORWARD -j DROP'] }), []],
  ['on the node, perhaps', worldOf({ mangle: [`-A PREROUTING ${MAYBE} -j DROP`] }), []],
  ['but one is seen', worldOf({ probes: { ...AWAY, outside: { ...SILENT, tracked: true } } }), []],
  ['but nobody knows whether one is seen', worldOf({ probes: { ...AWAY, outside: SILENT } }), []],
  ['but one is refused', worldOf({ probes: { ...AWAY, outside: { ...REFUSED, tracked: false } } }), []],
  ['and the node is silent, too', worldOf({ probes: { ...AWAY, node: SILENT } }), []],
  ['and the way is not clear', worldOf({ probes: AWAY, before: [ELSEWHERE] }), []],
  ['by a policy', worldOf({ probes: AWAY, policies: [CLOSED] }), []],
  ['and nobody has asked', worldOf({}), []],
  [
    'and no other machine has asked',
    {
      ...worldOf({ probes: {} }),
      probes: worldOf({ probes: {} }).probes.filter(({ vantage }) => vantage === 'node'),
    },
    [],
  ],
  ['and the rules are not known', worldOf({ probes: AWAY, report: unreadRules }), []],
  ['of a pod without a node', worldOf({ probes: AWAY, pod: withoutNode }), []],
]);

const BY_RULE = [
  ':KUBE-POD-FW-X - [0:0]',
  `-A FORWARD -d ${POD.address}/32 -j KUBE-POD-FW-X`,
  '-A KUBE-POD-FW-X -p tcp -m tcp --dport 8080 -j DROP',
];
const ADMITTING = policy({ ingress: [{ from: [{ ipBlock: { cidr: '203.0.113.0/24' } }] }] }, 'some');

testFindings('policy-denied', [
  [
    'by a rule',
    worldOf({ filter: BY_RULE }),
    [
      'broken worker echo TCP 80: kube-router on worker denies other machines TCP 8080 of echo, where TCP 80 leads',
      'rule | iptables-nft filter KUBE-POD-FW-X | -A KUBE-POD-FW-X -p tcp -m tcp --dport 8080 -j DROP',
      'by hand: only the author of the policy can decide whom it admits',
    ],
  ],
  [
    'by a rule, of a policy',
    worldOf({ filter: BY_RULE, policies: [CLOSED], probes: AWAY }),
    [
      'broken worker echo TCP 80: kube-router on worker denies other machines TCP 8080 of echo, where TCP 80 leads',
      'rule | iptables-nft filter KUBE-POD-FW-X | -A KUBE-POD-FW-X -p tcp -m tcp --dport 8080 -j DROP',
      'object | networkpolicy default/inside-only | {"podSelector":{},"ingress":[{"from":[{"podSelector":{}}]}]}',
      'probe | direct to 192.168.1.2:8080 | answered: connected',
      'probe | node to 172.17.0.3:80 | answered: connected',
      'probe | other-node to 172.17.0.3:80 | timeout: no answer',
      'probe | outside to 172.17.0.3:80 | timeout: no answer',
      'by hand: only the author of the policy can decide whom it admits',
    ],
  ],
  [
    'by a rule, of a policy that admits others',
    worldOf({ filter: BY_RULE, policies: [ADMITTING] }),
    [
      'risk worker echo TCP 80: kube-router on worker denies other machines TCP 8080 of echo, where TCP 80 leads; they admit others, and whether clients are among these was not seen',
      'rule | iptables-nft filter KUBE-POD-FW-X | -A KUBE-POD-FW-X -p tcp -m tcp --dport 8080 -j DROP',
      'object | networkpolicy default/some | {"podSelector":{},"ingress":[{"from":[{"ipBlock":{"cidr":"203.0.113.0/24"}}]}]}',
      'by hand: only the author of the policy can decide whom it admits',
    ],
  ],
  [
    'by a policy',
    worldOf({
      policies: [CLOSED].map((each) => ({ ...each, metadata: { ...each.metadata, namespace: 'shop' } })),
      probes: AWAY,
      ...inNamespace,
    }),
    [
      'broken worker shop/echo TCP 80: policy inside-only denies other machines TCP 8080 of shop/echo, where TCP 80 leads',
      'object | networkpolicy shop/inside-only | {"podSelector":{},"ingress":[{"from":[{"podSelector":{}}]}]}',
      'probe | direct to 192.168.1.2:8080 | answered: connected',
      'probe | node to 172.17.0.3:80 | answered: connected',
      'probe | other-node to 172.17.0.3:80 | timeout: no answer',
      'probe | outside to 172.17.0.3:80 | timeout: no answer',
      'by hand: only the author of the policy can decide whom it admits',
    ],
  ],
  [
    'by two policies, of which one admits others',
    worldOf({ policies: [CLOSED, ADMITTING], probes: AWAY }),
    [
      'risk worker echo TCP 80: policies inside-only, some deny other machines TCP 8080 of echo, where TCP 80 leads; they admit others, and whether clients are among these was not seen',
      'object | networkpolicy default/inside-only | {"podSelector":{},"ingress":[{"from":[{"podSelector":{}}]}]}',
      'object | networkpolicy default/some | {"podSelector":{},"ingress":[{"from":[{"ipBlock":{"cidr":"203.0.113.0/24"}}]}]}',
      'probe | direct to 192.168.1.2:8080 | answered: connected',
      'probe | node to 172.17.0.3:80 | answered: connected',
      'probe | other-node to 172.17.0.3:80 | timeout: no answer',
      'probe | outside to 172.17.0.3:80 | timeout: no answer',
      'by hand: only the author of the policy can decide whom it admits',
    ],
  ],
  [
    'by a policy without a name',
    worldOf({ policies: [{ metadata: { namespace: 'default' }, spec: CLOSED.spec }], probes: AWAY }),
    [
      'broken worker echo TCP 80: policy  denies other machines TCP 8080 of echo, where TCP 80 leads',
      'object | networkpolicy default/undefined | {"podSelector":{},"ingress":[{"from":[{"podSelector":{}}]}]}',
      'probe | direct to 192.168.1.2:8080 | answered: connected',
      'probe | node to 172.17.0.3:80 | answered: connected',
      'probe | other-node to 172.17.0.3:80 | timeout: no answer',
      'probe | outside to 172.17.0.3:80 | timeout: no answer',
      'by hand: only the author of the policy can decide whom it admits',
    ],
  ],
  ['by a policy, to nobody who has asked', worldOf({ policies: [CLOSED] }), []],
  ['by a rule of nobody', worldOf({ filter: ['-A FORWARD -j DROP'] }), []],
  ['by no policy', worldOf({ probes: AWAY }), []],
  ['and the rules are not known', worldOf({ filter: BY_RULE, report: unreadRules }), []],
  ['of a pod without a node', worldOf({ policies: [CLOSED], probes: AWAY, pod: withoutNode }), []],
]);

const MASQUERADED = [`-A POSTROUTING -d ${POD.address}/32 -j MASQUERADE`];
const seenAs = (seenSource: string): Probes => ({ outside: { seenSource } });
const all = [`-A ${CHAIN} ${DPORT} -j CNI-HOSTPORT-SETMARK`];
/** A rule of nft that masquerades everything. */
const nftMasquerades = [
  { table: { family: 'ip', name: 'fw', handle: 1 } },
  {
    chain: {
      ...{ family: 'ip', table: 'fw', name: 'post', handle: 1, type: 'nat', hook: 'postrouting', prio: 90 },
      policy: 'accept',
    },
  },
  { rule: { family: 'ip', table: 'fw', chain: 'post', handle: 2, expr: [{ masquerade: null }] } },
];

testFindings('source-address-lost', [
  [
    'by a rule',
    worldOf({ nat: MASQUERADED, ...inNamespace }),
    [
      'risk worker shop/echo TCP 80: shop/echo sees clients of TCP 80 as worker',
      'rule | iptables-nft nat POSTROUTING | -A POSTROUTING -d 192.168.1.2/32 -j MASQUERADE',
      'iptables on worker, to keep the addresses of clients of hostPort TCP 80: {"variant":"iptables-nft","family":"ipv4","table":"nat","commands":[["-I","POSTROUTING","1","-p","tcp","-m","conntrack","--ctstate","DNAT","--ctorigdstport","80","-m","mark","!","--mark","0x2000/0x2000","-m","comment","--comment","hostport: keep the addresses of clients of hostPort TCP 80","-j","ACCEPT"]]}',
    ],
  ],
  [
    'by a rule, where portmap has another mark',
    worldOf({ nat: MASQUERADED, portmap: { markMasqBit: 14 } }),
    [
      'risk worker echo TCP 80: echo sees clients of TCP 80 as worker',
      'rule | iptables-nft nat POSTROUTING | -A POSTROUTING -d 192.168.1.2/32 -j MASQUERADE',
      'iptables on worker, to keep the addresses of clients of hostPort TCP 80: {"variant":"iptables-nft","family":"ipv4","table":"nat","commands":[["-I","POSTROUTING","1","-p","tcp","-m","conntrack","--ctstate","DNAT","--ctorigdstport","80","-m","mark","!","--mark","0x4000/0x4000","-m","comment","--comment","hostport: keep the addresses of clients of hostPort TCP 80","-j","ACCEPT"]]}',
    ],
  ],
  [
    'by a rule, where portmap is no longer chained',
    worldOf({ nat: MASQUERADED, portmap: { type: 'tuning' } }),
    [
      'risk worker echo TCP 80: echo sees clients of TCP 80 as worker',
      'rule | iptables-nft nat POSTROUTING | -A POSTROUTING -d 192.168.1.2/32 -j MASQUERADE',
      'iptables on worker, to keep the addresses of clients of hostPort TCP 80: {"variant":"iptables-nft","family":"ipv4","table":"nat","commands":[["-I","POSTROUTING","1","-p","tcp","-m","conntrack","--ctstate","DNAT","--ctorigdstport","80","-m","mark","!","--mark","0x2000/0x2000","-m","comment","--comment","hostport: keep the addresses of clients of hostPort TCP 80","-j","ACCEPT"]]}',
    ],
  ],
  [
    'by a rule of UDP',
    worldOf({ nat: MASQUERADED, protocol: 'UDP' }),
    [
      'risk worker echo UDP 80: echo sees clients of UDP 80 as worker',
      'rule | iptables-nft nat POSTROUTING | -A POSTROUTING -d 192.168.1.2/32 -j MASQUERADE',
      'iptables on worker, to keep the addresses of clients of hostPort UDP 80: {"variant":"iptables-nft","family":"ipv4","table":"nat","commands":[["-I","POSTROUTING","1","-p","udp","-m","conntrack","--ctstate","DNAT","--ctorigdstport","80","-m","mark","!","--mark","0x2000/0x2000","-m","comment","--comment","hostport: keep the addresses of clients of hostPort UDP 80","-j","ACCEPT"]]}',
    ],
  ],
  [
    'by a rule of nft',
    worldOf({ nft: nftMasquerades }),
    [
      'risk worker echo TCP 80: echo sees clients of TCP 80 as worker',
      'rule | nft fw post | masquerade',
      'by hand: the rule is in an nft table of another component: "masquerade"',
    ],
  ],
  [
    'by a rule, and probes show it',
    worldOf({
      nat: MASQUERADED,
      probes: {
        'other-node': { seenSource: NODE.address, from: 'other' },
        outside: { seenSource: '127.0.0.1' },
      },
    }),
    [
      'risk worker echo TCP 80: echo sees clients of TCP 80 as 172.17.0.3',
      'rule | iptables-nft nat POSTROUTING | -A POSTROUTING -d 192.168.1.2/32 -j MASQUERADE',
      'flow | probe from other, in the connection tracking of worker | arrived at the pod from 172.17.0.3',
      'flow | probe from outside, in the connection tracking of worker | arrived at the pod from 127.0.0.1',
      'iptables on worker, to keep the addresses of clients of hostPort TCP 80: {"variant":"iptables-nft","family":"ipv4","table":"nat","commands":[["-I","POSTROUTING","1","-p","tcp","-m","conntrack","--ctstate","DNAT","--ctorigdstport","80","-m","mark","!","--mark","0x2000/0x2000","-m","comment","--comment","hostport: keep the addresses of clients of hostPort TCP 80","-j","ACCEPT"]]}',
    ],
  ],
  [
    'by nobody who is known, and probes show it',
    worldOf({ probes: seenAs(NODE.address) }),
    [
      'risk worker echo TCP 80: echo sees clients of TCP 80 as 172.17.0.3',
      'flow | probe from outside, in the connection tracking of worker | arrived at the pod from 172.17.0.3',
      'by hand: no rule of worker does it: it happens on the way to the node, or outside netfilter',
    ],
  ],
  [
    'by order',
    worldOf({ portmap: { masqAll: true }, own: all }),
    [
      'note worker echo TCP 80: echo sees clients of TCP 80 as worker, as configured for portmap (masqAll)',
      'rule | iptables-nft nat CNI-HOSTPORT-MASQ | -A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE',
      'by hand: portmap masquerades it, because another component uses its mark: see mark-bit-shared',
    ],
  ],
  [
    'by the mark of portmap, without an order',
    worldOf({ own: all }),
    [
      'risk worker echo TCP 80: echo sees clients of TCP 80 as worker',
      'rule | iptables-nft nat CNI-HOSTPORT-MASQ | -A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE',
      'by hand: portmap masquerades it, because another component uses its mark: see mark-bit-shared',
    ],
  ],
  [
    'by a rule, where the pod is on a bridge',
    worldOf({
      nat: MASQUERADED,
      links: (links) => links.map((link) => (link.name === POD.device ? { ...link, kind: 'bridge' } : link)),
    }),
    [
      'risk worker echo TCP 80: echo sees clients of TCP 80 as worker',
      'rule | iptables-nft nat POSTROUTING | -A POSTROUTING -d 192.168.1.2/32 -j MASQUERADE',
      'by hand: it is unknown whether answers would find their way back to the node without the masquerading',
    ],
  ],
  [
    'by a rule, where the pod is a port of a bridge',
    worldOf({
      nat: MASQUERADED,
      links: (links) => links.map((link) => (link.name === POD.device ? { ...link, master: 'cni0' } : link)),
    }),
    [
      'risk worker echo TCP 80: echo sees clients of TCP 80 as worker',
      'rule | iptables-nft nat POSTROUTING | -A POSTROUTING -d 192.168.1.2/32 -j MASQUERADE',
      'by hand: it is unknown whether answers would find their way back to the node without the masquerading',
    ],
  ],
  [
    'by a rule, where the links are not known',
    worldOf({
      nat: MASQUERADED,
      report: (report) => ({ ...report, network: { ...report.network, links: { unknown: '' } } }),
    }),
    [
      'risk worker echo TCP 80: echo sees clients of TCP 80 as worker',
      'rule | iptables-nft nat POSTROUTING | -A POSTROUTING -d 192.168.1.2/32 -j MASQUERADE',
      'by hand: it is unknown whether answers would find their way back to the node without the masquerading',
    ],
  ],
  ['by a rule, perhaps', worldOf({ nat: [`-A POSTROUTING ${MAYBE} -j MASQUERADE`] }), []],
  [
    'by a rule, of what leads elsewhere',
    worldOf({ nat: ['-A POSTROUTING -j MASQUERADE'], before: [ELSEWHERE] }),
    [],
  ],
  [
    'of a mapping of the loopback',
    worldOf({ nat: MASQUERADED, pod: forAddress('127.0.0.1'), probes: seenAs(NODE.address) }),
    [],
  ],
  ['by nobody', worldOf({ probes: seenAs(OTHER) }), []],
  ['of the node itself', worldOf({ probes: { node: { seenSource: NODE.address } } }), []],
  ['and nothing is known of it', worldOf({ report: unreadRules, world: withoutAddresses }), []],
  [
    'of a pod without a node',
    worldOf({ nat: MASQUERADED, probes: seenAs(NODE.address), pod: withoutNode }),
    [],
  ],
]);

test('of a mapping of one address the port alone shows it apart', () => {
  const world = worldOf({
    nat: MASQUERADED,
    pod: (pod) => withPorts(pod, [{ hostPort: 80, containerPort: 8080, hostIP: NODE.address }]),
  });
  expect(findingsText('source-address-lost', world).at(-1)).toContain(
    'keep the addresses of clients of hostPort TCP 80:',
  );
});

import { describe, expect, test } from 'bun:test';
import { type Diagnosed, diagnose } from '../diagnose/diagnose.ts';
import { planHeal } from '../heal/plan.ts';
import type { Flow } from '../model/node-report.ts';
import { known } from '../model/observed.ts';
import type { Vantage } from '../model/probe.ts';
import type { NetworkPolicy } from '../model/world.ts';
import {
  CHAIN,
  NODE,
  OTHER,
  type Otherwise,
  POD,
  type Route,
  withPorts,
  worldOf,
} from '../testing/worker.ts';

const SILENT = { outcome: 'timeout', detail: 'no answer within 1000 ms' } as const;
const REFUSED = { outcome: 'refused', detail: 'ECONNREFUSED' } as const;
/** Of other machines, and connection tracking saw nothing of them. */
const UNSEEN = { ...SILENT, tracked: false };
const AWAY_SILENT = { 'other-node': UNSEEN, outside: UNSEEN };
/** Of other machines, and nobody could say how far they came. */
const UNTOLD = { ...SILENT, untold: 'conntrack: not found' };
const dropping = <T extends Record<string, object>>(probes: T, reversePathDrops: number) =>
  Object.fromEntries(
    Object.entries(probes).map(([vantage, probe]) => [vantage, { ...probe, reversePathDrops }]),
  );
const ALL_SILENT = { direct: SILENT, node: SILENT, loopback: SILENT, pod: SILENT, ...AWAY_SILENT };

const staleFlow: Flow = {
  protocol: 'udp',
  source: OTHER,
  sourcePort: 4000,
  destination: NODE.address,
  destinationPort: 80,
  replySource: '192.168.1.77',
  replySourcePort: 8080,
  replyDestination: OTHER,
  replyDestinationPort: 4000,
  unreplied: true,
};

const policy = (spec: Record<string, unknown>): NetworkPolicy => ({
  metadata: { namespace: 'default', name: 'inside-only' },
  spec: { podSelector: { matchLabels: { app: 'echo' } }, ...spec },
});
const INSIDE_ONLY = { ingress: [{ from: [{ podSelector: {} }] }] };

/** A chain of nft's own, as firewalld has it: everything forwarded is dropped. */
const FIREWALLD = [
  { table: { family: 'inet', name: 'firewalld', handle: 9 } },
  {
    chain: {
      family: 'inet',
      table: 'firewalld',
      name: 'filter_FORWARD',
      handle: 1,
      type: 'filter',
      hook: 'forward',
      prio: 10,
      policy: 'drop',
    },
  },
];

/** By findings: `code`, `code severity` when it is not broken, `code @worker` when it is the whole node's. */
const WITHOUT_POD = (routes: Route[]) => routes.filter(({ device }) => device !== POD.device);
/** A route of a table that policy rules lead to; default when nothing else is said. */
const OTHERWISE = (route: Partial<Route>): Route => ({
  family: 'ipv4',
  destination: '0.0.0.0/0',
  table: 'main',
  type: 'unicast',
  ...route,
});

const cases: [name: string, otherwise: Otherwise, found: string[], fixedBy?: string][] = [
  ['nothing', { probes: {} }, []],
  ['nothing, unprobed', {}, []],

  ['ip_forward off', { sysctls: { 'net.ipv4.ip_forward': '0' } }, ['ip-forward-off @worker'], 'sysctl'],
  [
    'forwarding off on the device that packets come in by',
    { sysctls: { 'net.ipv4.conf.eth0.forwarding': '0' } },
    ['ip-forward-off @worker'],
    'sysctl',
  ],
  [
    'forwarding off on the device that packets come in by, and what follows from it',
    { sysctls: { 'net.ipv4.conf.eth0.forwarding': '0' }, probes: AWAY_SILENT },
    ['ip-forward-off @worker'],
    'sysctl',
  ],
  [
    'forwarding off on the device of the pod, and what follows from it',
    { sysctls: { [`net.ipv4.conf.${POD.device}.forwarding`]: '0' }, probes: AWAY_SILENT },
    ['ip-forward-off'],
    'sysctl',
  ],
  [
    'ip_forward off, and what follows from it',
    { sysctls: { 'net.ipv4.ip_forward': '0' }, probes: AWAY_SILENT },
    ['ip-forward-off @worker'],
    'sysctl',
  ],

  [
    'a translation to elsewhere behind a return of all',
    {
      before: [
        ':OTHERS - [0:0]',
        '-A PREROUTING -j OTHERS',
        '-A OTHERS -j RETURN',
        '-A OTHERS -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.9.9.9:80',
      ],
    },
    [],
  ],
  [
    'a translation to elsewhere for clients that are others than those who ask',
    { before: ['-A PREROUTING -s 10.0.0.0/8 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.9.9.9:80'] },
    [],
  ],
  [
    'a translation to elsewhere of all',
    { before: ['-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.9.9.9:80'] },
    ['mapping-shadowed'],
    'iptables',
  ],
  [
    'an exemption of the clients who ask, without an answer',
    {
      before: ['-A PREROUTING -s 172.16.0.0/12 -p tcp -m tcp --dport 80 -j ACCEPT'],
      probes: AWAY_SILENT,
    },
    ['not-answering', 'mapping-shadowed risk'],
  ],

  [
    'a resolver on the loopback, whose queries a mapping of every address takes',
    { listeners: [{ protocol: 'tcp', address: '127.0.0.53', port: 80 }] },
    ['host-listener-hijacked risk'],
  ],
  [
    'a listener on the loopback, and a jump that leaves the loopback alone',
    {
      listeners: [{ protocol: 'tcp', address: '127.0.0.1', port: 80 }],
      before: ['-A OUTPUT -d 127.0.0.0/8 -j RETURN'],
    },
    [],
  ],
  [
    'a listener on the loopback, and a mapping of another address',
    {
      listeners: [{ protocol: 'tcp', address: '127.0.0.1', port: 80 }],
      pod: (pod) => withPorts(pod, [{ hostPort: 80, containerPort: 8080, hostIP: NODE.address }]),
    },
    [],
  ],
  [
    'a listener on the loopback, of another protocol',
    { listeners: [{ protocol: 'udp', address: '127.0.0.53', port: 80 }] },
    [],
  ],

  ['policy of FORWARD', { filter: [':FORWARD DROP [0:0]'] }, ['forward-policy-drop @worker'], 'iptables'],
  [
    'a rule for all that is forwarded',
    { filter: ['-A FORWARD -j REJECT --reject-with icmp-host-prohibited'], probes: AWAY_SILENT },
    ['forward-policy-drop @worker'],
    'iptables',
  ],
  [
    'a rule for all that is forwarded, where network policies are enforced',
    {
      filter: [
        ':cali-FORWARD - [0:0]',
        '-A FORWARD -j cali-FORWARD',
        '-A cali-FORWARD -j RETURN',
        '-A FORWARD -j REJECT --reject-with icmp-host-prohibited',
      ],
      probes: AWAY_SILENT,
    },
    ['forward-policy-drop @worker'],
  ],
  ['a rule about the pod', { filter: [`-A FORWARD -d ${POD.address}/32 -j DROP`] }, ['forward-policy-drop']],
  ['a firewall of nft', { nft: FIREWALLD }, ['forward-policy-drop @worker']],
  [
    'connections to hostPorts accepted ahead of the policy, as healing does it',
    {
      filter: [
        ':FORWARD DROP [0:0]',
        '-A FORWARD -p tcp -m conntrack --ctstate DNAT --ctorigdstport 80 -m comment --comment "hostport: accept" -j ACCEPT',
      ],
    },
    [],
  ],

  [
    'route_localnet off',
    { sysctls: { 'net.ipv4.conf.lxc1.route_localnet': '0' } },
    ['route-localnet-off'],
    'sysctl',
  ],
  [
    'route_localnet off on the device, on for all',
    { sysctls: { 'net.ipv4.conf.lxc1.route_localnet': '0', 'net.ipv4.conf.all.route_localnet': '1' } },
    [],
  ],
  [
    'route_localnet off, and a probe of 127.0.0.1 that is answered all the same',
    { sysctls: { 'net.ipv4.conf.lxc1.route_localnet': '0' }, probes: {} },
    [],
  ],

  [
    'route_localnet off, and a probe of [::1] that is answered',
    {
      sysctls: { 'net.ipv4.conf.lxc1.route_localnet': '0' },
      probes: { loopback: { target: { address: '::1', port: 80 } } },
    },
    ['route-localnet-off'],
    'sysctl',
  ],
  ['route_localnet on by another number', { sysctls: { 'net.ipv4.conf.lxc1.route_localnet': '2' } }, []],
  [
    'route_localnet off, where connections from the node are not masqueraded',
    { sysctls: { 'net.ipv4.conf.lxc1.route_localnet': '0' }, portmap: { snat: false } },
    [],
  ],
  [
    "route_localnet off, of a mapping for the node's address",
    {
      sysctls: { 'net.ipv4.conf.lxc1.route_localnet': '0' },
      pod: (pod) => withPorts(pod, [{ hostPort: 80, containerPort: 8080, hostIP: NODE.address }]),
    },
    [],
  ],
  [
    'route_localnet off, of a mapping for the loopback',
    {
      sysctls: { 'net.ipv4.conf.lxc1.route_localnet': '0' },
      pod: (pod) => withPorts(pod, [{ hostPort: 80, containerPort: 8080, hostIP: '127.0.0.1' }]),
    },
    ['route-localnet-off'],
    'sysctl',
  ],

  [
    'no route to the pod',
    { routes: (routes) => routes.filter(({ device }) => device !== POD.device), probes: ALL_SILENT },
    ['pod-route-missing'],
    'route',
  ],
  [
    'a route to the pod by another device, which is seen to fail',
    {
      routes: (routes) =>
        routes.map((route) => (route.device === POD.device ? { ...route, device: 'eth0' } : route)),
      probes: ALL_SILENT,
    },
    ['pod-route-missing'],
    'route',
  ],
  [
    'a route to the pod by another device, which works',
    {
      routes: (routes) =>
        routes.map((route) => (route.device === POD.device ? { ...route, device: 'eth0' } : route)),
      sysctls: { 'net.ipv4.conf.all.route_localnet': '1' },
      probes: {},
    },
    [],
  ],
  [
    'no route, and nothing shows where the pod is',
    {
      routes: (routes) => routes.filter(({ device }) => device !== POD.device),
      links: (links) => links.map(({ peerNamespace, ...link }) => link),
    },
    ['pod-route-missing'],
  ],

  [
    'no route to the pod, and rules for the packets of a proxy, of another source and of another device',
    {
      routes: (routes) => [
        ...WITHOUT_POD(routes),
        OTHERWISE({ table: '2004', type: 'local', device: 'lo' }),
        OTHERWISE({ table: '2', gateway: '10.9.9.1', device: 'eth0' }),
      ],
      policyRules: [
        { priority: 9, mark: { value: 0x200, mask: 0xf00 }, table: '2004' },
        { priority: 10, others: ['l3mdev'], action: 'lookup [other]' },
        { priority: 11, action: 'nop' },
        { priority: 1536, source: '10.9.9.9/32', table: '2' },
        { priority: 1537, inputInterface: 'eth7', table: '2' },
      ],
      probes: ALL_SILENT,
    },
    ['pod-route-missing'],
    'route',
  ],
  [
    'no route to the pod in main, and a rule leads all packets to it by another table',
    {
      routes: (routes) => [
        ...WITHOUT_POD(routes),
        OTHERWISE({ table: '2', destination: `${POD.address}/32`, device: POD.device }),
      ],
      policyRules: [{ priority: 100, destination: '192.168.1.0/24', table: '2' }],
      probes: {},
    },
    [],
  ],
  [
    'a rule that leads what comes from other machines to another table than main',
    {
      routes: (routes) => [...routes, OTHERWISE({ table: '2', type: 'unreachable' })],
      policyRules: [{ priority: 100, source: `${OTHER}/32`, table: '2' }],
      probes: { outside: UNSEEN, 'other-node': UNSEEN },
    },
    // The message says why a route in main would not help.
    ['pod-route-missing'],
  ],
  [
    'a rule that ends what comes from other machines',
    {
      policyRules: [{ priority: 100, source: `${OTHER}/32`, action: 'prohibit' }],
      probes: { outside: UNSEEN, 'other-node': UNSEEN },
    },
    ['pod-route-missing'],
  ],
  [
    'no route to the pod in main, and a mark that leads to one is set or not by what is not known',
    {
      routes: (routes) => [
        ...WITHOUT_POD(routes),
        OTHERWISE({ table: '2', destination: `${POD.address}/32`, device: POD.device }),
      ],
      policyRules: [{ priority: 100, mark: { value: 0x5, mask: 0xff }, table: '2' }],
      mangle: [
        '-A PREROUTING -m u32 --u32 "0>>22=1" -j MARK --set-xmark 0x5/0xff',
        '-A OUTPUT -m u32 --u32 "0>>22=1" -j MARK --set-xmark 0x5/0xff',
      ],
    },
    [],
  ],
  [
    'no route to the pod in main, and a mark that rules set leads to one',
    {
      routes: (routes) => [
        ...WITHOUT_POD(routes),
        OTHERWISE({ table: '2', destination: `${POD.address}/32`, device: POD.device }),
      ],
      policyRules: [{ priority: 100, mark: { value: 0x5, mask: 0xff }, table: '2' }],
      mangle: ['-A PREROUTING -j MARK --set-xmark 0x5/0xff', '-A OUTPUT -j MARK --set-xmark 0x5/0xff'],
      probes: {},
    },
    [],
  ],
  [
    'no route to the pod in main, and the policy rules are not known',
    {
      routes: WITHOUT_POD,
      policyRules: { unknown: 'ip rule: Permission denied' },
    },
    [],
  ],

  [
    "a strict filter that drops others' packets: the routes to them lead out by another device",
    {
      sysctls: { 'net.ipv4.conf.eth0.rp_filter': '1', 'net.ipv4.conf.lxc1.rp_filter': '1' },
      routes: (routes) =>
        routes.map((route) =>
          route.device === 'eth0' && route.table === 'main' ? { ...route, device: 'eth1' } : route,
        ),
      probes: dropping(AWAY_SILENT, 2),
    },
    ['rp-filter-strict'],
    'sysctl',
  ],
  [
    "a strict filter that drops the pod's packets, which come by a second link of its",
    {
      sysctls: { 'net.ipv4.conf.lxc2.rp_filter': '1', 'net.ipv4.conf.eth0.rp_filter': '1' },
      links: (links) => [...links, { ...links.at(-1)!, name: 'lxc2', index: 4 }],
      probes: dropping(ALL_SILENT, 9),
    },
    ['rp-filter-strict'],
    'sysctl',
  ],
  [
    'a strict filter that drops, and nothing shows by which device the packets come',
    { sysctls: { 'net.ipv4.conf.eth0.rp_filter': '1' }, probes: dropping(AWAY_SILENT, 2) },
    ['rp-filter-strict'],
  ],
  [
    'a strict filter for all, and a device without an address',
    {
      sysctls: { 'net.ipv4.conf.all.rp_filter': '1', 'net.ipv4.conf.lxc2.rp_filter': '0' },
      links: (links) => [...links, { ...links.at(-1)!, name: 'lxc2', index: 4 }],
      probes: dropping(ALL_SILENT, 9),
    },
    ['rp-filter-strict'],
  ],
  [
    'a strict filter that dropped before, and a firewall in front of the node',
    { sysctls: { 'net.ipv4.conf.all.rp_filter': '1' }, drops: 7, probes: AWAY_SILENT },
    ['off-node-blocked'],
  ],
  [
    'a strict filter that dropped one packet meanwhile, and a firewall in front of the node',
    { sysctls: { 'net.ipv4.conf.all.rp_filter': '1' }, drops: 7, probes: dropping(AWAY_SILENT, 1) },
    ['off-node-blocked'],
  ],
  [
    'a strict filter that drops nothing',
    { sysctls: { 'net.ipv4.conf.eth0.rp_filter': '1' }, probes: {} },
    [],
  ],
  [
    'a strict filter that dropped once, and everything answers',
    { sysctls: { 'net.ipv4.conf.eth0.rp_filter': '1' }, drops: 7, probes: {} },
    [],
  ],

  [
    'a UDP flow to who was there before',
    { protocol: 'UDP', flows: [staleFlow] },
    ['conntrack-stale-udp'],
    'flow',
  ],
  [
    'a UDP flow from before there was a mapping',
    { protocol: 'UDP', flows: [{ ...staleFlow, replySource: NODE.address, replySourcePort: 80 }] },
    ['conntrack-stale-udp'],
    'flow',
  ],
  ['a UDP flow to the pod', { protocol: 'UDP', flows: [{ ...staleFlow, replySource: POD.address }] }, []],
  [
    "a UDP flow of the pod's other family",
    {
      protocol: 'UDP',
      second: { pod: 'fd00:1::2', node: 'fd00::3' },
      flows: [{ ...staleFlow, source: 'fd00::9', destination: 'fd00::3', replySource: 'fd00:1::2' }],
    },
    [],
  ],
  [
    'a UDP flow to the same port of somebody else',
    { protocol: 'UDP', flows: [{ ...staleFlow, destination: '9.9.9.9' }] },
    [],
  ],
  ['a TCP flow that ended before', { flows: [{ ...staleFlow, protocol: 'tcp' }] }, []],

  ['snat off, unprobed', { portmap: { snat: false }, own: [] }, ['hairpin-unmasqueraded risk'], 'file'],
  [
    'snat off, and the pod fails to reach itself',
    { portmap: { snat: false }, own: [], probes: { pod: SILENT, loopback: SILENT } },
    ['hairpin-unmasqueraded'],
    'file',
  ],
  ['snat off, and the pod reaches itself', { portmap: { snat: false }, own: [], probes: {} }, []],

  [
    'exempted from tracking, where network policies are enforced',
    {
      raw: [
        ':cali-PREROUTING - [0:0]',
        '-A PREROUTING -j cali-PREROUTING',
        '-A cali-PREROUTING -p tcp -m tcp --dport 80 -j CT --notrack',
      ],
    },
    ['netfilter-bypassed'],
  ],
  [
    'exempted from tracking',
    { raw: ['-A PREROUTING -p tcp -m tcp --dport 80 -j CT --notrack'] },
    ['netfilter-bypassed'],
    'iptables',
  ],
  [
    'another port exempted from tracking',
    { raw: ['-A PREROUTING -p tcp -m tcp --dport 53 -j CT --notrack'], probes: {} },
    [],
  ],
  [
    'tracked ahead of the exemption, as healing does it',
    {
      raw: [
        '-A PREROUTING -p tcp -m tcp --dport 80 -m addrtype --dst-type LOCAL -m comment --comment "hostport: track" -j ACCEPT',
        '-A PREROUTING -p tcp -m tcp --dport 80 -j CT --notrack',
      ],
    },
    [],
  ],
  [
    'others refused where the rules lead to the pod',
    { probes: { 'other-node': REFUSED, outside: REFUSED } },
    ['netfilter-bypassed'],
  ],
  [
    'translated, and no answer comes back by the rules',
    {
      probes: Object.fromEntries(
        Object.entries(AWAY_SILENT).map(([vantage, probe]) => [
          vantage,
          {
            ...probe,
            tracked: true,
            sourcePort: 4000,
            answeredBy: { address: POD.address, port: 8080 },
            replied: false,
          },
        ]),
      ),
    },
    ['netfilter-bypassed'],
  ],

  [
    "a policy agent's rule",
    {
      filter: [
        ':KUBE-POD-FW-X - [0:0]',
        `-A FORWARD -d ${POD.address}/32 -j KUBE-POD-FW-X`,
        '-A KUBE-POD-FW-X -p tcp -m tcp --dport 8080 -j DROP',
      ],
      probes: AWAY_SILENT,
    },
    ['policy-denied'],
  ],
  [
    'a policy without rules, and others shut out',
    { policies: [policy(INSIDE_ONLY)], probes: AWAY_SILENT },
    ['policy-denied'],
  ],
  ['a policy without rules, and others let in', { policies: [policy(INSIDE_ONLY)], probes: {} }, []],
  [
    'a policy that allows clients: it is something else',
    {
      policies: [
        policy(INSIDE_ONLY),
        policy({ ingress: [{ from: [{ ipBlock: { cidr: '172.16.0.0/12' } }], ports: [{ port: 'web' }] }] }),
      ],
      probes: AWAY_SILENT,
    },
    ['off-node-blocked'],
  ],
  [
    'a policy that excepts these clients',
    {
      policies: [
        policy({ ingress: [{ from: [{ ipBlock: { cidr: '0.0.0.0/0', except: ['172.17.0.0/16'] } }] }] }),
      ],
      probes: AWAY_SILENT,
    },
    ['policy-denied risk'],
  ],
  [
    "a policy agent's rule, and a policy that admits others",
    {
      policies: [policy({ ingress: [{ from: [{ ipBlock: { cidr: '203.0.113.0/24' } }] }] })],
      filter: [
        ':KUBE-POD-FW-X - [0:0]',
        `-A FORWARD -d ${POD.address}/32 -j KUBE-POD-FW-X`,
        '-A KUBE-POD-FW-X -p tcp -m tcp --dport 8080 -j DROP',
      ],
      probes: AWAY_SILENT,
    },
    ['policy-denied risk'],
  ],
  [
    'a policy that admits others to another port',
    {
      policies: [
        policy({ ingress: [{ from: [{ ipBlock: { cidr: '203.0.113.0/24' } }], ports: [{ port: 9090 }] }] }),
      ],
      probes: AWAY_SILENT,
    },
    ['policy-denied'],
  ],
  [
    'a policy that allows a port of that name, of another protocol',
    {
      policies: [policy({ ingress: [{ ports: [{ port: 'web' }] }] })],
      pod: (pod) =>
        withPorts(pod, [
          { hostPort: 80, containerPort: 8080, protocol: 'TCP' },
          { name: 'web', containerPort: 8080, protocol: 'UDP' },
        ]),
      probes: AWAY_SILENT,
    },
    ['policy-denied'],
  ],
  [
    'a policy that allows a port by the name that a sidecar has for it: it is something else',
    {
      policies: [policy({ ingress: [{ ports: [{ port: 'proxy' }] }] })],
      pod: (pod) => ({
        ...pod,
        spec: {
          ...pod.spec!,
          initContainers: [
            { name: 'side', restartPolicy: 'Always', ports: [{ name: 'proxy', containerPort: 8080 }] },
          ],
        },
      }),
      probes: AWAY_SILENT,
    },
    ['off-node-blocked'],
  ],
  [
    'a policy that allows the hostPort in place of the container port',
    { policies: [policy({ ingress: [{ ports: [{ port: 80 }] }] })], probes: AWAY_SILENT },
    ['policy-denied'],
  ],
  [
    "a policy about others' labels",
    {
      policies: [
        policy({ podSelector: { matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['echo'] }] } }),
      ],
      probes: AWAY_SILENT,
    },
    ['off-node-blocked'],
  ],
  [
    'a policy about what goes out',
    { policies: [policy({ policyTypes: ['Egress'] })], probes: AWAY_SILENT },
    ['off-node-blocked'],
  ],

  [
    'others silent, and connection tracking cannot be read',
    { probes: { 'other-node': UNTOLD, outside: UNTOLD } },
    ['not-answering'],
  ],
  ['others never seen', { probes: AWAY_SILENT }, ['off-node-blocked']],
  [
    'dropped before the translation',
    { mangle: ['-A PREROUTING -i eth0 -p tcp -m tcp --dport 80 -j DROP'] },
    ['packet-dropped'],
  ],
  ['one of two others not seen', { probes: { outside: SILENT } }, ['not-answering']],

  [
    'everything to the pod masqueraded',
    { nat: [`-A POSTROUTING -d ${POD.address}/32 -j MASQUERADE`] },
    ['source-address-lost risk'],
    'iptables',
  ],
  [
    'masqueraded where no rule of the node shows it',
    { probes: { outside: { seenSource: NODE.address } } },
    ['source-address-lost risk'],
  ],
  [
    'masqueraded by order',
    { portmap: { masqAll: true }, own: [`-A ${CHAIN} -p tcp -m tcp --dport 80 -j CNI-HOSTPORT-SETMARK`] },
    ['source-address-lost note'],
  ],
  ['clients as they are', { probes: { outside: { seenSource: '172.17.0.1' } } }, []],
  ['the node itself as a client', { probes: { node: { seenSource: NODE.address } } }, []],

  [
    'nothing listens in the pod',
    { probes: { direct: REFUSED, node: REFUSED, loopback: REFUSED } },
    ['application-not-listening'],
  ],
  [
    'nothing listens in a pod that is coming up',
    {
      probes: { direct: REFUSED, node: REFUSED },
      pod: (pod) => ({ ...pod, status: { ...pod.status, phase: 'Pending' } }),
    },
    [],
  ],
  ['the pod is silent, and nothing shows why', { probes: ALL_SILENT }, ['not-answering']],
  [
    'a pod that goes is silent',
    {
      probes: ALL_SILENT,
      pod: (pod) => ({ ...pod, metadata: { ...pod.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } }),
    },
    [],
  ],
  ['silence of UDP', { protocol: 'UDP', probes: { node: { outcome: 'unknown', detail: 'silence' } } }, []],
  ['[::1] is silent', { probes: { loopback: { ...REFUSED, target: { address: '::1', port: 80 } } } }, []],

  [
    'somebody asks [::1]',
    { complaints: ['dial tcp [::1]:80: connect: connection refused'] },
    ['v6-loopback note'],
  ],
  [
    'somebody asks another port of [::1]',
    { complaints: ['dial tcp [::1]:8080: connect: connection refused'] },
    [],
  ],
  ['a check misses a socket', { complaints: ['nothing listens on port 80'] }, ['no-listening-socket note']],
  ['a check misses another socket', { complaints: ['nothing listens on port 8080'] }, []],
];

/** What the steps of a plan do, by their kind; empty when it needs a manual step. */
const KINDS: Readonly<Record<string, string>> = {
  'set-sysctl': 'sysctl',
  'replace-route': 'route',
  'delete-flow': 'flow',
  'write-file': 'file',
  iptables: 'iptables',
};

function reported({ diagnosis }: Diagnosed): string[] {
  return diagnosis.findings.map(({ code, severity, subject }) =>
    [
      code,
      ...(severity === 'broken' ? [] : [severity]),
      ...(subject.pod === undefined ? [`@${subject.node}`] : []),
    ].join(' '),
  );
}

describe('what is otherwise is found, and nothing else', () => {
  test.each(cases.map(([name, ...rest]) => [name, rest] as const))('%s', (_, [otherwise, found, fixedBy]) => {
    const diagnosed = diagnose(worldOf(otherwise));
    expect(reported(diagnosed)).toEqual(found);
    const [planned] = planHeal(diagnosed, { restart: false });
    const [step] = planned?.steps ?? [];
    expect(step?.on === 'node' ? KINDS[step.action.do] : undefined).toEqual(fixedBy);
    // The command of a finding is there exactly when it does something.
    const [finding] = diagnosed.diagnosis.findings;
    if (finding !== undefined && finding.severity !== 'note')
      expect(finding.command !== undefined).toBe(fixedBy !== undefined);
  });

  const ANSWERER = { address: POD.address, port: 8080 };
  test.each<[string, Vantage[], Otherwise, string]>([
    ['other machines', ['node', 'outside'], {}, 'ok'],
    ['another node alone', ['other-node'], {}, 'ok'],
    ['the node and the pod themselves', ['direct', 'node', 'loopback', 'pod'], {}, 'unknown'],
    ['past the mapping', ['direct'], {}, 'unknown'],
    ['nobody', [], {}, 'unknown'],
    [
      'the node itself, where nobody else can ask',
      ['node'],
      {
        pod: (pod) => withPorts(pod, [{ hostPort: 80, containerPort: 8080, hostIP: '127.0.0.1' }]),
        probes: { node: { hostIP: '127.0.0.1' } },
      },
      'ok',
    ],
    [
      'other machines, and the pod answered',
      ['outside'],
      { probes: { outside: { answeredBy: ANSWERER } } },
      'ok',
    ],
    [
      'other machines, and another pod answered',
      ['outside'],
      { probes: { outside: { answeredBy: { ...ANSWERER, address: '192.168.1.9' } } } },
      'unknown',
    ],
  ])('answered is what was seen from %s', (_, from, otherwise, verdict) => {
    const world = worldOf({ probes: {}, ...otherwise });
    const probes = world.probes.filter(({ vantage }) => from.includes(vantage));
    expect(diagnose({ ...world, probes }).diagnosis.paths[0]!.stages.answered.verdict).toBe(verdict as never);
  });

  test.each(['(left out by hostport)', '', 'on'])(
    'route_localnet of %j was not seen, and is not on',
    (value) => {
      const world = worldOf({ sysctls: { 'net.ipv4.conf.lxc1.route_localnet': value } });
      const { forwarded } = diagnose(world).diagnosis.paths[0]!.stages;
      expect(forwarded).toMatchObject({
        verdict: 'unknown',
        reason: expect.stringContaining('net.ipv4.conf.lxc1.route_localnet of worker was not seen'),
      });
    },
  );

  test('the node of the cases is healthy through and through', () => {
    const { diagnosis } = diagnose(worldOf({ probes: {} }));
    expect(Object.values(diagnosis.paths[0]!.stages).map(({ verdict }) => verdict)).toEqual(
      Array(8).fill('ok'),
    );
    expect(known(worldOf({}).reports.get(NODE.name))?.node).toBe(NODE.name);
  });
});

import { describe, expect, test } from 'bun:test';
import type { Event } from '../../../kube/types.ts';
import type { Flow, NodeReport } from '../../model/node-report.ts';
import type { ProbeResult, Vantage } from '../../model/probe.ts';
import { findingsText, testFindings } from '../../testing/findings-text.ts';
import {
  CHAIN,
  DPORT,
  DUAL,
  ELSEWHERE,
  forAddress,
  inNamespace,
  MAYBE,
  NODE,
  OTHER,
  type Otherwise,
  POD,
  REFUSED,
  type Route,
  SILENT,
  unreadRules,
  withoutAddresses,
  withoutNode,
  withPorts,
  worldOf,
} from '../../testing/worker.ts';

const AWAY = { 'other-node': SILENT, outside: SILENT };
const ALL: Partial<Record<Vantage, Partial<ProbeResult>>> = {
  ...{ direct: SILENT, node: SILENT, loopback: SILENT, pod: SILENT },
  ...AWAY,
};
/** The pod is on the node without a report. */
const onOther: Otherwise['pod'] = ({ spec, ...pod }) => ({ ...pod, spec: { ...spec!, nodeName: 'other' } });

const flow = (more: Partial<Flow> = {}): Flow => ({
  ...{ protocol: 'udp', source: OTHER, sourcePort: 4000, destination: NODE.address, destinationPort: 80 },
  ...{
    replySource: '192.168.1.77',
    replySourcePort: 8080,
    replyDestination: OTHER,
    replyDestinationPort: 4000,
  },
  unreplied: false,
  ...more,
});
const udp = (flows: Flow[], more: Otherwise = {}) => worldOf({ protocol: 'UDP', flows, ...more });
const udpFor =
  (hostIP: string): Otherwise['pod'] =>
  (pod) =>
    withPorts(pod, [{ hostPort: 80, containerPort: 8080, hostIP, protocol: 'UDP' }]);

testFindings('conntrack-stale-udp', [
  [
    'of one client',
    udp([flow()], inNamespace),
    [
      'broken worker shop/echo UDP 80: 1 tracked flow to UDP 80 of worker goes to 192.168.1.77, and not to shop/echo at 192.168.1.2',
      'flow | connection tracking of worker | udp 172.17.0.2:4000 to 172.17.0.3:80, answered by 192.168.1.77:8080',
      'delete-flow on worker, to let packets of 172.17.0.2 be translated again: {"protocol":"udp","family":"ipv4","source":"172.17.0.2","sourcePort":4000,"destination":"172.17.0.3","destinationPort":80}',
    ],
  ],
  [
    'of several clients, with several ends',
    udp([
      flow({ unreplied: true }),
      flow({ source: 'fd00::9', destination: NODE.address, replySource: 'fd00:1::77' }),
      flow({ sourcePort: 4001 }),
    ]),
    [
      'broken worker echo UDP 80: 3 tracked flows to UDP 80 of worker go to 192.168.1.77, fd00:1::77, and not to echo at 192.168.1.2',
      'flow | connection tracking of worker | udp 172.17.0.2:4000 to 172.17.0.3:80, answered by 192.168.1.77:8080 (never yet)',
      'flow | connection tracking of worker | udp [fd00::9]:4000 to 172.17.0.3:80, answered by [fd00:1::77]:8080',
      'flow | connection tracking of worker | udp 172.17.0.2:4001 to 172.17.0.3:80, answered by 192.168.1.77:8080',
      'delete-flow on worker, to let packets of 172.17.0.2 be translated again: {"protocol":"udp","family":"ipv4","source":"172.17.0.2","sourcePort":4000,"destination":"172.17.0.3","destinationPort":80}',
      'delete-flow on worker, to let packets of fd00::9 be translated again: {"protocol":"udp","family":"ipv6","source":"fd00::9","sourcePort":4000,"destination":"172.17.0.3","destinationPort":80}',
      'delete-flow on worker, to let packets of 172.17.0.2 be translated again: {"protocol":"udp","family":"ipv4","source":"172.17.0.2","sourcePort":4001,"destination":"172.17.0.3","destinationPort":80}',
    ],
  ],
  [
    'to another port of the pod',
    udp([flow({ replySource: POD.address, replySourcePort: 80 })]),
    [
      'broken worker echo UDP 80: 1 tracked flow to UDP 80 of worker goes to 192.168.1.2, and not to echo at 192.168.1.2',
      'flow | connection tracking of worker | udp 172.17.0.2:4000 to 172.17.0.3:80, answered by 192.168.1.2:80',
      'delete-flow on worker, to let packets of 172.17.0.2 be translated again: {"protocol":"udp","family":"ipv4","source":"172.17.0.2","sourcePort":4000,"destination":"172.17.0.3","destinationPort":80}',
    ],
  ],
  [
    'of a mapping of one address',
    udp([flow()], { pod: udpFor(NODE.address) }),
    [
      'broken worker echo UDP 172.17.0.3:80: 1 tracked flow to UDP 172.17.0.3:80 of worker goes to 192.168.1.77, and not to echo at 192.168.1.2',
      'flow | connection tracking of worker | udp 172.17.0.2:4000 to 172.17.0.3:80, answered by 192.168.1.77:8080',
      'delete-flow on worker, to let packets of 172.17.0.2 be translated again: {"protocol":"udp","family":"ipv4","source":"172.17.0.2","sourcePort":4000,"destination":"172.17.0.3","destinationPort":80}',
    ],
  ],
  [
    'of a mapping of the loopback',
    udp([flow({ destination: '127.0.0.1' })], { pod: udpFor('127.0.0.1') }),
    [
      'broken worker echo UDP 127.0.0.1:80: 1 tracked flow to UDP 127.0.0.1:80 of worker goes to 192.168.1.77, and not to echo at 192.168.1.2',
      'flow | connection tracking of worker | udp 172.17.0.2:4000 to 127.0.0.1:80, answered by 192.168.1.77:8080',
      'delete-flow on worker, to let packets of 172.17.0.2 be translated again: {"protocol":"udp","family":"ipv4","source":"172.17.0.2","sourcePort":4000,"destination":"127.0.0.1","destinationPort":80}',
    ],
  ],
  [
    'to another address than that of the mapping',
    udp([flow({ destination: '127.0.0.1' })], { pod: udpFor(NODE.address) }),
    [],
  ],
  ['to an address of another machine', udp([flow({ destination: '9.9.9.9' })]), []],
  ['to the pod', udp([flow({ replySource: POD.address })]), []],
  [
    "to the pod's other address, in another spelling",
    udp([flow({ source: 'fd00::9', destination: 'fd00::3', replySource: 'FD00:1:0::2' })], {
      second: { pod: 'fd00:1::2', node: 'fd00::3' },
    }),
    [],
  ],
  [
    'of a pod that is known by the API alone',
    udp([flow()], { sandboxes: () => [] }),
    [
      'broken worker echo UDP 80: 1 tracked flow to UDP 80 of worker goes to 192.168.1.77, and not to echo at 192.168.1.2',
      'flow | connection tracking of worker | udp 172.17.0.2:4000 to 172.17.0.3:80, answered by 192.168.1.77:8080',
      'delete-flow on worker, to let packets of 172.17.0.2 be translated again: {"protocol":"udp","family":"ipv4","source":"172.17.0.2","sourcePort":4000,"destination":"172.17.0.3","destinationPort":80}',
    ],
  ],
  ['of TCP', worldOf({ flows: [flow({ protocol: 'tcp' })] }), []],
  ['where the rules lead elsewhere', udp([flow()], { before: [ELSEWHERE.replaceAll('tcp', 'udp')] }), []],
  ['where the rules are not known', udp([flow()], { report: unreadRules }), []],
  ['of a pod without a node', udp([flow()], { pod: withoutNode }), []],
]);

test('of many flows some are shown, and all are deleted', () => {
  const flows = Array.from({ length: 21 }, (_, i) => flow({ sourcePort: 5000 + i }));
  const lines = findingsText('conntrack-stale-udp', udp(flows));
  expect(lines.filter((line) => line.startsWith('flow | '))).toHaveLength(20);
  expect(lines.filter((line) => line.startsWith('delete-flow '))).toHaveLength(21);
});

const DROPS: Otherwise = { filter: [':FORWARD DROP [0:0]'] };
const two: Otherwise['pod'] = (pod) =>
  withPorts(pod, [
    { hostPort: 80, containerPort: 8080 },
    { hostPort: 80, containerPort: 8080, hostIP: NODE.address },
  ]);
const legacy: Otherwise['report'] = (report) => ({
  ...report,
  netfilter: {
    ...report.netfilter,
    iptables: report.netfilter.iptables.map((entry) => ({ ...entry, variant: 'iptables-legacy' })),
  },
});
/** A chain of nft's own that forwards nothing. */
const nftDrops = (rules: unknown[] = []): Otherwise => {
  const where = { family: 'inet', table: 'firewalld' };
  const chain = { ...where, name: 'filter_FORWARD', handle: 1, type: 'filter', hook: 'forward', prio: 10 };
  return {
    nft: [
      { table: { family: 'inet', name: 'firewalld', handle: 9 } },
      { chain: { ...chain, policy: rules.length > 0 ? 'accept' : 'drop' } },
      ...rules.map((expr, handle) => ({ rule: { ...where, chain: 'filter_FORWARD', handle, expr } })),
    ],
  };
};

testFindings('forward-policy-drop', [
  [
    'by the policy',
    worldOf({ ...DROPS, probes: { ...AWAY } }),
    [
      'broken worker: the policy of FORWARD in table filter of worker drops packets from other machines to its hostPorts (1)',
      'rule | iptables-nft filter FORWARD | policy drop of FORWARD',
      'probe | node to 172.17.0.3:80 | answered: connected',
      'probe | other-node to 172.17.0.3:80 | timeout: no answer',
      'probe | outside to 172.17.0.3:80 | timeout: no answer',
      'iptables on worker, to accept connections to hostPort TCP 80: {"variant":"iptables-nft","family":"ipv4","table":"filter","commands":[["-A","FORWARD","-p","tcp","-m","conntrack","--ctstate","DNAT","--ctorigdstport","80","-m","comment","--comment","hostport: accept connections to hostPort TCP 80","-j","ACCEPT"]]}',
    ],
  ],
  [
    'by the policy, of two mappings with one port',
    worldOf({ ...DROPS, pod: two }),
    [
      'broken worker: the policy of FORWARD in table filter of worker drops packets from other machines to its hostPorts (2)',
      'rule | iptables-nft filter FORWARD | policy drop of FORWARD',
      'iptables on worker, to accept connections to hostPort TCP 80: {"variant":"iptables-nft","family":"ipv4","table":"filter","commands":[["-A","FORWARD","-p","tcp","-m","conntrack","--ctstate","DNAT","--ctorigdstport","80","-m","comment","--comment","hostport: accept connections to hostPort TCP 80","-j","ACCEPT"]]}',
    ],
  ],
  [
    'by a rule',
    worldOf({ filter: ['-A FORWARD -j REJECT'] }),
    [
      'broken worker: a rule of FORWARD in table filter of worker rejects packets from other machines to its hostPorts (1)',
      'rule | iptables-nft filter FORWARD | -A FORWARD -j REJECT',
      'iptables on worker, to accept connections to hostPort TCP 80: {"variant":"iptables-nft","family":"ipv4","table":"filter","commands":[["-I","FORWARD","1","-p","tcp","-m","conntrack","--ctstate","DNAT","--ctorigdstport","80","-m","comment","--comment","hostport: accept connections to hostPort TCP 80","-j","ACCEPT"]]}',
    ],
  ],
  [
    'by a rule in a chain of its own, of legacy',
    worldOf({ filter: [':MINE - [0:0]', '-A FORWARD -j MINE', '-A MINE -j DROP'], report: legacy }),
    [
      'broken worker: a rule of MINE in table filter of worker drops packets from other machines to its hostPorts (1)',
      'rule | iptables-legacy filter MINE | -A MINE -j DROP',
      'iptables on worker, to accept connections to hostPort TCP 80: {"variant":"iptables-legacy","family":"ipv4","table":"filter","commands":[["-I","FORWARD","1","-p","tcp","-m","conntrack","--ctstate","DNAT","--ctorigdstport","80","-m","comment","--comment","hostport: accept connections to hostPort TCP 80","-j","ACCEPT"]]}',
    ],
  ],
  [
    'by two rules, of which one is about one mapping',
    worldOf({
      filter: [`-A FORWARD -p tcp -m conntrack --ctstate DNAT --ctorigdst ${NODE.address} -j DROP`],
      pod: two,
    }),
    [
      'broken worker echo TCP 80: a rule of FORWARD in table filter of worker drops packets from other machines to TCP 80 of echo',
      'rule | iptables-nft filter FORWARD | -A FORWARD -p tcp -m conntrack --ctstate DNAT --ctorigdst 172.17.0.3 -j DROP',
      'by hand: the rule names exactly this destination, so it is probably intended: "-A FORWARD -p tcp -m conntrack --ctstate DNAT --ctorigdst 172.17.0.3 -j DROP"',
      'broken worker echo TCP 172.17.0.3:80: a rule of FORWARD in table filter of worker drops packets from other machines to TCP 172.17.0.3:80 of echo',
      'rule | iptables-nft filter FORWARD | -A FORWARD -p tcp -m conntrack --ctstate DNAT --ctorigdst 172.17.0.3 -j DROP',
      'by hand: the rule names exactly this destination, so it is probably intended: "-A FORWARD -p tcp -m conntrack --ctstate DNAT --ctorigdst 172.17.0.3 -j DROP"',
    ],
  ],
  [
    'by a rule about the pod',
    worldOf({ filter: [`-A FORWARD -d ${POD.address}/32 -j DROP`], ...inNamespace }),
    [
      'broken worker shop/echo TCP 80: a rule of FORWARD in table filter of worker drops packets from other machines to TCP 80 of shop/echo',
      'rule | iptables-nft filter FORWARD | -A FORWARD -d 192.168.1.2/32 -j DROP',
      'by hand: the rule names exactly this destination, so it is probably intended: "-A FORWARD -d 192.168.1.2/32 -j DROP"',
    ],
  ],
  [
    'by a rule, where network policies are enforced',
    worldOf({ filter: [':cali-FORWARD - [0:0]', '-A FORWARD -j cali-FORWARD', '-A FORWARD -j DROP'] }),
    [
      'broken worker: a rule of FORWARD in table filter of worker drops packets from other machines to its hostPorts (1)',
      'rule | iptables-nft filter FORWARD | -A FORWARD -j DROP',
      'by hand: Calico enforces network policies in FORWARD, and an accept rule before the rule that drops would bypass them: change the firewall that owns that rule',
    ],
  ],
  [
    'by the policy, where network policies are enforced',
    worldOf({ filter: [':FORWARD DROP [0:0]', ':cali-FORWARD - [0:0]', '-A FORWARD -j cali-FORWARD'] }),
    [
      'broken worker: the policy of FORWARD in table filter of worker drops packets from other machines to its hostPorts (1)',
      'rule | iptables-nft filter FORWARD | policy drop of FORWARD',
      'iptables on worker, to accept connections to hostPort TCP 80: {"variant":"iptables-nft","family":"ipv4","table":"filter","commands":[["-A","FORWARD","-p","tcp","-m","conntrack","--ctstate","DNAT","--ctorigdstport","80","-m","comment","--comment","hostport: accept connections to hostPort TCP 80","-j","ACCEPT"]]}',
    ],
  ],
  [
    'by a firewall of nft',
    worldOf(nftDrops()),
    [
      'broken worker: the policy of filter_FORWARD in table firewalld of worker drops packets from other machines to its hostPorts (1)',
      'rule | nft firewalld filter_FORWARD | policy drop of filter_FORWARD',
      'by hand: firewalld filter_FORWARD belongs to a firewall with its own nft tables, and an accept rule of hostport does not override it: configure that firewall to accept packets forwarded to pods',
    ],
  ],
  [
    'by a rule of a network policy',
    worldOf({ filter: [':cali-X - [0:0]', '-A FORWARD -j cali-X', '-A cali-X -j DROP'] }),
    [],
  ],
  ['at another hook', worldOf({ mangle: ['-A PREROUTING -i eth0 -j DROP'] }), []],
  ['perhaps', worldOf({ filter: [`-A FORWARD ${MAYBE} -j DROP`] }), []],
  ['of what leads elsewhere', worldOf({ ...DROPS, before: [ELSEWHERE] }), []],
  ['where the rules are not known', worldOf({ ...DROPS, report: unreadRules }), []],
  ['by none', worldOf({}), []],
]);

test('two rules that drop, each for one protocol, are two findings', () => {
  const ports = (['TCP', 'UDP'] as const).map((protocol) => ({
    hostPort: 80,
    containerPort: 8080,
    protocol,
  }));
  const world = worldOf({
    pod: (pod) => withPorts(pod, ports),
    nat: [
      `-A CNI-HOSTPORT-DNAT -p udp -j ${CHAIN}`,
      `-A ${CHAIN} -p udp -m udp --dport 80 -j DNAT --to-destination ${POD.address}:8080`,
    ],
    filter: ['-A FORWARD -p udp -j REJECT', '-A FORWARD -p tcp -j DROP'],
  });
  const lines = findingsText('forward-policy-drop', world);
  expect(lines.filter((line) => line.startsWith('broken '))).toHaveLength(2);
  expect(lines.filter((line) => line.startsWith('rule | '))).toEqual([
    'rule | iptables-nft filter FORWARD | -A FORWARD -p tcp -j DROP',
    'rule | iptables-nft filter FORWARD | -A FORWARD -p udp -j REJECT',
  ]);
});

/** A pod that is attached by another primary plugin, over a bridge or not. */
const attachedBy = (plugin: object, more: Otherwise = {}): Otherwise => ({
  attachments: (entries) =>
    entries.map((entry) => ({
      ...entry,
      config: JSON.stringify({ cniVersion: '1.0.0', name: 'net', plugins: [plugin] }),
    })),
  ...more,
});
/** The pod's device is a port of bridge cni0, whose packets netfilter sees. */
const BRIDGED: Otherwise = {
  links: (links) => [
    ...links.map((link) => (link.name === POD.device ? { ...link, master: 'cni0' } : link)),
    { name: 'cni0', index: 9, up: true, mtu: 1500, kind: 'bridge' },
  ],
  routes: (routes) =>
    routes.map((route) => (route.device === POD.device ? { ...route, device: 'cni0' } : route)),
  sysctls: { 'net.bridge.bridge-nf-call-iptables': '1' },
};
const onBridge = (more: Otherwise = {}, plugin: object = {}) =>
  worldOf(
    attachedBy(
      { type: 'bridge', bridge: 'cni0', ...plugin },
      { ...BRIDGED, probes: { pod: SILENT }, ...more },
    ),
  );

const UNSNAT: Otherwise = { portmap: { snat: false }, own: [] };

testFindings('hairpin-unmasqueraded', [
  [
    'unprobed',
    worldOf({ ...UNSNAT, ...inNamespace }),
    [
      'risk worker shop/echo TCP 80: shop/echo cannot reach itself by TCP 80 of worker: portmap in 10-net.conflist is configured not to masquerade',
      'file | /etc/cni/net.d/10-net.conflist | {"name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true},"snat":false}]}',
      'write-file on worker, to let portmap masquerade in 10-net.conflist: {"path":"/etc/cni/net.d/10-net.conflist","content":{"name":"net","plugins":[{"type":"cilium-cni"},{"capabilities":{"portMappings":true},"type":"portmap"}]}}',
      'attach on worker, to write the rules of shop/echo with masquerading: {"sandbox":"9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e","config":"/etc/cni/net.d/10-net.conflist","plugin":"portmap","own":true}',
    ],
  ],
  [
    'and the pod is not answered',
    worldOf({ ...UNSNAT, probes: { pod: SILENT } }),
    [
      'broken worker echo TCP 80: echo cannot reach itself by TCP 80 of worker: portmap in 10-net.conflist is configured not to masquerade',
      'file | /etc/cni/net.d/10-net.conflist | {"name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true},"snat":false}]}',
      'probe | pod to 172.17.0.3:80 | timeout: no answer',
      'probe | loopback to 127.0.0.1:80 | answered: connected',
      'write-file on worker, to let portmap masquerade in 10-net.conflist: {"path":"/etc/cni/net.d/10-net.conflist","content":{"name":"net","plugins":[{"type":"cilium-cni"},{"capabilities":{"portMappings":true},"type":"portmap"}]}}',
      'attach on worker, to write the rules of echo with masquerading: {"sandbox":"9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e","config":"/etc/cni/net.d/10-net.conflist","plugin":"portmap","own":true}',
    ],
  ],
  [
    'and the loopback is not answered',
    worldOf({ ...UNSNAT, probes: { loopback: REFUSED, pod: { outcome: 'unknown' } } }),
    [
      'broken worker echo TCP 80: echo cannot reach itself by TCP 80 of worker: portmap in 10-net.conflist is configured not to masquerade',
      'file | /etc/cni/net.d/10-net.conflist | {"name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true},"snat":false}]}',
      'probe | pod to 172.17.0.3:80 | unknown: connected',
      'probe | loopback to 127.0.0.1:80 | refused: ECONNREFUSED',
      'write-file on worker, to let portmap masquerade in 10-net.conflist: {"path":"/etc/cni/net.d/10-net.conflist","content":{"name":"net","plugins":[{"type":"cilium-cni"},{"capabilities":{"portMappings":true},"type":"portmap"}]}}',
      'attach on worker, to write the rules of echo with masquerading: {"sandbox":"9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e","config":"/etc/cni/net.d/10-net.conflist","plugin":"portmap","own":true}',
    ],
  ],
  [
    'and others are not answered',
    worldOf({ ...UNSNAT, probes: { ...AWAY, pod: { outcome: 'unknown' } } }),
    [
      'risk worker echo TCP 80: echo cannot reach itself by TCP 80 of worker: portmap in 10-net.conflist is configured not to masquerade',
      'file | /etc/cni/net.d/10-net.conflist | {"name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true},"snat":false}]}',
      'probe | pod to 172.17.0.3:80 | unknown: connected',
      'probe | loopback to 127.0.0.1:80 | answered: connected',
      'write-file on worker, to let portmap masquerade in 10-net.conflist: {"path":"/etc/cni/net.d/10-net.conflist","content":{"name":"net","plugins":[{"type":"cilium-cni"},{"capabilities":{"portMappings":true},"type":"portmap"}]}}',
      'attach on worker, to write the rules of echo with masquerading: {"sandbox":"9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e","config":"/etc/cni/net.d/10-net.conflist","plugin":"portmap","own":true}',
    ],
  ],
  ['and the pod is answered', worldOf({ ...UNSNAT, probes: {} }), []],
  ['of a mapping of the loopback', worldOf({ ...UNSNAT, pod: forAddress('127.0.0.1') }), []],
  [
    'of a mapping of one address',
    worldOf({ ...UNSNAT, pod: forAddress(NODE.address) }),
    [
      'risk worker echo TCP 172.17.0.3:80: echo cannot reach itself by TCP 172.17.0.3:80 of worker: portmap in 10-net.conflist is configured not to masquerade',
      'file | /etc/cni/net.d/10-net.conflist | {"name":"net","plugins":[{"type":"cilium-cni"},{"type":"portmap","capabilities":{"portMappings":true},"snat":false}]}',
      'write-file on worker, to let portmap masquerade in 10-net.conflist: {"path":"/etc/cni/net.d/10-net.conflist","content":{"name":"net","plugins":[{"type":"cilium-cni"},{"capabilities":{"portMappings":true},"type":"portmap"}]}}',
      'attach on worker, to write the rules of echo with masquerading: {"sandbox":"9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e","config":"/etc/cni/net.d/10-net.conflist","plugin":"portmap","own":true}',
    ],
  ],
  ['but masqueraded by another', worldOf({ ...UNSNAT, nat: ['-A POSTROUTING -j MASQUERADE'] }), []],
  [
    'but perhaps masqueraded by another',
    worldOf({ ...UNSNAT, nat: [`-A POSTROUTING ${MAYBE} -j MASQUERADE`] }),
    [],
  ],
  ['but dropped', worldOf({ ...UNSNAT, filter: ['-A FORWARD -i lxc1 -j DROP'] }), []],
  ['but perhaps dropped', worldOf({ ...UNSNAT, filter: [`-A FORWARD ${MAYBE} -j DROP`] }), []],
  ['but led elsewhere', worldOf({ ...UNSNAT, before: [ELSEWHERE] }), []],
  ['without its marks, where portmap masquerades', worldOf({ own: [] }), []],
  ['where the rules are not known', worldOf({ ...UNSNAT, report: unreadRules }), []],
  ['of a pod without a sandbox', worldOf({ ...UNSNAT, sandboxes: () => [] }), []],
  [
    'in a bridge that does not send back',
    onBridge(),
    [
      'broken worker echo TCP 80: echo cannot reach itself by TCP 80 of worker: its port lxc1 of bridge cni0 does not send back what came in by it',
      'sysctl | net.bridge.bridge-nf-call-iptables of worker | 1',
      'result | /var/lib/cni/results/net-9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e-eth0 (2026-01-01T00:00:00Z) | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"bridge","bridge":"cni0"}]}',
      'probe | direct to 192.168.1.2:8080 | answered: connected',
      'probe | pod to 172.17.0.3:80 | timeout: no answer',
      'by hand: "hairpinMode": true belongs in the primary plugin\'s entry on worker, and pods that run need "bridge link set dev lxc1 hairpin on": the bridge is not portmap\'s',
    ],
  ],
  [
    'in a bridge that flannel has, of a pod elsewhere',
    onBridge(inNamespace, { type: 'flannel', delegate: { isDefaultGateway: true } }),
    [
      'broken worker shop/echo TCP 80: shop/echo cannot reach itself by TCP 80 of worker: its port lxc1 of bridge cni0 does not send back what came in by it',
      'sysctl | net.bridge.bridge-nf-call-iptables of worker | 1',
      'result | /var/lib/cni/results/net-9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e-eth0 (2026-01-01T00:00:00Z) | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"flannel","bridge":"cni0","delegate":{"isDefaultGateway":true}}]}',
      'probe | direct to 192.168.1.2:8080 | answered: connected',
      'probe | pod to 172.17.0.3:80 | timeout: no answer',
      'by hand: "hairpinMode": true belongs in the primary plugin\'s entry on worker, and pods that run need "bridge link set dev lxc1 hairpin on": the bridge is not portmap\'s',
    ],
  ],
  [
    'in a bridge that flannel has in hairpin mode',
    onBridge({}, { type: 'flannel', delegate: { hairpinMode: true } }),
    [],
  ],
  ['in a bridge in hairpin mode', onBridge({}, { hairpinMode: true }), []],
  ['in a bridge past netfilter', onBridge({ sysctls: { 'net.bridge.bridge-nf-call-iptables': '0' } }), []],
  ['in a bridge, unprobed', onBridge({ probes: undefined as never }), []],
  ['in a bridge, and the pod answers nobody', onBridge({ probes: { ...ALL } }), []],
  ['in a bridge, and the pod is answered', onBridge({ probes: {} }), []],
  ['in no bridge', onBridge({ links: (links) => links }), []],
  [
    'in Open vSwitch',
    onBridge({
      links: (links) =>
        BRIDGED.links!(links).map((link) => (link.name === 'cni0' ? { ...link, kind: 'openvswitch' } : link)),
    }),
    [],
  ],
  ['in a bridge, by an attachment that is not known', onBridge({ attachments: () => [] }), []],
]);

const off = (...names: string[]): Otherwise => ({
  sysctls: Object.fromEntries(names.map((name) => [name, '0'])),
});
const [V4, V6, ETH0] = [
  'net.ipv4.ip_forward',
  'net.ipv6.conf.all.forwarding',
  'net.ipv4.conf.eth0.forwarding',
];

testFindings('ip-forward-off', [
  [
    'of the node',
    worldOf(off(V4)),
    [
      'broken worker: worker does not forward packets (net.ipv4.ip_forward=0), so its hostPorts answer only the node itself',
      'sysctl | net.ipv4.ip_forward of worker | 0',
      'set-sysctl on worker, to enable forwarding on worker: {"name":"net.ipv4.ip_forward","value":"1"}',
    ],
  ],
  [
    'of the node and its device',
    worldOf(off(V4, ETH0)),
    [
      'broken worker: worker does not forward packets (net.ipv4.ip_forward=0), so its hostPorts answer only the node itself',
      'sysctl | net.ipv4.ip_forward of worker | 0',
      'set-sysctl on worker, to enable forwarding on worker: {"name":"net.ipv4.ip_forward","value":"1"}',
    ],
  ],
  [
    'of the device of the address',
    worldOf(off(ETH0)),
    [
      'broken worker: worker does not forward what comes in by eth0 (net.ipv4.conf.eth0.forwarding=0), so its hostPorts answer only the node itself',
      'sysctl | net.ipv4.conf.eth0.forwarding of worker | 0',
      'set-sysctl on worker, to enable forwarding on worker: {"name":"net.ipv4.conf.eth0.forwarding","value":"1"}',
    ],
  ],
  [
    'of the device of the pod',
    worldOf(off(`net.ipv4.conf.${POD.device}.forwarding`)),
    [
      'broken worker echo TCP 80: worker does not forward what comes from echo by lxc1 (net.ipv4.conf.lxc1.forwarding=0), so TCP 80 answers only the node itself',
      'sysctl | net.ipv4.conf.lxc1.forwarding of worker | 0',
      'set-sysctl on worker, to enable forwarding on worker: {"name":"net.ipv4.conf.lxc1.forwarding","value":"1"}',
    ],
  ],
  [
    'of a device with a dot in its name',
    worldOf({
      ...off('net.ipv4.conf.eth0/7.forwarding'),
      report: (report) =>
        JSON.parse(JSON.stringify(report).replaceAll('"device":"eth0"', '"device":"eth0.7"')),
    }),
    [
      'broken worker: worker does not forward what comes in by eth0.7 (net.ipv4.conf.eth0/7.forwarding=0), so its hostPorts answer only the node itself',
      'sysctl | net.ipv4.conf.eth0/7.forwarding of worker | 0',
      'set-sysctl on worker, to enable forwarding on worker: {"name":"net.ipv4.conf.eth0/7.forwarding","value":"1"}',
    ],
  ],
  [
    'of one family of two',
    worldOf({ ...DUAL, ...off(V6) }),
    [
      'broken worker IPv6: worker does not forward packets (net.ipv6.conf.all.forwarding=0), so its hostPorts answer only the node itself',
      'sysctl | net.ipv6.conf.all.forwarding of worker | 0',
      'set-sysctl on worker, to enable forwarding on worker: {"name":"net.ipv6.conf.all.forwarding","value":"1"}',
    ],
  ],
  [
    'of the other family of two',
    worldOf({ ...DUAL, ...off(V4) }),
    [
      'broken worker IPv4: worker does not forward packets (net.ipv4.ip_forward=0), so its hostPorts answer only the node itself',
      'sysctl | net.ipv4.ip_forward of worker | 0',
      'set-sysctl on worker, to enable forwarding on worker: {"name":"net.ipv4.ip_forward","value":"1"}',
    ],
  ],
  [
    'of both families of two',
    worldOf({ ...DUAL, ...off(V4, V6) }),
    [
      'broken worker: worker does not forward packets (net.ipv4.ip_forward=0, net.ipv6.conf.all.forwarding=0), so its hostPorts answer only the node itself',
      'sysctl | net.ipv4.ip_forward of worker | 0',
      'sysctl | net.ipv6.conf.all.forwarding of worker | 0',
      'set-sysctl on worker, to enable forwarding on worker: {"name":"net.ipv4.ip_forward","value":"1"}',
      'set-sysctl on worker, to enable forwarding on worker: {"name":"net.ipv6.conf.all.forwarding","value":"1"}',
    ],
  ],
  [
    'of the only family, where the node has two',
    worldOf({ ...off(V6), second: { pod: 'fd00:1::2', node: 'fd00::3' }, pod: forAddress('fd00::3') }),
    [
      'broken worker: worker does not forward packets (net.ipv6.conf.all.forwarding=0), so its hostPorts answer only the node itself',
      'sysctl | net.ipv6.conf.all.forwarding of worker | 0',
      'set-sysctl on worker, to enable forwarding on worker: {"name":"net.ipv6.conf.all.forwarding","value":"1"}',
    ],
  ],
  ['of another device', worldOf(off('net.ipv4.conf.eth1.forwarding')), []],
  ['of the other family', worldOf(off(V6)), []],
  ['of a mapping of the loopback', worldOf({ ...off(V4), pod: forAddress('127.0.0.1') }), []],
  [
    'of a mapping of the other loopback',
    worldOf({ ...off(V6), second: { pod: 'fd00:1::2', node: 'fd00::3' }, pod: forAddress('::1') }),
    [],
  ],
  ['of an address that is of no device', worldOf({ ...off(ETH0), pod: forAddress('10.9.9.9') }), []],
  [
    'of nobody knows which device',
    worldOf({
      ...off(ETH0),
      report: (report) => ({ ...report, network: { ...report.network, addresses: { unknown: '' } } }),
    }),
    [],
  ],
  ['of a node without an address', worldOf({ ...off(V4), world: withoutAddresses }), []],
  [
    'of a pod without an address',
    worldOf({ ...off(V4), sandboxes: () => [], pod: (pod) => ({ ...pod, status: { phase: 'Pending' } }) }),
    [],
  ],
  ['of no node', worldOf({ ...off(V4), pod: withoutNode }), []],
  ['of a node without a report', worldOf({ ...off(V4), pod: onOther }), []],
]);

const NOTRACK = `-A PREROUTING ${DPORT} -j CT --notrack`;
/** The pod's rules have been used. */
const counted: Otherwise = {
  rules: (text) => text.replace(/^(-A CNI-DN-\w+ -p tcp -m tcp --dport 80 -j DNAT)/m, '[3:180] $1'),
};
const replied = (is: boolean | undefined) => {
  const probe = { ...SILENT, tracked: true, replied: is };
  return { 'other-node': probe, outside: probe };
};
const isolated = {
  policies: [
    {
      metadata: { namespace: 'default', name: 'inside-only' },
      spec: { podSelector: {}, ingress: [{ from: [{ podSelector: {} }] }] },
    },
  ],
};

testFindings('netfilter-bypassed', [
  [
    'by a rule',
    worldOf({ raw: [NOTRACK], ...inNamespace }),
    [
      'broken worker shop/echo TCP 80: a rule of raw PREROUTING on worker exempts TCP 80 from connection tracking, and with it from the translation to shop/echo',
      'rule | iptables-nft raw PREROUTING | -A PREROUTING -p tcp -m tcp --dport 80 -j CT --notrack',
      'iptables on worker, to track connections to hostPort TCP 80: {"variant":"iptables-nft","family":"ipv4","table":"raw","commands":[["-I","PREROUTING","1","-p","tcp","-m","tcp","--dport","80","-m","addrtype","--dst-type","LOCAL","-m","comment","--comment","hostport: track connections to hostPort TCP 80","-j","ACCEPT"]]}',
    ],
  ],
  [
    'by a rule, and the counters show it',
    worldOf({ raw: [NOTRACK], ...counted, probes: AWAY }),
    [
      'broken worker echo TCP 80: a rule of raw PREROUTING on worker exempts TCP 80 from connection tracking, and with it from the translation to echo',
      'rule | iptables-nft raw PREROUTING | -A PREROUTING -p tcp -m tcp --dport 80 -j CT --notrack',
      'rule | iptables-nft nat CNI-DN-548df12b6bfbdd0f68f88 | 3 packets: -A CNI-DN-548df12b6bfbdd0f68f88 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.168.1.2:8080',
      'probe | direct to 192.168.1.2:8080 | answered: connected',
      'probe | other-node to 172.17.0.3:80 | timeout: no answer',
      'probe | outside to 172.17.0.3:80 | timeout: no answer',
      'iptables on worker, to track connections to hostPort TCP 80: {"variant":"iptables-nft","family":"ipv4","table":"raw","commands":[["-I","PREROUTING","1","-p","tcp","-m","tcp","--dport","80","-m","addrtype","--dst-type","LOCAL","-m","comment","--comment","hostport: track connections to hostPort TCP 80","-j","ACCEPT"]]}',
    ],
  ],
  [
    'by a rule of a mapping of UDP, of legacy',
    worldOf({ protocol: 'UDP', raw: [NOTRACK.replaceAll('tcp', 'udp')], report: legacy }),
    [
      'broken worker echo UDP 80: a rule of raw PREROUTING on worker exempts UDP 80 from connection tracking, and with it from the translation to echo',
      'rule | iptables-legacy raw PREROUTING | -A PREROUTING -p udp -m udp --dport 80 -j CT --notrack',
      'iptables on worker, to track connections to hostPort UDP 80: {"variant":"iptables-legacy","family":"ipv4","table":"raw","commands":[["-I","PREROUTING","1","-p","udp","-m","udp","--dport","80","-m","addrtype","--dst-type","LOCAL","-m","comment","--comment","hostport: track connections to hostPort UDP 80","-j","ACCEPT"]]}',
    ],
  ],
  [
    'by a rule, behind a chain of nft that matters not',
    worldOf({
      raw: [NOTRACK],
      nft: [
        { table: { family: 'ip', name: 'fw', handle: 1 } },
        {
          chain: {
            ...{ family: 'ip', table: 'fw', name: 'pre', handle: 1, type: 'filter', hook: 'prerouting' },
            ...{ prio: -400, policy: 'accept' },
          },
        },
        { rule: { family: 'ip', table: 'fw', chain: 'pre', handle: 2, expr: [{ return: null }] } },
      ],
    }),
    [
      'broken worker echo TCP 80: a rule of raw PREROUTING on worker exempts TCP 80 from connection tracking, and with it from the translation to echo',
      'rule | iptables-nft raw PREROUTING | -A PREROUTING -p tcp -m tcp --dport 80 -j CT --notrack',
      'iptables on worker, to track connections to hostPort TCP 80: {"variant":"iptables-nft","family":"ipv4","table":"raw","commands":[["-I","PREROUTING","1","-p","tcp","-m","tcp","--dport","80","-m","addrtype","--dst-type","LOCAL","-m","comment","--comment","hostport: track connections to hostPort TCP 80","-j","ACCEPT"]]}',
    ],
  ],
  [
    'by a rule, where network policies are enforced',
    worldOf({ raw: [':cali-P - [0:0]', '-A PREROUTING -j cali-P', `-A cali-P ${DPORT} -j CT --notrack`] }),
    [
      'broken worker echo TCP 80: a rule of raw cali-P on worker exempts TCP 80 from connection tracking, and with it from the translation to echo',
      'rule | iptables-nft raw cali-P | -A cali-P -p tcp -m tcp --dport 80 -j CT --notrack',
      'by hand: Calico enforces network policies in raw PREROUTING, and an accept rule ahead of them would bypass them',
    ],
  ],
  [
    'by a rule of nft',
    worldOf({
      nft: [
        { table: { family: 'ip', name: 'fw', handle: 1 } },
        {
          chain: {
            ...{ family: 'ip', table: 'fw', name: 'pre', handle: 1, type: 'filter', hook: 'prerouting' },
            ...{ prio: -300, policy: 'accept' },
          },
        },
        {
          rule: {
            ...{ family: 'ip', table: 'fw', chain: 'pre', handle: 2 },
            expr: [
              { match: { op: '==', left: { payload: { protocol: 'tcp', field: 'dport' } }, right: 80 } },
              { notrack: null },
            ],
          },
        },
      ],
    }),
    [
      'broken worker echo TCP 80: a rule of fw pre on worker exempts TCP 80 from connection tracking, and with it from the translation to echo',
      'rule | nft fw pre | tcp dport 80 notrack',
      'by hand: the rule is in an nft table of another component: "tcp dport 80 notrack"',
    ],
  ],
  [
    'and others are refused',
    worldOf({ probes: { 'other-node': REFUSED, outside: REFUSED }, ...inNamespace }),
    [
      'broken worker shop/echo TCP 80: the rules of worker lead to the pod, yet other machines are refused at TCP 80 of shop/echo: their packets bypass the rules',
      'probe | direct to 192.168.1.2:8080 | answered: connected',
      'probe | other-node to 172.17.0.3:80 | refused: ECONNREFUSED',
      'probe | outside to 172.17.0.3:80 | refused: ECONNREFUSED',
      "by hand: the datapath of the node is part of the primary plugin's configuration, and changing it affects every pod",
    ],
  ],
  [
    'and answers do not come back',
    worldOf({ probes: replied(false), ...inNamespace }),
    [
      'broken worker shop/echo TCP 80: packets from other machines for TCP 80 of shop/echo are translated and sent to the pod, but no answer comes back through the rules of worker',
      'probe | direct to 192.168.1.2:8080 | answered: connected',
      'probe | other-node to 172.17.0.3:80 | timeout: no answer',
      'probe | outside to 172.17.0.3:80 | timeout: no answer',
      "by hand: the datapath of the node is part of the primary plugin's configuration, and changing it affects every pod",
    ],
  ],
  ['by a rule, perhaps', worldOf({ raw: [`-A PREROUTING ${DPORT} ${MAYBE} -j CT --notrack`] }), []],
  ['by a rule for another port', worldOf({ raw: [NOTRACK.replace('80', '81')] }), []],
  [
    'by a rule, and nothing is mapped',
    worldOf({ raw: [NOTRACK], rules: (text) => text.replace(/^.*CNI-DN-.*\n/gm, '') }),
    [],
  ],
  [
    'by a rule, of a mapping of the loopback, where nothing is known of others',
    worldOf({
      raw: [NOTRACK],
      pod: forAddress('127.0.0.1'),
      world: withoutAddresses,
      routes: (routes) => routes.filter(({ gateway }) => gateway === undefined),
    }),
    [],
  ],
  ['and one of the others is refused', worldOf({ probes: { 'other-node': REFUSED, outside: SILENT } }), []],
  ['and one of the others is answered', worldOf({ probes: { 'other-node': REFUSED } }), []],
  [
    'and others are refused as the pod refuses',
    worldOf({ probes: { 'other-node': REFUSED, outside: REFUSED, direct: REFUSED } }),
    [],
  ],
  [
    'and others are refused, and the way is not clear',
    worldOf({ probes: { 'other-node': REFUSED, outside: REFUSED }, ...DROPS }),
    [],
  ],
  [
    'and others are refused by a network policy',
    worldOf({ probes: { 'other-node': REFUSED, outside: REFUSED }, ...isolated }),
    [],
  ],
  ['and answers come back', worldOf({ probes: replied(true) }), []],
  [
    'and of one of the others answers do not come back',
    worldOf({ probes: { ...replied(undefined), outside: { ...SILENT, tracked: true, replied: false } } }),
    [],
  ],
  ['and nobody knows of answers', worldOf({ probes: replied(undefined) }), []],
  ['and nobody asks', worldOf({}), []],
  ['of a pod without a node', worldOf({ raw: [NOTRACK], pod: withoutNode }), []],
  ['where the rules are not known', worldOf({ raw: [NOTRACK], report: unreadRules }), []],
]);

const LOST = (routes: Route[]) => routes.filter(({ device }) => device !== POD.device);
const astray = (routes: Route[]) =>
  routes.map((route) => (route.device === POD.device ? { ...route, device: 'eth0' } : route));
const route = (more: Partial<Route>): Route => ({
  ...{ family: 'ipv4', destination: '0.0.0.0/0', table: 'main', type: 'unicast' },
  ...more,
});

/** A pod that has no link of its own on the node, which routes to it by eth0. */
const beside = (plugin: object, more: Otherwise = {}) =>
  worldOf(
    attachedBy(plugin, {
      links: (links) => links.filter(({ name }) => name !== POD.device),
      routes: astray,
      ...more,
    }),
  );

testFindings('pod-route-missing', [
  [
    'to one that is unreachable',
    worldOf({ routes: LOST, probes: { direct: SILENT } }),
    [
      'broken worker echo: worker has no route to 192.168.1.2 of echo except one of type unreachable',
      'route | route of worker to 192.168.1.2 | unreachable 192.168.1.0/24',
      'route | device to echo | lxc1',
      'probe | direct to 192.168.1.2:8080 | timeout: no answer',
      'replace-route on worker, to restore the route to 192.168.1.2: {"family":"ipv4","destination":"192.168.1.2/32","device":"lxc1"}',
    ],
  ],
  [
    'at all, of a pod elsewhere',
    worldOf({
      routes: () => [route({ table: 'local', type: 'local', device: 'lo', destination: '127.0.0.0/8' })],
      ...inNamespace,
    }),
    [
      'broken worker shop/echo: worker has no route to 192.168.1.2 of shop/echo',
      'route | route of worker to 192.168.1.2 | (none)',
      'route | device to shop/echo | lxc1',
      'replace-route on worker, to restore the route to 192.168.1.2: {"family":"ipv4","destination":"192.168.1.2/32","device":"lxc1"}',
    ],
  ],
  [
    'by another device',
    worldOf({ routes: astray, probes: { direct: SILENT } }),
    [
      'broken worker echo: worker sends packets to 192.168.1.2 of echo by eth0 instead of lxc1',
      'route | route of worker to 192.168.1.2 | 192.168.1.2/32 dev eth0',
      'route | device to echo | lxc1',
      'probe | direct to 192.168.1.2:8080 | timeout: no answer',
      'replace-route on worker, to restore the route to 192.168.1.2: {"family":"ipv4","destination":"192.168.1.2/32","device":"lxc1"}',
    ],
  ],
  [
    'by several next hops, which have no device in common',
    worldOf({
      routes: (routes) => astray(routes).map(({ device: _, ...hops }) => hops),
      probes: { direct: SILENT },
    }),
    [
      'broken worker echo: worker sends packets to 192.168.1.2 of echo by several next hops instead of lxc1',
      'route | route of worker to 192.168.1.2 | 192.168.1.2/32',
      'route | device to echo | lxc1',
      'probe | direct to 192.168.1.2:8080 | timeout: no answer',
      'replace-route on worker, to restore the route to 192.168.1.2: {"family":"ipv4","destination":"192.168.1.2/32","device":"lxc1"}',
    ],
  ],
  [
    'by another device, and a gateway of another table',
    worldOf({
      routes: (routes) => [...routes, route({ table: '7', gateway: '172.17.0.1', device: 'eth0' })],
      policyRules: [{ priority: 100, table: '7' }],
      probes: { direct: REFUSED },
    }),
    [
      'broken worker echo: worker sends packets to 192.168.1.2 of echo by eth0 instead of lxc1',
      'route | route of worker to 192.168.1.2 | 0.0.0.0/0 via 172.17.0.1 dev eth0 table 7',
      'route | policy rule of worker | 100: from all lookup 7',
      'route | device to echo | lxc1',
      'probe | direct to 192.168.1.2:8080 | refused: ECONNREFUSED',
      'by hand: policy rule "100: from all lookup 7" of worker decides before table main: it was probably added on purpose',
    ],
  ],
  [
    'by another device than that of a bridge',
    worldOf({
      routes: astray,
      links: (links) => [
        ...links.map((link) => (link.name === POD.device ? { ...link, master: 'cni0' } : link)),
        { name: 'cni0', index: 9, up: true, mtu: 1500, kind: 'bridge' },
      ],
      probes: { direct: SILENT },
    }),
    [
      'broken worker echo: worker sends packets to 192.168.1.2 of echo by eth0 instead of lxc1 or cni0',
      'route | route of worker to 192.168.1.2 | 192.168.1.2/32 dev eth0',
      'route | device to echo | lxc1',
      'route | device to echo | cni0',
      'probe | direct to 192.168.1.2:8080 | timeout: no answer',
      'replace-route on worker, to restore the route to 192.168.1.2: {"family":"ipv4","destination":"192.168.1.2/32","device":"cni0"}',
    ],
  ],
  [
    'where no link shows the device',
    worldOf({ routes: LOST, links: (links) => links.map(({ peerNamespace: _, ...link }) => link) }),
    [
      'broken worker echo: worker has no route to 192.168.1.2 of echo except one of type unreachable',
      'route | route of worker to 192.168.1.2 | unreachable 192.168.1.0/24',
      'by hand: it is unknown which device of worker leads to the pod: only the primary plugin knows',
    ],
  ],
  [
    'for what comes from others alone',
    worldOf({
      routes: (routes) => [...routes, route({ table: '7', type: 'unreachable' })],
      policyRules: [{ priority: 100, source: `${OTHER}/32`, table: '7' }],
    }),
    [
      'broken worker echo: worker has no route to 192.168.1.2 of echo from 172.17.0.2 except one of type unreachable',
      'route | route of worker to 192.168.1.2 from 172.17.0.2 | unreachable 0.0.0.0/0 table 7',
      'route | policy rule of worker | 100: from 172.17.0.2/32 lookup 7',
      'route | device to echo | lxc1',
      'by hand: policy rule "100: from 172.17.0.2/32 lookup 7" of worker decides before table main: it was probably added on purpose',
    ],
  ],
  [
    'by a rule that ends it',
    worldOf({ policyRules: [{ priority: 100, source: `${OTHER}/32`, action: 'prohibit' }] }),
    [
      'broken worker echo: worker has no route to 192.168.1.2 of echo from 172.17.0.2',
      'route | route of worker to 192.168.1.2 from 172.17.0.2 | (none)',
      'route | policy rule of worker | 100: from 172.17.0.2/32 prohibit',
      'route | device to echo | lxc1',
      'by hand: policy rule "100: from 172.17.0.2/32 prohibit" of worker decides before table main: it was probably added on purpose',
    ],
  ],
  [
    'in table default, behind main',
    worldOf({
      routes: (routes) => [
        ...LOST(routes).filter(({ table }) => table !== 'main'),
        route({ table: 'default', type: 'blackhole' }),
      ],
    }),
    [
      'broken worker echo: worker has no route to 192.168.1.2 of echo except one of type blackhole',
      'route | route of worker to 192.168.1.2 | blackhole 0.0.0.0/0 table default',
      'route | device to echo | lxc1',
      'replace-route on worker, to restore the route to 192.168.1.2: {"family":"ipv4","destination":"192.168.1.2/32","device":"lxc1"}',
    ],
  ],
  [
    'of one family of two',
    worldOf({ ...DUAL, routes: (routes) => LOST(DUAL.routes!(routes)) }),
    [
      'broken worker echo IPv4: worker has no route to 192.168.1.2 of echo except one of type unreachable',
      'route | route of worker to 192.168.1.2 | unreachable 192.168.1.0/24',
      'route | device to echo | lxc1',
      'replace-route on worker, to restore the route to 192.168.1.2: {"family":"ipv4","destination":"192.168.1.2/32","device":"lxc1"}',
      'broken worker echo IPv6: worker has no route to fd00:1::2 of echo',
      'route | route of worker to fd00:1::2 | (none)',
      'route | device to echo | lxc1',
      'replace-route on worker, to restore the route to fd00:1::2: {"family":"ipv6","destination":"fd00:1::2/128","device":"lxc1"}',
    ],
  ],
  [
    'of two mappings to one address, once',
    worldOf({ routes: LOST, pod: two }),
    [
      'broken worker echo: worker has no route to 192.168.1.2 of echo except one of type unreachable',
      'route | route of worker to 192.168.1.2 | unreachable 192.168.1.0/24',
      'route | device to echo | lxc1',
      'replace-route on worker, to restore the route to 192.168.1.2: {"family":"ipv4","destination":"192.168.1.2/32","device":"lxc1"}',
    ],
  ],
  ['by another device, which is answered', worldOf({ routes: astray, probes: {} }), []],
  ['by another device, and nobody has asked', worldOf({ routes: astray }), []],
  [
    'by another device, and nobody knows',
    worldOf({ routes: astray, probes: { direct: { outcome: 'unknown' } } }),
    [],
  ],
  [
    'by another device, where no link shows that of the pod',
    worldOf({
      routes: astray,
      links: (links) => links.map(({ peerNamespace: _, ...link }) => link),
      probes: { direct: SILENT },
    }),
    [],
  ],
  [
    'to the node itself',
    worldOf({
      routes: (routes) => [
        ...routes,
        route({ table: 'local', type: 'local', device: 'lo', destination: `${POD.address}/32` }),
      ],
      probes: { direct: SILENT },
    }),
    [],
  ],
  ['which is there', worldOf({ probes: { direct: SILENT } }), []],
  [
    'for some of what may come',
    worldOf({
      routes: (routes) => [...routes, route({ table: '7', type: 'unreachable' })],
      policyRules: [{ priority: 100, mark: { value: 1, mask: 1 }, table: '7' }],
      mangle: [`-A PREROUTING ${MAYBE} -j MARK --set-xmark 0x1/0x1`],
    }),
    [],
  ],
  ['of a pod without a sandbox', worldOf({ routes: LOST, sandboxes: () => [] }), []],
  [
    'where the routes are not known',
    worldOf({ report: (report) => ({ ...report, network: { ...report.network, routes: { unknown: '' } } }) }),
    [],
  ],
  ['where the policy rules are not known', worldOf({ routes: LOST, policyRules: { unknown: '' } }), []],
  [
    'by the device that the pod’s macvlan is on',
    beside({ type: 'macvlan', master: 'eth0' }),
    [
      'broken worker echo: worker sends packets to 192.168.1.2 of echo by eth0, which passes none to the macvlan devices on it',
      'route | route of worker to 192.168.1.2 | 192.168.1.2/32 dev eth0',
      'result | /var/lib/cni/results/net-9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e-eth0 (2026-01-01T00:00:00Z) | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"macvlan","master":"eth0"}]}',
      'by hand: worker needs a device of its own by macvlan with a route to 192.168.1.2, or its pods another primary plugin: both are for whoever planned its network',
    ],
  ],
  [
    'by the device that the pod’s ipvlan is on, asked in vain, of a pod elsewhere',
    beside({ type: 'ipvlan', mode: 'l3' }, { probes: { direct: SILENT }, ...inNamespace }),
    [
      'broken worker shop/echo: worker sends packets to 192.168.1.2 of shop/echo by eth0, which passes none to the ipvlan devices on it',
      'route | route of worker to 192.168.1.2 | 192.168.1.2/32 dev eth0',
      'result | /var/lib/cni/results/net-9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e-eth0 (2026-01-01T00:00:00Z) | {"cniVersion":"1.0.0","name":"net","plugins":[{"type":"ipvlan","mode":"l3"}]}',
      'probe | direct to 192.168.1.2:8080 | timeout: no answer',
      'by hand: worker needs a device of its own by ipvlan with a route to 192.168.1.2, or its pods another primary plugin: both are for whoever planned its network',
    ],
  ],
  [
    'by the device that the pod’s macvlan is on, and it answers',
    beside({ type: 'macvlan' }, { probes: {} }),
    [],
  ],
  ['by the device of a macvlan that a switch sends back to', beside({ type: 'macvlan', mode: 'vepa' }), []],
  ['by another device than the one of its macvlan', beside({ type: 'macvlan', master: 'eth1' }), []],
  ['by the device of a macvlan in a pod', beside({ type: 'macvlan', linkInContainer: true }), []],
  [
    'by a gateway on the device of its macvlan',
    beside(
      { type: 'macvlan' },
      {
        routes: (routes) =>
          routes.filter(({ device }) => device !== POD.device).filter(({ type }) => type !== 'unreachable'),
      },
    ),
    [],
  ],
  ['by the device of a plugin that routes', beside({ type: 'ptp' }), []],
]);

const localnet = (...devices: string[]): Otherwise => ({
  sysctls: Object.fromEntries(devices.map((device) => [`net.ipv4.conf.${device}.route_localnet`, '0'])),
});

testFindings('route-localnet-off', [
  [
    'on the device of the pod',
    worldOf({ ...localnet('lxc1'), probes: { loopback: SILENT }, ...inNamespace }),
    [
      'broken worker shop/echo TCP 80: 127.0.0.1:80 of worker cannot reach shop/echo for TCP 80: route_localnet is off on lxc1',
      'sysctl | net.ipv4.conf.lxc1.route_localnet of worker (packets to shop/echo leave by it and answers enter by it) | 0',
      'sysctl | net.ipv4.conf.all.route_localnet of worker | 0',
      'probe | loopback to 127.0.0.1:80 | timeout: no answer',
      'set-sysctl on worker, to allow connections to 127.0.0.1 and their answers on lxc1: {"name":"net.ipv4.conf.lxc1.route_localnet","value":"1"}',
    ],
  ],
  [
    'on both devices of the pod',
    worldOf({
      ...localnet('lxc1', 'cilium_host'),
      links: (links) => [...links, { name: 'cilium_host', index: 9, up: true, mtu: 1500, kind: 'veth' }],
      routes: (routes) =>
        routes.map((entry) => (entry.device === POD.device ? { ...entry, device: 'cilium_host' } : entry)),
    }),
    [
      'broken worker echo TCP 80: 127.0.0.1:80 of worker cannot reach echo for TCP 80: route_localnet is off on cilium_host (packets leave by it) and lxc1 (answers enter by it)',
      'sysctl | net.ipv4.conf.cilium_host.route_localnet of worker (packets to echo leave by it) | 0',
      'sysctl | net.ipv4.conf.lxc1.route_localnet of worker (answers of echo enter by it) | 0',
      'sysctl | net.ipv4.conf.all.route_localnet of worker | 0',
      'set-sysctl on worker, to allow connections to 127.0.0.1 on cilium_host: {"name":"net.ipv4.conf.cilium_host.route_localnet","value":"1"}',
      'set-sysctl on worker, to allow answers to 127.0.0.1 on lxc1: {"name":"net.ipv4.conf.lxc1.route_localnet","value":"1"}',
    ],
  ],
  ['on others', worldOf(localnet('eth0')), []],
  [
    'on nobody knows which device',
    worldOf({
      sysctls: { 'net.ipv4.conf.lxc1.route_localnet': 'on' },
    }),
    [],
  ],
  ['of a pod without a node', worldOf({ ...localnet('lxc1'), pod: withoutNode }), []],
]);

const strict = (...devices: string[]): Record<string, string> =>
  Object.fromEntries(devices.map((device) => [`net.ipv4.conf.${device}.rp_filter`, '1']));
const dropping = (
  probes: Partial<Record<Vantage, Partial<ProbeResult>>>,
  reversePathDrops: number | undefined,
) =>
  Object.fromEntries(
    Object.entries(probes).map(([vantage, probe]) => [vantage, { ...probe, reversePathDrops }]),
  );
const second: Otherwise['links'] = (links) => [...links, { ...links.at(-1)!, name: 'lxc2', index: 4 }];
/** Answers to others leave by another device. */
const others: Otherwise['routes'] = (routes) =>
  routes.map((entry) =>
    entry.device === 'eth0' && entry.table === 'main' ? { ...entry, device: 'eth1' } : entry,
  );

testFindings('rp-filter-strict', [
  [
    'for others',
    worldOf({ sysctls: strict('eth0', 'lxc1'), routes: others, probes: dropping(AWAY, 2), ...inNamespace }),
    [
      'broken worker shop/echo TCP 80: worker drops packets of shop/echo for TCP 80 as spoofed: the reverse path filter is strict on eth0',
      'sysctl | net.ipv4.conf.eth0.rp_filter of worker (the larger of this and the setting of all is in force) | 1',
      'sysctl | IPReversePathFilter in /proc/net/netstat of worker | 2 packets dropped during the probes',
      'probe | other-node to 172.17.0.3:80 | timeout: no answer',
      'probe | outside to 172.17.0.3:80 | timeout: no answer',
      'set-sysctl on worker, to accept packets on eth0 whose answers leave by another device: {"name":"net.ipv4.conf.eth0.rp_filter","value":"2"}',
    ],
  ],
  [
    'for others, who lost more',
    worldOf({ sysctls: strict('eth0'), routes: others, probes: dropping(AWAY, 3) }),
    [
      'broken worker echo TCP 80: worker drops packets of echo for TCP 80 as spoofed: the reverse path filter is strict on eth0',
      'sysctl | net.ipv4.conf.eth0.rp_filter of worker (the larger of this and the setting of all is in force) | 1',
      'sysctl | IPReversePathFilter in /proc/net/netstat of worker | 3 packets dropped during the probes',
      'probe | other-node to 172.17.0.3:80 | timeout: no answer',
      'probe | outside to 172.17.0.3:80 | timeout: no answer',
      'set-sysctl on worker, to accept packets on eth0 whose answers leave by another device: {"name":"net.ipv4.conf.eth0.rp_filter","value":"2"}',
    ],
  ],
  [
    'for the pod',
    worldOf({ sysctls: strict('lxc2', 'lxc1'), links: second, probes: dropping(ALL, 4) }),
    [
      'broken worker echo TCP 80: worker drops packets of echo for TCP 80 as spoofed: the reverse path filter is strict on lxc2',
      'sysctl | net.ipv4.conf.lxc2.rp_filter of worker (the larger of this and the setting of all is in force) | 1',
      'sysctl | IPReversePathFilter in /proc/net/netstat of worker | 4 packets dropped during the probes',
      'probe | direct to 192.168.1.2:8080 | timeout: no answer',
      'probe | node to 172.17.0.3:80 | timeout: no answer',
      'probe | loopback to 127.0.0.1:80 | timeout: no answer',
      'probe | other-node to 172.17.0.3:80 | timeout: no answer',
      'probe | pod to 172.17.0.3:80 | timeout: no answer',
      'probe | outside to 172.17.0.3:80 | timeout: no answer',
      'set-sysctl on worker, to accept packets on lxc2 whose answers leave by another device: {"name":"net.ipv4.conf.lxc2.rp_filter","value":"0"}',
    ],
  ],
  [
    'for the pod, on a device with an address',
    worldOf({
      sysctls: strict('lxc2'),
      links: second,
      probes: dropping(ALL, 4),
      report: (report) => {
        const { addresses } = report.network as { addresses: { value: { device: string }[] } };
        const value = [...addresses.value, { ...addresses.value[1]!, device: 'lxc2', address: '10.3.3.3' }];
        return { ...report, network: { ...report.network, addresses: { value } } } as NodeReport;
      },
    }),
    [
      'broken worker echo TCP 80: worker drops packets of echo for TCP 80 as spoofed: the reverse path filter is strict on lxc2',
      'sysctl | net.ipv4.conf.lxc2.rp_filter of worker (the larger of this and the setting of all is in force) | 1',
      'sysctl | IPReversePathFilter in /proc/net/netstat of worker | 4 packets dropped during the probes',
      'probe | direct to 192.168.1.2:8080 | timeout: no answer',
      'probe | node to 172.17.0.3:80 | timeout: no answer',
      'probe | loopback to 127.0.0.1:80 | timeout: no answer',
      'probe | other-node to 172.17.0.3:80 | timeout: no answer',
      'probe | pod to 172.17.0.3:80 | timeout: no answer',
      'probe | outside to 172.17.0.3:80 | timeout: no answer',
      'set-sysctl on worker, to accept packets on lxc2 whose answers leave by another device: {"name":"net.ipv4.conf.lxc2.rp_filter","value":"2"}',
    ],
  ],
  [
    'for the pod, perhaps, whose namespace is not known',
    worldOf({
      sysctls: strict('lxc2'),
      links: second,
      probes: dropping(ALL, 4),
      sandboxes: (all) => all.map(({ netns: _, ...entry }) => entry),
    }),
    [
      'broken worker echo TCP 80: worker drops packets of echo for TCP 80 as spoofed: the reverse path filter is strict on lxc2',
      'sysctl | net.ipv4.conf.lxc2.rp_filter of worker (the larger of this and the setting of all is in force) | 1',
      'sysctl | IPReversePathFilter in /proc/net/netstat of worker | 4 packets dropped during the probes',
      'probe | direct to 192.168.1.2:8080 | timeout: no answer',
      'probe | node to 172.17.0.3:80 | timeout: no answer',
      'probe | loopback to 127.0.0.1:80 | timeout: no answer',
      'probe | other-node to 172.17.0.3:80 | timeout: no answer',
      'probe | pod to 172.17.0.3:80 | timeout: no answer',
      'probe | outside to 172.17.0.3:80 | timeout: no answer',
      'by hand: it is unknown by which device the dropped packets arrive at worker, and the filter of its other devices is there for a reason',
    ],
  ],
  [
    'for nobody knows whom',
    worldOf({ sysctls: strict('eth0', 'lxc1'), probes: dropping(AWAY, 2) }),
    [
      'broken worker echo TCP 80: worker drops packets of echo for TCP 80 as spoofed: the reverse path filter is strict on eth0, lxc1',
      'sysctl | net.ipv4.conf.eth0.rp_filter of worker (the larger of this and the setting of all is in force) | 1',
      'sysctl | net.ipv4.conf.lxc1.rp_filter of worker (the larger of this and the setting of all is in force) | 1',
      'sysctl | IPReversePathFilter in /proc/net/netstat of worker | 2 packets dropped during the probes',
      'probe | other-node to 172.17.0.3:80 | timeout: no answer',
      'probe | outside to 172.17.0.3:80 | timeout: no answer',
      'by hand: it is unknown by which device the dropped packets arrive at worker, and the filter of its other devices is there for a reason',
    ],
  ],
  [
    'for all devices, one of which would be loose but has no address',
    worldOf({
      sysctls: { ...strict('all'), 'net.ipv4.conf.lxc2.rp_filter': '0' },
      links: second,
      probes: dropping(ALL, 4),
    }),
    [
      'broken worker echo TCP 80: worker drops packets of echo for TCP 80 as spoofed: the reverse path filter is strict on lxc2',
      'sysctl | net.ipv4.conf.lxc2.rp_filter of worker (the larger of this and the setting of all is in force) | 0',
      'sysctl | IPReversePathFilter in /proc/net/netstat of worker | 4 packets dropped during the probes',
      'probe | direct to 192.168.1.2:8080 | timeout: no answer',
      'probe | node to 172.17.0.3:80 | timeout: no answer',
      'probe | loopback to 127.0.0.1:80 | timeout: no answer',
      'probe | other-node to 172.17.0.3:80 | timeout: no answer',
      'probe | pod to 172.17.0.3:80 | timeout: no answer',
      'probe | outside to 172.17.0.3:80 | timeout: no answer',
      'by hand: lxc2 has no address, so no setting of its own lets packets in while net.ipv4.conf.all.rp_filter is 1: that setting affects every device of worker',
    ],
  ],
  [
    'by its own setting, where that of all is not known',
    worldOf({
      sysctls: strict('eth0'),
      probes: dropping(AWAY, 2),
      report: (report) => JSON.parse(JSON.stringify(report).replace('net.ipv4.conf.all.rp_filter', 'x')),
    }),
    [
      'broken worker echo TCP 80: worker drops packets of echo for TCP 80 as spoofed: the reverse path filter is strict on eth0',
      'sysctl | net.ipv4.conf.eth0.rp_filter of worker (the larger of this and the setting of all is in force) | 1',
      'sysctl | IPReversePathFilter in /proc/net/netstat of worker | 2 packets dropped during the probes',
      'probe | other-node to 172.17.0.3:80 | timeout: no answer',
      'probe | outside to 172.17.0.3:80 | timeout: no answer',
      'by hand: it is unknown by which device the dropped packets arrive at worker, and the filter of its other devices is there for a reason',
    ],
  ],
  [
    'and too few were dropped of others',
    worldOf({ sysctls: strict('eth0'), routes: others, probes: dropping(AWAY, 1) }),
    [],
  ],
  [
    'and too few were dropped of the pod',
    worldOf({ sysctls: strict('lxc2'), links: second, probes: dropping(ALL, 3) }),
    [],
  ],
  [
    'and nobody knows how many were dropped',
    worldOf({ sysctls: strict('eth0'), probes: dropping(AWAY, undefined) }),
    [],
  ],
  [
    'and nobody was silent',
    worldOf({ sysctls: strict('eth0'), probes: dropping({ outside: REFUSED }, 9) }),
    [],
  ],
  [
    'and the filter is loose',
    worldOf({ sysctls: { 'net.ipv4.conf.eth0.rp_filter': '2' }, probes: dropping(AWAY, 2) }),
    [],
  ],
  [
    'and the filter of all is loose',
    worldOf({
      sysctls: { ...strict('eth0'), 'net.ipv4.conf.all.rp_filter': '2' },
      probes: dropping(AWAY, 2),
    }),
    [],
  ],
  ['on the loopback', worldOf({ sysctls: strict('lo'), probes: dropping(AWAY, 2) }), []],
  [
    'on a device that is down',
    worldOf({
      sysctls: strict('eth0'),
      links: (links) => links.map((link) => ({ ...link, up: link.name !== 'eth0' })),
      probes: dropping(AWAY, 2),
    }),
    [],
  ],
  [
    'on a device whose setting is not known',
    worldOf({
      sysctls: strict('all'),
      links: (links) => links.map((link) => ({ ...link, name: `x${link.name}` })),
      probes: dropping(AWAY, 2),
    }),
    [],
  ],
  [
    'on nobody knows which devices',
    worldOf({
      sysctls: strict('eth0'),
      probes: dropping(AWAY, 2),
      report: (report) => ({ ...report, network: { ...report.network, links: { unknown: '' } } }),
    }),
    [],
  ],
  ['and the way is not clear', worldOf({ sysctls: strict('eth0'), ...DROPS, probes: dropping(AWAY, 2) }), []],
  [
    'of a pod without a node',
    worldOf({ sysctls: strict('eth0'), pod: withoutNode, probes: dropping(AWAY, 2) }),
    [],
  ],
  [
    'of a node without a report',
    worldOf({ sysctls: strict('eth0'), pod: onOther, probes: dropping(AWAY, 2) }),
    [],
  ],
]);

/** An event of the pod, of its node or of somebody else. */
const saying = (message: string, involvedObject: Event['involvedObject'], reason?: string): Otherwise => ({
  world: (world) => ({ ...world, events: [{ metadata: {}, message, involvedObject, reason }] as Event[] }),
});
const ASKS = 'Get "http://[::1]:80/": dial tcp [::1]:80: connect: connection refused';
const POD_ECHO = { kind: 'Pod', namespace: 'default', name: 'echo', uid: POD.uid };

testFindings('v6-loopback', [
  [
    'by the pod',
    worldOf(saying(ASKS, POD_ECHO, 'Unhealthy')),
    [
      'note worker echo TCP 80: a client on worker connects to [::1]:80 for TCP 80 of echo, which cannot answer there',
      'event | pod default/echo: Unhealthy | Get "http://[::1]:80/": dial tcp [::1]:80: connect: connection refused',
      'by hand: the kernel has no setting for it: connect to 127.0.0.1',
    ],
  ],
  [
    'by the node',
    worldOf({ ...saying(ASKS, { kind: 'Node', name: 'worker' }), ...inNamespace }),
    [
      'note worker shop/echo TCP 80: a client on worker connects to [::1]:80 for TCP 80 of shop/echo, which cannot answer there',
      'event | node worker:  | Get "http://[::1]:80/": dial tcp [::1]:80: connect: connection refused',
      'by hand: the kernel has no setting for it: connect to 127.0.0.1',
    ],
  ],
  [
    'of the mapping of that address',
    worldOf({ ...saying(ASKS, POD_ECHO), pod: forAddress('::1') }),
    [
      'note worker echo TCP [::1]:80: a client on worker connects to [::1]:80 for TCP [::1]:80 of echo, which cannot answer there',
      'event | pod default/echo:  | Get "http://[::1]:80/": dial tcp [::1]:80: connect: connection refused',
      'by hand: the kernel has no setting for it: connect to 127.0.0.1',
    ],
  ],
  [
    'of a mapping of another address',
    worldOf({ ...saying(ASKS, POD_ECHO), pod: forAddress(NODE.address) }),
    [],
  ],
  ['by another node', worldOf(saying(ASKS, { kind: 'Node', name: 'other' })), []],
  ['by a pod that is nowhere', worldOf(saying(ASKS, { ...POD_ECHO, uid: 'uid-x' })), []],
  ['of a longer port', worldOf(saying(ASKS.replaceAll(':80', ':8080'), POD_ECHO)), []],
  ['of a port that is not valid', worldOf(saying('dial tcp [::1]:800000', POD_ECHO)), []],
  ['of another address', worldOf(saying(ASKS.replaceAll('[::1]', '[::2]'), POD_ECHO)), []],
  ['of a pod without a node', worldOf({ ...saying(ASKS, POD_ECHO), pod: withoutNode }), []],
]);

describe('events about a mapping', () => {
  test('the first one counts, of those that name its port', () => {
    const events = ['[::1]:8080', '[::1]:81 [::1]:80 [::1]:80', '[::1]:80'].map(
      (message): Event => ({ metadata: {}, message, involvedObject: POD_ECHO }) as Event,
    );
    const world = worldOf({ world: (it) => ({ ...it, events }) });
    expect(findingsText('v6-loopback', world).slice(1, 2)).toEqual([
      'event | pod default/echo:  | [::1]:81 [::1]:80 [::1]:80',
    ]);
  });
});

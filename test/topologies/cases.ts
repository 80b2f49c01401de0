export const HOST_PORT = 8080;
export const CONTAINER_PORT = 80;
export const OUTSIDE = { ipv4: '10.77.0.1', ipv6: 'fd77::1' };
export const NODE = { ipv4: '10.77.0.2', ipv6: 'fd77::2' };
/** The node's device, and the pod's network. */
export const UPLINK = 'to-outside';
export const PODS = { ipv4: '10.97.0.0/24', ipv6: 'fd97::/64' };

/** Which plugins are called: ours where we have them, or all of Debian's. */
export type Plugins = 'ours' | 'reference';

export interface Attached {
  chain: readonly object[];
  plugins: Plugins;
  families: readonly ('ipv4' | 'ipv6')[];
}

/** A way to attach pods to a node, and what there is on the node besides. */
export interface TopologyCase {
  /** What it is, in a table. */
  shows: string;
  chain: readonly Plugin[];
  families: Attached['families'];
  /** It is run with all of Debian's plugins, too. */
  withTheirs?: true;
  /** Commands on the node before the pod is attached. */
  before?: readonly string[][];
  /** Commands on the node afterwards; `PORT` is the node's end of the pod's link. */
  after?: readonly string[][];
  /** Undoes both. */
  undo?: readonly string[][];
  /** What probes are not answered, as `VANTAGE FAMILY`; ::1 never is. */
  silent: readonly string[];
  /** What the doctor finds, after probes and without. */
  found: readonly string[];
  unprobed: readonly string[];
}

interface Plugin {
  type: string;
  [field: string]: unknown;
}

const host = (...subnets: string[]) => ({
  type: 'host-local',
  ranges: subnets.map((subnet) => [{ subnet }]),
  routes: subnets.map((subnet) => ({ dst: subnet.includes(':') ? '::/0' : '0.0.0.0/0' })),
});
/** Addresses of the node's own network, as plugins without routing give them. */
const OF_LAN = {
  type: 'host-local',
  ranges: [
    [{ subnet: '10.77.0.0/24', rangeStart: '10.77.0.50', rangeEnd: '10.77.0.60', gateway: '10.77.0.1' }],
  ],
  routes: [{ dst: '0.0.0.0/0' }],
};
const V4 = ['ipv4'] as const;
const V6 = ['ipv6'] as const;
const DUAL = ['ipv4', 'ipv6'] as const;
const IPAM = { ipv4: host(PODS.ipv4), ipv6: host(PODS.ipv6), dual: host(PODS.ipv4, PODS.ipv6) };
const PORTMAP = { type: 'portmap', capabilities: { portMappings: true } };
const ptp = (ipam: object = IPAM.ipv4): Plugin => ({ type: 'ptp', ipam });
const bridge = (more: object = {}, ipam: object = IPAM.ipv4): Plugin => ({
  ...{ type: 'bridge', bridge: 'cni-t', isGateway: true, ipam },
  ...more,
});
const HAIRPIN = { hairpinMode: true };
const IN_ORDER = { silent: [], found: [], unprobed: [] };
const ofPart = (type: 'macvlan' | 'ipvlan', mode: string): Plugin => ({
  ...{ type, master: UPLINK, mode, ipam: OF_LAN },
});
const EVERYWHERE = ['direct', 'node', 'loopback', 'other-node', 'pod', 'outside'].map(
  (each) => `${each} ipv4`,
);
const UNREACHED = {
  silent: EVERYWHERE,
  found: ['broken pod-route-missing', 'risk source-address-lost'],
  unprobed: ['broken pod-route-missing', 'risk source-address-lost'],
};

/** A table as firewalld's of 1.0 and later; `forwarded`: what it lets through besides answers. */
const firewalld = (forwarded: string) => [
  [
    'nft',
    `table inet firewalld { chain filter_FORWARD { type filter hook forward priority filter + 10; policy accept; ct state { established, related } accept; ${forwarded} iifname "lo" accept; reject with icmpx admin-prohibited; }; }`,
  ],
];
const NO_FIREWALLD = [['nft', 'delete', 'table', 'inet', 'firewalld']];

export const TOPOLOGIES: readonly TopologyCase[] = [
  { shows: 'ptp', chain: [ptp(), PORTMAP], families: V4, ...IN_ORDER },
  { shows: 'ptp, IPv6 alone', chain: [ptp(IPAM.ipv6), PORTMAP], families: V6, ...IN_ORDER },
  {
    shows: 'ptp, both families',
    chain: [ptp(IPAM.dual), PORTMAP],
    families: DUAL,
    withTheirs: true,
    ...IN_ORDER,
  },
  {
    shows: 'ptp, portmap with nftables',
    chain: [ptp(IPAM.dual), { ...PORTMAP, backend: 'nftables' }],
    families: DUAL,
    ...IN_ORDER,
  },
  { shows: 'bridge in hairpin mode', chain: [bridge(HAIRPIN), PORTMAP], families: V4, ...IN_ORDER },
  {
    shows: 'bridge in hairpin mode, IPv6 alone',
    chain: [bridge(HAIRPIN, IPAM.ipv6), PORTMAP],
    families: V6,
    ...IN_ORDER,
  },
  {
    shows: 'bridge in hairpin mode, both families',
    chain: [bridge(HAIRPIN, IPAM.dual), PORTMAP],
    families: DUAL,
    withTheirs: true,
    ...IN_ORDER,
  },
  {
    shows: 'bridge in hairpin mode, masquerading',
    chain: [bridge({ ...HAIRPIN, ipMasq: true }), PORTMAP],
    families: V4,
    ...IN_ORDER,
  },
  {
    shows: 'bridge',
    chain: [bridge(), PORTMAP],
    families: V4,
    withTheirs: true,
    silent: ['pod ipv4'],
    found: ['broken hairpin-unmasqueraded'],
    unprobed: [],
  },
  {
    shows: 'bridge, both families',
    chain: [bridge({}, IPAM.dual), PORTMAP],
    families: DUAL,
    silent: ['pod ipv4', 'pod ipv6'],
    found: ['broken hairpin-unmasqueraded'],
    unprobed: [],
  },
  {
    shows: 'bridge, its port in hairpin mode by hand',
    chain: [bridge(), PORTMAP],
    families: V4,
    after: [['bridge', 'link', 'set', 'dev', 'PORT', 'hairpin', 'on']],
    ...IN_ORDER,
  },
  {
    shows: 'bridge past netfilter',
    chain: [bridge(), PORTMAP],
    families: V4,
    before: [['sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=0']],
    undo: [['sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=1']],
    ...IN_ORDER,
  },
  {
    shows: 'macvlan',
    chain: [ofPart('macvlan', 'bridge'), PORTMAP],
    families: V4,
    withTheirs: true,
    ...UNREACHED,
  },
  {
    shows: 'macvlan, and the node has such a device of its own',
    chain: [ofPart('macvlan', 'bridge'), PORTMAP],
    families: V4,
    before: [
      ['ip', 'link', 'add', 'shim', 'link', UPLINK, 'type', 'macvlan', 'mode', 'bridge'],
      ['ip', 'link', 'set', 'shim', 'up'],
      ['ip', 'route', 'add', '10.77.0.48/28', 'dev', 'shim', 'src', NODE.ipv4],
    ],
    undo: [['ip', 'link', 'delete', 'shim']],
    silent: [],
    found: ['risk source-address-lost'],
    unprobed: ['risk source-address-lost'],
  },
  {
    shows: 'ipvlan',
    chain: [ofPart('ipvlan', 'l2'), PORTMAP],
    families: V4,
    withTheirs: true,
    ...UNREACHED,
  },
  {
    shows: 'ptp beside firewalld',
    chain: [ptp(), PORTMAP],
    families: V4,
    before: firewalld('ct status dnat accept;'),
    undo: NO_FIREWALLD,
    ...IN_ORDER,
  },
  {
    shows: 'ptp beside firewalld that forwards its own ports alone',
    chain: [ptp(), PORTMAP],
    families: V4,
    before: firewalld(''),
    undo: NO_FIREWALLD,
    silent: ['other-node ipv4', 'pod ipv4', 'outside ipv4'],
    found: ['broken forward-policy-drop'],
    unprobed: ['broken forward-policy-drop'],
  },
  {
    shows: 'ptp behind `iptables -P FORWARD DROP`',
    chain: [ptp(), PORTMAP],
    families: V4,
    before: [['iptables', '-w', '-P', 'FORWARD', 'DROP']],
    undo: [['iptables', '-w', '-P', 'FORWARD', 'ACCEPT']],
    silent: ['other-node ipv4', 'pod ipv4', 'outside ipv4'],
    found: ['broken forward-policy-drop'],
    unprobed: ['broken forward-policy-drop'],
  },
  {
    shows: 'ptp behind it, with an exception for the port of the pod',
    chain: [ptp(), PORTMAP],
    families: V4,
    before: [
      ['iptables', '-w', '-P', 'FORWARD', 'DROP'],
      ['iptables', '-w', '-A', 'FORWARD', '-p', 'tcp', '--dport', String(CONTAINER_PORT), '-j', 'ACCEPT'],
      ['iptables', '-w', '-A', 'FORWARD', '-m', 'conntrack', '--ctstate', 'ESTABLISHED', '-j', 'ACCEPT'],
    ],
    undo: [
      ['iptables', '-w', '-F', 'FORWARD'],
      ['iptables', '-w', '-P', 'FORWARD', 'ACCEPT'],
    ],
    ...IN_ORDER,
  },
];

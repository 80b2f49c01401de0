import type { Event, Pod } from '../../kube/types.ts';
import type { CachedAttachment, Flow, NodeReport, PolicyRule, Sandbox } from '../model/node-report.ts';
import { known } from '../model/observed.ts';
import type { ProbeResult, Vantage } from '../model/probe.ts';
import type { NetworkPolicy, World } from '../model/world.ts';

/** What differs from a healthy worker with one pod, as the lab has it, described by what its tools print. */
export interface Otherwise {
  protocol?: 'TCP' | 'UDP';
  pod?: (pod: Pod) => Pod;
  sysctls?: Record<string, string>;
  /** Rules of iptables-save by table, put before or after those of the node. */
  nat?: string[];
  /** Of table nat, before those of portmap. */
  before?: string[];
  filter?: string[];
  raw?: string[];
  mangle?: string[];
  /** Replaces the pod's chain. */
  own?: string[];
  nft?: unknown[];
  portmap?: Record<string, unknown>;
  routes?: (routes: Route[]) => Route[];
  /** Before the policy rules that every node has, or why none are known. */
  policyRules?: readonly PolicyRule[] | { unknown: string };
  links?: (links: Link[]) => Link[];
  drops?: number;
  flows?: Flow[];
  /** Of a second family: the pod's and the node's. */
  second?: { pod: string; node: string };
  probes?: Partial<Record<Vantage, Partial<ProbeResult>>>;
  policies?: NetworkPolicy[];
  complaints?: string[];
  listeners?: Value<NodeReport['network']['listeners']>;
  attachments?: (attachments: CachedAttachment[]) => CachedAttachment[];
  sandboxes?: (sandboxes: Sandbox[]) => Sandbox[];
  /** Changes what iptables-save printed, after all of the above. */
  rules?: (text: string) => string;
  /** Changes the report, after all of the above. */
  report?: (report: NodeReport) => NodeReport;
  /** Changes the world, after all of the above. */
  world?: (world: World) => World;
}

type Value<O> = Extract<O, { value: unknown }>['value'];
export type Route = Value<NodeReport['network']['routes']>[number];
export type Link = Value<NodeReport['network']['links']>[number];

export const NODE = { name: 'worker', address: '172.17.0.3' };
export const POD = { name: 'echo', uid: 'uid-echo', address: '192.168.1.2', device: 'lxc1' };
export const SANDBOX = '9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e';
export const OTHER = '172.17.0.2';
export const CHAIN = 'CNI-DN-548df12b6bfbdd0f68f88';

/** The world of that worker, called `worker`, and of a second node without a report. */
export function worldOf(otherwise: Otherwise): World {
  const world = unchangedWorld(otherwise);
  return otherwise.world?.(world) ?? world;
}

function unchangedWorld(otherwise: Otherwise): World {
  const { protocol = 'TCP' } = otherwise;
  const pod: Pod = {
    metadata: { name: POD.name, namespace: 'default', uid: POD.uid, labels: { app: 'echo' } },
    spec: {
      nodeName: NODE.name,
      containers: [{ name: 'echo', ports: [{ name: 'web', hostPort: 80, containerPort: 8080, protocol }] }],
    },
    status: {
      phase: 'Running',
      podIP: POD.address,
      podIPs: [{ ip: POD.address }],
      containerStatuses: [
        { name: 'echo', ready: true, restartCount: 0, image: '', imageID: '', state: { running: {} } },
      ],
    },
  };
  const watcher: Pod = {
    metadata: { name: 'watcher', namespace: 'default', uid: 'uid-watcher' },
    spec: { nodeName: NODE.name, hostNetwork: true, containers: [{ name: 'watch' }] },
  };
  const node = (name: string, address: string) => ({
    metadata: { name },
    status: { addresses: [{ type: 'InternalIP', address }] },
  });
  return {
    observedAt: '2026-01-01T00:00:00Z',
    nodes: [node(NODE.name, NODE.address), node('other', OTHER)],
    pods: [otherwise.pod?.(pod) ?? pod, watcher],
    services: [],
    events: (otherwise.complaints ?? []).map(
      (message): Event => ({
        metadata: { name: 'complaint' },
        involvedObject: { kind: 'Pod', namespace: 'default', name: 'watcher', uid: 'uid-watcher' },
        reason: 'Unhealthy',
        message,
      }),
    ),
    policies: otherwise.policies ?? [],
    reports: new Map([[NODE.name, { value: reportOf(otherwise) }]]),
    probes: probesOf(otherwise),
  };
}

function reportOf(otherwise: Otherwise): NodeReport {
  const report = unchangedReport(otherwise);
  const { attachments = (entries) => entries, sandboxes = (entries) => entries } = otherwise;
  const changed: NodeReport = {
    ...report,
    cni: { ...report.cni, attachments: { value: attachments(known(report.cni.attachments)!) } },
    sandboxes: { value: sandboxes(known(report.sandboxes)!) },
  };
  return otherwise.report?.(changed) ?? changed;
}

function unchangedReport(otherwise: Otherwise): NodeReport {
  const protocol = (otherwise.protocol ?? 'TCP').toLowerCase();
  const saved = rulesOf(otherwise, protocol);
  const rules = otherwise.rules?.(saved) ?? saved;
  const mapping = { hostPort: 80, containerPort: 8080, protocol };
  const config = JSON.stringify({
    name: 'net',
    plugins: [
      { type: 'cilium-cni' },
      { type: 'portmap', capabilities: { portMappings: true }, ...otherwise.portmap },
    ],
  });
  const link = (name: string, index: number, more: Partial<Link> = {}): Link => ({
    name,
    index,
    up: true,
    mtu: 1500,
    kind: 'veth',
    ...more,
  });
  const links = [
    link('lo', 1, { kind: undefined }),
    link('eth0', 2),
    link(POD.device, 3, { peerNamespace: 'cni-echo' }),
  ];
  const route = (destination: string, more: Partial<Route>): Route => ({
    family: 'ipv4',
    destination,
    table: 'main',
    type: 'unicast',
    ...more,
  });
  const routes = [
    route('0.0.0.0/0', { gateway: '172.17.0.1', device: 'eth0' }),
    route('172.17.0.0/16', { device: 'eth0', source: NODE.address }),
    route('192.168.1.0/24', { type: 'unreachable', metric: 4096 }),
    route(`${POD.address}/32`, { device: POD.device }),
    route('127.0.0.0/8', { table: 'local', type: 'local', device: 'lo' }),
    route(`${NODE.address}/32`, { table: 'local', type: 'local', device: 'eth0' }),
  ];
  const perDevice = ['all', 'default', 'lo', 'eth0', POD.device].flatMap((device) => [
    [`net.ipv4.conf.${device}.rp_filter`, '0'],
    [`net.ipv4.conf.${device}.route_localnet`, device === POD.device ? '1' : '0'],
    [`net.ipv4.conf.${device}.forwarding`, '1'],
  ]);
  const plugin = (name: string) => ({
    name,
    directory: '/opt/cni/bin',
    mode: '0755',
    size: 1,
    format: { kind: 'elf' as const, machine: 62, bits: 64 },
    versions: { value: ['0.1.0', '1.0.0', '1.1.0'] },
  });
  return {
    apiVersion: 'hostport/v1',
    kind: 'NodeReport',
    node: NODE.name,
    takenAt: '2026-01-01T00:00:00Z',
    machine: { kernel: '6.1', architecture: 'x86_64', elfMachine: 62 },
    network: {
      links: { value: otherwise.links?.(links) ?? links },
      addresses: {
        value: [
          { device: 'lo', family: 'ipv4', address: '127.0.0.1', prefix: 8, scope: 'host' },
          { device: 'eth0', family: 'ipv4', address: NODE.address, prefix: 16, scope: 'global' },
          ...(otherwise.second === undefined
            ? []
            : [
                {
                  device: 'eth0',
                  family: 'ipv6' as const,
                  address: otherwise.second.node,
                  prefix: 64,
                  scope: 'global',
                },
              ]),
        ],
      },
      routes: { value: otherwise.routes?.(routes) ?? routes },
      ...(otherwise.policyRules === undefined ? {} : { rules: policyRulesOf(otherwise.policyRules) }),
      sysctls: {
        value: { 'net.ipv4.ip_forward': '1', ...Object.fromEntries(perDevice), ...otherwise.sysctls },
      },
      reversePathDrops: { value: otherwise.drops ?? 0 },
      listeners: { value: otherwise.listeners ?? [] },
      flows: { value: otherwise.flows ?? [] },
    },
    cni: {
      confDir: '/etc/cni/net.d',
      files: {
        value: [
          {
            name: '10-net.conflist',
            modified: '2026-01-01T00:00:00Z',
            changed: '2026-01-01T00:00:00Z',
            content: { value: config },
          },
        ],
      },
      binDirs: ['/opt/cni/bin'],
      plugins: { value: [plugin('cilium-cni'), plugin('portmap'), plugin('loopback')] },
      attachments: {
        value: [
          {
            file: `/var/lib/cni/results/net-${SANDBOX}-eth0`,
            modified: '2026-01-01T00:00:00Z',
            networkName: 'net',
            containerId: SANDBOX,
            ifName: 'eth0',
            config,
            portMappings: [mapping],
            result: {},
          },
        ],
      },
      skipped: [],
    },
    runtime: {
      value: {
        name: 'containerd',
        version: '1.6.20',
        networkReady: true,
        networkMessage: '',
        confDir: '/etc/cni/net.d',
        binDirs: ['/opt/cni/bin'],
        loadedNetworks: { value: [{ name: 'net', config }] },
        lastLoadError: '',
      },
    },
    sandboxes: {
      value: [
        {
          id: SANDBOX,
          name: POD.name,
          namespace: 'default',
          uid: POD.uid,
          attempt: 0,
          ready: true,
          createdAt: '2026-01-01T00:00:00Z',
          hostNetwork: false,
          netns: '/var/run/netns/cni-echo',
          netnsExists: true,
          ips: [POD.address, ...(otherwise.second === undefined ? [] : [otherwise.second.pod])],
          portMappings: [mapping],
        },
      ],
    },
    netfilter: {
      tools: {
        nft: '/usr/sbin/nft',
        'iptables-nft': '/usr/sbin/iptables-nft',
        iptables: '/usr/sbin/iptables',
      },
      defaultVariant: 'iptables-nft',
      iptables: [{ variant: 'iptables-nft', family: 'ipv4', text: { value: rules } }],
      nft: { value: JSON.stringify({ nftables: otherwise.nft ?? [] }) },
    },
  };
}

function rulesOf(
  { nat = [], before = [], filter = [], raw = [], mangle = [], own }: Otherwise,
  protocol: string,
): string {
  const dport = `-p ${protocol} -m ${protocol} --dport 80`;
  const table = (name: string, builtin: string[], rules: string[]) => {
    const policies = rules.filter((rule) => rule.startsWith(':'));
    const chains = builtin.map((chain) => `:${chain} ACCEPT [0:0]`);
    const declared = chains.filter(
      (line) => !policies.some((policy) => policy.split(' ')[0] === line.split(' ')[0]),
    );
    const rest = rules.filter((rule) => !rule.startsWith(':'));
    return [`*${name}`, ...declared, ...policies, ...rest, 'COMMIT'];
  };
  return [
    ...table('raw', ['PREROUTING', 'OUTPUT'], raw),
    ...table('mangle', ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'], mangle),
    ...table('filter', ['INPUT', 'FORWARD', 'OUTPUT'], filter),
    ...table(
      'nat',
      ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
      [
        `:${CHAIN} - [0:0]`,
        ':CNI-HOSTPORT-DNAT - [0:0]',
        ':CNI-HOSTPORT-MASQ - [0:0]',
        ':CNI-HOSTPORT-SETMARK - [0:0]',
        ...before,
        '-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
        '-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
        '-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ',
        ...(own ?? [
          `-A ${CHAIN} -s ${POD.address}/32 ${dport} -j CNI-HOSTPORT-SETMARK`,
          `-A ${CHAIN} -s 127.0.0.1/32 ${dport} -j CNI-HOSTPORT-SETMARK`,
        ]),
        `-A ${CHAIN} ${dport} -j DNAT --to-destination ${POD.address}:8080`,
        `-A CNI-HOSTPORT-DNAT -p ${protocol} -m comment --comment "dnat name: \\"net\\" id: \\"${SANDBOX}\\"" -m multiport --dports 80 -j ${CHAIN}`,
        '-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE',
        '-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000',
        ...nat,
      ],
    ),
    '',
  ].join('\n');
}

/** Those of IPv6 are as every node has them. */
function policyRulesOf(before: readonly PolicyRule[] | { unknown: string }): NodeReport['network']['rules'] {
  const standard = (priority: number, table: string): PolicyRule => ({ priority, table });
  const [local, main] = [standard(0, 'local'), standard(32766, 'main')];
  return {
    ipv4: 'unknown' in before ? before : { value: [local, ...before, main, standard(32767, 'default')] },
    ipv6: { value: [local, main] },
  };
}

const TARGETS: Readonly<Record<Vantage, string>> = {
  direct: POD.address,
  node: NODE.address,
  loopback: '127.0.0.1',
  'other-node': NODE.address,
  pod: NODE.address,
  outside: NODE.address,
};

/** All probes answered, but for those that a test says; none when it says nothing of probes. */
function probesOf({ probes, protocol = 'TCP' }: Otherwise): ProbeResult[] {
  if (probes === undefined) return [];
  return Object.entries(TARGETS).map(([vantage, address]) => ({
    vantage: vantage as Vantage,
    node: NODE.name,
    podUid: POD.uid,
    protocol,
    hostPort: 80,
    target: { address, port: vantage === 'direct' ? 8080 : 80 },
    outcome: 'answered',
    detail: 'connected',
    milliseconds: 1,
    ...probes[vantage as Vantage],
  }));
}

type Ports = NonNullable<Pod['spec']>['containers'][number]['ports'];

/** A pod, with these ports. */
export const withPorts = (pod: Pod, ports: Ports): Pod => ({
  ...pod,
  spec: { ...pod.spec!, containers: pod.spec!.containers.map((container) => ({ ...container, ports })) },
});

/** A second family of addresses, of the pod and of both nodes. Only the first has rules. */
export const DUAL: Otherwise = {
  second: { pod: 'fd00:1::2', node: 'fd00::3' },
  routes: (routes) => [
    ...routes,
    { family: 'ipv6', destination: 'fd00::/64', device: 'eth0', table: 'main', type: 'unicast' },
    { family: 'ipv6', destination: 'fd00:1::2/128', device: POD.device, table: 'main', type: 'unicast' },
  ],
  world: (world) => ({
    ...world,
    nodes: world.nodes.map((node) => ({
      ...node,
      status: {
        addresses: [
          ...(node.status?.addresses ?? []),
          { type: 'InternalIP', address: node.metadata?.name === NODE.name ? 'fd00::3' : 'fd00::2' },
        ],
      },
    })),
  }),
};

/** The API does not know the addresses of the nodes. */
export const withoutAddresses: Otherwise['world'] = (world) => ({
  ...world,
  nodes: world.nodes.map(({ metadata }) => ({ metadata })),
});

/** The pod has no node yet. */
export const withoutNode: Otherwise['pod'] = ({ spec, ...pod }) => ({
  ...pod,
  spec: { ...spec!, nodeName: undefined },
});

/** Pod and sandbox are in a namespace of their own. */
export const inNamespace: Pick<Otherwise, 'pod' | 'sandboxes'> = {
  pod: (pod) => ({ ...pod, metadata: { ...pod.metadata, namespace: 'shop' } }),
  sandboxes: (all) => all.map((entry) => ({ ...entry, namespace: 'shop' })),
};

/** The node's rules are not known. */
export const unreadRules: Otherwise['report'] = (report) => ({
  ...report,
  netfilter: { ...report.netfilter, nft: { unknown: 'EACCES' } },
});

/** The pod's mapping is of one address. */
export const forAddress =
  (hostIP: string): Otherwise['pod'] =>
  (pod) =>
    withPorts(pod, [{ hostPort: 80, containerPort: 8080, hostIP }]);

/** The match of packets to the hostPort. */
export const DPORT = '-p tcp -m tcp --dport 80';
/** A translation of the hostPort to somebody else. */
export const ELSEWHERE = `-A PREROUTING ${DPORT} -j DNAT --to-destination 10.9.9.9:80`;
/** A match that the model does not know. */
export const MAYBE = '-m u32 --u32 "0>>22=1"';
/** Results of probes: no answer, and a refusal. */
export const SILENT = { outcome: 'timeout', detail: 'no answer' } as const;
export const REFUSED = { outcome: 'refused', detail: 'ECONNREFUSED' } as const;

import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { KubeObject } from '../src/kube/types.ts';
import { type ProbeResult, type Vantage, vantages } from '../src/path/model/probe.ts';
import { attachmentChain } from '../src/portmap/layout.ts';

/** Size of a made-up cluster. */
export interface ClusterSize {
  nodes: number;
  podsPerNode: number;
  /** Every so many nodes one is broken, each in another way: its answers must not be all the same. */
  brokenEvery: number;
}

const CONFLIST = {
  cniVersion: '0.4.0',
  name: 'cilium-portmap',
  plugins: [{ type: 'cilium-cni' }, { type: 'portmap', capabilities: { portMappings: true } }],
};
const BIN = '/opt/cni/bin';

/** A made-up cluster: its objects, and the report of each node. */
export interface LargeCluster {
  nodes: KubeObject[];
  pods: KubeObject[];
  /** The report of the node of this index, as a node with that many pods has it. */
  report(i: number): unknown;
  /** What probes of its mappings see, one from each place: where it is broken, only the pod itself answers. */
  probes(i: number): ProbeResult[];
  /** What is wrong with that node; undefined for a healthy one. */
  fault(i: number): FaultCode | undefined;
}

/**
 * A cluster of healthy nodes, of which every so many have their portmap missing, their forwarding off, or their mappings flushed.
 * @param observedAt when reports were taken.
 */
export function largeCluster(
  { nodes, podsPerNode, brokenEvery }: ClusterSize,
  observedAt: string,
): LargeCluster {
  const names = Array.from({ length: nodes }, (_, i) => `node-${i}`);
  const podsOf = (i: number) => Array.from({ length: podsPerNode }, (_, j) => podOf(`node-${i}`, i, j));
  const fault = (i: number) =>
    i % brokenEvery === 1 ? FAULTS[Math.floor(i / brokenEvery) % FAULTS.length] : undefined;
  return {
    nodes: names.map((name, i) => ({
      metadata: { name },
      status: {
        addresses: [{ type: 'InternalIP', address: nodeAddress(i) }],
        conditions: [{ type: 'Ready', status: 'True' }],
      },
    })),
    pods: names.flatMap((_, i) => podsOf(i).map(({ object }) => object)),
    report: (i) => reportOf(`node-${i}`, i, podsOf(i), observedAt, fault(i)),
    probes: (i) => podsOf(i).flatMap((pod) => probesOf(pod, i, nodes, fault(i) !== undefined)),
    fault,
  };
}

/** Writes the bundle of a {@link largeCluster}: the documents that `hostport doctor --save` writes, with probes or as with `--no-probe`. */
export function writeLargeCluster(
  directory: string,
  size: ClusterSize,
  { probed }: { probed: boolean },
): void {
  for (const part of ['objects', 'nodes']) mkdirSync(join(directory, part), { recursive: true });
  const write = (file: string, document: unknown) =>
    writeFileSync(join(directory, file), JSON.stringify(document));
  const observedAt = '2026-01-01T00:00:00Z';
  const { nodes, pods, report, probes } = largeCluster(size, observedAt);
  write('manifest.json', { apiVersion: 'hostport/v1', kind: 'Bundle', observedAt });
  write('objects/nodes.json', nodes);
  for (const i of nodes.keys()) write(`nodes/node-${i}.json`, report(i));
  write('objects/pods.json', pods);
  for (const kind of ['services', 'events', 'policies']) write(`objects/${kind}.json`, []);
  // An item a line, as they are saved.
  const fd = openSync(join(directory, 'probes.json'), 'w');
  writeSync(fd, '[');
  for (const i of probed ? nodes.keys() : []) {
    const lines = probes(i).map((probe) => JSON.stringify(probe));
    writeSync(fd, `${i === 0 ? '' : ',\n'}${lines.join(',\n')}`);
  }
  writeSync(fd, ']\n');
  closeSync(fd);
}

/** What is wrong with a broken node, and the code it is found by. */
export const FAULTS = ['plugin-missing', 'ip-forward-off', 'mapping-missing'] as const;
export type FaultCode = (typeof FAULTS)[number];

function nodeAddress(i: number): string {
  return `10.${1 + Math.floor(i / 65_000)}.${Math.floor(i / 250) % 250}.${(i % 250) + 2}`;
}

function podOf(node: string, i: number, j: number) {
  const name = `web-${i}-${j}`;
  const uid = `uid-${i}-${j}`;
  const ip = `192.${100 + Math.floor(i / 250)}.${i % 250}.${j + 2}`;
  const id = new Bun.CryptoHasher('sha256').update(name).digest('hex');
  const port = { hostPort: 10_000 + j, containerPort: 8080, protocol: 'TCP' };
  return {
    name,
    uid,
    ip,
    id,
    port,
    object: {
      metadata: { name, namespace: 'default', uid, creationTimestamp: '2026-01-01T00:00:00Z' },
      spec: { nodeName: node, containers: [{ name: 'web', image: 'web', ports: [port] }] },
      status: { phase: 'Running', podIP: ip, podIPs: [{ ip }] },
    },
  };
}

type MadePod = ReturnType<typeof podOf>;

function probesOf(pod: MadePod, i: number, nodes: number, isBroken: boolean): ProbeResult[] {
  const { hostPort, containerPort } = pod.port;
  const own = nodeAddress(i);
  const other = (i + 1) % nodes;
  const sources: Partial<Record<Vantage, string>> = {
    ...{ direct: own, node: own, loopback: '127.0.0.1', pod: pod.ip },
    ...(nodes > 1 && { 'other-node': nodeAddress(other) }),
  };
  return vantages.flatMap((vantage, at): ProbeResult[] => {
    const source = sources[vantage];
    if (source === undefined) return [];
    const outcome = isBroken && vantage !== 'direct' ? 'refused' : 'answered';
    const address = vantage === 'direct' ? pod.ip : vantage === 'loopback' ? source : own;
    return [
      {
        ...{
          vantage,
          node: `node-${i}`,
          from: `node-${vantage === 'other-node' ? other : i}`,
          podUid: pod.uid,
        },
        ...{ protocol: 'TCP', hostPort, outcome, detail: outcome, milliseconds: 1 },
        target: { address, port: vantage === 'direct' ? containerPort : hostPort },
        sourcePort: 1024 + ((hostPort * vantages.length + at) % 60_000),
        ...(vantage !== 'direct' &&
          outcome === 'answered' && {
            ...{ tracked: true, replied: true, seenSource: source },
            answeredBy: { address: pod.ip, port: containerPort },
          }),
      },
    ];
  });
}

function reportOf(node: string, i: number, pods: readonly MadePod[], takenAt: string, fault?: FaultCode) {
  const links = [
    { name: 'lo', index: 1, up: true, mtu: 65_536 },
    { name: 'eth0', index: 2, up: true, mtu: 1500, kind: 'veth' },
    ...pods.map((_, j) => ({ name: `lxc${j}`, index: j + 3, up: true, mtu: 1500, kind: 'veth' })),
  ];
  const sysctls = {
    'net.ipv4.ip_forward': fault === 'ip-forward-off' ? '0' : '1',
    'net.ipv6.conf.all.forwarding': '0',
    ...Object.fromEntries(
      ['all', 'default', ...links.map(({ name }) => name)].flatMap((device) => [
        [`net.ipv4.conf.${device}.rp_filter`, '0'],
        [`net.ipv4.conf.${device}.route_localnet`, '1'],
      ]),
    ),
  };
  const plugins = ['cilium-cni', 'loopback', ...(fault === 'plugin-missing' ? [] : ['portmap'])];
  const portMapping = ({ port }: MadePod) => ({ ...port, protocol: 'tcp' });
  return {
    apiVersion: 'hostport/v1',
    kind: 'NodeReport',
    node,
    takenAt,
    machine: { kernel: '6.1.0', architecture: 'x86_64', elfMachine: 62 },
    network: {
      links: { value: links },
      addresses: {
        value: [
          { device: 'lo', family: 'ipv4', address: '127.0.0.1', prefix: 8, scope: 'host' },
          { device: 'eth0', family: 'ipv4', address: nodeAddress(i), prefix: 8, scope: 'global' },
        ],
      },
      routes: {
        value: [
          route('127.0.0.0/8', { device: 'lo', table: 'local', type: 'local' }),
          route(`${nodeAddress(i)}/32`, { device: 'eth0', table: 'local', type: 'local' }),
          route('0.0.0.0/0', { device: 'eth0', gateway: '10.255.255.254' }),
          route('10.0.0.0/8', { device: 'eth0' }),
          ...pods.map(({ ip }, j) => route(`${ip}/32`, { device: `lxc${j}` })),
        ],
      },
      sysctls: { value: sysctls },
      listeners: {
        value: [{ protocol: 'tcp', address: '127.0.0.1', port: 10_248, process: 'kubelet', pid: 99 }],
      },
      flows: { value: [] },
    },
    cni: {
      confDir: '/etc/cni/net.d',
      files: {
        value: [
          {
            name: '000-cilium-portmap.conflist',
            modified: takenAt,
            changed: takenAt,
            content: { value: JSON.stringify(CONFLIST) },
          },
        ],
      },
      binDirs: [BIN],
      plugins: {
        value: plugins.map((name) => ({
          name,
          directory: BIN,
          mode: '0755',
          size: 1e6,
          format: { kind: 'elf', machine: 62, bits: 64 },
          versions: { value: ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0'] },
        })),
      },
      attachments: {
        value: pods.map((pod) => ({
          file: `/var/lib/cni/results/${CONFLIST.name}-${pod.id}-eth0`,
          modified: takenAt,
          networkName: CONFLIST.name,
          containerId: pod.id,
          ifName: 'eth0',
          netns: `/run/netns/cni-${pod.uid}`,
          config: JSON.stringify(CONFLIST),
          portMappings: [portMapping(pod)],
          result: { cniVersion: '0.4.0', ips: [{ version: '4', address: `${pod.ip}/32` }] },
        })),
      },
    },
    runtime: {
      value: {
        name: 'containerd',
        version: '1.6.20',
        networkReady: true,
        networkMessage: '',
        confDir: '/etc/cni/net.d',
        binDirs: [BIN],
        loadedNetworks: { value: [{ name: CONFLIST.name, config: JSON.stringify(CONFLIST) }] },
        lastLoadError: '',
      },
    },
    sandboxes: {
      value: pods.map((pod) => ({
        id: pod.id,
        name: pod.name,
        namespace: 'default',
        uid: pod.uid,
        attempt: 0,
        ready: true,
        createdAt: takenAt,
        hostNetwork: false,
        netns: `/run/netns/cni-${pod.uid}`,
        netnsExists: true,
        ips: [pod.ip],
        portMappings: [portMapping(pod)],
      })),
    },
    netfilter: {
      tools: { nft: '/usr/sbin/nft', iptables: '/usr/sbin/iptables', conntrack: '/usr/sbin/conntrack' },
      defaultVariant: 'iptables-nft',
      iptables: [
        {
          variant: 'iptables-nft',
          family: 'ipv4',
          text: { value: natTable(fault === 'mapping-missing' ? [] : pods) },
        },
      ],
      nft: { value: '{"nftables":[{"metainfo":{"json_schema_version":1}}]}' },
    },
  };
}

function route(
  destination: string,
  more: { device: string; gateway?: string; table?: string; type?: string },
) {
  return { family: 'ipv4', destination, table: 'main', type: 'unicast', ...more };
}

/** Table nat as `iptables-save -c` prints it on a node with these pods. */
function natTable(pods: readonly MadePod[]): string {
  const chains = pods.map(({ id }) => attachmentChain(CONFLIST.name, id));
  const entries = pods.map(
    ({ id, port }, j) =>
      `[0:0] -A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"${CONFLIST.name}\\" id: \\"${id}\\"" -m multiport --dports ${port.hostPort} -j ${chains[j]}`,
  );
  const own = pods.flatMap(({ ip, port }, j) => [
    `[0:0] -A ${chains[j]} -s ${ip}/32 -p tcp -m tcp --dport ${port.hostPort} -j CNI-HOSTPORT-SETMARK`,
    `[0:0] -A ${chains[j]} -s 127.0.0.1/32 -p tcp -m tcp --dport ${port.hostPort} -j CNI-HOSTPORT-SETMARK`,
    `[0:0] -A ${chains[j]} -p tcp -m tcp --dport ${port.hostPort} -j DNAT --to-destination ${ip}:${port.containerPort}`,
  ]);
  return `${[
    '*nat',
    ...['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'].map((chain) => `:${chain} ACCEPT [0:0]`),
    ...['CNI-HOSTPORT-DNAT', 'CNI-HOSTPORT-MASQ', 'CNI-HOSTPORT-SETMARK', ...chains].map(
      (chain) => `:${chain} - [0:0]`,
    ),
    '[0:0] -A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
    '[0:0] -A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
    '[0:0] -A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ',
    ...entries,
    ...own,
    '[0:0] -A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE',
    '[0:0] -A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000',
    'COMMIT',
  ].join('\n')}\n`;
}

import type { Pod } from '../../kube/types.ts';
import type { Family } from '../../util/family.ts';
import type { NodeReport } from '../model/node-report.ts';
import type { ProbeResult, Vantage } from '../model/probe.ts';
import type { World } from '../model/world.ts';
import { type PathView, Scene } from '../view/scene.ts';
import { CHAINED, cniNode, listOf } from './cni-node.ts';
import { podOn, smallWorld } from './small-world.ts';

export const SANDBOX = '9b2bd130537c7b8adcd51e7c5cfcfb86ff2b00bb9b9f65d605f6a6055418e18e';
export const NODE: Readonly<Record<Family, string>> = { ipv4: '172.17.0.2', ipv6: 'fd00::2' };
export const POD: Readonly<Record<Family, string>> = { ipv4: '10.1.0.2', ipv6: 'fd00:1::2' };
const OTHER: Readonly<Record<Family, string>> = { ipv4: '172.17.0.3', ipv6: 'fd00::3' };
const AT = '2026-01-01T00:00:00Z';

/** What is otherwise on a node with one mapping that works. */
export interface Otherwise {
  /** The families that node, pod and rules have. Default: IPv4 alone. */
  families?: readonly Family[];
  hostIP?: string;
  protocol?: 'TCP' | 'UDP' | 'SCTP';
  /** The plugins of the list in use, and of the attachment. Default: portmap is chained. */
  plugins?: readonly object[];
  /** Of table nat, before portmap's jumps, in the place of the mapping's chain, and of other tables. */
  before?: readonly string[];
  own?: readonly string[];
  filter?: readonly string[];
  raw?: readonly string[];
  /** Changes of the report, the pod and the world, made in place. */
  report?: (report: Value<World['reports']>) => void;
  pod?: (pod: Pod) => void;
  world?: Partial<World>;
  probes?: Partial<Record<Vantage, Partial<ProbeResult>>>;
}

type Value<M> = M extends ReadonlyMap<string, infer O> ? Extract<O, { value: unknown }>['value'] : never;

/** A table as iptables-save prints it: its built-in chains accept. */
export function savedTable(
  name: string,
  builtIn: readonly string[],
  own: readonly string[],
  rules: readonly string[],
) {
  return [
    `*${name}`,
    ...builtIn.map((chain) => `:${chain} ACCEPT [0:0]`),
    ...own.map((chain) => `:${chain} - [0:0]`),
    ...rules,
    'COMMIT',
    '',
  ].join('\n');
}

/** The chains that rules are in or lead to, other than those that their table has anyway. */
function chainsOf(rules: readonly string[], builtIn: readonly string[]): string[] {
  const named = rules.flatMap((rule) =>
    [...rule.matchAll(/(?:^-A|-j) (\S+-\S+)/g)].map((match) => match[1]!),
  );
  return [...new Set(named)].filter((chain) => !builtIn.includes(chain));
}

function rulesOf(
  family: Family,
  { before = [], own, filter = [], raw = [], protocol = 'TCP' }: Otherwise,
): string {
  const p = protocol.toLowerCase();
  const to = family === 'ipv4' ? POD.ipv4 : `[${POD.ipv6}]`;
  const nat = [
    ...before,
    '-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
    '-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
    `-A CNI-HOSTPORT-DNAT -p ${p} -m comment --comment "dnat name: \\"net\\" id: \\"${SANDBOX}\\"" -m multiport --dports 80 -j CNI-DN-a`,
    ...(own ?? [`-A CNI-DN-a -p ${p} -m ${p} --dport 80 -j DNAT --to-destination ${to}:8080`]),
  ];
  const ofNat = ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'];
  const ofFilter = ['INPUT', 'FORWARD', 'OUTPUT'];
  const ofRaw = ['PREROUTING', 'OUTPUT'];
  return [
    savedTable('nat', ofNat, chainsOf(nat, ofNat), nat),
    savedTable('filter', ofFilter, chainsOf(filter, ofFilter), filter),
    savedTable('raw', ofRaw, chainsOf(raw, ofRaw), raw),
  ].join('');
}

/** The report of node n1, whose pod `a` has hostPort 80 mapped to its port 8080. */
function reportOf(otherwise: Otherwise): NodeReport {
  const { families = ['ipv4'], plugins = CHAINED, protocol = 'TCP' } = otherwise;
  const config = listOf(plugins);
  const portMappings = [{ hostPort: 80, containerPort: 8080, protocol: protocol.toLowerCase() }];
  const whole = { ipv4: 32, ipv6: 128 };
  const report = cniNode(
    { '10-net.conflist': config },
    {
      loaded: config,
      network: {
        links: { value: [{ name: 'lxc1', index: 3, up: true, mtu: 1500, peerNamespace: 'cni-1' }] },
        addresses: {
          value: families.map((family) => ({
            device: 'eth0',
            family,
            address: NODE[family],
            prefix: family === 'ipv4' ? 16 : 64,
            scope: 'global',
          })),
        },
        routes: {
          value: families.flatMap((family) => {
            const route = { family, table: 'main', type: 'unicast' };
            const gateway = family === 'ipv4' ? '172.17.0.1' : 'fd00::1';
            const all = family === 'ipv4' ? '0.0.0.0/0' : '::/0';
            return [
              { ...route, destination: all, gateway, device: 'eth0' },
              { ...route, destination: `${POD[family]}/${whole[family]}`, device: 'lxc1' },
            ];
          }),
        },
        sysctls: {
          value: {
            'net.ipv4.ip_forward': '1',
            'net.ipv6.conf.all.forwarding': '1',
            'net.ipv4.conf.all.route_localnet': '0',
            'net.ipv4.conf.lxc1.route_localnet': '1',
          },
        },
      },
      cni: {
        attachments: {
          value: [
            {
              file: `/var/lib/cni/results/net-${SANDBOX}-eth0`,
              modified: AT,
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
  const sandbox = {
    id: SANDBOX,
    name: 'a',
    namespace: 'default',
    uid: 'uid-a',
    attempt: 0,
    ready: true,
    createdAt: AT,
    hostNetwork: false,
    netns: '/run/netns/cni-1',
    netnsExists: true,
    ips: families.map((family) => POD[family]),
    portMappings,
  };
  return {
    ...report,
    sandboxes: { value: [sandbox] },
    netfilter: {
      tools: { iptables: '/sbin/iptables' },
      iptables: families.map((family) => ({
        variant: 'iptables-nft',
        family,
        text: { value: rulesOf(family, otherwise) },
      })),
      nft: { value: '{"nftables":[]}' },
    },
  };
}

/** The results of probes from these vantages, answered unless it is said otherwise. */
function probesOf({ probes = {}, hostIP, protocol = 'TCP', families = ['ipv4'] }: Otherwise): ProbeResult[] {
  return (Object.entries(probes) as [Vantage, Partial<ProbeResult>][]).map(([vantage, probe]) => ({
    vantage,
    node: 'n1',
    podUid: 'uid-a',
    protocol,
    hostPort: 80,
    ...(hostIP === undefined ? {} : { hostIP }),
    target:
      vantage === 'direct'
        ? { address: POD[families[0]!], port: 8080 }
        : { address: NODE[families[0]!], port: 80 },
    outcome: 'answered',
    detail: 'connected',
    milliseconds: 1,
    ...probe,
  }));
}

/** A world of nodes n1 and n2, in which pod `a` on n1 has one mapping that works, but for what is otherwise. */
export function mappedWorld(otherwise: Otherwise = {}): World {
  const { families = ['ipv4'], hostIP, protocol, world = {} } = otherwise;
  const report = reportOf(otherwise);
  otherwise.report?.(report);
  const pod = podOn('n1', 'a', 80);
  pod.status!.podIPs = families.map((family) => ({ ip: POD[family] }));
  const [port] = pod.spec!.containers[0]!.ports!;
  if (hostIP !== undefined) port!.hostIP = hostIP;
  if (protocol !== undefined) port!.protocol = protocol;
  otherwise.pod?.(pod);
  return smallWorld([pod], {
    nodes: [NODE, OTHER].map((addresses, i) => ({
      metadata: { name: `n${i + 1}` },
      status: { addresses: families.map((family) => ({ type: 'InternalIP', address: addresses[family] })) },
    })),
    reports: new Map([['n1', { value: report }]]),
    probes: probesOf(otherwise),
    ...world,
  });
}

/** The scene of {@link mappedWorld}, and its first mapping. */
export function mapped(otherwise: Otherwise = {}): { scene: Scene; path: PathView } {
  const scene = new Scene(mappedWorld(otherwise));
  return { scene, path: scene.paths[0]! };
}

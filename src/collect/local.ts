import { hostname } from 'node:os';
import type { Node, Pod } from '../kube/types.ts';
import type { ProbeJob } from '../node/probe/order.ts';
import { planProbes } from '../node/probe/plan.ts';
import { takeNodeReport } from '../node/report/take.ts';
import type { NodeReport, Sandbox } from '../path/model/node-report.ts';
import { known } from '../path/model/observed.ts';
import type { ProbeResult } from '../path/model/probe.ts';
import { probeResultSchema } from '../path/model/probe.ts';
import type { World } from '../path/model/world.ts';
import { type Exec, output } from '../sys/exec.ts';
import { EVERY_ADDRESS } from '../util/cidr.ts';
import { FAMILIES } from '../util/family.ts';

export interface LocalWorldOptions {
  /** Name of the node. Default: the machine's. */
  node?: string;
  /** Send probes from this machine to its own addresses. Default: send nothing. */
  probes?: boolean;
  /** Deadline of one probe in milliseconds. Default 1000. */
  probeTimeoutMs?: number;
  /** The program that sends them. Default: the one that is running. */
  program?: string;
}

/**
 * This machine as the only node of a cluster: what its runtime knows replaces the API. There are no Services and no events, and of the
 * pods' specs only the mappings are known.
 */
export async function localWorld(
  exec: Exec,
  signal?: AbortSignal,
  options: LocalWorldOptions = {},
): Promise<World> {
  const name = options.node ?? hostname();
  const report = await takeNodeReport(name, exec);
  signal?.throwIfAborted();
  const world = worldOfReport(report);
  return options.probes ? { ...world, probes: await probeOwn(world, exec, options, signal) } : world;
}

/** A cluster of the one node that a report is about, unprobed. */
export function worldOfReport(report: NodeReport): World {
  const { node: name } = report;
  return {
    observedAt: report.takenAt,
    nodes: [nodeOf(name, report)],
    pods: podsOf(name, known(report.sandboxes) ?? []),
    services: [],
    events: [],
    policies: [],
    unread: [
      // Without them there is nothing to judge, which does not mean that nothing is wrong.
      ...('unknown' in report.sandboxes
        ? [{ kind: 'pod' as const, node: name, what: 'pods', why: report.sandboxes.unknown }]
        : []),
      ...['services', 'events', 'network policies'].map((what) => ({
        kind: 'objects' as const,
        what,
        why: 'only the API has them',
      })),
    ],
    reports: new Map([[name, { value: report }]]),
    probes: [],
  };
}

/** What the API would have of a node, as far as the node itself knows it: its name and its addresses. */
export function nodeOf(name: string, report: NodeReport): Node {
  const addresses = ownAddresses(report).map((address) => ({ type: 'InternalIP', address }));
  return { metadata: { name }, status: { addresses } };
}

/** What a kubelet would call the node's addresses: of each family, the one that packets to the default gateway leave with. */
function ownAddresses({ network }: NodeReport): string[] {
  const routes = known(network.routes) ?? [];
  const addresses = (known(network.addresses) ?? []).filter(({ scope }) => scope === 'global');
  const own = FAMILIES.flatMap((family) => {
    const [route] = routes
      .filter((entry) => entry.family === family && entry.table === 'main' && entry.type === 'unicast')
      .filter(({ destination }) => destination === EVERY_ADDRESS[family])
      .sort((a, b) => (a.metric ?? 0) - (b.metric ?? 0));
    const found = addresses.find((entry) => entry.family === family && entry.device === route?.device);
    return route?.source ?? found?.address ?? [];
  });
  return own.length > 0 ? own : addresses.slice(0, 1).map(({ address }) => address);
}

/** The pods that run, as far as the runtime knows them. */
function podsOf(nodeName: string, sandboxes: readonly Sandbox[]): Pod[] {
  const newest = new Map<string, Sandbox>();
  for (const sandbox of sandboxes) {
    const seen = newest.get(sandbox.uid);
    if (sandbox.ready && (seen === undefined || seen.createdAt < sandbox.createdAt)) {
      newest.set(sandbox.uid, sandbox);
    }
  }
  return [...newest.values()].map(({ name, namespace, uid, hostNetwork, ips, portMappings, createdAt }) => ({
    metadata: { name, namespace, uid },
    spec: {
      nodeName,
      hostNetwork,
      containers: [
        {
          name: 'all',
          ports: portMappings.map(({ protocol, ...mapping }) => ({
            ...mapping,
            protocol: protocol.toUpperCase(),
          })),
        },
      ],
    },
    status: {
      phase: 'Running',
      startTime: createdAt,
      ...(ips[0] === undefined ? {} : { podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) }),
    },
  }));
}

/** Probes from this machine's namespace to its own addresses, in a process that refuses any other. */
async function probeOwn(
  world: World,
  exec: Exec,
  { probeTimeoutMs = 1000, program = process.execPath }: LocalWorldOptions,
  signal?: AbortSignal,
): Promise<ProbeResult[]> {
  const orders = planProbes(world)
    .flatMap((batch) => batch.orders)
    .filter(({ vantage }) => vantage === 'node' || vantage === 'loopback');
  const job: ProbeJob = { place: { only: 'own-addresses' }, timeoutMs: probeTimeoutMs, orders };
  const text = await output(exec, [program, 'node-probe'], {
    stdin: JSON.stringify(job),
    timeoutMs: probeTimeoutMs * (1 + orders.length / 16) + 10_000,
    ...(signal && { signal }),
  });
  return probeResultSchema.array().parse(JSON.parse(text));
}

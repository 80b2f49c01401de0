import { readFile } from 'node:fs/promises';
import { readClusterObjects } from '../../collect/cluster-objects.ts';
import { parseReport } from '../../collect/report.ts';
import { ApiClient } from '../../kube/client.ts';
import { loadKubeconfig } from '../../kube/kubeconfig.ts';
import type { ProbeJob } from '../../node/probe/order.ts';
import type { Stand } from '../../node/probe/plan.ts';
import { type ProbeDoor, probeWorld } from '../../node/probe/probing.ts';
import { parseFlows } from '../../node/report/flows.ts';
import type { NodeReport } from '../../path/model/node-report.ts';
import type { Observed } from '../../path/model/observed.ts';
import { probeResultSchema } from '../../path/model/probe.ts';
import type { World } from '../../path/model/world.ts';
import { reversePathDrops } from '../../path/view/reverse-path-drops.ts';
import { distributionOf } from '../../sys/distribution.ts';
import { type Exec, output, realExec } from '../../sys/exec.ts';
import { namespaceIdentity } from '../../sys/netns.ts';
import { messageOf } from '../../util/errors.ts';
import { FAMILIES } from '../../util/family.ts';
import { parseJson } from '../../util/parse-json.ts';
import { standsInLab } from '../cluster/inside.ts';
import { nodeArgv } from '../cluster/node-exec.ts';
import { clusterPaths, labNetns, netnsPath } from '../cluster/paths.ts';
import type { ClusterRecord } from '../cluster/record.ts';

export interface LabWorldOptions {
  /** Whether to send probes. */
  probes: boolean;
  /** Deadline of one probe in milliseconds. Default 1000. */
  probeTimeoutMs?: number;
  /** Only these nodes are asked for reports and only their pods are probed; all when absent. */
  nodes?: readonly string[];
  signal?: AbortSignal;
  exec?: Exec;
  /** The program to run outside the nodes. Default: the one that is running. */
  program?: string;
}

/**
 * Observes a lab cluster: its API objects, a report of every node, and probes from every vantage. A node that does not answer is
 * unknown. Works from outside the lab's network as well as from inside; nothing is sent but from the namespaces of the lab.
 */
export async function collectLabWorld(record: ClusterRecord, options: LabWorldOptions): Promise<World> {
  const { exec = realExec, signal } = options;
  const asked = record.nodes.filter(({ name }) => options.nodes?.includes(name) ?? true);
  const client = await labClient(record);
  const [objects, ...reports] = await Promise.all([
    readClusterObjects(client, signal),
    ...asked.map(async ({ name }) => [name, await reportOf(exec, name, signal)] as const),
  ]);
  const world: World = {
    observedAt: new Date().toISOString(),
    ...objects,
    reports: new Map(reports),
    probes: [],
  };
  if (!options.probes) return world;
  const probed = world.pods.filter(({ spec }) => options.nodes?.includes(spec?.nodeName ?? '') ?? true);
  const door = labProbeDoor(record, options);
  return { ...world, probes: await probeWorld({ ...world, pods: probed }, door, signal) };
}

/**
 * A client of a lab's API. The nodes' network is reached from inside the lab only; from anywhere else the API is on the machine's
 * loopback.
 */
export async function labClient(record: ClusterRecord): Promise<ApiClient> {
  const access = await loadKubeconfig(clusterPaths(record.name).innerKubeconfig);
  const server = standsInLab(record) ? access.server : `https://127.0.0.1:${record.apiServerPort}`;
  return new ApiClient({ ...access, server, proxy: false, userAgent: 'hostport' });
}

/** How long a node may take for its report, in milliseconds: a report bounds its own parts. */
const REPORT_DEADLINE_MS = 20_000;
/** As large as a report may be that comes as a file. A node may print anything. */
const REPORT_MAX_BYTES = 32 * 1024 * 1024;
/** What is asked of a node besides, and has a few kilobytes. */
const ANSWER_MAX_BYTES = 1024 * 1024;
/** A probe's result. */
const RESULT_MAX_BYTES = 4096;

/** How long reading a node's counters may take, in milliseconds: all probes wait for it, and without it they say all that they saw. */
const COUNTERS_DEADLINE_MS = 5_000;

/** Takes the report of a node of the lab. */
export async function reportOf(
  exec: Exec,
  node: string,
  signal?: AbortSignal,
): Promise<Observed<NodeReport>> {
  try {
    const argv = await nodeArgv(exec, node, ['hostport', 'node-report', '--node', node]);
    const text = await output(exec, argv, {
      timeoutMs: REPORT_DEADLINE_MS,
      maxBytes: REPORT_MAX_BYTES,
      ...(signal && { signal }),
    });
    return parseReport(text, `report of ${node}`);
  } catch (cause) {
    signal?.throwIfAborted();
    return { unknown: messageOf(cause) };
  }
}

/** The door of probes into a lab: every sender knows which network namespace it must run in, and sends nothing from another. */
export function labProbeDoor(record: ClusterRecord, options: Omit<LabWorldOptions, 'probes'>): ProbeDoor {
  const { exec = realExec, probeTimeoutMs = 1000, program = distributionOf().program } = options;
  return {
    async send(stand, orders, signal) {
      const job: ProbeJob = {
        place: await placeOf(record, stand),
        timeoutMs: probeTimeoutMs,
        orders: [...orders],
      };
      const text = await output(exec, await senderArgv(record, stand, exec, program), {
        stdin: JSON.stringify(job),
        // Every probe has its deadline; this one is for a sender that hangs.
        timeoutMs: probeTimeoutMs * (1 + orders.length / 16) + 10_000,
        maxBytes: ANSWER_MAX_BYTES + orders.length * RESULT_MAX_BYTES,
        ...(signal && { signal }),
      });
      return probeResultSchema.array().parse(parseJson(text, 'results of probes'));
    },
    async flows(node, signal) {
      const tables = await Promise.all(
        FAMILIES.map(async (family) =>
          output(exec, await nodeArgv(exec, node, ['conntrack', '-L', '-f', family]), {
            ...(signal && { signal }),
          }),
        ),
      );
      return parseFlows(tables.join('\n'));
    },
    async reversePathDrops(node, signal) {
      const argv = await nodeArgv(exec, node, ['cat', '/proc/net/netstat']);
      const options = {
        maxBytes: ANSWER_MAX_BYTES,
        timeoutMs: COUNTERS_DEADLINE_MS,
        ...(signal && { signal }),
      };
      return reversePathDrops(await output(exec, argv, options));
    },
  };
}

async function placeOf(record: ClusterRecord, stand: Stand): Promise<ProbeJob['place']> {
  if (stand.at === 'pod') return { path: stand.netns };
  const path =
    stand.at === 'outside' ? netnsPath(labNetns(record.name)) : await namespaceOfNode(record, stand.node);
  const namespace = namespaceIdentity(path);
  if (namespace === undefined)
    throw new Error(
      `cannot use the network namespace ${path}: it is gone; check that cluster "${record.name}" runs`,
    );
  return { namespace };
}

async function namespaceOfNode(record: ClusterRecord, node: string): Promise<string> {
  const pid = await readFile(clusterPaths(record.name).node(node).pidFile, 'utf8');
  return `/proc/${Number(pid)}/ns/net`;
}

async function senderArgv(
  record: ClusterRecord,
  stand: Stand,
  exec: Exec,
  program: string,
): Promise<string[]> {
  if (stand.at === 'outside') {
    return ['nsenter', `--net=${netnsPath(labNetns(record.name))}`, program, 'node-probe'];
  }
  const enter = stand.at === 'pod' ? ['nsenter', `--net=${stand.netns}`] : [];
  return nodeArgv(exec, stand.node, [...enter, 'hostport', 'node-probe']);
}

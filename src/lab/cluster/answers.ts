import type { ApiClient } from '../../kube/client.ts';
import type { HostPort } from '../../kube/host-ports.ts';
import { events as eventResource, pods as podResource } from '../../kube/resources.ts';
import type { Event, Pod } from '../../kube/types.ts';
import { hostPortsOf } from '../../path/model/host-ports.ts';
import type { Exec } from '../../sys/exec.ts';
import { isLoopbackText } from '../../util/address.ts';
import { podHostname } from '../kubelet/sandbox-config.ts';
import { ask, askOnNode, type Heard } from './http-ask.ts';
import { assertInLab } from './inside.ts';
import type { ClusterRecord } from './record.ts';

/** What one hostPort of one pod answers. */
export interface HostPortAnswer {
  namespace: string;
  pod: string;
  node: string;
  /** Address and port that were asked. */
  address: string;
  port: number;
  /** Where the request came from: outside the nodes, or the pod's own node for what only that node can reach. */
  from: 'outside' | 'node';
  protocol: string;
  /** As kubectl shows it: the reason a container waits for, else the phase. */
  status: string;
  /** When the pod's first container began to run (RFC 3339). */
  startedAt?: string;
  /** `another pod`: something answered, and named another host than this pod. Not every server names its host. */
  result: 'answered' | 'another pod' | 'refused' | 'timeout' | 'error' | 'not asked';
  /** The evidence: who answered, or why there was no answer. */
  detail: string;
  /** The newest warning about a pod that does not run; none yet when it is missing. */
  trouble?: string;
}

/**
 * Sends an HTTP request to every TCP hostPort of the cluster's pods, at the address a user would type: the node's, or the
 * hostIP that the pod names. The request comes from the lab's namespace, outside the nodes; for a loopback hostIP, which
 * means the node itself, from the node. Throws when this process does not run inside the lab's network.
 */
export async function askHostPorts(
  record: ClusterRecord,
  client: ApiClient,
  exec: Exec,
): Promise<HostPortAnswer[]> {
  assertInLab(record);
  const [{ items: pods }, { items: events }] = await Promise.all([
    client.list(podResource),
    client.list(eventResource),
  ]);
  const addresses = new Map(record.nodes.map((node) => [node.name, node.address]));
  const asked = pods.flatMap((pod) =>
    hostPortsOf(pod).map((port) => askHostPort(pod, port, addresses, events, exec)),
  );
  return Promise.all(asked);
}

async function askHostPort(
  pod: Pod,
  { hostPort: port, protocol, hostIP: wanted }: HostPort,
  addresses: ReadonlyMap<string, string>,
  events: readonly Event[],
  exec: Exec,
): Promise<HostPortAnswer> {
  const node = pod.spec?.nodeName ?? '';
  // Every IPv6 address, like every address: it is asked at the one that the lab knows.
  const hostIP = wanted === '::' ? undefined : wanted;
  const address = addresses.has(node) ? (hostIP ?? addresses.get(node)) : undefined;
  const fromNode = hostIP !== undefined && isLoopbackText(hostIP);
  const about = {
    namespace: pod.metadata?.namespace ?? '',
    pod: pod.metadata?.name ?? '',
    node,
    address: address ?? '',
    port,
    from: fromNode ? ('node' as const) : ('outside' as const),
    protocol,
    status: statusOf(pod),
    startedAt: pod.status?.containerStatuses?.[0]?.state?.running?.startedAt,
    trouble: pod.status?.phase === 'Running' ? undefined : troubleOf(pod, events),
  };
  if (address === undefined) return { ...about, result: 'not asked', detail: about.trouble ?? '' };
  if (protocol !== 'TCP') return { ...about, result: 'not asked', detail: `${protocol} has no HTTP` };
  const heard = fromNode ? await askOnNode(exec, node, address, port) : await ask(address, port);
  if (heard.result === 'answered') return { ...about, ...judge(heard, pod) };
  // For a pod that is not up, its warning explains more than what its port answers.
  return { ...about, result: heard.result, detail: about.trouble ?? heard.detail };
}

/** Whether the pod itself answered. A server that names its host is believed; any other counts as the pod while the pod runs. */
export function judge(
  { status, host }: Extract<Heard, { result: 'answered' }>,
  pod: Pod,
): Pick<HostPortAnswer, 'result' | 'detail'> {
  if (host === undefined) {
    const runs = pod.status?.containerStatuses?.some(({ state }) => state?.running !== undefined) ?? false;
    if (!runs) return { result: 'another pod', detail: `HTTP ${status}, but no container of this pod runs` };
    return { result: 'answered', detail: `HTTP ${status}; the page does not name the pod` };
  }
  if (host === podHostname(pod)) return { result: 'answered', detail: `HTTP ${status} as ${host}` };
  return { result: 'another pod', detail: `HTTP ${status} as ${host}, which is not this pod` };
}

function statusOf(pod: Pod): string {
  const waiting = pod.status?.containerStatuses?.find((container) => container.state?.waiting !== undefined);
  return waiting?.state?.waiting?.reason ?? pod.status?.phase ?? 'Unknown';
}

/**
 * The newest warning about the pod: what its user would find with `kubectl describe`. That its sandbox cannot be created beats
 * what follows from it (that the unfinished one cannot be removed either).
 */
function troubleOf(pod: Pod, events: readonly Event[]): string | undefined {
  const own = events
    .filter((event) => event.involvedObject.uid === pod.metadata?.uid && event.type === 'Warning')
    .sort((a, b) => (a.lastTimestamp ?? '').localeCompare(b.lastTimestamp ?? ''));
  const root = own.findLast((event) => event.reason === 'FailedCreatePodSandBox');
  return (root ?? own.at(-1))?.message;
}

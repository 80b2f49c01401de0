import http from 'node:http';
import type { ApiClient } from '../kube/client.ts';
import { events as eventResource, pods as podResource } from '../kube/resources.ts';
import type { Event, Pod } from '../kube/types.ts';
import { assertInLab } from './inside.ts';
import type { ClusterRecord } from './record.ts';

/** What one hostPort of one pod answers when it is asked from outside the nodes. */
export interface HostPortAnswer {
  namespace: string;
  pod: string;
  node: string;
  /** Address and port that were asked. */
  address: string;
  port: number;
  protocol: string;
  /** As kubectl shows it: the reason a container waits for, else the phase. */
  status: string;
  /** When the pod's first container began to run (RFC 3339). */
  startedAt?: string;
  result: 'answered' | 'refused' | 'timeout' | 'error' | 'not asked';
  /** What was seen: who answered, the error, or why the pod is not up. */
  detail: string;
}

const DEADLINE_MS = 2000;

/**
 * Asks every TCP hostPort of the cluster's pods with an HTTP request from the lab's namespace, at the address a user would
 * type: the node's (or the hostIP that the pod names). Throws when this process does not stand in the lab.
 */
export async function askHostPorts(record: ClusterRecord, client: ApiClient): Promise<HostPortAnswer[]> {
  assertInLab(record);
  const [{ items: pods }, { items: events }] = await Promise.all([
    client.list(podResource),
    client.list(eventResource),
  ]);
  const addresses = new Map(record.nodes.map((node) => [node.name, node.address]));
  const asked = pods.flatMap((pod) => hostPortsOf(pod).map((port) => ask(pod, port, addresses, events)));
  return Promise.all(asked);
}

interface HostPort {
  port: number;
  protocol: string;
  hostIP: string | undefined;
}

function hostPortsOf(pod: Pod): HostPort[] {
  if (pod.spec?.hostNetwork) return [];
  return (pod.spec?.containers ?? []).flatMap((container) =>
    (container.ports ?? [])
      .filter((port) => (port.hostPort ?? 0) > 0)
      .map((port) => ({
        port: port.hostPort!,
        protocol: port.protocol ?? 'TCP',
        hostIP: port.hostIP === '' || port.hostIP === '0.0.0.0' ? undefined : port.hostIP,
      })),
  );
}

async function ask(
  pod: Pod,
  { port, protocol, hostIP }: HostPort,
  addresses: ReadonlyMap<string, string>,
  events: readonly Event[],
): Promise<HostPortAnswer> {
  const node = pod.spec?.nodeName ?? '';
  const address = hostIP ?? addresses.get(node);
  const about = {
    namespace: pod.metadata?.namespace ?? '',
    pod: pod.metadata?.name ?? '',
    node,
    address: address ?? '',
    port,
    protocol,
    status: statusOf(pod),
    startedAt: pod.status?.containerStatuses?.[0]?.state?.running?.startedAt,
  };
  if (address === undefined) return { ...about, result: 'not asked', detail: troubleOf(pod, events) };
  if (protocol !== 'TCP') return { ...about, result: 'not asked', detail: `${protocol} has no HTTP` };
  const answer = await get(address, port);
  if (answer.result === 'answered' || pod.status?.phase === 'Running') return { ...about, ...answer };
  // A pod that is not up has a better reason than what its port says.
  return { ...about, ...answer, detail: troubleOf(pod, events) };
}

function statusOf(pod: Pod): string {
  const waiting = pod.status?.containerStatuses?.find((container) => container.state?.waiting !== undefined);
  return waiting?.state?.waiting?.reason ?? pod.status?.phase ?? 'Unknown';
}

/**
 * The newest warning about the pod: what its user would find with `kubectl describe`. That its sandbox cannot be made beats
 * what follows from it (that the half-made one cannot be taken down either).
 */
function troubleOf(pod: Pod, events: readonly Event[]): string {
  const own = events
    .filter((event) => event.involvedObject.uid === pod.metadata?.uid && event.type === 'Warning')
    .sort((a, b) => (a.lastTimestamp ?? '').localeCompare(b.lastTimestamp ?? ''));
  const root = own.findLast((event) => event.reason === 'FailedCreatePodSandBox');
  return (root ?? own.at(-1))?.message ?? '';
}

function get(host: string, port: number): Promise<Pick<HostPortAnswer, 'result' | 'detail'>> {
  return new Promise((resolve) => {
    const request = http.get({ host, port, path: '/', agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        if (body.length < 65_536) body += chunk;
      });
      response.on('end', () => {
        const name = /My hostname is: (\S+)/.exec(body)?.[1];
        const who = name === undefined ? '' : ` as ${name}`;
        resolve({ result: 'answered', detail: `HTTP ${response.statusCode}${who}` });
      });
    });
    // One deadline for all of it: an answer that drips, or stops half way, is none.
    const timer = setTimeout(() => {
      request.destroy();
      resolve({ result: 'timeout', detail: `no whole answer within ${DEADLINE_MS} ms` });
    }, DEADLINE_MS);
    request.on('close', () => clearTimeout(timer));
    request.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ConnectionRefused') {
        resolve({ result: 'refused', detail: 'connection refused' });
      } else resolve({ result: 'error', detail: error.message });
    });
  });
}

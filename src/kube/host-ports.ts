import { lastingContainers } from './pods.ts';
import type { Pod } from './types.ts';

/** A port of its node that a pod asks for. */
export interface HostPort {
  hostPort: number;
  containerPort: number;
  protocol: 'TCP' | 'UDP' | 'SCTP';
  /** Absent when the pod wants every address of the node. */
  hostIP?: string;
}

/** Why a kubelet refuses a pod whose port another pod on the node has (its admission of the predicate of that name). */
export const PORT_TAKEN_REASON = 'NodePorts';

/**
 * The ports of its node that a pod takes: `ports[].hostPort` of its containers and of its sidecars. Init containers that end take
 * none. Source: getHostPorts of kube-scheduler's plugin NodePorts, by which a kubelet admits pods, too.
 */
export function takenHostPorts(pod: Pod): HostPort[] {
  return lastingContainers(pod).flatMap(({ ports = [] }) =>
    ports
      .filter(({ hostPort = 0 }) => hostPort > 0)
      .map(({ hostPort, containerPort, protocol = 'TCP', hostIP = '' }) => ({
        hostPort: hostPort!,
        containerPort,
        protocol: protocol as HostPort['protocol'],
        // 0.0.0.0 and nothing mean the same to Kubernetes (DefaultBindAllHostIP).
        ...(hostIP === '' || hostIP === '0.0.0.0' ? {} : { hostIP }),
      })),
  );
}

/**
 * Whether two host ports cannot be on one node: the same protocol and port, and the same address, or either of them every address.
 * Source: HostPortInfo.CheckConflict of kube-scheduler; that `::` is every address is ours.
 */
export function hostPortsConflict(a: HostPort, b: HostPort): boolean {
  return (
    a.protocol === b.protocol &&
    a.hostPort === b.hostPort &&
    (isEveryAddress(a.hostIP) || isEveryAddress(b.hostIP) || a.hostIP === b.hostIP)
  );
}

/** Whether a host port is of every address of its node. */
export function isEveryAddress(hostIP: string | undefined): boolean {
  return hostIP === undefined || hostIP === '::';
}

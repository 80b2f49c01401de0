import type { Pod } from '../kube/types.ts';
import type { HostPort } from './finding.ts';

/**
 * The mappings that a pod asks for: `ports[].hostPort` of its containers, init containers that stay (sidecars) included. A pod on
 * the host's network has none: its processes listen on the node themselves.
 */
export function hostPortsOf(pod: Pod): HostPort[] {
  if (pod.spec?.hostNetwork) return [];
  return portOwners(pod).flatMap((container) =>
    (container.ports ?? [])
      .filter((port) => (port.hostPort ?? 0) > 0)
      .map((port) => ({
        hostPort: port.hostPort!,
        containerPort: port.containerPort,
        protocol: (port.protocol ?? 'TCP') as HostPort['protocol'],
        // 0.0.0.0 and nothing mean the same to Kubernetes (DefaultBindAllHostIP).
        ...(port.hostIP === undefined || port.hostIP === '' || port.hostIP === '0.0.0.0'
          ? {}
          : { hostIP: port.hostIP }),
      })),
  );
}

/** The containers that stay, whose ports are the pod's: sidecars among them. */
export function portOwners({ spec }: Pod) {
  const sidecars = (spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  return [...(spec?.containers ?? []), ...sidecars];
}

/** Why the kubelet refuses a pod whose port another pod on the node has (its admission of the predicate of that name). */
export const PORT_TAKEN_REASON = 'NodePorts';

/** Whether the pod has ended for good and nobody waits for its ports. One that was refused because of its ports is waited for. */
export function hasEnded(pod: Pod): boolean {
  const { phase, reason } = pod.status ?? {};
  return phase === 'Succeeded' || (phase === 'Failed' && reason !== PORT_TAKEN_REASON);
}

/** Kubernetes' rule for two mappings on a node: the same protocol and port, and the same address, or either of them every address. */
export function portsConflict(a: HostPort, b: HostPort): boolean {
  const any = (hostIP: string | undefined) => hostIP === undefined || hostIP === '::';
  return (
    a.protocol === b.protocol &&
    a.hostPort === b.hostPort &&
    (any(a.hostIP) || any(b.hostIP) || a.hostIP === b.hostIP)
  );
}

/** A mapping as people write it: `TCP 80`, `UDP 127.0.0.1:53`. */
export function formatPort({ protocol, hostIP, hostPort }: HostPort): string {
  const address = hostIP === undefined ? '' : hostIP.includes(':') ? `[${hostIP}]:` : `${hostIP}:`;
  return `${protocol} ${address}${hostPort}`;
}

import type { Pod } from '../kube/types.ts';
import type { HostPort } from './finding.ts';

/**
 * The mappings that a pod asks for: `ports[].hostPort` of its containers, init containers that stay (sidecars) included. A pod on
 * the host's network has none: its processes listen on the node themselves.
 */
export function hostPortsOf(pod: Pod): HostPort[] {
  if (pod.spec?.hostNetwork) return [];
  const sidecars = (pod.spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  return [...(pod.spec?.containers ?? []), ...sidecars].flatMap((container) =>
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

/** Whether the pod has ended for good: such a pod holds no port. */
export function hasEnded(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

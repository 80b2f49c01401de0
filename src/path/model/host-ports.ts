import { type HostPort, PORT_TAKEN_REASON, takenHostPorts } from '../../kube/host-ports.ts';
import type { Pod } from '../../kube/types.ts';
import { formatEndpoint } from '../../util/endpoint.ts';

/** The mappings that a pod requests. A pod on the host's network has none: its processes listen on the node themselves. */
export function hostPortsOf(pod: Pod): HostPort[] {
  return pod.spec?.hostNetwork ? [] : takenHostPorts(pod);
}

/** Whether the pod has ended for good, so that its ports do not matter. Those of a pod that was rejected because of its ports still do. */
export function hasEnded(pod: Pod): boolean {
  const { phase, reason } = pod.status ?? {};
  return phase === 'Succeeded' || (phase === 'Failed' && reason !== PORT_TAKEN_REASON);
}

/** A mapping as people write it: `TCP 80`, `UDP 127.0.0.1:53`. */
export function formatPort({
  protocol,
  hostIP,
  hostPort,
}: Pick<HostPort, 'protocol' | 'hostIP' | 'hostPort'>): string {
  return `${protocol} ${hostIP === undefined ? hostPort : formatEndpoint({ address: hostIP, port: hostPort })}`;
}

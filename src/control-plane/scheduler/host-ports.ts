import type { Pod } from '../../kube/types.ts';

/** One port a pod wants on its node. */
export interface HostPort {
  /** `0.0.0.0` when the pod named none: every address. */
  ip: string;
  protocol: string;
  port: number;
}

const ANY = new Set(['', '0.0.0.0', '::']);

/** The host ports of a pod's containers and of its sidecars; init containers that end take none, as in kube-scheduler. */
export function hostPortsOf(pod: Pod): HostPort[] {
  const sidecars = (pod.spec?.initContainers ?? []).filter(
    (container) => (container as { restartPolicy?: string }).restartPolicy === 'Always',
  );
  return [...sidecars, ...(pod.spec?.containers ?? [])].flatMap((container) =>
    (container.ports ?? [])
      .filter((port) => (port.hostPort ?? 0) > 0)
      .map((port) => ({
        ip: ANY.has(port.hostIP ?? '') ? '0.0.0.0' : port.hostIP!,
        protocol: port.protocol ?? 'TCP',
        port: port.hostPort!,
      })),
  );
}

/**
 * Whether two host ports cannot be on one node: same protocol and port, and the same address or either of them every
 * address. Source: HostPortInfo.CheckConflict in kube-scheduler.
 */
export function conflicts(a: HostPort, b: HostPort): boolean {
  return (
    a.port === b.port &&
    a.protocol === b.protocol &&
    (a.ip === b.ip || a.ip === '0.0.0.0' || b.ip === '0.0.0.0')
  );
}

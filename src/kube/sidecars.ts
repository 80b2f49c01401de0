import type { Container, Pod } from './types.ts';

/**
 * Whether an init container keeps running beside the other containers.
 * https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
 */
export function isSidecar({ restartPolicy }: Container): boolean {
  return restartPolicy === 'Always';
}

/** The containers that run as long as the pod does, sidecars among them. */
export function lastingContainers({ spec }: Pod): Container[] {
  return [...(spec?.containers ?? []), ...(spec?.initContainers ?? []).filter(isSidecar)];
}

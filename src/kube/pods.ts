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

/** Marks the mirror of a static pod: its picture in the API. */
export const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';

/** Whether a pod is the mirror of a static pod. https://kubernetes.io/docs/tasks/configure-pod-container/static-pod/ */
export function isMirrorPod(pod: { metadata?: { annotations?: Record<string, string> } }): boolean {
  return pod.metadata?.annotations?.[MIRROR_ANNOTATION] !== undefined;
}

/** A pod's quality of service by its containers' cpu and memory. https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/ */
export function qosClass({ spec }: Pod): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const containers = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
  const compute = ['cpu', 'memory'];
  const isSet = (value: string | undefined) => value !== undefined && !/^0+(\.0*)?[a-zA-Z]*$/.test(value);
  const any = containers.some(({ resources }) =>
    compute.some((name) => isSet(resources?.requests?.[name]) || isSet(resources?.limits?.[name])),
  );
  if (!any) return 'BestEffort';
  const guaranteed = containers.every(({ resources }) =>
    compute.every((name) => {
      const limit = resources?.limits?.[name];
      return isSet(limit) && (resources?.requests?.[name] ?? limit) === limit;
    }),
  );
  return guaranteed ? 'Guaranteed' : 'Burstable';
}

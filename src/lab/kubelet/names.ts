import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Container, Pod } from '../../kube/types.ts';

/**
 * The labels and annotations by which a kubelet finds its pods again in the runtime, and the paths it keeps for them.
 * Names as in kubernetes/pkg/kubelet/types/labels.go and kuberuntime/labels.go, so that `crictl` shows what it always does.
 */
export const POD_NAME = 'io.kubernetes.pod.name';
export const POD_NAMESPACE = 'io.kubernetes.pod.namespace';
export const POD_UID = 'io.kubernetes.pod.uid';
export const CONTAINER_NAME = 'io.kubernetes.container.name';
export const CONTAINER_HASH = 'io.kubernetes.container.hash';
export const RESTART_COUNT = 'io.kubernetes.container.restartCount';
export const TERMINATION_MESSAGE_PATH = 'io.kubernetes.container.terminationMessagePath';
export const TERMINATION_MESSAGE_POLICY = 'io.kubernetes.container.terminationMessagePolicy';
export const GRACE_PERIOD = 'io.kubernetes.pod.terminationGracePeriod';

/** Where a pod came from, and what its mirror in the API stands for. */
export const CONFIG_SOURCE = 'kubernetes.io/config.source';
export const CONFIG_HASH = 'kubernetes.io/config.hash';

/** Directories of a kubelet; the ones of `/var/log` are where log collectors look. */
export interface Directories {
  /** `--root-dir` */
  root: string;
  /** `/var/log/pods` */
  podLogs: string;
  /** `/var/log/containers` */
  containerLogs: string;
}

export function podDirectory(directories: Directories, uid: string): string {
  return join(directories.root, 'pods', uid);
}

export function podLogDirectory(directories: Directories, pod: Pod): string {
  const { namespace, name, uid } = pod.metadata!;
  return join(directories.podLogs, `${namespace}_${name}_${uid}`);
}

/** Log file of one run of a container, relative to its pod's log directory. */
export function containerLogPath(container: string, attempt: number): string {
  return `${container}/${attempt}.log`;
}

/** What a change of which restarts a container in place: today's kubelets count name and image. */
export function containerHash(container: Container): string {
  return createHash('sha256')
    .update(JSON.stringify([container.name, container.image]))
    .digest('hex')
    .slice(0, 8);
}

export function isHostNetwork(pod: Pod): boolean {
  return pod.spec?.hostNetwork === true;
}

export function isStatic(pod: Pod): boolean {
  const source = pod.metadata?.annotations?.[CONFIG_SOURCE];
  return source !== undefined && source !== 'api';
}

/** `name_namespace(uid)`, as kubelets name pods in logs and messages. */
export function describePod(pod: Pod): string {
  return `${pod.metadata?.name}_${pod.metadata?.namespace}(${pod.metadata?.uid})`;
}

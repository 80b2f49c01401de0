import type { ContainerConfig, ContainerResources, CriImage, Mount } from '../../cri/messages.ts';
import { qosClass } from '../../kube/pods.ts';
import { quantityMillis, quantityUnits } from '../../kube/quantity.ts';
import type { Container, Pod } from '../../kube/types.ts';
import { ConfigError, expand } from './env.ts';
import {
  CONTAINER_HASH,
  CONTAINER_NAME,
  containerHash,
  containerLogPath,
  GRACE_PERIOD,
  POD_NAME,
  POD_NAMESPACE,
  POD_UID,
  RESTART_COUNT,
  TERMINATION_MESSAGE_PATH,
  TERMINATION_MESSAGE_POLICY,
} from './names.ts';
import { int64, namespaces, securityProfile, supplementalGroups } from './sandbox-config.ts';

/** Paths that a container sees masked or read-only unless its procMount says otherwise; Docker's defaults. */
const MASKED_PATHS = [
  '/proc/asound',
  '/proc/acpi',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
];
const READONLY_PATHS = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

export interface ContainerInput {
  pod: Pod;
  container: Container;
  attempt: number;
  restartCount: number;
  image: CriImage;
  env: ReadonlyMap<string, string>;
  mounts: Mount[];
}

/** The configuration for CreateContainer. @throws ConfigError when the container's security context cannot be met. */
export function containerConfig(input: ContainerInput): ContainerConfig {
  const { pod, container, attempt, restartCount, image, env, mounts } = input;
  const { name, namespace, uid } = pod.metadata!;
  const lookup = (variable: string) => env.get(variable);
  const security = container.securityContext ?? {};
  const podSecurity = pod.spec?.securityContext ?? {};
  const privileged = security.privileged === true;
  const runAsUser = security.runAsUser ?? podSecurity.runAsUser;
  refuseRoot(input, runAsUser);
  return {
    metadata: { name: container.name, attempt },
    image: { image: image.id },
    command: (container.command ?? []).map((word) => expand(word, lookup)),
    args: (container.args ?? []).map((word) => expand(word, lookup)),
    workingDir: container.workingDir,
    envs: [...env].map(([key, value]) => ({ key, value: Buffer.from(value, 'utf8') })),
    mounts,
    labels: {
      [CONTAINER_NAME]: container.name,
      [POD_NAME]: name!,
      [POD_NAMESPACE]: namespace!,
      [POD_UID]: uid!,
    },
    annotations: {
      [CONTAINER_HASH]: containerHash(container),
      [RESTART_COUNT]: String(restartCount),
      [TERMINATION_MESSAGE_PATH]: container.terminationMessagePath ?? '/dev/termination-log',
      [TERMINATION_MESSAGE_POLICY]: container.terminationMessagePolicy ?? 'File',
      [GRACE_PERIOD]: String(pod.spec?.terminationGracePeriodSeconds ?? 30),
    },
    logPath: containerLogPath(container.name, attempt),
    stdin: container.stdin,
    stdinOnce: container.stdinOnce,
    tty: container.tty,
    linux: {
      resources: resources(pod, container),
      securityContext: {
        capabilities: {
          addCapabilities: (security.capabilities?.add ?? []).map(bareCapability),
          dropCapabilities: (security.capabilities?.drop ?? []).map(bareCapability),
        },
        privileged,
        namespaceOptions: namespaces(pod),
        seLinuxOptions: security.seLinuxOptions ?? podSecurity.seLinuxOptions,
        runAsUser: int64(runAsUser) ?? (image.username === '' ? image.uid : undefined),
        runAsGroup: int64(security.runAsGroup ?? podSecurity.runAsGroup),
        readonlyRootfs: security.readOnlyRootFilesystem,
        supplementalGroups: supplementalGroups(pod),
        noNewPrivs: security.allowPrivilegeEscalation === false,
        maskedPaths: privileged || security.procMount === 'Unmasked' ? [] : MASKED_PATHS,
        readonlyPaths: privileged || security.procMount === 'Unmasked' ? [] : READONLY_PATHS,
        seccomp: securityProfile(security.seccompProfile ?? podSecurity.seccompProfile) ?? {
          profileType: 'Unconfined',
        },
      },
    },
  };
}

/** The API takes `NET_ADMIN` and `CAP_NET_ADMIN`; CRI wants the former. */
function bareCapability(name: string): string {
  return name.replace(/^CAP_/i, '').toUpperCase();
}

function refuseRoot({ pod, container, image }: ContainerInput, runAsUser: number | undefined): void {
  const must = container.securityContext?.runAsNonRoot ?? pod.spec?.securityContext?.runAsNonRoot;
  if (must !== true) return;
  const where = `pod: "${pod.metadata!.name}_${pod.metadata!.namespace}(${pod.metadata!.uid})", container: ${container.name}`;
  if (runAsUser === 0) throw new ConfigError(`container's runAsUser breaks non-root policy (${where})`);
  if (runAsUser !== undefined) return;
  if (image.username !== '' && image.username !== 'root') {
    throw new ConfigError(
      `container has runAsNonRoot and image has non-numeric user (${image.username}), cannot verify user is non-root (${where})`,
    );
  }
  if (image.uid === undefined || image.uid.value === 0) {
    throw new ConfigError(`container has runAsNonRoot and image will run as root (${where})`);
  }
}

/** Limits and requests as cgroup values. https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/ */
function resources(pod: Pod, container: Container): ContainerResources {
  const { requests, limits } = container.resources ?? {};
  const cpuLimit = limits?.cpu === undefined ? 0 : quantityMillis(limits.cpu);
  const cpuRequest = requests?.cpu === undefined ? cpuLimit : quantityMillis(requests.cpu);
  const memory = limits?.memory === undefined ? 0 : quantityUnits(limits.memory);
  const period = 100_000;
  return {
    cpuShares: Math.max(2, Math.floor((cpuRequest * 1024) / 1000)),
    cpuPeriod: cpuLimit === 0 ? 0 : period,
    cpuQuota: cpuLimit === 0 ? 0 : Math.max(1000, Math.floor((cpuLimit * period) / 1000)),
    memoryLimitInBytes: memory,
    oomScoreAdj: { Guaranteed: -997, Burstable: 500, BestEffort: 1000 }[qosClass(pod)],
  };
}

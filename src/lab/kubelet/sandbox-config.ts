import type {
  DnsConfig,
  NamespaceOption,
  PortMapping,
  SandboxConfig,
  SecurityProfile,
} from '../../cri/messages.ts';
import type { Pod } from '../../kube/types.ts';
import { type Directories, POD_NAME, POD_NAMESPACE, POD_UID, podLogDirectory } from './names.ts';

/** The configuration for RunPodSandbox of a pod. */
export function sandboxConfig(
  pod: Pod,
  attempt: number,
  dns: DnsConfig,
  directories: Directories,
): SandboxConfig {
  const { name, namespace, uid, labels, annotations } = pod.metadata!;
  const security = pod.spec?.securityContext;
  const privileged = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])].some(
    (container) => container.securityContext?.privileged === true,
  );
  return {
    metadata: { name, namespace, uid, attempt },
    // A pod on the node's network has the node's name: containerd then leaves it as it is.
    hostname: pod.spec?.hostNetwork === true ? '' : podHostname(pod),
    logDirectory: podLogDirectory(directories, pod),
    dnsConfig: dns,
    portMappings: portMappings(pod),
    labels: { ...labels, [POD_NAME]: name!, [POD_NAMESPACE]: namespace!, [POD_UID]: uid! },
    annotations: { ...annotations },
    linux: {
      securityContext: {
        privileged,
        namespaceOptions: namespaces(pod),
        runAsUser: int64(security?.runAsUser),
        runAsGroup: security?.runAsUser === undefined ? undefined : int64(security.runAsGroup),
        supplementalGroups: supplementalGroups(pod),
        seccomp: { profileType: 'RuntimeDefault' },
        seLinuxOptions: security?.seLinuxOptions,
      },
      sysctls: Object.fromEntries((security?.sysctls ?? []).map(({ name: key, value }) => [key, value])),
    },
  };
}

/** The pod's host name: what it asks for, or its name cut to what a label of DNS may have. */
export function podHostname(pod: Pod): string {
  const wanted = pod.spec?.hostname;
  if (wanted !== undefined && wanted !== '') return wanted;
  return pod.metadata!.name!.slice(0, 63).replace(/[-.]+$/, '');
}

/** Every port that containers declare; containerd gives those with a host port to the CNI chain. */
export function portMappings(pod: Pod): PortMapping[] {
  const containers = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])];
  return containers.flatMap(({ ports = [] }) =>
    ports.map(
      ({ containerPort, hostPort = 0, hostIP = '', protocol = 'TCP' }): PortMapping => ({
        protocol: protocol as PortMapping['protocol'],
        containerPort,
        hostPort,
        hostIp: hostIP,
      }),
    ),
  );
}

export function namespaces(pod: Pod): NamespaceOption {
  const { hostNetwork, hostPID, hostIPC, shareProcessNamespace } = pod.spec ?? {};
  return {
    network: hostNetwork === true ? 'node' : 'pod',
    pid: hostPID === true ? 'node' : shareProcessNamespace === true ? 'pod' : 'container',
    ipc: hostIPC === true ? 'node' : 'pod',
  };
}

export function supplementalGroups(pod: Pod): number[] {
  const { supplementalGroups: groups = [], fsGroup } = pod.spec?.securityContext ?? {};
  return fsGroup === undefined ? [...groups] : [...groups, fsGroup];
}

export function int64(value: number | undefined): { value: number } | undefined {
  return value === undefined ? undefined : { value };
}

/** A seccomp or AppArmor profile of the API in CRI's words; nothing said is `Unconfined` for seccomp. */
export function securityProfile(
  profile: { type: string; localhostProfile?: string } | undefined,
): SecurityProfile | undefined {
  if (profile === undefined) return undefined;
  const type = profile.type as SecurityProfile['profileType'];
  return { profileType: type, localhostRef: profile.localhostProfile };
}

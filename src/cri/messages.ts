/**
 * The messages of CRI v1 (package `runtime.v1`) that a kubelet for Linux needs, with the published field numbers, and
 * containerd's event envelope.
 * Source: https://github.com/kubernetes/cri-api/blob/master/pkg/apis/runtime/v1/api.proto and
 * https://github.com/containerd/containerd/blob/release/1.6/api/services/events/v1/events.proto
 */
import {
  bool,
  bytes,
  choice,
  type InputOf,
  int,
  message,
  nested,
  type OutputOf,
  repeated,
  repeatedInt,
  repeatedString,
  string,
  stringMap,
} from '../util/protobuf.ts';

const int64Value = message({ value: int(1) });
const dnsConfig = message({
  servers: repeatedString(1),
  searches: repeatedString(2),
  options: repeatedString(3),
});
const portMapping = message({
  protocol: choice(1, ['TCP', 'UDP', 'SCTP']),
  containerPort: int(2),
  hostPort: int(3),
  hostIp: string(4),
});
const mount = message({
  containerPath: string(1),
  hostPath: string(2),
  readonly: bool(3),
  propagation: choice(5, ['private', 'host-to-container', 'bidirectional']),
});
const NAMESPACE_MODES = ['pod', 'container', 'node', 'target'] as const;
const namespaceOption = message({
  network: choice(1, NAMESPACE_MODES),
  pid: choice(2, NAMESPACE_MODES),
  ipc: choice(3, NAMESPACE_MODES),
  targetId: string(4),
});
const securityProfile = message({
  profileType: choice(1, ['RuntimeDefault', 'Unconfined', 'Localhost']),
  localhostRef: string(2),
});
const seLinuxOption = message({ user: string(1), role: string(2), type: string(3), level: string(4) });
const linuxSandboxSecurityContext = message({
  namespaceOptions: nested(1, namespaceOption),
  seLinuxOptions: nested(2, seLinuxOption),
  runAsUser: nested(3, int64Value),
  runAsGroup: nested(8, int64Value),
  readonlyRootfs: bool(4),
  supplementalGroups: repeatedInt(5),
  privileged: bool(6),
  seccomp: nested(9, securityProfile),
  apparmor: nested(10, securityProfile),
});
const linuxContainerResources = message({
  cpuPeriod: int(1),
  cpuQuota: int(2),
  cpuShares: int(3),
  memoryLimitInBytes: int(4),
  oomScoreAdj: int(5),
});
const linuxPodSandboxConfig = message({
  cgroupParent: string(1),
  securityContext: nested(2, linuxSandboxSecurityContext),
  sysctls: stringMap(3),
});
const podSandboxMetadata = message({
  name: string(1),
  uid: string(2),
  namespace: string(3),
  attempt: int(4),
});
const podSandboxConfig = message({
  metadata: nested(1, podSandboxMetadata),
  hostname: string(2),
  logDirectory: string(3),
  dnsConfig: nested(4, dnsConfig),
  portMappings: repeated(5, portMapping),
  labels: stringMap(6),
  annotations: stringMap(7),
  linux: nested(8, linuxPodSandboxConfig),
});
const keyValue = message({ key: string(1), value: bytes(2) });
const imageSpec = message({ image: string(1), annotations: stringMap(2) });
const capability = message({ addCapabilities: repeatedString(1), dropCapabilities: repeatedString(2) });
const linuxContainerSecurityContext = message({
  capabilities: nested(1, capability),
  privileged: bool(2),
  namespaceOptions: nested(3, namespaceOption),
  seLinuxOptions: nested(4, seLinuxOption),
  runAsUser: nested(5, int64Value),
  runAsGroup: nested(12, int64Value),
  readonlyRootfs: bool(7),
  supplementalGroups: repeatedInt(8),
  noNewPrivs: bool(11),
  maskedPaths: repeatedString(13),
  readonlyPaths: repeatedString(14),
  seccomp: nested(15, securityProfile),
  apparmor: nested(16, securityProfile),
});
const linuxContainerConfig = message({
  resources: nested(1, linuxContainerResources),
  securityContext: nested(2, linuxContainerSecurityContext),
});
const containerMetadata = message({ name: string(1), attempt: int(2) });
const containerConfig = message({
  metadata: nested(1, containerMetadata),
  image: nested(2, imageSpec),
  command: repeatedString(3),
  args: repeatedString(4),
  workingDir: string(5),
  envs: repeated(6, keyValue),
  mounts: repeated(7, mount),
  labels: stringMap(9),
  annotations: stringMap(10),
  logPath: string(11),
  stdin: bool(12),
  stdinOnce: bool(13),
  tty: bool(14),
  linux: nested(15, linuxContainerConfig),
});

const SANDBOX_STATES = ['ready', 'not-ready'] as const;
const podSandbox = message({
  id: string(1),
  metadata: nested(2, podSandboxMetadata),
  state: choice(3, SANDBOX_STATES),
  createdAt: int(4),
  labels: stringMap(5),
  annotations: stringMap(6),
});
const podIp = message({ ip: string(1) });
const podSandboxStatus = message({
  id: string(1),
  metadata: nested(2, podSandboxMetadata),
  state: choice(3, SANDBOX_STATES),
  createdAt: int(4),
  network: nested(5, message({ ip: string(1), additionalIps: repeated(2, podIp) })),
  labels: stringMap(7),
  annotations: stringMap(8),
});
const CONTAINER_STATES = ['created', 'running', 'exited', 'unknown'] as const;
const container = message({
  id: string(1),
  podSandboxId: string(2),
  metadata: nested(3, containerMetadata),
  image: nested(4, imageSpec),
  imageRef: string(5),
  state: choice(6, CONTAINER_STATES),
  createdAt: int(7),
  labels: stringMap(8),
  annotations: stringMap(9),
});
const containerStatus = message({
  id: string(1),
  metadata: nested(2, containerMetadata),
  state: choice(3, CONTAINER_STATES),
  createdAt: int(4),
  startedAt: int(5),
  finishedAt: int(6),
  exitCode: int(7),
  image: nested(8, imageSpec),
  imageRef: string(9),
  reason: string(10),
  message: string(11),
  labels: stringMap(12),
  annotations: stringMap(13),
  logPath: string(15),
});
const image = message({
  id: string(1),
  repoTags: repeatedString(2),
  repoDigests: repeatedString(3),
  size: int(4),
  uid: nested(5, int64Value),
  username: string(6),
});
const runtimeCondition = message({ type: string(1), status: bool(2), reason: string(3), message: string(4) });
const nothing = message({});
const sandboxIdRequest = message({ podSandboxId: string(1) });
const containerIdRequest = message({ containerId: string(1) });
const urlResponse = message({ url: string(1) });

const RUNTIME = 'runtime.v1.RuntimeService/';
const IMAGES = 'runtime.v1.ImageService/';

/** The calls: path, request and response, as in the two services of api.proto. */
export const calls = {
  version: {
    path: `${RUNTIME}Version`,
    request: message({ version: string(1) }),
    response: message({ version: string(1), runtimeName: string(2), runtimeVersion: string(3) }),
  },
  status: {
    path: `${RUNTIME}Status`,
    request: message({ verbose: bool(1) }),
    response: message({
      status: nested(1, message({ conditions: repeated(1, runtimeCondition) })),
      info: stringMap(2),
    }),
  },
  runPodSandbox: {
    path: `${RUNTIME}RunPodSandbox`,
    request: message({ config: nested(1, podSandboxConfig), runtimeHandler: string(2) }),
    response: sandboxIdRequest,
  },
  stopPodSandbox: { path: `${RUNTIME}StopPodSandbox`, request: sandboxIdRequest, response: nothing },
  removePodSandbox: { path: `${RUNTIME}RemovePodSandbox`, request: sandboxIdRequest, response: nothing },
  podSandboxStatus: {
    path: `${RUNTIME}PodSandboxStatus`,
    request: message({ podSandboxId: string(1), verbose: bool(2) }),
    response: message({ status: nested(1, podSandboxStatus), info: stringMap(2) }),
  },
  listPodSandbox: {
    path: `${RUNTIME}ListPodSandbox`,
    request: message({ filter: nested(1, message({ id: string(1), labelSelector: stringMap(3) })) }),
    response: message({ items: repeated(1, podSandbox) }),
  },
  createContainer: {
    path: `${RUNTIME}CreateContainer`,
    request: message({
      podSandboxId: string(1),
      config: nested(2, containerConfig),
      sandboxConfig: nested(3, podSandboxConfig),
    }),
    response: containerIdRequest,
  },
  startContainer: { path: `${RUNTIME}StartContainer`, request: containerIdRequest, response: nothing },
  stopContainer: {
    path: `${RUNTIME}StopContainer`,
    request: message({ containerId: string(1), timeout: int(2) }),
    response: nothing,
  },
  removeContainer: { path: `${RUNTIME}RemoveContainer`, request: containerIdRequest, response: nothing },
  listContainers: {
    path: `${RUNTIME}ListContainers`,
    request: message({
      filter: nested(1, message({ id: string(1), podSandboxId: string(3), labelSelector: stringMap(4) })),
    }),
    response: message({ containers: repeated(1, container) }),
  },
  containerStatus: {
    path: `${RUNTIME}ContainerStatus`,
    request: containerIdRequest,
    response: message({ status: nested(1, containerStatus) }),
  },
  reopenContainerLog: {
    path: `${RUNTIME}ReopenContainerLog`,
    request: containerIdRequest,
    response: nothing,
  },
  execSync: {
    path: `${RUNTIME}ExecSync`,
    request: message({ containerId: string(1), cmd: repeatedString(2), timeout: int(3) }),
    response: message({ stdout: bytes(1), stderr: bytes(2), exitCode: int(3) }),
  },
  exec: {
    path: `${RUNTIME}Exec`,
    request: message({
      containerId: string(1),
      cmd: repeatedString(2),
      tty: bool(3),
      stdin: bool(4),
      stdout: bool(5),
      stderr: bool(6),
    }),
    response: urlResponse,
  },
  attach: {
    path: `${RUNTIME}Attach`,
    request: message({
      containerId: string(1),
      stdin: bool(2),
      tty: bool(3),
      stdout: bool(4),
      stderr: bool(5),
    }),
    response: urlResponse,
  },
  portForward: {
    path: `${RUNTIME}PortForward`,
    request: message({ podSandboxId: string(1), port: repeatedInt(2) }),
    response: urlResponse,
  },
  listImages: {
    path: `${IMAGES}ListImages`,
    request: nothing,
    response: message({ images: repeated(1, image) }),
  },
  imageStatus: {
    path: `${IMAGES}ImageStatus`,
    request: message({ image: nested(1, imageSpec) }),
    response: message({ image: nested(1, image) }),
  },
  pullImage: {
    path: `${IMAGES}PullImage`,
    request: message({
      image: nested(1, imageSpec),
      auth: nested(
        2,
        message({
          username: string(1),
          password: string(2),
          auth: string(3),
          serverAddress: string(4),
          identityToken: string(5),
          registryToken: string(6),
        }),
      ),
      sandboxConfig: nested(3, podSandboxConfig),
    }),
    response: message({ imageRef: string(1) }),
  },
  removeImage: {
    path: `${IMAGES}RemoveImage`,
    request: message({ image: nested(1, imageSpec) }),
    response: nothing,
  },
} as const;

/** containerd's own event stream, which reports exits at once; CRI v1 events came only with containerd 1.7. */
export const subscribe = {
  path: 'containerd.services.events.v1.Events/Subscribe',
  request: message({ filters: repeatedString(1) }),
  response: message({
    namespace: string(2),
    topic: string(3),
    event: nested(4, message({ typeUrl: string(1), value: bytes(2) })),
  }),
} as const;

/** `/tasks/start` and `/tasks/exit`: the container (or sandbox), and for an exit which of its processes. */
export const taskEvent = message({ containerId: string(1), processId: string(2) });

export type SandboxConfig = InputOf<typeof podSandboxConfig>;
export type ContainerConfig = InputOf<typeof containerConfig>;
export type PortMapping = InputOf<typeof portMapping>;
export type Mount = InputOf<typeof mount>;
export type DnsConfig = InputOf<typeof dnsConfig>;
export type NamespaceOption = InputOf<typeof namespaceOption>;
export type ContainerResources = InputOf<typeof linuxContainerResources>;
export type SecurityProfile = InputOf<typeof securityProfile>;
export type CriSandbox = OutputOf<typeof podSandbox>;
export type CriSandboxStatus = OutputOf<typeof podSandboxStatus>;
export type CriContainer = OutputOf<typeof container>;
export type CriContainerStatus = OutputOf<typeof containerStatus>;
export type CriImage = OutputOf<typeof image>;
export type RuntimeCondition = OutputOf<typeof runtimeCondition>;

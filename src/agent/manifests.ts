import { AGENT } from '../collect/reader/agents.ts';
import {
  clusterRoleBindings,
  clusterRoles,
  daemonSets,
  type Resource,
  serviceAccounts,
} from '../kube/resources.ts';
import type {
  ClusterRole,
  ClusterRoleBinding,
  Container,
  DaemonSet,
  EnvVar,
  KubeObject,
  PodSpec,
  ServiceAccount,
} from '../kube/types.ts';

/** What the agent does with what it finds: reports it, or fixes it, too. */
export const AGENT_MODES = ['observe', 'heal'] as const;
export type AgentMode = (typeof AGENT_MODES)[number];

/** What an installation of the agent is made of. */
export interface AgentSettings {
  mode: AgentMode;
  namespace: string;
  image: string;
  /** Names of Secrets in the namespace. */
  imagePullSecrets: readonly string[];
  /** The version that objects are labelled with. */
  version: string;
  /** Where the nodes reach the API server, if not by the address of the Service `kubernetes`. */
  apiServer?: { host: string; port: number };
  /** Directories of the CNI on the nodes, as the runtime there has them: of configurations, and of plugins. */
  confDir: string;
  binDirs: readonly string[];
  /** Where metrics are served, on the node's own address. */
  metricsPort: number;
}

export const DEFAULT_NAMESPACE = 'kube-system';
export const DEFAULT_CONF_DIR = '/etc/cni/net.d';
export const DEFAULT_BIN_DIRS: readonly string[] = ['/opt/cni/bin'];
export const METRICS_PORT = 9797;

/** Label of what an installation creates: who looks after it. */
export const MANAGED_BY = { label: 'app.kubernetes.io/managed-by', value: 'hostport' } as const;
/** Label of the agent's pods: what they do. */
export const MODE_LABEL = 'hostport.dev/agent-mode';
/** Where an agent writes what `hostport agent status` shows: memory that ends with its pod. */
export const STATE_DIRECTORY = '/state';
/** Where the settings of the node's network are that can be written. Those in `/proc/sys` are read-only for a container that is not privileged. */
export const NODE_SYSCTLS = '/node/proc/sys/net';

/** A right of the agent, and what it is for. */
export interface AgentRight {
  group: string;
  resource: string;
  verb: string;
  why: string;
}

const right = (group: string, resource: string, verb: string, why: string): AgentRight => ({
  group,
  resource,
  verb,
  why,
});

/** All that the agent may do through the API. Both modes are the same to the API: healing is done on the node. */
export const AGENT_RIGHTS_OF_API: readonly AgentRight[] = [
  right('', 'nodes', 'list', 'the addresses of its own node; by a field selector, which RBAC cannot enforce'),
  right('', 'nodes', 'watch', 'the same, as they change'),
  right('', 'pods', 'list', "which hostPorts its node's pods ask for; by a field selector, too"),
  right('', 'pods', 'watch', 'pods as they come, end and go: one that is ending gets no mapping'),
  right('', 'services', 'list', 'whether a Service owns the port, too'),
  right('', 'services', 'watch', 'the same, as they change'),
  right('', 'events', 'create', 'what it found and fixed, on the pods concerned'),
  right('', 'events', 'patch', 'counting an Event that is there, instead of creating another'),
  right('authentication.k8s.io', 'tokenreviews', 'create', 'who it is that reads its metrics'),
  right('authorization.k8s.io', 'subjectaccessreviews', 'create', 'whether that one may'),
];

/** A capability of the agent's container, what it is for, and in which modes it has it. */
export interface AgentCapability {
  name: string;
  why: string;
  modes: readonly AgentMode[];
}

/** Of all capabilities, those that the agent keeps. */
export const AGENT_CAPABILITIES: readonly AgentCapability[] = [
  {
    name: 'NET_ADMIN',
    why: 'rules of nftables and iptables, tracked connections, and being notified of changes; to heal, also routes and settings of the network',
    modes: AGENT_MODES,
  },
  {
    name: 'NET_RAW',
    why: "iptables' legacy program opens a raw socket, even to list rules",
    modes: AGENT_MODES,
  },
  {
    name: 'DAC_READ_SEARCH',
    why: 'configurations and caches that only their owner may read, where that is not root',
    modes: ['observe'],
  },
  {
    name: 'DAC_OVERRIDE',
    why: 'the same, and directories of the CNI that do not belong to root, as Kubespray creates `/opt/cni/bin`',
    modes: ['heal'],
  },
  { name: 'FOWNER', why: 'making a plugin executable that does not belong to root', modes: ['heal'] },
  {
    name: 'SYS_ADMIN',
    why: "plugins enter a pod's network namespace, portmap's ADD and the DEL of any chain; the writable settings of the network are mounted over `/proc/sys/net`",
    modes: ['heal'],
  },
];

/** A directory of the node that the agent sees. */
export interface AgentMount {
  name: string;
  /** On the node. */
  hostPath: string;
  /** In the container, where that differs. */
  mountPath?: string;
  why: string;
  modes: readonly AgentMode[];
  /** Whether it is written in the mode `heal`; what it is in `observe`, it is read-only. */
  isWritten: boolean;
  /** Whether what is mounted in it later, on the node, is seen. */
  propagates?: true;
  /** Whether it is there on every node; others are created, empty. */
  isAlwaysThere?: true;
}

/** The name of one of several mounts of a kind, from 0 on. */
function mountName(kind: string, number: number): string {
  return number === 0 ? kind : `${kind}-${number + 1}`;
}

/** Which of several mounts of a kind a name is of; undefined for other names. */
export function mountNumber(kind: string, name: string): number | undefined {
  if (name === kind) return 0;
  const digits = name.startsWith(`${kind}-`) ? name.slice(kind.length + 1) : '';
  return /^[1-9]\d{0,3}$/.test(digits) ? Number(digits) - 1 : undefined;
}

/** The directories of the node that the agent sees; no others. */
export function agentMounts({ confDir, binDirs }: Pick<AgentSettings, 'confDir' | 'binDirs'>): AgentMount[] {
  return [
    ...binDirs.map((hostPath, i) => ({
      name: mountName('cni-bin', i),
      hostPath,
      why: 'plugins: their presence, version and mode; to heal, missing ones are installed',
      modes: AGENT_MODES,
      isWritten: true,
    })),
    {
      name: 'cni-config',
      hostPath: confDir,
      why: 'configurations; to heal, lists with portmap in their chain are written',
      modes: AGENT_MODES,
      isWritten: true,
    },
    {
      name: 'cni-state',
      hostPath: '/var/lib/cni',
      why: 'cached results of chains; to heal, entries of what is attached and detached, and the addresses of host-local',
      modes: AGENT_MODES,
      isWritten: true,
    },
    {
      name: 'run',
      hostPath: '/run',
      why: "the runtime's socket, which is as good as root on the node, and Cilium's; to heal, the locks of iptables",
      modes: AGENT_MODES,
      isWritten: true,
      propagates: true,
      isAlwaysThere: true,
    },
    {
      name: 'netns',
      hostPath: '/run/netns',
      mountPath: '/var/run/netns',
      why: 'which network namespaces there are, under the name that the runtime gives them; to heal, plugins enter them',
      modes: AGENT_MODES,
      isWritten: false,
      propagates: true,
    },
    {
      name: 'cilium',
      hostPath: '/run/cilium',
      mountPath: '/var/run/cilium',
      why: "the DEL of Cilium's plugin, to release what a sandbox held that is gone",
      modes: ['heal'],
      isWritten: true,
    },
    {
      name: 'hostport',
      hostPath: '/var/lib/hostport',
      why: 'copies of what is replaced, and the lock that allows one agent a node',
      modes: ['heal'],
      isWritten: true,
    },
    {
      name: 'network-settings',
      hostPath: '/proc/sys/net',
      mountPath: NODE_SYSCTLS,
      why: "settings of the node's network; no other settings of the kernel",
      modes: ['heal'],
      isWritten: true,
      isAlwaysThere: true,
    },
  ];
}

/** Fields that the published types do not have yet. An API server that does not know them drops them. */
interface NewerFields {
  /** Kubernetes 1.33: mounts below a read-only one are read-only, too, where the runtime can do that. */
  recursiveReadOnly?: 'IfPossible';
}

/** An object of an installation, with the resource by which it is written. */
export interface AgentObject {
  resource: Resource<KubeObject>;
  object: KubeObject & { metadata: { name: string; namespace?: string } };
}

/**
 * The objects of an installation, in the order in which they are created: `hostport agent install` writes them, deploy/agent.yaml and
 * deploy/agent-observe.yaml are those of the default settings, and whatever else installs the agent can be compared with them.
 */
export function agentObjects(settings: AgentSettings): AgentObject[] {
  const { namespace, version } = settings;
  const { name } = AGENT;
  const labels = {
    [AGENT.label]: name,
    [MANAGED_BY.label]: MANAGED_BY.value,
    'app.kubernetes.io/version': version,
  };
  const account: ServiceAccount = {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name, namespace, labels },
  };
  const role: ClusterRole = {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name, labels },
    rules: rulesOf(AGENT_RIGHTS_OF_API),
  };
  const binding: ClusterRoleBinding = {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name, labels },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
    subjects: [{ kind: 'ServiceAccount', name, namespace }],
  };
  const daemonSet: DaemonSet = {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name, namespace, labels },
    spec: {
      selector: { matchLabels: { [AGENT.label]: name } },
      // A node without its agent for a moment is one that heals later, not one that is broken.
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '10%' } },
      template: {
        metadata: { labels: { ...labels, [MODE_LABEL]: settings.mode } },
        spec: podSpec(settings),
      },
    },
  };
  return [
    { resource: serviceAccounts, object: account },
    { resource: clusterRoles, object: role },
    { resource: clusterRoleBindings, object: binding },
    { resource: daemonSets, object: daemonSet },
  ] as AgentObject[];
}

/** Rights as the rules of a role: those of one group with the same verbs are one. */
export function rulesOf(rights: readonly AgentRight[]): NonNullable<ClusterRole['rules']> {
  const verbsOf = Map.groupBy(rights, ({ group, resource }) => `${group}/${resource}`);
  const byVerbs = Map.groupBy(
    [...verbsOf.values()],
    (own) => `${own[0]!.group}/${own.map(({ verb }) => verb)}`,
  );
  return [...byVerbs.values()].map((alike) => ({
    apiGroups: [alike[0]![0]!.group],
    resources: alike.map((own) => own[0]!.resource),
    verbs: alike[0]!.map(({ verb }) => verb),
  }));
}

function podSpec(settings: AgentSettings): PodSpec {
  const { mode, imagePullSecrets } = settings;
  const mounts = agentMounts(settings).filter(({ modes }) => modes.includes(mode));
  return {
    serviceAccountName: AGENT.name,
    // It looks at the node's network, and must not depend on that of pods.
    hostNetwork: true,
    enableServiceLinks: false,
    priorityClassName: 'system-node-critical',
    nodeSelector: { 'kubernetes.io/os': 'linux' },
    tolerations: [{ operator: 'Exists' }],
    // An action under way is finished first; the longest, a call of a plugin, may take 30 seconds.
    terminationGracePeriodSeconds: 30,
    ...(imagePullSecrets.length > 0 && { imagePullSecrets: imagePullSecrets.map((name) => ({ name })) }),
    securityContext: podSecurity(mode),
    containers: [container(settings, mounts)],
    volumes: [
      ...mounts.map(({ name, hostPath: path, isAlwaysThere }) => ({
        name,
        hostPath: { path, type: isAlwaysThere ? 'Directory' : 'DirectoryOrCreate' },
      })),
      { name: 'state', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
    ],
  };
}

function podSecurity(mode: AgentMode): NonNullable<PodSpec['securityContext']> {
  const security = {
    runAsUser: 0,
    runAsGroup: 0,
    seccompProfile: { type: 'RuntimeDefault' },
    // AppArmor's default profile refuses mounts, by which settings of the network become writable.
    ...(mode === 'heal' && { appArmorProfile: { type: 'Unconfined' } }),
    // SELinux' default type hides the files of the node.
    seLinuxOptions: { type: 'spc_t' },
  };
  return security;
}

function container(settings: AgentSettings, mounts: readonly AgentMount[]): Container {
  const { mode, image, metricsPort } = settings;
  const probe = (path: string, periodSeconds: number) => ({
    httpGet: { scheme: 'HTTPS', path, port: 'metrics' },
    periodSeconds,
    timeoutSeconds: 5,
    failureThreshold: 3,
  });
  return {
    name: AGENT.container,
    image,
    imagePullPolicy: 'IfNotPresent',
    args: ['agent', 'run', `--${mode}`, '--metrics-port', String(metricsPort)],
    env: environment(settings),
    ports: [{ name: 'metrics', containerPort: metricsPort, hostPort: metricsPort, protocol: 'TCP' }],
    readinessProbe: { ...probe('/readyz', 10), initialDelaySeconds: 3 },
    // Restarting it helps when it does nothing any more, and with nothing else.
    livenessProbe: { ...probe('/healthz', 30), initialDelaySeconds: 30 },
    resources: {
      requests: { cpu: '10m', memory: '64Mi' },
      // Of a node with a hundred pods that are all to be fixed at once, or with the rules of thousands of Services.
      limits: { cpu: '1', memory: '512Mi' },
    },
    securityContext: {
      privileged: false,
      // Kubernetes refuses `false` together with SYS_ADMIN.
      ...(mode === 'observe' && { allowPrivilegeEscalation: false }),
      readOnlyRootFilesystem: true,
      capabilities: {
        drop: ['ALL'],
        add: AGENT_CAPABILITIES.filter(({ modes }) => modes.includes(mode)).map(({ name }) => name),
      },
    },
    // What it said last is in the pod's status, where `hostport agent status` finds it.
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: [
      ...mounts.map(({ name, hostPath, mountPath = hostPath, isWritten, propagates }) => ({
        name,
        mountPath,
        ...(propagates && { mountPropagation: 'HostToContainer' }),
        ...((mode === 'observe' || !isWritten) && readOnly(propagates)),
      })),
      { name: 'state', mountPath: STATE_DIRECTORY },
    ],
  };
}

/** Kubernetes allows the recursive form only without propagation. */
function readOnly(propagates: true | undefined): { readOnly: true } & NewerFields {
  return { readOnly: true, ...(!propagates && { recursiveReadOnly: 'IfPossible' as const }) };
}

function environment({ apiServer }: AgentSettings): EnvVar[] {
  const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } });
  return [
    ...(apiServer === undefined
      ? []
      : [
          { name: 'KUBERNETES_SERVICE_HOST', value: apiServer.host },
          { name: 'KUBERNETES_SERVICE_PORT', value: String(apiServer.port) },
        ]),
    field('NODE_NAME', 'spec.nodeName'),
    field('HOST_IP', 'status.hostIP'),
  ];
}

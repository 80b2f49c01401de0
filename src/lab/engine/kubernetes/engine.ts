import type { Exec } from '../../../sys/exec.ts';
import { InputError } from '../../../util/errors.ts';
import { NODE_POD_PREFIX, NODE_POD_PREFIX_6 } from '../../cluster/config/subnets.ts';
import type { ClusterConfig, ExtraArgs } from '../../cluster/config/types.ts';
import { nodeAddress6 } from '../../cluster/network.ts';
import {
  API_PORT,
  labelsOf,
  type NodeFile,
  PKI,
  type PlacedNode,
  service,
} from '../../cluster/node-files.ts';
import type { Engine, EngineNode } from '../engine.ts';
import { KUBE_PROXY_CONF, kubeletConfiguration, kubeProxyConfiguration } from './configurations.ts';
import { checkFlags, featureGates, flagPairs, flagWords } from './flags.ts';
import { PROGRAMS, type Program, type Release } from './release.ts';

/** In every node a release's programs have the places of the lab's own daemons. */
const BIN = '/usr/local/bin';
const KUBELET_CONFIGURATION = '/var/lib/kubelet/config.yaml';
const KUBE_PROXY_CONFIGURATION = '/var/lib/kube-proxy/config.yaml';

/** What a control plane takes that has little to do, and some more. */
const LEAST_MEMORY_MIB = 768;

/** What a kubelet sets at its start. Source: pkg/kubelet/cm/container_manager_linux.go (setupKernelTunables). */
const OF_KUBELET = {
  'kernel.keys.root_maxbytes': '25000000',
  'kernel.keys.root_maxkeys': '1000000',
  'kernel.panic': '10',
  'kernel.panic_on_oops': '1',
  'vm.overcommit_memory': '1',
  'vm.panic_on_oom': '0',
};

/** Kubernetes' own control plane, kubelets and kube-proxies, from the programs of a release. */
export function kubernetesEngine(release: Release, exec: Exec): Engine {
  const { version, directory, programs } = release;
  return {
    record: { kind: 'kubernetes', version, directory },
    users: [{ conf: KUBE_PROXY_CONF, user: 'system:kube-proxy', groups: ['system:node-proxiers'] }],
    mounts: PROGRAMS.map((name) => ({
      hostPath: programs[name],
      containerPath: `${BIN}/${name}`,
      readOnly: true,
      type: 'File',
      propagation: 'None',
    })),
    machineSysctls: OF_KUBELET,
    async check(config, nodeMemoryBytes) {
      if (nodeMemoryBytes !== undefined && nodeMemoryBytes < LEAST_MEMORY_MIB * 1024 ** 2) {
        throw new InputError(
          `cannot create cluster "${config.name}": its nodes are to have ${Math.floor(nodeMemoryBytes / 1024 ** 2)}Mi, which is too little for the control plane of Kubernetes; want at least ${LEAST_MEMORY_MIB}Mi`,
        );
      }
      checkPatches(config);
      await checkFlags(release, config, exec);
    },
    filesOf: (placed) => [
      ...kubelet(placed),
      ...(placed.config.kubernetes?.kubeProxyMode === 'none' ? [] : kubeProxy(placed)),
      ...(placed.node.role === 'control-plane' ? controlPlane(placed.config, placed.node) : []),
    ],
    // Programs of a hundred megabytes: on a busy machine they take a while to be read and to find each other.
    deadlines: { apiServerMs: 180_000, nodesMs: 180_000 },
  };
}

/** Refuses patches that do not fit the configurations that they are for. @throws InputError */
function checkPatches(config: ClusterConfig): void {
  for (const node of config.nodes) {
    const placed = { config, node: { ...node, address: '' }, memoryBytes: 0 };
    kubeletConfiguration(placed);
    kubeProxyConfiguration(placed);
  }
}

function kubelet(placed: EngineNode): NodeFile[] {
  const { node } = placed;
  const labels = Object.entries(labelsOf(node).kubelet).map(([key, value]) => `${key}=${value}`);
  return [
    { path: KUBELET_CONFIGURATION, content: kubeletConfiguration(placed) },
    ...daemon(
      'kubelet',
      {
        config: KUBELET_CONFIGURATION,
        kubeconfig: '/etc/kubernetes/kubelet.conf',
        'hostname-override': node.name,
        'node-ip': bothOf(node.address, placed.config.networking.ipv6 && nodeAddress6(node.address)),
        ...(labels.length > 0 && { 'node-labels': labels.join(',') }),
      },
      node.kubelet?.extraArgs,
    ),
  ];
}

function kubeProxy(placed: EngineNode): NodeFile[] {
  return [
    { path: KUBE_PROXY_CONFIGURATION, content: kubeProxyConfiguration(placed) },
    ...daemon('kube-proxy', { config: KUBE_PROXY_CONFIGURATION }),
  ];
}

/** Who may say for whom it asks: whoever has the certificate of this name, which nobody has. */
const FRONT_PROXY = {
  'requestheader-client-ca-file': `${PKI}/ca.crt`,
  'requestheader-allowed-names': 'front-proxy-client',
};

/** The control plane with the flags that kubeadm would give it, but for what the lab has otherwise: static tokens, one CA for clients. */
function controlPlane({ name, networking, kubernetes }: ClusterConfig, { address }: PlacedNode): NodeFile[] {
  const conf = (file: string) => ({
    kubeconfig: file,
    'authentication-kubeconfig': file,
    'authorization-kubeconfig': file,
    // As files, and not read from the API: a controller manager that cannot read them there ends, instead of waiting for the API server.
    'client-ca-file': `${PKI}/ca.crt`,
    ...FRONT_PROXY,
    // Nobody else stands for election.
    'leader-elect': 'false',
    'bind-address': '127.0.0.1',
  });
  const gates = featureGates(kubernetes);
  const runtimeConfig = flagPairs(kubernetes?.runtimeConfig ?? {});
  return [
    ...daemon(
      'kube-apiserver',
      {
        'bind-address': '0.0.0.0',
        'secure-port': String(API_PORT),
        'advertise-address': address,
        'etcd-servers': 'https://127.0.0.1:2379',
        'etcd-cafile': `${PKI}/etcd/ca.crt`,
        'etcd-certfile': `${PKI}/apiserver-etcd-client.crt`,
        'etcd-keyfile': `${PKI}/apiserver-etcd-client.key`,
        'tls-cert-file': `${PKI}/apiserver.crt`,
        'tls-private-key-file': `${PKI}/apiserver.key`,
        'client-ca-file': `${PKI}/ca.crt`,
        'token-auth-file': `${PKI}/tokens.csv`,
        'service-account-key-file': `${PKI}/sa.pub`,
        'service-account-signing-key-file': `${PKI}/sa.key`,
        'service-account-issuer': 'https://kubernetes.default.svc.cluster.local',
        'service-cluster-ip-range': bothOf(networking.serviceSubnet, networking.ipv6?.serviceSubnet),
        'kubelet-client-certificate': `${PKI}/apiserver-kubelet-client.crt`,
        'kubelet-client-key': `${PKI}/apiserver-kubelet-client.key`,
        'kubelet-certificate-authority': `${PKI}/ca.crt`,
        'kubelet-preferred-address-types': 'InternalIP,Hostname',
        'authorization-mode': 'Node,RBAC',
        'enable-admission-plugins': 'NodeRestriction',
        'allow-privileged': 'true',
        ...FRONT_PROXY,
        'requestheader-extra-headers-prefix': 'X-Remote-Extra-',
        'requestheader-group-headers': 'X-Remote-Group',
        'requestheader-username-headers': 'X-Remote-User',
        ...(runtimeConfig !== '' && { 'runtime-config': runtimeConfig }),
        ...gates,
      },
      kubernetes?.extraArgs['kube-apiserver'],
    ),
    ...daemon(
      'kube-controller-manager',
      {
        ...conf('/etc/kubernetes/controller-manager.conf'),
        'use-service-account-credentials': 'true',
        'allocate-node-cidrs': 'true',
        'cluster-cidr': bothOf(networking.podSubnet, networking.ipv6?.podSubnet),
        ...(networking.ipv6 === undefined
          ? { 'node-cidr-mask-size': `${NODE_POD_PREFIX}` }
          : {
              'node-cidr-mask-size-ipv4': `${NODE_POD_PREFIX}`,
              'node-cidr-mask-size-ipv6': `${NODE_POD_PREFIX_6}`,
            }),
        'service-cluster-ip-range': bothOf(networking.serviceSubnet, networking.ipv6?.serviceSubnet),
        'root-ca-file': `${PKI}/ca.crt`,
        'service-account-private-key-file': `${PKI}/sa.key`,
        'cluster-signing-cert-file': `${PKI}/ca.crt`,
        'cluster-signing-key-file': `${PKI}/ca.key`,
        'cluster-name': name,
        ...gates,
      },
      kubernetes?.extraArgs['kube-controller-manager'],
    ),
    ...daemon(
      'kube-scheduler',
      { ...conf('/etc/kubernetes/scheduler.conf'), ...gates },
      kubernetes?.extraArgs['kube-scheduler'],
    ),
  ];
}

/** Addresses or subnets of both families, as a flag has them, where there are both. */
function bothOf(ipv4: string, ipv6: string | undefined): string {
  return ipv6 === undefined ? ipv4 : `${ipv4},${ipv6}`;
}

/** The service of a program; an extra flag takes the place of the lab's own of that name. */
function daemon(program: Program, flags: Record<string, string>, extra: ExtraArgs = {}): NodeFile[] {
  return service(program, [`${BIN}/${program}`, ...flagWords({ ...flags, ...extra })]);
}

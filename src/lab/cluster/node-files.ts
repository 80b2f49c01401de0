import { randomUUID } from 'node:crypto';
import { isNodeLabelOfKubelet } from '../../kube/node-labels.ts';
import { nthAddress } from '../../util/cidr.ts';
import type { JsonObject } from '../../util/json.ts';
import { applyPatches } from './config/config-patch.ts';
import type { ClusterConfig, ConfigPatch, NodeConfig } from './config/types.ts';
import { GUARDED_RUNC, guardedRunc } from './guarded-runc.ts';
import { NODE_NETWORK } from './network.ts';
import { runScript } from './run-script.ts';
import { containerdPath, type Runtime } from './runtime.ts';

/** One file to be put into a node's root. */
export interface NodeFile {
  /** Absolute path in the node. */
  path: string;
  content: string;
  /** Default 0644. */
  mode?: number;
}

/** Where the registry of the lab listens, seen from nodes. */
export const REGISTRY_ADDRESS = `${NODE_NETWORK.gateway}:5000`;
/** Port of the API server on the control plane. */
export const API_PORT = 6443;
/** A name for the control plane that does not depend on the cluster's, in every node's hosts file and in the API certificate. */
export const CONTROL_PLANE_ALIAS = 'control-plane.cluster.internal';
/** Where the CRI plugin finds how to reach registries. */
const CERTS_DIR = '/etc/containerd/certs.d';
const SANDBOX_IMAGE = 'registry.k8s.io/pause:3.9';

/**
 * containerd as a node needs it inside a container: no cgroups of its own to delegate, no AppArmor, nothing that asks for
 * CAP_SYS_RESOURCE. Source: containerd docs/cri/config.md.
 */
const CONTAINERD_CONFIG = `version = 2
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
  address = "/run/containerd/containerd.sock"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${SANDBOX_IMAGE}"
  disable_cgroup = true
  disable_apparmor = true
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  disable_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "${CERTS_DIR}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "${GUARDED_RUNC}"
`;

/**
 * The same for containerd 2, whose configuration has version 3. It always makes cgroups: pods have some below their node's own.
 * Source: containerd docs/cri/config.md, RELEASES.md (what was removed in 2.0).
 */
const CONTAINERD_2_CONFIG = `version = 3
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.erofs", "io.containerd.snapshotter.v1.zfs"]
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
  address = "/run/containerd/containerd.sock"

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "${SANDBOX_IMAGE}"
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "${CERTS_DIR}"

[plugins."io.containerd.cri.v1.runtime"]
  disable_apparmor = true
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  disable_hugetlb_controller = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/opt/cni/bin"]
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      BinaryName = "${GUARDED_RUNC}"
`;

/** Every registry name leads to the lab's registry; there is no other, and no way to one. */
const REGISTRY_HOSTS = `server = "https://${REGISTRY_ADDRESS}"
capabilities = ["pull", "resolve"]
ca = "${CERTS_DIR}/_default/ca.crt"
client = [["${CERTS_DIR}/_default/client.crt", "${CERTS_DIR}/_default/client.key"]]

# The registry is the server itself and not a mirror before one: its "not found" is the last word. The empty table is
# what containerd 1.6 wants to see in this file.
[host]
`;

/** A node with its place in the network. */
export interface PlacedNode extends NodeConfig {
  address: string;
}

/** Credentials that a worker or control plane gets, PEM or kubeconfig text. */
export interface NodeSecrets {
  ca: string;
  kubeletConf: string;
  kubeletCert: string;
  kubeletKey: string;
  registryCa: string;
  registryClientCert: string;
  registryClientKey: string;
  /** Kubeconfigs of daemons that are on every node, and their places. */
  daemons: readonly { path: string; content: string }[];
}

/** containerd's configuration with patches applied in their order. @throws InputError when one does not fit. */
export function containerdConfig(patches: readonly ConfigPatch[], runtime?: Runtime): string {
  const config = runtime === undefined ? CONTAINERD_CONFIG : CONTAINERD_2_CONFIG;
  if (patches.length === 0) return config;
  return Bun.TOML.stringify(applyPatches(Bun.TOML.parse(config) as JsonObject, patches));
}

/** Files that every node has, whatever its role and the engine of its cluster. */
export function commonNodeFiles(
  config: ClusterConfig,
  node: PlacedNode,
  nodes: readonly PlacedNode[],
  secrets: NodeSecrets,
  runtime?: Runtime,
): NodeFile[] {
  return [
    { path: '/etc/hostname', content: `${node.name}\n` },
    { path: '/etc/hosts', content: hostsFile(nodes) },
    // A kubelet reports it as the node's, and complains without. Source: machine-id(5).
    { path: '/etc/machine-id', content: `${randomUUID().replaceAll('-', '')}\n`, mode: 0o444 },
    // No resolver is reachable from a node; an empty file says so at once where a wrong one would make callers wait.
    { path: '/etc/resolv.conf', content: '' },
    {
      path: '/etc/containerd/config.toml',
      content: containerdConfig(config.kubernetes?.containerdPatches ?? [], runtime),
    },
    { path: GUARDED_RUNC, content: guardedRunc(), mode: 0o755 },
    { path: `${CERTS_DIR}/_default/hosts.toml`, content: REGISTRY_HOSTS },
    { path: `${CERTS_DIR}/_default/ca.crt`, content: secrets.registryCa },
    { path: `${CERTS_DIR}/_default/client.crt`, content: secrets.registryClientCert },
    { path: `${CERTS_DIR}/_default/client.key`, content: secrets.registryClientKey, mode: 0o600 },
    { path: '/etc/kubernetes/pki/ca.crt', content: secrets.ca },
    { path: '/etc/kubernetes/kubelet.conf', content: secrets.kubeletConf, mode: 0o600 },
    ...secrets.daemons.map((conf) => ({ ...conf, mode: 0o600 })),
    { path: '/var/lib/kubelet/pki/kubelet.crt', content: secrets.kubeletCert },
    { path: '/var/lib/kubelet/pki/kubelet.key', content: secrets.kubeletKey, mode: 0o600 },
    ...service('containerd', [containerdPath(runtime), '--config', '/etc/containerd/config.toml']),
  ];
}

/**
 * The labels of a node by who sets them: the kubelet when it registers, or the administrator afterwards. The API accepts
 * labels that say what a node is for from no kubelet; kubeadm marks a control plane in the same way.
 */
export function labelsOf({
  role,
  labels,
}: PlacedNode): Record<'kubelet' | 'administrator', Record<string, string>> {
  const controlPlane = role === 'control-plane' ? { 'node-role.kubernetes.io/control-plane': '' } : {};
  const all = Object.entries({ ...labels, ...controlPlane });
  return {
    kubelet: Object.fromEntries(all.filter(([key]) => isNodeLabelOfKubelet(key))),
    administrator: Object.fromEntries(all.filter(([key]) => !isNodeLabelOfKubelet(key))),
  };
}

/** What only the control plane holds. */
export interface ControlPlaneSecrets {
  caKey: string;
  apiserverCert: string;
  apiserverKey: string;
  kubeletClientCert: string;
  kubeletClientKey: string;
  serviceAccountKey: string;
  serviceAccountPublicKey: string;
  tokens: string;
  etcdCa: string;
  etcdServerCert: string;
  etcdServerKey: string;
  etcdPeerCert: string;
  etcdPeerKey: string;
  etcdClientCert: string;
  etcdClientKey: string;
  adminConf: string;
  controllerManagerConf: string;
  schedulerConf: string;
}

/** Where a node has certificates and keys. */
export const PKI = '/etc/kubernetes/pki';

/** Files that the control plane has besides those of every node: credentials, and the service of etcd. */
export function controlPlaneFiles(node: PlacedNode, secrets: ControlPlaneSecrets): NodeFile[] {
  const secret = (path: string, content: string): NodeFile => ({ path, content, mode: 0o600 });
  return [
    secret(`${PKI}/ca.key`, secrets.caKey),
    { path: `${PKI}/apiserver.crt`, content: secrets.apiserverCert },
    secret(`${PKI}/apiserver.key`, secrets.apiserverKey),
    { path: `${PKI}/apiserver-kubelet-client.crt`, content: secrets.kubeletClientCert },
    secret(`${PKI}/apiserver-kubelet-client.key`, secrets.kubeletClientKey),
    secret(`${PKI}/sa.key`, secrets.serviceAccountKey),
    { path: `${PKI}/sa.pub`, content: secrets.serviceAccountPublicKey },
    secret(`${PKI}/tokens.csv`, secrets.tokens),
    { path: `${PKI}/etcd/ca.crt`, content: secrets.etcdCa },
    { path: `${PKI}/etcd/server.crt`, content: secrets.etcdServerCert },
    secret(`${PKI}/etcd/server.key`, secrets.etcdServerKey),
    { path: `${PKI}/etcd/peer.crt`, content: secrets.etcdPeerCert },
    secret(`${PKI}/etcd/peer.key`, secrets.etcdPeerKey),
    { path: `${PKI}/apiserver-etcd-client.crt`, content: secrets.etcdClientCert },
    secret(`${PKI}/apiserver-etcd-client.key`, secrets.etcdClientKey),
    secret('/etc/kubernetes/admin.conf', secrets.adminConf),
    secret('/etc/kubernetes/controller-manager.conf', secrets.controllerManagerConf),
    secret('/etc/kubernetes/scheduler.conf', secrets.schedulerConf),
    ...service('etcd', etcdArgv(node)),
  ];
}

function etcdArgv(node: PlacedNode): string[] {
  return [
    '/usr/bin/etcd',
    `--name=${node.name}`,
    '--data-dir=/var/lib/etcd',
    '--listen-client-urls=https://127.0.0.1:2379',
    '--advertise-client-urls=https://127.0.0.1:2379',
    '--listen-peer-urls=https://127.0.0.1:2380',
    '--initial-advertise-peer-urls=https://127.0.0.1:2380',
    `--initial-cluster=${node.name}=https://127.0.0.1:2380`,
    '--client-cert-auth=true',
    `--trusted-ca-file=${PKI}/etcd/ca.crt`,
    `--cert-file=${PKI}/etcd/server.crt`,
    `--key-file=${PKI}/etcd/server.key`,
    '--peer-client-cert-auth=true',
    `--peer-trusted-ca-file=${PKI}/etcd/ca.crt`,
    `--peer-cert-file=${PKI}/etcd/peer.crt`,
    `--peer-key-file=${PKI}/etcd/peer.key`,
    '--auto-compaction-mode=periodic',
    '--auto-compaction-retention=5m',
    '--log-level=warn',
    '--logger=zap',
    // A single member has nobody to wait for: it stands for election as soon as it may.
    '--heartbeat-interval=30',
    '--election-timeout=150',
  ];
}

/** A runit service: restarted whenever it ends, its output appended to `/var/log/NAME.log`. */
export function service(name: string, argv: readonly string[]): NodeFile[] {
  return [{ path: `/etc/sv/${name}/run`, content: runScript(argv, `/var/log/${name}.log`), mode: 0o755 }];
}

function hostsFile(nodes: readonly PlacedNode[]): string {
  const lines = ['127.0.0.1\tlocalhost', '::1\tlocalhost ip6-localhost ip6-loopback'];
  for (const node of nodes) {
    const alias = node.role === 'control-plane' ? ` ${CONTROL_PLANE_ALIAS}` : '';
    lines.push(`${node.address}\t${node.name}${alias}`);
  }
  return `${lines.join('\n')}\n`;
}

/** Address of the cluster's DNS service by convention: the tenth of the service subnet (kubeadm does the same). */
export function clusterDns(serviceSubnet: string): string {
  return nthAddress(serviceSubnet, 10);
}

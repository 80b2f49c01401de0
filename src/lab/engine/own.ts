import type { ClusterConfig } from '../cluster/config/types.ts';
import {
  API_PORT,
  clusterDns,
  labelsOf,
  type NodeFile,
  PKI,
  type PlacedNode,
  service,
} from '../cluster/node-files.ts';
import type { Engine, EngineNode } from './engine.ts';

/** The lab's own control plane and kubelets, which every node image has. */
export const ownEngine: Engine = {
  record: { kind: 'own' },
  users: [],
  mounts: [],
  machineSysctls: {},
  filesOf: ({ config, node }: EngineNode) => [
    ...service('kubelet', kubeletArgv(config, node)),
    ...(node.role === 'control-plane' ? controlPlane(config, node) : []),
  ],
  deadlines: { apiServerMs: 60_000, nodesMs: 60_000 },
};

function kubeletArgv(config: ClusterConfig, node: PlacedNode): string[] {
  const argv = [
    '/usr/local/bin/kubelet',
    '--kubeconfig=/etc/kubernetes/kubelet.conf',
    `--hostname-override=${node.name}`,
    `--node-ip=${node.address}`,
    '--container-runtime-endpoint=unix:///run/containerd/containerd.sock',
    '--pod-manifest-path=/etc/kubernetes/manifests',
    `--cluster-dns=${clusterDns(config.networking.serviceSubnet)}`,
    '--tls-cert-file=/var/lib/kubelet/pki/kubelet.crt',
    '--tls-private-key-file=/var/lib/kubelet/pki/kubelet.key',
    '--client-ca-file=/etc/kubernetes/pki/ca.crt',
  ];
  const labelText = Object.entries(labelsOf(node).kubelet)
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
  if (labelText !== '') argv.push(`--node-labels=${labelText}`);
  if (!node.schedulable) {
    argv.push('--register-with-taints=node-role.kubernetes.io/control-plane=:NoSchedule');
  }
  return argv;
}

function controlPlane({ networking }: ClusterConfig, { address }: PlacedNode): NodeFile[] {
  return [
    ...service('kube-apiserver', [
      '/usr/local/bin/kube-apiserver',
      '--bind-address=0.0.0.0',
      `--secure-port=${API_PORT}`,
      `--advertise-address=${address}`,
      '--etcd-servers=https://127.0.0.1:2379',
      `--etcd-cafile=${PKI}/etcd/ca.crt`,
      `--etcd-certfile=${PKI}/apiserver-etcd-client.crt`,
      `--etcd-keyfile=${PKI}/apiserver-etcd-client.key`,
      `--tls-cert-file=${PKI}/apiserver.crt`,
      `--tls-private-key-file=${PKI}/apiserver.key`,
      `--client-ca-file=${PKI}/ca.crt`,
      `--token-auth-file=${PKI}/tokens.csv`,
      `--service-account-key-file=${PKI}/sa.pub`,
      `--service-account-signing-key-file=${PKI}/sa.key`,
      '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
      `--service-cluster-ip-range=${networking.serviceSubnet}`,
      `--kubelet-client-certificate=${PKI}/apiserver-kubelet-client.crt`,
      `--kubelet-client-key=${PKI}/apiserver-kubelet-client.key`,
      `--kubelet-certificate-authority=${PKI}/ca.crt`,
    ]),
    ...service('kube-controller-manager', [
      '/usr/local/bin/kube-controller-manager',
      '--kubeconfig=/etc/kubernetes/controller-manager.conf',
      `--cluster-cidr=${networking.podSubnet}`,
      '--node-cidr-mask-size=24',
      `--root-ca-file=${PKI}/ca.crt`,
    ]),
    ...service('kube-scheduler', [
      '/usr/local/bin/kube-scheduler',
      '--kubeconfig=/etc/kubernetes/scheduler.conf',
    ]),
  ];
}

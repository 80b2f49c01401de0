import { totalmem } from 'node:os';
import type { JsonObject } from '../../../util/json.ts';
import { applyPatches } from '../../cluster/config/config-patch.ts';
import type { ConfigPatch } from '../../cluster/config/types.ts';
import { clusterDns, PKI } from '../../cluster/node-files.ts';
import type { EngineNode } from '../engine.ts';

/** Kubeconfig of kube-proxy on every node. */
export const KUBE_PROXY_CONF = '/etc/kubernetes/kube-proxy.conf';

/**
 * The KubeletConfiguration of a node, as JSON, which is YAML. A node is a container: it shares the machine's cgroups, which its runtime
 * does not use (`disable_cgroup`), and the machine's disk, of which no share is its own.
 * Source: kubelet.config.k8s.io/v1beta1 in Kubernetes' reference.
 */
export function kubeletConfiguration({ config, node, memoryBytes }: EngineNode): string {
  const configuration: JsonObject = {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: `${PKI}/ca.crt` },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: '/var/lib/kubelet/pki/kubelet.crt',
    tlsPrivateKeyFile: '/var/lib/kubelet/pki/kubelet.key',
    containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
    staticPodPath: '/etc/kubernetes/manifests',
    clusterDNS: [clusterDns(config.networking.serviceSubnet)],
    clusterDomain: 'cluster.local',
    registerWithTaints: node.schedulable
      ? []
      : [{ key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' }],
    cgroupDriver: 'cgroupfs',
    cgroupsPerQOS: false,
    enforceNodeAllocatable: [],
    failCgroupV1: false,
    failSwapOn: false,
    // Without it a kubelet ends when it cannot set what of the kernel is the whole machine's.
    featureGates: { KubeletInUserNamespace: true, ...config.kubernetes?.featureGates },
    // What the node may not take of the machine's memory, so that no pods are scheduled for it.
    systemReserved: { memory: String(Math.max(0, totalmem() - memoryBytes)) },
    evictionHard: {
      'memory.available': '0%',
      'nodefs.available': '0%',
      'nodefs.inodesFree': '0%',
      'imagefs.available': '0%',
    },
    imageGCHighThresholdPercent: 100,
  };
  return document(configuration, node.kubelet?.patches ?? []);
}

/**
 * The KubeProxyConfiguration of a node, as JSON. The table of tracked connections is the machine's to size, so all of its limits stay as they
 * are, as with kind. Source: kubeproxy.config.k8s.io/v1alpha1 in Kubernetes' reference.
 */
export function kubeProxyConfiguration({ config, node }: EngineNode): string {
  const configuration: JsonObject = {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    clientConnection: { kubeconfig: KUBE_PROXY_CONF },
    mode: config.kubernetes?.kubeProxyMode ?? 'iptables',
    hostnameOverride: node.name,
    clusterCIDR: [config.networking.podSubnet, config.networking.ipv6?.podSubnet].filter(Boolean).join(','),
    featureGates: { ...config.kubernetes?.featureGates },
    conntrack: {
      maxPerCore: 0,
      min: 0,
      tcpEstablishedTimeout: '0s',
      tcpCloseWaitTimeout: '0s',
      udpTimeout: '0s',
      udpStreamTimeout: '0s',
    },
  };
  return document(configuration, config.kubernetes?.kubeProxyPatches ?? []);
}

function document(configuration: JsonObject, patches: readonly ConfigPatch[]): string {
  return `${JSON.stringify(applyPatches(configuration, patches), null, 2)}\n`;
}

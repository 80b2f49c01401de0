import type { Json, JsonObject } from '../../../util/json.ts';

/** What a cluster is to be, after parsing, defaulting and validation. Everything in here is trusted. */
export interface ClusterConfig {
  name: string;
  /** In the order of the file. Exactly one is the control plane. */
  nodes: NodeConfig[];
  networking: NetworkingConfig;
  /** What only Kubernetes' own programs can do; absent when the cluster runs the lab's. */
  kubernetes?: KubernetesSettings;
}

/** Settings of Kubernetes' programs for a whole cluster. */
export interface KubernetesSettings {
  featureGates: Record<string, boolean>;
  /** Which versions of the API are served: `api/alpha: "true"`. */
  runtimeConfig: Record<string, string>;
  kubeProxyMode: KubeProxyMode;
  /** Flags of the control plane that are added to the lab's, or take their place. */
  extraArgs: Record<ControlPlaneProgram, ExtraArgs>;
  /** Patches of the KubeProxyConfiguration, in their order. */
  kubeProxyPatches: ConfigPatch[];
  /** Patches of containerd's configuration on every node, in their order. */
  containerdPatches: ConfigPatch[];
}

/** A change of a configuration. */
export type ConfigPatch = MergePatch | JsonPatch;

/** RFC 7386. */
interface MergePatch {
  merge: JsonObject;
}

/** RFC 6902, with its place in the file. */
export interface JsonPatch {
  operations: Json;
  at: string;
}

export type KubeProxyMode = 'iptables' | 'nftables' | 'none';
export type ControlPlaneProgram = 'kube-apiserver' | 'kube-controller-manager' | 'kube-scheduler';
/** Values of flags by their names, which are without dashes. */
export type ExtraArgs = Record<string, string>;

/** Settings of one node's kubelet. */
export interface KubeletSettings {
  extraArgs: ExtraArgs;
  /** Patches of the KubeletConfiguration, in their order. */
  patches: ConfigPatch[];
}

export interface NodeConfig {
  role: NodeRole;
  /** The node's name in the API and its hostname: `kind-control-plane`, `kind-worker`, `kind-worker2`… */
  name: string;
  labels: Record<string, string>;
  /**
   * Whether ordinary pods are scheduled here. True for workers, and for a control plane that has no worker beside it:
   * kind takes the taint away then, and so do we.
   */
  schedulable: boolean;
  /** Parents before what is mounted inside them, otherwise in the order of the file. */
  extraMounts: ExtraMount[];
  extraPortMappings: PortMapping[];
  /** Absent when the cluster runs the lab's own kubelets. */
  kubelet?: KubeletSettings;
}

export type NodeRole = 'control-plane' | 'worker';

export interface ExtraMount {
  /** Absolute. Links in it are followed when it is mounted. It existed when the configuration was read. */
  hostPath: string;
  /** Absolute, without `.`, `..`, doubled or trailing slashes, and through none of the node's links (`/var/run` is `/run`). */
  containerPath: string;
  readOnly: boolean;
  /** What hostPath was seen to be; anything that is not a directory (a socket, say) is mounted as a file is. */
  type: MountType;
  propagation: MountPropagation;
}

export type MountType = 'File' | 'Directory';
export type MountPropagation = 'None' | 'HostToContainer' | 'Bidirectional';

/** A TCP port of the node published on the machine's loopback. */
export interface PortMapping {
  containerPort: number;
  /** 0: any free port. */
  hostPort: number;
  /** In 127.0.0.0/8. */
  listenAddress: string;
  protocol: 'TCP';
}

export interface NetworkingConfig {
  /** With both families, nodes, pods and Services have addresses of both, IPv4 first. */
  ipFamily: 'ipv4' | 'dual';
  /** The subnets of IPv6, canonical, of a cluster with both families: room for one /64 a node, and /108 to /124. */
  ipv6?: { podSubnet: string; serviceSubnet: string };
  /** Canonical CIDR (host bits cleared), large enough for one /24 a node. */
  podSubnet: string;
  /** Canonical CIDR, /12 to /28. */
  serviceSubnet: string;
  /** In 127.0.0.0/8. */
  apiServerAddress: string;
  /** 0: any free port. */
  apiServerPort: number;
  disableDefaultCNI: boolean;
}

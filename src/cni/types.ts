/**
 * What a network configuration and a result are, in the shape of the newest version (1.1.0); `result.ts` converts
 * results from and to the older ones. https://www.cni.dev/docs/spec/
 */

export interface Dns {
  nameservers?: string[];
  domain?: string;
  search?: string[];
  options?: string[];
}

export interface Route {
  /** CIDR. */
  dst: string;
  gw?: string;
  /** The rest is 1.1.0's. */
  mtu?: number;
  advmss?: number;
  priority?: number;
  table?: number;
  scope?: number;
}

export interface Interface {
  name: string;
  mac?: string;
  /** 1.1.0. */
  mtu?: number;
  /** Path of the network namespace; absent or empty for an interface of the host. */
  sandbox?: string;
  /** 1.1.0. */
  socketPath?: string;
  /** 1.1.0. */
  pciID?: string;
}

export interface IpConfig {
  /** CIDR: address and prefix length. */
  address: string;
  gateway?: string;
  /** Index into {@link Result.interfaces}; of what other plugins wrote it may be one that is not there. */
  interface?: number;
}

/** What an attachment got. */
export interface Result {
  interfaces: Interface[];
  ips: IpConfig[];
  routes: Route[];
  dns: Dns;
}

/** One mapping of the `portMappings` capability. https://www.cni.dev/docs/conventions/ */
export interface PortMapping {
  hostPort: number;
  containerPort: number;
  protocol: 'tcp' | 'udp' | 'sctp';
  /** Absent or an unspecified address: every address of the host. */
  hostIP?: string;
}

/** An attachment that a GC leaves alone (`cni.dev/valid-attachments`). */
export interface ValidAttachment {
  containerID: string;
  ifname: string;
}

/** A decoded plugin configuration: JSON of unknown shape but for what every plugin has. */
export interface PluginConfig {
  cniVersion?: string;
  name: string;
  type?: string;
  [key: string]: unknown;
}

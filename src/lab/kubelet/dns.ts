import type { DnsConfig } from '../../cri/messages.ts';
import type { Pod } from '../../kube/types.ts';
import { isHostNetwork } from './names.ts';

export interface ClusterDns {
  /** `--cluster-dns` */
  servers: readonly string[];
  /** `--cluster-domain` */
  domain: string;
}

/** What a resolv.conf file says; `options` and other lines that are not understood are left out. */
export function parseResolvConf(text: string): Required<DnsConfig> {
  const result = { servers: [] as string[], searches: [] as string[], options: [] as string[] };
  for (const line of text.split('\n')) {
    const [keyword, ...rest] = line
      .replace(/[#;].*/, '')
      .trim()
      .split(/\s+/);
    if (keyword === 'nameserver' && rest[0] !== undefined) result.servers.push(rest[0]);
    // resolv.conf(5): the last search list wins.
    else if (keyword === 'search') result.searches = rest;
    else if (keyword === 'options') result.options.push(...rest);
  }
  return result;
}

/**
 * How a pod resolves names, by its dnsPolicy and dnsConfig. `node` is the node's own resolver configuration.
 * https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-s-dns-policy
 */
export function podDns(pod: Pod, cluster: ClusterDns, node: Required<DnsConfig>): Required<DnsConfig> {
  const policy = pod.spec?.dnsPolicy ?? 'ClusterFirst';
  const wantsCluster =
    policy === 'ClusterFirstWithHostNet' || (policy === 'ClusterFirst' && !isHostNetwork(pod));
  let { servers, searches, options } = node;
  if (policy === 'None') {
    servers = [];
    searches = [];
    options = [];
  } else if (wantsCluster && cluster.servers.length > 0) {
    const { domain } = cluster;
    servers = cluster.servers;
    searches = [`${pod.metadata!.namespace}.svc.${domain}`, `svc.${domain}`, domain, ...node.searches];
    options = ['ndots:5'];
  }
  const own = pod.spec?.dnsConfig;
  for (const { name, value } of own?.options ?? []) {
    options = options.filter((option) => option.split(':')[0] !== name);
    options = [...options, value === undefined || value === '' ? name! : `${name}:${value}`];
  }
  return {
    servers: unique([...servers, ...(own?.nameservers ?? [])]),
    searches: unique([...searches, ...(own?.searches ?? [])]),
    options,
  };
}

/** The file as kubelets have always written it: servers first. */
export function resolvConf({ servers, searches, options }: Required<DnsConfig>): string {
  const lines = servers.map((server) => `nameserver ${server}`);
  if (searches.length > 0) lines.push(`search ${searches.join(' ')}`);
  if (options.length > 0) lines.push(`options ${options.join(' ')}`);
  return lines.map((line) => `${line}\n`).join('');
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}

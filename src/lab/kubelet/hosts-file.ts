import type { Pod } from '../../kube/types.ts';

const HEADER = '# Kubernetes-managed hosts file.';
const HOST_NETWORK_HEADER = '# Kubernetes-managed hosts file (host network).';

/** `/etc/hosts` of a pod with a network of its own. */
export function podHostsFile(pod: Pod, podIps: readonly string[], hostname: string): string {
  const { subdomain } = pod.spec ?? {};
  const lines = [
    HEADER,
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    'fe00::0\tip6-localnet',
    'fe00::0\tip6-mcastprefix',
    'fe00::1\tip6-allnodes',
    'fe00::2\tip6-allrouters',
  ];
  for (const ip of podIps) {
    const domain =
      subdomain === undefined || subdomain === '' ? undefined : qualified(pod, hostname, subdomain);
    lines.push(domain === undefined ? `${ip}\t${hostname}` : `${ip}\t${domain}\t${hostname}`);
  }
  return `${lines.join('\n')}\n${aliases(pod)}`;
}

/** `/etc/hosts` of a pod on the node's network: the node's own file under the kubelet's header. */
export function nodeHostsFile(pod: Pod, nodeFile: string): string {
  return `${HOST_NETWORK_HEADER}\n${nodeFile}${aliases(pod)}`;
}

function qualified(pod: Pod, hostname: string, subdomain: string): string {
  return `${hostname}.${subdomain}.${pod.metadata!.namespace}.svc.cluster.local`;
}

function aliases(pod: Pod): string {
  const entries = pod.spec?.hostAliases ?? [];
  if (entries.length === 0) return '';
  const lines = entries.map(({ ip, hostnames = [] }) => [ip, ...hostnames].join('\t'));
  return `\n# Entries added by HostAliases.\n${lines.join('\n')}\n`;
}

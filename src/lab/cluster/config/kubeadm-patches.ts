import type { Field } from './document.ts';
import { type ChosenSubnet, readSubnet } from './subnets.ts';

export interface KubeadmSettings {
  podSubnet: ChosenSubnet | undefined;
  serviceSubnet: ChosenSubnet | undefined;
}

/** The documents that kind hands to kubeadm, and that a patch may therefore be for. Source: kind's configuration reference. */
const KINDS = [
  'ClusterConfiguration',
  'InitConfiguration',
  'JoinConfiguration',
  'KubeletConfiguration',
  'KubeProxyConfiguration',
];

/**
 * Reads `kubeadmConfigPatches`: merge patches of what kind would hand to kubeadm. There is no kubeadm here, so of these
 * documents only `networking.podSubnet` and `networking.serviceSubnet` of a ClusterConfiguration have a meaning; all else
 * is a warning that names it. Where two patches say something, the last one holds, as it would when applied in order.
 */
export function readKubeadmPatches(field: Field | undefined): KubeadmSettings {
  const settings: KubeadmSettings = { podSubnet: undefined, serviceSubnet: undefined };
  for (const patch of field?.list() ?? []) {
    const document = patch.embedded();
    if (document === undefined) continue;
    const fields = document.entries();
    const kind = fields.get('kind')?.string() ?? '';
    if (kind === '') {
      patch.error('has no kind: say which of the kubeadm objects it patches, as ClusterConfiguration');
      continue;
    }
    if (!KINDS.includes(kind)) {
      fields
        .get('kind')!
        .warn(`"${kind}" is not a kind that a patch can be for (${KINDS.join(', ')}): it has no effect`);
      continue;
    }
    for (const [name, value] of fields) {
      if (['apiVersion', 'kind', 'metadata'].includes(name)) continue;
      if (kind === 'ClusterConfiguration' && name === 'networking') readNetworking(value, settings);
      else value.warn(`not honoured here, there is no kubeadm: this part of the ${kind} has no effect`);
    }
  }
  return settings;
}

function readNetworking(networking: Field, settings: KubeadmSettings): void {
  for (const [name, value] of networking.entries()) {
    if (name === 'podSubnet') settings.podSubnet = readSubnet(value) ?? settings.podSubnet;
    else if (name === 'serviceSubnet') settings.serviceSubnet = readSubnet(value) ?? settings.serviceSubnet;
    else if (name !== 'dnsDomain' || value.string() !== 'cluster.local') {
      value.warn('not honoured here, there is no kubeadm: it has no effect');
    }
  }
}

import type { JsonObject } from '../../../util/json.ts';
import type { Field } from './document.ts';
import { type ChosenSubnet, readSubnet } from './subnets.ts';
import type { ControlPlaneProgram, ExtraArgs, KubeletSettings, NodeRole } from './types.ts';

export interface KubeadmSettings {
  podSubnet: ChosenSubnet | undefined;
  serviceSubnet: ChosenSubnet | undefined;
  extraArgs: Record<ControlPlaneProgram, ExtraArgs>;
  /** Flags of kubelets by the role of their node: kubeadm has a document for each. */
  kubeletExtraArgs: Record<NodeRole, ExtraArgs>;
  /** Merge patches of the configurations of kubelets and of kube-proxy, to be applied in their order. */
  kubeletPatches: JsonObject[];
  kubeProxyPatches: JsonObject[];
}

/** The documents that kind hands to kubeadm, and that a patch may therefore be for. Source: kind's configuration reference. */
const KINDS = [
  'ClusterConfiguration',
  'InitConfiguration',
  'JoinConfiguration',
  'KubeletConfiguration',
  'KubeProxyConfiguration',
] as const;
type Kind = (typeof KINDS)[number];

/** Where a ClusterConfiguration has the flags of a program. */
const PROGRAMS: Readonly<Record<string, ControlPlaneProgram>> = {
  apiServer: 'kube-apiserver',
  controllerManager: 'kube-controller-manager',
  scheduler: 'kube-scheduler',
};

/** What a list of patches is read for. */
export interface PatchScope {
  /** Whether the cluster runs Kubernetes' own programs: the lab's have none of these settings. */
  kubernetes: boolean;
  /** The node whose patches they are, and what the cluster's say; absent for those of the cluster. */
  node?: { role: NodeRole; cluster: KubeadmSettings };
}

/**
 * Reads `kubeadmConfigPatches`: merge patches of what kind would hand to kubeadm. There is no kubeadm here, so of these
 * documents only those parts have a meaning that the lab knows: subnets, and for Kubernetes' own programs their flags and the
 * configurations of kubelet and kube-proxy. All else is a warning that names it. Where two patches say something, the last one holds, as it
 * would when applied in order.
 */
export function readKubeadmPatches(field: Field | undefined, scope: PatchScope): KubeadmSettings {
  const settings: KubeadmSettings = {
    podSubnet: undefined,
    serviceSubnet: undefined,
    // There is one control plane: what its node's patches say holds for the cluster.
    extraArgs: scope.node?.cluster.extraArgs ?? {
      'kube-apiserver': {},
      'kube-controller-manager': {},
      'kube-scheduler': {},
    },
    kubeletExtraArgs: { 'control-plane': {}, worker: {} },
    kubeletPatches: [],
    kubeProxyPatches: [],
  };
  for (const patch of field?.list() ?? []) {
    const document = patch.embedded();
    if (document === undefined) continue;
    const fields = document.entries();
    const given = fields.get('kind')?.string() ?? '';
    if (given === '') {
      patch.error('has no kind: say which of the kubeadm objects it patches, as ClusterConfiguration');
      continue;
    }
    const kind = KINDS.find((known) => known === given);
    if (kind === undefined) {
      fields
        .get('kind')!
        .warn(`"${given}" is not a kind that a patch can be for (${KINDS.join(', ')}): it has no effect`);
      continue;
    }
    for (const [name, value] of fields) {
      if (['apiVersion', 'kind', 'metadata'].includes(name)) continue;
      readPart(kind, name, value, scope, settings);
    }
  }
  return settings;
}

/** Reads one field of a patched document into the settings, or warns that it has no effect. */
function readPart(
  kind: Kind,
  name: string,
  value: Field,
  { kubernetes, node }: PatchScope,
  settings: KubeadmSettings,
): void {
  const program = PROGRAMS[name];
  if (kind === 'ClusterConfiguration' && name === 'networking' && node === undefined) {
    readNetworking(value, settings);
  } else if (
    kubernetes &&
    kind === 'ClusterConfiguration' &&
    program !== undefined &&
    node?.role !== 'worker'
  ) {
    readNested(value, 'extraArgs', settings.extraArgs[program]);
  } else if (kubernetes && kind === 'InitConfiguration' && name === 'nodeRegistration') {
    readNested(value, 'kubeletExtraArgs', settings.kubeletExtraArgs['control-plane']);
  } else if (kubernetes && kind === 'JoinConfiguration' && name === 'nodeRegistration') {
    readNested(value, 'kubeletExtraArgs', settings.kubeletExtraArgs.worker);
  } else if (kubernetes && kind === 'KubeletConfiguration') {
    settings.kubeletPatches.push({ [name]: value.plain() });
  } else if (kubernetes && kind === 'KubeProxyConfiguration' && node === undefined) {
    settings.kubeProxyPatches.push({ [name]: value.plain() });
  } else {
    value.warn(`not honoured here, there is no kubeadm: this part of the ${kind} has no effect`);
  }
}

/** The settings of a node's kubelet: those of the cluster's patches, then those of the node's own. */
export function kubeletSettings(role: NodeRole, ...patches: readonly KubeadmSettings[]): KubeletSettings {
  return {
    extraArgs: Object.assign({}, ...patches.map(({ kubeletExtraArgs }) => kubeletExtraArgs[role])),
    patches: patches.flatMap(({ kubeletPatches }) => kubeletPatches),
  };
}

/** Reads the flags that are below `name`; whatever else is there has no effect. */
function readNested(outer: Field, name: string, into: ExtraArgs): void {
  for (const [key, value] of outer.entries()) {
    if (key === name) readExtraArgs(value, into);
    else value.warn('not honoured here, there is no kubeadm: it has no effect');
  }
}

/** Flags are a mapping up to kubeadm's v1beta3, and a list of names and values since v1beta4. */
function readExtraArgs(field: Field, into: ExtraArgs): void {
  const isList = Array.isArray(field.plain());
  const pairs: [name: string, of: Field, value: Field | undefined][] = isList
    ? field.list().map((entry) => {
        const fields = entry.fields(['name', 'value']);
        return [fields.get('name')?.string() ?? '', entry, fields.get('value')];
      })
    : [...field.entries()].map(([name, value]) => [name, value, value]);
  for (const [name, of, value] of pairs) {
    if (/^[a-z0-9][a-z0-9.-]*$/.test(name)) into[name] = value?.string() ?? '';
    else
      of.errorAtKey(
        `${JSON.stringify(name)} is not the name of a flag: want it without dashes, as feature-gates`,
      );
  }
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

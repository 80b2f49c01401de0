import { PatchError } from '../../../kube/patch/error.ts';
import { jsonPatch } from '../../../kube/patch/json-patch.ts';
import { formatSubnet } from '../../../util/cidr.ts';
import type { Json, JsonObject } from '../../../util/json.ts';
import { readJsonPatch } from './config-patch.ts';
import type { Field } from './document.ts';
import { type ChosenSubnet, readSubnet } from './subnets.ts';
import type { ConfigPatch, ControlPlaneProgram, ExtraArgs, KubeletSettings, NodeRole } from './types.ts';

export interface KubeadmSettings {
  podSubnet: ChosenSubnet | undefined;
  serviceSubnet: ChosenSubnet | undefined;
  extraArgs: Record<ControlPlaneProgram, ExtraArgs>;
  /** Flags of kubelets by the role of their node: kubeadm has a document for each. */
  kubeletExtraArgs: Record<NodeRole, ExtraArgs>;
  /** Patches of the configurations of kubelets and of kube-proxy, to be applied in their order. */
  kubeletPatches: ConfigPatch[];
  kubeProxyPatches: ConfigPatch[];
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

/** Their versions, as the current kind writes them: a patch for another one has no effect. Source: kind, kubeadm/config.go. */
const VERSIONS: Readonly<Record<Kind, string>> = {
  ClusterConfiguration: 'kubeadm.k8s.io/v1beta3',
  InitConfiguration: 'kubeadm.k8s.io/v1beta3',
  JoinConfiguration: 'kubeadm.k8s.io/v1beta3',
  KubeletConfiguration: 'kubelet.config.k8s.io/v1beta1',
  KubeProxyConfiguration: 'kubeproxy.config.k8s.io/v1alpha1',
};

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

/** The lists of patches of a cluster or a node. */
interface PatchFields {
  /** `kubeadmConfigPatches`. */
  merge?: Field;
  /** `kubeadmConfigPatchesJSON6902`. */
  json?: Field;
}

/**
 * Reads patches of what kind would hand to kubeadm: merge patches, and after them JSON patches. There is no kubeadm here, so of these
 * documents only those parts have a meaning that the lab knows: subnets, and for Kubernetes' own programs their flags and the
 * configurations of kubelet and kube-proxy. All else is a warning that names it. Where two patches say something, the last one holds, as it
 * would when applied in order.
 */
export function readKubeadmPatches({ merge, json }: PatchFields, scope: PatchScope): KubeadmSettings {
  const before = scope.node?.cluster;
  const settings: KubeadmSettings = {
    podSubnet: undefined,
    serviceSubnet: undefined,
    // There is one control plane: what its node's patches say holds for the cluster.
    extraArgs: before?.extraArgs ?? {
      'kube-apiserver': {},
      'kube-controller-manager': {},
      'kube-scheduler': {},
    },
    kubeletExtraArgs: {
      'control-plane': { ...before?.kubeletExtraArgs['control-plane'] },
      worker: { ...before?.kubeletExtraArgs.worker },
    },
    kubeletPatches: [...(before?.kubeletPatches ?? [])],
    kubeProxyPatches: [],
  };
  for (const patch of merge?.list() ?? []) {
    const document = patch.embedded();
    if (document === undefined) continue;
    const fields = document.entries();
    const kind = readKind(fields.get('kind'), patch);
    if (kind === undefined) continue;
    for (const [name, value] of fields) {
      if (['apiVersion', 'kind', 'metadata'].includes(name)) continue;
      readPart(kind, name, value, scope, settings);
    }
  }
  for (const patch of json?.list() ?? []) readJson(patch, scope, settings);
  return settings;
}

/** The kind that a patch is for; undefined when there is none that it could be for, which is reported. */
function readKind(field: Field | undefined, patch: Field): Kind | undefined {
  const given = field?.string() ?? '';
  const kind = KINDS.find((known) => known === given);
  if (given === '') {
    patch.error('has no kind: say which of the kubeadm objects it patches, as ClusterConfiguration');
  } else if (kind === undefined) {
    field!.warn(`"${given}" is not a kind that a patch can be for (${KINDS.join(', ')}): it has no effect`);
  }
  return kind;
}

/** Reads a JSON patch. One for a document of kubeadm is applied to what the settings say, and the result read in their place. */
function readJson(entry: Field, scope: PatchScope, settings: KubeadmSettings): void {
  const fields = entry.fields(['group', 'version', 'kind', 'patch', 'name', 'namespace']);
  const kind = readKind(fields.get('kind'), entry);
  const patch = readJsonPatch(fields.get('patch'));
  if (kind === undefined || patch === undefined) return;
  const apiVersion = [fields.get('group'), fields.get('version')]
    .flatMap((field) => field?.string() || [])
    .join('/');
  if (apiVersion !== '' && apiVersion !== VERSIONS[kind]) {
    entry.warn(`the ${kind} is of ${VERSIONS[kind]}, and not of ${apiVersion}: it has no effect`);
  } else if (!scope.kubernetes || (kind === 'KubeProxyConfiguration' && scope.node !== undefined)) {
    entry.warn(`not honoured here, there is no kubeadm: this part of the ${kind} has no effect`);
  } else if (kind === 'KubeletConfiguration') settings.kubeletPatches.push(patch);
  else if (kind === 'KubeProxyConfiguration') settings.kubeProxyPatches.push(patch);
  else rereadWith(patch.operations, kind, fields.get('patch')!, scope, settings);
}

function rereadWith(
  operations: Json,
  kind: Kind,
  field: Field,
  scope: PatchScope,
  settings: KubeadmSettings,
): void {
  let patched: unknown;
  try {
    patched = jsonPatch(documentOf(kind, scope, settings), operations);
  } catch (cause) {
    if (!(cause instanceof PatchError)) throw cause;
    field.error(`does not fit the part of the ${kind} that has a meaning here: ${cause.message}`);
    return;
  }
  // What it removed is not in the result.
  if (kind === 'ClusterConfiguration') {
    for (const program of Object.values(PROGRAMS)) emptied(settings.extraArgs[program]);
  } else emptied(settings.kubeletExtraArgs[kind === 'InitConfiguration' ? 'control-plane' : 'worker']);
  for (const [name, value] of field.derived(patched as JsonObject)?.entries() ?? []) {
    readPart(kind, name, value, scope, settings);
  }
}

function emptied(flags: ExtraArgs): void {
  for (const name of Object.keys(flags)) delete flags[name];
}

/** The part of a document of kubeadm that has a meaning here, as version v1beta3 has it. */
function documentOf(kind: Kind, { node }: PatchScope, settings: KubeadmSettings): JsonObject {
  const { extraArgs, kubeletExtraArgs, podSubnet, serviceSubnet } = settings;
  if (kind === 'InitConfiguration')
    return { nodeRegistration: { kubeletExtraArgs: { ...kubeletExtraArgs['control-plane'] } } };
  if (kind === 'JoinConfiguration')
    return { nodeRegistration: { kubeletExtraArgs: { ...kubeletExtraArgs.worker } } };
  const programs = Object.entries(PROGRAMS).map(([name, program]) => [
    name,
    { extraArgs: { ...extraArgs[program] } },
  ]);
  const networking = {
    ...(podSubnet && { podSubnet: formatSubnet(podSubnet.subnet) }),
    ...(serviceSubnet && { serviceSubnet: formatSubnet(serviceSubnet.subnet) }),
  };
  return { ...Object.fromEntries(programs), ...(node === undefined && { networking }) } as JsonObject;
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
    settings.kubeletPatches.push({ merge: { [name]: value.plain() } });
  } else if (kubernetes && kind === 'KubeProxyConfiguration' && node === undefined) {
    settings.kubeProxyPatches.push({ merge: { [name]: value.plain() } });
  } else {
    value.warn(`not honoured here, there is no kubeadm: this part of the ${kind} has no effect`);
  }
}

/** The settings of a node's kubelet. */
export function kubeletSettings(role: NodeRole, settings: KubeadmSettings): KubeletSettings {
  return { extraArgs: settings.kubeletExtraArgs[role], patches: settings.kubeletPatches };
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

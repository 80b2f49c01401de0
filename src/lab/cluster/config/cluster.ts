import { formatSubnet, parseCidr } from '../../../util/cidr.ts';
import { messageOf } from '../../../util/errors.ts';
import type { JsonObject } from '../../../util/json.ts';
import { readJsonPatch } from './config-patch.ts';
import type { Field } from './document.ts';
import { type KubeadmSettings, kubeletSettings, readKubeadmPatches } from './kubeadm-patches.ts';
import { readLabels } from './labels.ts';
import { type HostPaths, readMounts } from './mounts.ts';
import { clusterNameProblem, DEFAULT_CLUSTER_NAME, nodeNamer } from './names.ts';
import { readHostPort, readLoopbackAddress, readPortMappings, type TakenPorts, takePort } from './ports.ts';
import {
  checkPair,
  checkSubnets,
  DEFAULT_POD_SUBNET,
  DEFAULT_POD_SUBNET_6,
  DEFAULT_SERVICE_SUBNET,
  DEFAULT_SERVICE_SUBNET_6,
  defaultSubnet,
  formatNetwork,
  readPair,
  readSubnet,
} from './subnets.ts';
import type {
  ClusterConfig,
  ConfigPatch,
  KubernetesSettings,
  NetworkingConfig,
  NodeConfig,
  NodeRole,
} from './types.ts';

/** How each version spells the one field that v1alpha4 renamed. The fields v1alpha4 added are taken in both. */
const JSON_PATCHES: ReadonlyMap<string, string> = new Map([
  ['kind.sigs.k8s.io/v1alpha3', 'kubeadmConfigPatchesJson6902'],
  ['kind.sigs.k8s.io/v1alpha4', 'kubeadmConfigPatchesJSON6902'],
  // What kind itself has called v1alpha4 since its 0.9, and what its documentation shows.
  ['kind.x-k8s.io/v1alpha4', 'kubeadmConfigPatchesJSON6902'],
]);

/** A cluster without a configuration file: one control plane that also runs pods. `kubernetes`: on Kubernetes' own programs. */
export function defaultCluster(name: string | undefined, kubernetes = false): ClusterConfig {
  const cluster = name ?? DEFAULT_CLUSTER_NAME;
  return {
    name: cluster,
    nodes: [
      {
        role: 'control-plane',
        name: nodeNamer(cluster)('control-plane'),
        labels: {},
        schedulable: true,
        extraMounts: [],
        extraPortMappings: [],
        ...(kubernetes && { kubelet: { extraArgs: {}, patches: [] } }),
      },
    ],
    networking: {
      ipFamily: 'ipv4',
      podSubnet: DEFAULT_POD_SUBNET,
      serviceSubnet: DEFAULT_SERVICE_SUBNET,
      apiServerAddress: readLoopbackAddress(undefined),
      apiServerPort: 0,
      disableDefaultCNI: false,
    },
    ...(kubernetes && {
      kubernetes: readKubernetes(new Map(), new Map(), readKubeadmPatches({}, { kubernetes })),
    }),
  };
}

/**
 * Reads kind's `Cluster`. What is wrong is reported on the fields; the result has a meaning only when nothing was.
 * `name` is the command line's, which beats the file's. `kubernetes`: the cluster runs Kubernetes' own programs, which can do more.
 */
export async function readCluster(
  root: Field,
  name: string | undefined,
  kubernetes: boolean,
  host: HostPaths,
): Promise<ClusterConfig | undefined> {
  const jsonPatches = readVersion(root);
  // Of a document of another kind every field is unknown: one error says more than twenty.
  if (jsonPatches === undefined) return undefined;
  const known = ['kind', 'apiVersion', 'name', 'nodes', 'networking', 'kubeadmConfigPatches'];
  const ofKubernetes = [
    'featureGates',
    'runtimeConfig',
    jsonPatches,
    'containerdConfigPatches',
    'containerdConfigPatchesJSON6902',
  ];
  const fields = kubernetes ? root.fields([...known, ...ofKubernetes]) : root.fields(known, ofKubernetes);

  const named = fields.get('name');
  const fileName = named?.string() || undefined;
  const problem = fileName === undefined ? undefined : clusterNameProblem(fileName);
  if (problem !== undefined) named?.error(problem);
  const cluster = name ?? fileName ?? DEFAULT_CLUSTER_NAME;

  const taken: TakenPorts = new Map();
  const patched = readKubeadmPatches(patchFields(fields, jsonPatches, kubernetes), { kubernetes });
  const context = { cluster, kubernetes, jsonPatches, patched, taken, host };
  const nodes = await readNodes(fields.get('nodes'), context);
  const networking = fields
    .get('networking')
    ?.fields(
      [...NETWORKING, ...(kubernetes ? OF_KUBE_PROXY : [])],
      [...(kubernetes ? [] : OF_KUBE_PROXY), 'dnsSearch'],
    );
  return {
    name: cluster,
    nodes,
    networking: readNetworking(root, networking ?? new Map(), context, nodes.length),
    ...(kubernetes && { kubernetes: readKubernetes(fields, networking ?? new Map(), patched) }),
  };
}

const NETWORKING = [
  'ipFamily',
  'podSubnet',
  'serviceSubnet',
  'apiServerAddress',
  'apiServerPort',
  'disableDefaultCNI',
];
const OF_KUBE_PROXY = ['kubeProxyMode'];

/** The lists of kubeadm patches among the fields of a cluster or a node; JSON patches have an effect on Kubernetes' own programs only. */
function patchFields(fields: Map<string, Field>, jsonPatches: string, kubernetes: boolean) {
  const merge = fields.get('kubeadmConfigPatches');
  const json = kubernetes ? fields.get(jsonPatches) : undefined;
  return { ...(merge && { merge }), ...(json && { json }) };
}

/** A patch in the language of containerd's configuration; none when it is reported as wrong. */
function readToml(field: Field): ConfigPatch[] {
  const text = field.string();
  if (text === undefined) return [];
  try {
    return [{ merge: Bun.TOML.parse(text) as JsonObject }];
  } catch (cause) {
    field.error(`not valid TOML: ${messageOf(cause)}`);
    return [];
  }
}

/** What only Kubernetes' own programs can do, of the cluster's fields and those of its `networking`. */
function readKubernetes(
  fields: Map<string, Field>,
  networking: Map<string, Field>,
  { extraArgs, kubeProxyPatches }: KubeadmSettings,
): KubernetesSettings {
  const featureGates: Record<string, boolean> = {};
  for (const [name, field] of fields.get('featureGates')?.entries() ?? []) {
    const isOn = field.boolean();
    if (isOn === undefined && !field.isPresent) field.errorAtKey('has no value: want true or false');
    featureGates[name] = isOn ?? false;
  }
  const runtimeConfig: Record<string, string> = {};
  for (const [name, field] of fields.get('runtimeConfig')?.entries() ?? []) {
    runtimeConfig[name] = field.string() ?? '';
  }
  const mode = networking.get('kubeProxyMode');
  return {
    featureGates,
    runtimeConfig,
    kubeProxyMode: (mode?.isPresent && mode.oneOf(['iptables', 'nftables', 'none'])) || 'iptables',
    extraArgs,
    kubeProxyPatches,
    containerdPatches: [
      ...(fields.get('containerdConfigPatches')?.list().flatMap(readToml) ?? []),
      ...(fields.get('containerdConfigPatchesJSON6902')?.list() ?? []).flatMap(
        (field) => readJsonPatch(field) ?? [],
      ),
    ],
  };
}

/** Checks `kind` and `apiVersion`; returns how this version spells its JSON patches. */
function readVersion(root: Field): string | undefined {
  const fields = root.entries();
  const kind = fields.get('kind');
  if (kind?.string() !== 'Cluster') {
    (kind ?? root).error(`${kind?.describe() ?? 'no kind'}: want kind: Cluster`);
    return undefined;
  }
  const version = fields.get('apiVersion');
  const spelling = JSON_PATCHES.get(version?.string() ?? '');
  if (spelling === undefined) {
    const known = [...JSON_PATCHES.keys()].join(', ');
    (version ?? root).error(`${version?.describe() ?? 'no apiVersion'}: want apiVersion: ${known}`);
  }
  return spelling;
}

/** What the nodes of a configuration are read with. */
interface NodesContext {
  cluster: string;
  kubernetes: boolean;
  jsonPatches: string;
  patched: KubeadmSettings;
  taken: TakenPorts;
  host: HostPaths;
}

async function readNodes(field: Field | undefined, context: NodesContext): Promise<NodeConfig[]> {
  const { cluster, kubernetes, jsonPatches, patched, taken, host } = context;
  const entries = field?.list() ?? [];
  // kind's default; also for `nodes: []`. A value that is not a list has been reported.
  if (entries.length === 0) {
    const { nodes } = defaultCluster(cluster, kubernetes);
    if (kubernetes) nodes[0]!.kubelet = kubeletSettings('control-plane', patched);
    return nodes;
  }
  const nameOf = nodeNamer(cluster);
  const nodes: NodeConfig[] = [];
  let controlPlane: Field | undefined;
  let isRoleUnclear = false;
  for (const entry of entries) {
    const known = ['role', 'labels', 'extraMounts', 'extraPortMappings'];
    const ignored = ['image', 'gpus', 'containerLabels'];
    const patches = ['kubeadmConfigPatches', jsonPatches];
    const fields = kubernetes
      ? entry.fields([...known, ...patches], ignored)
      : entry.fields(known, [...ignored, ...patches]);
    const given = fields.get('role');
    // kind's default role is the control plane's. An invalid role has been reported and counts as neither.
    const role: NodeRole | undefined = given?.isPresent
      ? given.oneOf(['control-plane', 'worker'])
      : 'control-plane';
    isRoleUnclear ||= role === undefined;
    if (role === 'control-plane') {
      if (controlPlane !== undefined) {
        entry.error(
          `a second control plane, the first is on line ${controlPlane.line}: high availability is not supported, ` +
            'make it role: worker',
        );
      }
      controlPlane ??= entry;
    }
    const as = role ?? 'worker';
    const own = patchFields(fields, jsonPatches, kubernetes);
    nodes.push({
      role: as,
      name: nameOf(as),
      labels: readLabels(fields.get('labels')),
      schedulable: role === 'worker',
      extraMounts: await readMounts(fields.get('extraMounts'), host),
      extraPortMappings: readPortMappings(fields.get('extraPortMappings'), taken),
      ...(kubernetes && {
        kubelet: kubeletSettings(
          as,
          readKubeadmPatches(own, { kubernetes, node: { role: as, cluster: patched } }),
        ),
      }),
    });
  }
  if (controlPlane === undefined && !isRoleUnclear) {
    field?.error('has no control plane: add a node with role: control-plane');
  }
  if (nodes.every((node) => node.role === 'control-plane')) {
    for (const node of nodes) node.schedulable = true;
  }
  return nodes;
}

function readNetworking(
  root: Field,
  fields: Map<string, Field>,
  { patched, taken, kubernetes }: Pick<NodesContext, 'patched' | 'taken' | 'kubernetes'>,
  nodes: number,
): NetworkingConfig {
  const ipFamily = readIpFamily(fields.get('ipFamily'), kubernetes);
  const given = { pods: fields.get('podSubnet'), services: fields.get('serviceSubnet') };

  // A patch is applied to what kind made of `networking`, so it wins.
  const pairs = ipFamily === 'dual' ? { pods: readPair(given.pods), services: readPair(given.services) } : {};
  const own =
    ipFamily === 'dual'
      ? { pods: pairs.pods?.ipv4, services: pairs.services?.ipv4 }
      : { pods: readSubnet(given.pods), services: readSubnet(given.services) };
  const pods = patched.podSubnet ?? own.pods ?? defaultSubnet(DEFAULT_POD_SUBNET, root);
  const services = patched.serviceSubnet ?? own.services ?? defaultSubnet(DEFAULT_SERVICE_SUBNET, root);
  checkSubnets(pods, services, nodes);
  let ipv6: NetworkingConfig['ipv6'];
  if (ipFamily === 'dual') {
    const byDefault = (cidr: string) => ({ network: parseCidr(cidr)!, field: root });
    const podsOf6 = pairs.pods?.ipv6 ?? byDefault(DEFAULT_POD_SUBNET_6);
    const servicesOf6 = pairs.services?.ipv6 ?? byDefault(DEFAULT_SERVICE_SUBNET_6);
    checkPair(podsOf6, servicesOf6, nodes);
    ipv6 = { podSubnet: formatNetwork(podsOf6.network), serviceSubnet: formatNetwork(servicesOf6.network) };
  }

  const apiServerAddress = readLoopbackAddress(fields.get('apiServerAddress'));
  const apiServerPort = readHostPort(fields.get('apiServerPort'));
  takePort(fields.get('apiServerPort'), apiServerAddress, apiServerPort, taken);
  return {
    ipFamily,
    podSubnet: formatSubnet(pods.subnet),
    serviceSubnet: formatSubnet(services.subnet),
    ...(ipv6 && { ipv6 }),
    apiServerAddress,
    apiServerPort,
    disableDefaultCNI: fields.get('disableDefaultCNI')?.boolean() ?? false,
  };
}

function readIpFamily(field: Field | undefined, kubernetes: boolean): NetworkingConfig['ipFamily'] {
  const family = field?.string() || 'ipv4';
  if (family === 'dual') {
    if (!kubernetes) field?.error("dual needs Kubernetes' own programs: give --kubernetes, or want ipv4");
    return 'dual';
  }
  if (family === 'ipv6') {
    field?.error('ipv6 is not supported: want ipv4, or dual; nodes of the lab always have IPv4 addresses');
  } else if (family !== 'ipv4') {
    field?.error(`${JSON.stringify(family)} is not an IP family: want ipv4 or dual`);
  }
  return 'ipv4';
}

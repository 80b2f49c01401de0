/** How objects of a kind come to the API: kept in storage, only posted (reviews), or only as a subresource of others. */
export type KindRole = 'stored' | 'posted' | 'subresource';

/** A kind that the API serves, as discovery, URLs, decoding and printing need it. */
export interface KindInfo {
  /** API group; '' is the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** Kind of a list of these: `PodList`. */
  readonly listKind: string;
  /** Name in URLs. */
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  /** `all` is what `kubectl get all` shows. */
  readonly categories: readonly string[];
  readonly namespaced: boolean;
  /** Names of the subresources under an object: `status`, `log`, … See {@link SUBRESOURCES} for what each speaks. */
  readonly subresources: readonly string[];
  /** Verbs of the collection itself, sorted, as discovery shows them. Empty for a kind that is only a subresource. */
  readonly verbs: readonly string[];
  readonly role: KindRole;
  /** The schema definition of its objects: `core.v1.Pod`. */
  readonly definition: string;
  /** `group/version` under whose storage its objects live; differs from its own only for a second name of a kind. */
  readonly storageGroup: string;
  readonly storageVersion: string;
  /** True for a kind of a CustomResourceDefinition; such kinds are not among {@link KINDS}. */
  readonly custom?: boolean;
  /** Fields of a custom kind that objects can be selected by, with how to read each. */
  readonly selectable?: ReadonlyMap<string, (object: unknown) => string>;
}

/** What a subresource speaks: the kind of the bodies that are sent to it and its verbs. */
export interface SubresourceInfo {
  /** Plural of the parent, `pods`. */
  readonly parent: string;
  readonly name: string;
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly verbs: readonly string[];
}

/** Verbs of a kind whose objects are stored. */
export const STORED_VERBS = [
  'create',
  'delete',
  'deletecollection',
  'get',
  'list',
  'patch',
  'update',
  'watch',
];

/** Directory of a group in definition names: `rbac.authorization.k8s.io` is `rbac`, the core group `core`. */
function packageOf(group: string): string {
  return group === '' ? 'core' : group.slice(0, group.includes('.') ? group.indexOf('.') : undefined);
}

type Options = Partial<
  Pick<
    KindInfo,
    'shortNames' | 'categories' | 'namespaced' | 'subresources' | 'role' | 'verbs' | 'storageGroup'
  >
>;

function define(
  group: string,
  version: string,
  kind: string,
  plural: string,
  options: Options = {},
): KindInfo {
  const role = options.role ?? 'stored';
  const verbs = { stored: STORED_VERBS, posted: ['create'], subresource: [] }[role];
  return {
    group,
    version,
    kind,
    listKind: `${kind}List`,
    plural,
    singular: kind.toLowerCase(),
    shortNames: options.shortNames ?? [],
    categories: options.categories ?? [],
    namespaced: options.namespaced ?? true,
    subresources: options.subresources ?? [],
    verbs: options.verbs ?? verbs,
    role,
    definition: `${packageOf(group)}.${version}.${kind}`,
    storageGroup: options.storageGroup ?? group,
    storageVersion: options.storageGroup === undefined ? version : 'v1',
  };
}

const RBAC = 'rbac.authorization.k8s.io';
const AUTHORIZATION = 'authorization.k8s.io';
const AUTHENTICATION = 'authentication.k8s.io';
const CLUSTER = { namespaced: false };
const ALL = ['all'];

/** Every kind served, in the order discovery lists them. Names, short names and categories are Kubernetes' own. */
export const KINDS: readonly KindInfo[] = [
  define('', 'v1', 'Binding', 'bindings', { role: 'posted' }),
  define('', 'v1', 'ConfigMap', 'configmaps', { shortNames: ['cm'] }),
  define('', 'v1', 'Endpoints', 'endpoints', { shortNames: ['ep'] }),
  define('', 'v1', 'Event', 'events', { shortNames: ['ev'] }),
  define('', 'v1', 'Namespace', 'namespaces', {
    ...CLUSTER,
    shortNames: ['ns'],
    subresources: ['finalize', 'status'],
    verbs: STORED_VERBS.filter((verb) => verb !== 'deletecollection'),
  }),
  define('', 'v1', 'Node', 'nodes', { ...CLUSTER, shortNames: ['no'], subresources: ['proxy', 'status'] }),
  define('', 'v1', 'Pod', 'pods', {
    shortNames: ['po'],
    categories: ALL,
    subresources: ['attach', 'binding', 'eviction', 'exec', 'log', 'portforward', 'proxy', 'status'],
  }),
  define('', 'v1', 'ReplicationController', 'replicationcontrollers', {
    shortNames: ['rc'],
    categories: ALL,
    subresources: ['scale', 'status'],
  }),
  define('', 'v1', 'Secret', 'secrets'),
  define('', 'v1', 'ServiceAccount', 'serviceaccounts', { shortNames: ['sa'], subresources: ['token'] }),
  define('', 'v1', 'Service', 'services', {
    shortNames: ['svc'],
    categories: ALL,
    subresources: ['proxy', 'status'],
  }),
  define('apiextensions.k8s.io', 'v1', 'CustomResourceDefinition', 'customresourcedefinitions', {
    ...CLUSTER,
    shortNames: ['crd', 'crds'],
    categories: ['api-extensions'],
    subresources: ['status'],
  }),
  define('apps', 'v1', 'DaemonSet', 'daemonsets', {
    shortNames: ['ds'],
    categories: ALL,
    subresources: ['status'],
  }),
  define('apps', 'v1', 'Deployment', 'deployments', {
    shortNames: ['deploy'],
    categories: ALL,
    subresources: ['scale', 'status'],
  }),
  define('apps', 'v1', 'ReplicaSet', 'replicasets', {
    shortNames: ['rs'],
    categories: ALL,
    subresources: ['scale', 'status'],
  }),
  define(AUTHENTICATION, 'v1', 'SelfSubjectReview', 'selfsubjectreviews', { ...CLUSTER, role: 'posted' }),
  define(AUTHENTICATION, 'v1', 'TokenReview', 'tokenreviews', { ...CLUSTER, role: 'posted' }),
  define(AUTHENTICATION, 'v1', 'TokenRequest', 'tokenrequests', { role: 'subresource' }),
  define(AUTHORIZATION, 'v1', 'SelfSubjectAccessReview', 'selfsubjectaccessreviews', {
    ...CLUSTER,
    role: 'posted',
  }),
  define(AUTHORIZATION, 'v1', 'SelfSubjectRulesReview', 'selfsubjectrulesreviews', {
    ...CLUSTER,
    role: 'posted',
  }),
  define(AUTHORIZATION, 'v1', 'SubjectAccessReview', 'subjectaccessreviews', { ...CLUSTER, role: 'posted' }),
  define('autoscaling', 'v1', 'Scale', 'scales', { role: 'subresource' }),
  define('coordination.k8s.io', 'v1', 'Lease', 'leases'),
  define('discovery.k8s.io', 'v1', 'EndpointSlice', 'endpointslices'),
  define('extensions', 'v1beta1', 'Deployment', 'deployments', {
    shortNames: ['deploy'],
    subresources: ['scale', 'status'],
    storageGroup: 'apps',
  }),
  define('policy', 'v1', 'Eviction', 'evictions', { role: 'subresource' }),
  define(RBAC, 'v1', 'ClusterRole', 'clusterroles', CLUSTER),
  define(RBAC, 'v1', 'ClusterRoleBinding', 'clusterrolebindings', CLUSTER),
  define(RBAC, 'v1', 'Role', 'roles'),
  define(RBAC, 'v1', 'RoleBinding', 'rolebindings'),
];

const READ_WRITE = ['get', 'patch', 'update'];
const PROXIED = ['create', 'delete', 'get', 'patch', 'update'];

function sub(parent: string, name: string, type: string, verbs: readonly string[]): SubresourceInfo {
  const [group, version, kind] = type.split('/') as [string, string, string];
  return { parent, name, group, version, kind, verbs };
}

/** Every subresource of {@link KINDS} with what is sent to it; `status` speaks the parent's own kind. */
export const SUBRESOURCES: readonly SubresourceInfo[] = [
  sub('namespaces', 'finalize', '/v1/Namespace', ['update']),
  sub('namespaces', 'status', '/v1/Namespace', READ_WRITE),
  sub('nodes', 'proxy', '/v1/NodeProxyOptions', PROXIED),
  sub('nodes', 'status', '/v1/Node', READ_WRITE),
  sub('pods', 'attach', '/v1/PodAttachOptions', ['create', 'get']),
  sub('pods', 'binding', '/v1/Binding', ['create']),
  sub('pods', 'eviction', 'policy/v1/Eviction', ['create']),
  sub('pods', 'exec', '/v1/PodExecOptions', ['create', 'get']),
  sub('pods', 'log', '/v1/Pod', ['get']),
  sub('pods', 'portforward', '/v1/PodPortForwardOptions', ['create', 'get']),
  sub('pods', 'proxy', '/v1/PodProxyOptions', PROXIED),
  sub('pods', 'status', '/v1/Pod', READ_WRITE),
  sub('replicationcontrollers', 'scale', 'autoscaling/v1/Scale', READ_WRITE),
  sub('replicationcontrollers', 'status', '/v1/ReplicationController', READ_WRITE),
  sub('serviceaccounts', 'token', 'authentication.k8s.io/v1/TokenRequest', ['create']),
  sub('services', 'proxy', '/v1/ServiceProxyOptions', PROXIED),
  sub('services', 'status', '/v1/Service', READ_WRITE),
  sub('customresourcedefinitions', 'status', 'apiextensions.k8s.io/v1/CustomResourceDefinition', READ_WRITE),
  sub('daemonsets', 'status', 'apps/v1/DaemonSet', READ_WRITE),
  sub('deployments', 'scale', 'autoscaling/v1/Scale', READ_WRITE),
  sub('deployments', 'status', 'apps/v1/Deployment', READ_WRITE),
  sub('replicasets', 'scale', 'autoscaling/v1/Scale', READ_WRITE),
  sub('replicasets', 'status', 'apps/v1/ReplicaSet', READ_WRITE),
];

/**
 * The kind as Kubernetes' own rules know it: '' for a custom kind, which may have the name of one of Kubernetes' kinds but none
 * of its rules.
 */
export function ownKind(info: KindInfo): string {
  return info.custom ? '' : info.kind;
}

/** `v1` or `group/version`. */
export function groupVersionOf(info: Pick<KindInfo, 'group' | 'version'>): string {
  return info.group === '' ? info.version : `${info.group}/${info.version}`;
}

/** The kind behind a URL's collection; undefined when no kind has it (kinds that are only subresources have no collection). */
export function kindByPlural(group: string, version: string, plural: string): KindInfo | undefined {
  return KINDS.find(
    (info) =>
      info.role !== 'subresource' &&
      info.group === group &&
      info.version === version &&
      info.plural === plural,
  );
}

/** The kind an object's `apiVersion` and `kind` name; undefined when it is not served. */
export function kindByName(apiVersion: string, kind: string): KindInfo | undefined {
  return KINDS.find((info) => info.kind === kind && groupVersionOf(info) === apiVersion);
}

/** What a subresource of `parent` speaks; undefined when it has none of that name. */
export function subresourceOf(parent: KindInfo, name: string): SubresourceInfo | undefined {
  if (parent.custom) return customSubresource(parent, name);
  const found = parent.subresources.includes(name)
    ? SUBRESOURCES.find((item) => item.parent === parent.plural && item.name === name)
    : undefined;
  if (found === undefined) return undefined;
  // A second name of a kind (extensions/v1beta1) speaks itself in its status.
  return found.kind === parent.kind ? { ...found, group: parent.group, version: parent.version } : found;
}

/** Custom kinds have at most a status, which speaks the kind itself, and a scale. */
function customSubresource(parent: KindInfo, name: string): SubresourceInfo | undefined {
  if (!parent.subresources.includes(name)) return undefined;
  const { plural, group, version, kind } = parent;
  return name === 'scale'
    ? sub(plural, name, 'autoscaling/v1/Scale', READ_WRITE)
    : { parent: plural, name, group, version, kind, verbs: READ_WRITE };
}

import type {
  ClusterRole,
  ClusterRoleBinding,
  ConfigMap,
  CustomResourceDefinition,
  DaemonSet,
  Deployment,
  EndpointSlice,
  Endpoints,
  Event,
  KubeObject,
  Lease,
  Namespace,
  Node,
  Pod,
  ReplicaSet,
  ReplicationController,
  Role,
  RoleBinding,
  Secret,
  Service,
  ServiceAccount,
} from './types.ts';

/** How a kind is addressed: enough to make its URLs. `T` is the type of its objects. */
export interface Resource<T extends KubeObject> {
  /** API group; '' is the core group. */
  readonly group: string;
  readonly version: string;
  /** Plural name in URLs. */
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /** Never set: carries `T`. */
  readonly _type?: T;
}

function define<T extends KubeObject>(
  group: string,
  version: string,
  plural: string,
  kind: string,
  namespaced = true,
): Resource<T> {
  return { group, version, plural, kind, namespaced };
}

export const pods = define<Pod>('', 'v1', 'pods', 'Pod');
export const nodes = define<Node>('', 'v1', 'nodes', 'Node', false);
export const namespaces = define<Namespace>('', 'v1', 'namespaces', 'Namespace', false);
export const events = define<Event>('', 'v1', 'events', 'Event');
export const configMaps = define<ConfigMap>('', 'v1', 'configmaps', 'ConfigMap');
export const secrets = define<Secret>('', 'v1', 'secrets', 'Secret');
export const serviceAccounts = define<ServiceAccount>('', 'v1', 'serviceaccounts', 'ServiceAccount');
export const replicationControllers = define<ReplicationController>(
  '',
  'v1',
  'replicationcontrollers',
  'ReplicationController',
);
export const services = define<Service>('', 'v1', 'services', 'Service');
export const endpoints = define<Endpoints>('', 'v1', 'endpoints', 'Endpoints');
export const endpointSlices = define<EndpointSlice>(
  'discovery.k8s.io',
  'v1',
  'endpointslices',
  'EndpointSlice',
);
export const leases = define<Lease>('coordination.k8s.io', 'v1', 'leases', 'Lease');
export const deployments = define<Deployment>('apps', 'v1', 'deployments', 'Deployment');
export const replicaSets = define<ReplicaSet>('apps', 'v1', 'replicasets', 'ReplicaSet');
export const daemonSets = define<DaemonSet>('apps', 'v1', 'daemonsets', 'DaemonSet');
const RBAC = 'rbac.authorization.k8s.io';
export const roles = define<Role>(RBAC, 'v1', 'roles', 'Role');
export const roleBindings = define<RoleBinding>(RBAC, 'v1', 'rolebindings', 'RoleBinding');
export const clusterRoles = define<ClusterRole>(RBAC, 'v1', 'clusterroles', 'ClusterRole', false);
export const clusterRoleBindings = define<ClusterRoleBinding>(
  RBAC,
  'v1',
  'clusterrolebindings',
  'ClusterRoleBinding',
  false,
);

export const customResourceDefinitions = define<CustomResourceDefinition>(
  'apiextensions.k8s.io',
  'v1',
  'customresourcedefinitions',
  'CustomResourceDefinition',
  false,
);

/** `v1` or `group/version`. */
export function apiVersionOf(resource: Resource<KubeObject>): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
}

/** The URL path of a collection or, with a name, of one object. Name and namespace are escaped. */
export function pathOf(resource: Resource<KubeObject>, namespace?: string, name?: string): string {
  const root = resource.group === '' ? '/api/v1' : `/apis/${resource.group}/${resource.version}`;
  const scope =
    resource.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  const item = name === undefined ? '' : `/${encodeURIComponent(name)}`;
  return `${root}${scope}/${resource.plural}${item}`;
}

/** `namespace/name`, or `name` for a cluster-scoped object: the key of informer stores and work queues. */
export function keyOf(object: KubeObject): string {
  const { namespace, name } = object.metadata ?? {};
  return namespace === undefined ? (name ?? '') : `${namespace}/${name}`;
}

import type { ClusterRole, ClusterRoleBinding, PolicyRule, Subject } from '../../kube/types.ts';
import { AUTHENTICATED, SYSTEM_MASTERS, UNAUTHENTICATED } from './identity.ts';

const METADATA = {
  labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults' },
  annotations: { 'rbac.authorization.kubernetes.io/autoupdate': 'true' },
};
const READ = ['get', 'list', 'watch'];
const WRITE = ['create', 'delete', 'deletecollection', 'patch', 'update'];
const ALL = ['*'];

function on(apiGroups: string[], resources: string[], verbs: string[], resourceNames?: string[]): PolicyRule {
  return { apiGroups, resources, verbs, ...(resourceNames === undefined ? {} : { resourceNames }) };
}

function role(name: string, ...rules: PolicyRule[]): ClusterRole {
  return { metadata: { name, ...METADATA }, rules };
}

function binding(name: string, roleName: string, ...subjects: Subject[]): ClusterRoleBinding {
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: roleName };
  return { metadata: { name, ...METADATA }, roleRef, subjects };
}

const group = (name: string): Subject => ({ kind: 'Group', apiGroup: 'rbac.authorization.k8s.io', name });
const user = (name: string): Subject => ({ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name });

const NAMESPACED_CORE = [
  'configmaps',
  'endpoints',
  'pods',
  'pods/attach',
  'pods/exec',
  'pods/portforward',
  'pods/eviction',
  'pods/proxy',
  'replicationcontrollers',
  'replicationcontrollers/scale',
  'services',
  'services/proxy',
  'serviceaccounts',
];
const WORKLOADS = ['daemonsets', 'deployments', 'deployments/scale', 'replicasets', 'replicasets/scale'];
const VIEWABLE = [
  'configmaps',
  'endpoints',
  'events',
  'namespaces',
  'pods',
  'pods/log',
  'pods/status',
  'replicationcontrollers',
  'replicationcontrollers/scale',
  'replicationcontrollers/status',
  'serviceaccounts',
  'services',
  'services/status',
];
const WORKLOAD_STATUS = ['daemonsets/status', 'deployments/status', 'replicasets/status'];

const VIEW = [
  on([''], VIEWABLE, READ),
  on(['apps', 'extensions'], [...WORKLOADS, ...WORKLOAD_STATUS], READ),
  on(['discovery.k8s.io'], ['endpointslices'], READ),
  // Not served here; who reads them hears that, not that they are forbidden.
  on(['networking.k8s.io'], ['networkpolicies'], READ),
];
const EDIT = [
  ...VIEW,
  on([''], ['secrets'], READ),
  on([''], [...NAMESPACED_CORE, 'secrets'], WRITE),
  on([''], ['serviceaccounts/token'], ['create']),
  on(['apps', 'extensions'], WORKLOADS, WRITE),
  on(['discovery.k8s.io'], ['endpointslices'], WRITE),
  on(['coordination.k8s.io'], ['leases'], [...READ, ...WRITE]),
];

const LEADER_ELECTION = (name: string) => [
  on(['coordination.k8s.io'], ['leases'], ['create']),
  on(['coordination.k8s.io'], ['leases'], ['get', 'update'], [name]),
];

/**
 * Roles that Kubernetes makes at every start, as far as something in a cluster here uses them: those for people, those every
 * user has, and those of the scheduler and the controllers. The controllers share one identity and so one role, which
 * covers what all of them do.
 */
export const BOOTSTRAP_ROLES: readonly ClusterRole[] = [
  role('cluster-admin', on(ALL, ALL, ALL), { nonResourceURLs: ALL, verbs: ALL }),
  role('admin', ...EDIT, on(['rbac.authorization.k8s.io'], ['roles', 'rolebindings'], [...READ, ...WRITE])),
  role('edit', ...EDIT),
  role('view', ...VIEW),
  role('system:discovery', {
    nonResourceURLs: [
      '/api',
      '/api/*',
      '/apis',
      '/apis/*',
      '/healthz',
      '/livez',
      '/openapi',
      '/openapi/*',
      '/readyz',
      '/version',
      '/version/',
    ],
    verbs: ['get'],
  }),
  role('system:public-info-viewer', {
    nonResourceURLs: ['/healthz', '/livez', '/readyz', '/version', '/version/'],
    verbs: ['get'],
  }),
  role('system:monitoring', {
    nonResourceURLs: [
      '/healthz',
      '/healthz/*',
      '/livez',
      '/livez/*',
      '/metrics',
      '/metrics/slis',
      '/readyz',
      '/readyz/*',
    ],
    verbs: ['get'],
  }),
  role('system:service-account-issuer-discovery', {
    nonResourceURLs: ['/.well-known/openid-configuration', '/openid/v1/jwks'],
    verbs: ['get'],
  }),
  role(
    'system:basic-user',
    on(['authorization.k8s.io'], ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'], ['create']),
    on(['authentication.k8s.io'], ['selfsubjectreviews'], ['create']),
  ),
  role(
    'system:kube-scheduler',
    on([''], ['events'], ['create', 'patch', 'update']),
    on([''], ['nodes', 'namespaces', 'replicationcontrollers', 'services'], READ),
    on([''], ['pods'], [...READ, 'delete']),
    on([''], ['bindings', 'pods/binding'], ['create']),
    on([''], ['pods/status'], ['patch', 'update']),
    on(['apps'], ['replicasets'], READ),
    ...LEADER_ELECTION('kube-scheduler'),
  ),
  role(
    'system:kube-controller-manager',
    on(ALL, ALL, READ),
    on([''], ['events'], ['create', 'patch', 'update']),
    on([''], ['pods', 'endpoints', 'serviceaccounts', 'configmaps', 'secrets'], WRITE),
    on([''], ['namespaces', 'nodes'], ['delete', 'patch', 'update']),
    on(
      [''],
      ['namespaces/finalize', 'namespaces/status', 'nodes/status', 'pods/status'],
      ['patch', 'update'],
    ),
    on([''], ['replicationcontrollers', 'replicationcontrollers/status'], WRITE),
    on(['apps'], ['daemonsets', 'deployments', 'replicasets', ...WORKLOAD_STATUS], WRITE),
    on(['discovery.k8s.io'], ['endpointslices'], WRITE),
    // The namespace controller empties a namespace, the garbage collector follows owners: whatever is in there.
    on(ALL, ALL, ['delete', 'deletecollection', 'patch', 'update']),
    on(['coordination.k8s.io'], ['leases'], [...READ, ...WRITE]),
  ),
];

export const BOOTSTRAP_BINDINGS: readonly ClusterRoleBinding[] = [
  binding('cluster-admin', 'cluster-admin', group(SYSTEM_MASTERS)),
  binding('system:discovery', 'system:discovery', group(AUTHENTICATED)),
  binding(
    'system:public-info-viewer',
    'system:public-info-viewer',
    group(AUTHENTICATED),
    group(UNAUTHENTICATED),
  ),
  binding('system:monitoring', 'system:monitoring', group('system:monitoring')),
  binding('system:basic-user', 'system:basic-user', group(AUTHENTICATED)),
  binding(
    'system:service-account-issuer-discovery',
    'system:service-account-issuer-discovery',
    group('system:serviceaccounts'),
  ),
  binding('system:kube-scheduler', 'system:kube-scheduler', user('system:kube-scheduler')),
  binding(
    'system:kube-controller-manager',
    'system:kube-controller-manager',
    user('system:kube-controller-manager'),
  ),
];

import type { Resource } from '../../kube/resources.ts';
import * as resources from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';

/**
 * The kinds that controllers for all kinds look at. Events are left out: they own nothing, are owned by nothing, and are
 * the most numerous by far.
 */
export const SERVED: readonly Resource<KubeObject>[] = [
  resources.pods,
  resources.nodes,
  resources.namespaces,
  resources.configMaps,
  resources.secrets,
  resources.serviceAccounts,
  resources.services,
  resources.endpoints,
  resources.endpointSlices,
  resources.leases,
  resources.deployments,
  resources.replicaSets,
  resources.replicationControllers,
  resources.daemonSets,
  resources.roles,
  resources.roleBindings,
  resources.clusterRoles,
  resources.clusterRoleBindings,
];

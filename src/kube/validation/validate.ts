import type { KindInfo } from '../schema/kinds.ts';
import type { KubeObject } from '../types.ts';
import {
  endpointSliceUpdateErrors,
  immutableDataErrors,
  nodeUpdateErrors,
  secretUpdateErrors,
  validateConfigMap,
  validateEndpointSlice,
  validateEndpoints,
  validateEvent,
  validateLease,
  validateNamespace,
  validateNode,
  validateSecret,
  validateServiceAccount,
} from './core.ts';
import type { FieldError } from './field-error.ts';
import { validateMetadata, validateMetadataUpdate } from './metadata.ts';
import { validatePod, validatePodUpdate } from './pod.ts';
import { roleBindingUpdateErrors, validateRole, validateRoleBinding } from './rbac.ts';
import { serviceUpdateErrors, validateService } from './service.ts';
import {
  selectorUpdateErrors,
  validateDaemonSet,
  validateDeployment,
  validateReplicaSet,
} from './workload.ts';

interface Rules {
  /** What must hold for the object alone. */
  readonly object: (object: never, info: KindInfo) => FieldError[];
  /** What must hold between an object and what it was. */
  readonly change?: (object: never, old: never) => FieldError[];
}

const none = (): FieldError[] => [];

/** Kind -> its rules beside those of metadata. Every stored kind has an entry (a test checks that). */
export const RULES: Readonly<Record<string, Rules>> = {
  ClusterRole: { object: (role: never) => validateRole(role, false) },
  ClusterRoleBinding: {
    object: (binding: never) => validateRoleBinding(binding, false),
    change: roleBindingUpdateErrors,
  },
  ConfigMap: { object: validateConfigMap, change: immutableDataErrors },
  DaemonSet: { object: validateDaemonSet, change: selectorUpdateErrors },
  Deployment: { object: validateDeployment, change: selectorUpdateErrors },
  EndpointSlice: { object: validateEndpointSlice, change: endpointSliceUpdateErrors },
  Endpoints: { object: validateEndpoints },
  Event: { object: validateEvent },
  Lease: { object: validateLease },
  Namespace: { object: validateNamespace },
  Node: { object: validateNode, change: nodeUpdateErrors },
  Pod: { object: validatePod, change: validatePodUpdate },
  ReplicaSet: { object: validateReplicaSet, change: selectorUpdateErrors },
  Role: { object: (role: never) => validateRole(role, true) },
  RoleBinding: {
    object: (binding: never) => validateRoleBinding(binding, true),
    change: roleBindingUpdateErrors,
  },
  Secret: { object: validateSecret, change: secretUpdateErrors },
  Service: { object: validateService, change: serviceUpdateErrors },
  ServiceAccount: { object: validateServiceAccount },
};

/**
 * What is wrong with a new object, in Kubernetes' words; nothing when it is good. Expects defaults to be applied, types to be
 * right (`typeErrors`), and the name to be set (after generateName).
 */
export function validateCreate(info: KindInfo, object: KubeObject): FieldError[] {
  const rules = RULES[info.kind];
  return [...validateMetadata(info, object.metadata), ...(rules?.object ?? none)(object as never, info)];
}

/**
 * What is wrong with changing `old` into `object`: the rules for what may change, and those for the object alone. A status
 * update passes, because it changes nothing else.
 */
export function validateUpdate(info: KindInfo, object: KubeObject, old: KubeObject): FieldError[] {
  const rules = RULES[info.kind];
  return [
    ...validateMetadataUpdate(object.metadata ?? {}, old.metadata ?? {}),
    ...validateMetadata(info, object.metadata),
    ...(rules?.change ?? none)(object as never, old as never),
    ...(rules?.object ?? none)(object as never, info),
  ];
}

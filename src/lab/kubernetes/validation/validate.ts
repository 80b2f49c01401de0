import type { KindInfo } from '../../../kube/kinds.ts';
import type { KubeObject } from '../../../kube/types.ts';
import { isCustom } from '../custom/custom-kind.ts';
import { definitionUpdateErrors, validateDefinition } from '../custom/validate-definition.ts';
import { customErrors } from '../custom/validate-resource.ts';
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
  validateReplicationController,
} from './workload.ts';

interface Rules {
  /** What must hold for the object alone. */
  readonly object: (object: never, info: KindInfo) => FieldError[];
  /** What must hold between an object and what it was. */
  readonly change?: (object: never, old: never) => FieldError[];
  /** As `change`, of which Kubernetes speaks after what is wrong with the object. */
  readonly changeLast?: (object: never, old: never) => FieldError[];
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
  CustomResourceDefinition: { object: validateDefinition, change: definitionUpdateErrors },
  DaemonSet: { object: validateDaemonSet, changeLast: selectorUpdateErrors },
  Deployment: { object: validateDeployment, changeLast: selectorUpdateErrors },
  EndpointSlice: { object: validateEndpointSlice, change: endpointSliceUpdateErrors },
  Endpoints: { object: validateEndpoints },
  Event: { object: validateEvent },
  Lease: { object: validateLease },
  Namespace: { object: validateNamespace },
  Node: { object: validateNode, change: nodeUpdateErrors },
  Pod: { object: validatePod, change: validatePodUpdate },
  ReplicaSet: { object: validateReplicaSet, changeLast: selectorUpdateErrors },
  ReplicationController: { object: validateReplicationController },
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
  const errors = validateMetadata(info, object.metadata);
  if (isCustom(info)) return [...errors, ...customErrors(info, object)];
  return [...errors, ...(RULES[info.kind]?.object ?? none)(object as never, info)];
}

/**
 * What is wrong with changing `old` into `object`: the rules for what may change, and those for the object alone.
 * `subresource` is what the change is made through, '' for the object itself: by `status` only metadata is looked at,
 * since nothing else but the status can be changed, and by `binding` a pod may be given its node.
 */
export function validateUpdate(
  info: KindInfo,
  object: KubeObject,
  old: KubeObject,
  subresource = '',
): FieldError[] {
  const rules = RULES[info.kind];
  const errors = [
    ...validateMetadataUpdate(object.metadata ?? {}, old.metadata ?? {}),
    ...validateMetadata(info, object.metadata),
  ];
  if (isCustom(info)) return [...errors, ...customErrors(info, object, old)];
  if (subresource === 'status') return errors;
  if (subresource !== 'binding') errors.push(...(rules?.change ?? none)(object as never, old as never));
  errors.push(...(rules?.object ?? none)(object as never, info));
  if (subresource !== 'binding') errors.push(...(rules?.changeLast ?? none)(object as never, old as never));
  return errors;
}

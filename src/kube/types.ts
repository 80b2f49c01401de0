/**
 * Kubernetes API types as they are on the wire (times and quantities are strings), from the generated
 * `kubernetes-types` package. Only types: nothing of it is in the program.
 */
export type { CustomResourceDefinition } from 'kubernetes-types/apiextensions/v1';
export type * from 'kubernetes-types/apps/v1';
export type { Lease } from 'kubernetes-types/coordination/v1';
export type {
  ConfigMap,
  Container,
  ContainerPort,
  ContainerState,
  ContainerStatus,
  Endpoints,
  EnvVar,
  Event,
  LifecycleHandler,
  Namespace,
  Node,
  NodeAddress,
  NodeCondition,
  ObjectReference,
  Pod,
  PodCondition,
  PodSpec,
  PodStatus,
  PodTemplateSpec,
  Probe,
  ReplicationController,
  Secret,
  Service,
  ServiceAccount,
  ServicePort,
  Taint,
  Toleration,
  Volume,
} from 'kubernetes-types/core/v1';
export type { EndpointSlice } from 'kubernetes-types/discovery/v1';
export type { LabelSelector, ObjectMeta, OwnerReference, Status } from 'kubernetes-types/meta/v1';
export type {
  ClusterRole,
  ClusterRoleBinding,
  PolicyRule,
  Role,
  RoleBinding,
  Subject,
} from 'kubernetes-types/rbac/v1';

import type { ObjectMeta } from 'kubernetes-types/meta/v1';

// What the API has got since those types were published, as far as something here uses it.
declare module 'kubernetes-types/core/v1' {
  interface PodStatus {
    /** The `metadata.generation` of the pod that this status is about. */
    observedGeneration?: number;
  }
  interface PodCondition {
    observedGeneration?: number;
  }
}

/** Any API object: what every kind has. */
export interface KubeObject {
  apiVersion?: string;
  kind?: string;
  metadata?: ObjectMeta;
}

/** A list answer of the API. */
export interface KubeList<T> {
  apiVersion: string;
  kind: string;
  metadata: { resourceVersion?: string; continue?: string; remainingItemCount?: number };
  items: T[];
}

/** One line of a watch stream. `object` is a Status when `type` is ERROR, and holds only metadata in a BOOKMARK. */
export interface WatchEvent<T> {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  object: T;
}

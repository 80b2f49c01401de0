import type { KindInfo } from '../../../kube/kinds.ts';
import type {
  DaemonSet,
  Deployment,
  EndpointSlice,
  Endpoints,
  Event,
  KubeObject,
  Namespace,
  Node,
  Pod,
  ReplicaSet,
  ReplicationController,
  RoleBinding,
  Secret,
} from '../../../kube/types.ts';
import type { Json } from '../../../util/json.ts';
import { type CustomDefinitionSpec, type CustomNames, isCustom } from '../custom/custom-kind.ts';
import { applySchemaDefaults, pruneNulls } from '../custom/pruning.ts';
import { defaultPodOnly, defaultPodSpec, defaultPodTemplate } from './pod.ts';
import { defaultService } from './service.ts';

/** A kind's defaults; objects come with their types checked (`typeErrors`). */
type Defaulter = (object: never, info: KindInfo) => void;

function defaultPod(pod: Pod): void {
  if (pod.spec === undefined) return;
  defaultPodSpec(pod.spec);
  defaultPodOnly(pod.spec);
}

/** A half of a rolling update's pair that is not given, so that the two are not both zero. */
const QUARTER = '25%';

function defaultDeployment(deployment: Deployment, info: KindInfo): void {
  const spec = deployment.spec;
  if (spec === undefined) return;
  // extensions/v1beta1 served the same object with older defaults: no deadline, every revision kept, one pod at a time.
  const legacy = info.group === 'extensions';
  const labels = spec.template?.metadata?.labels;
  if (legacy && labels !== undefined) {
    spec.selector ??= { matchLabels: { ...labels } };
    if (deployment.metadata !== undefined && Object.keys(deployment.metadata.labels ?? {}).length === 0) {
      deployment.metadata.labels = { ...labels };
    }
  }
  spec.replicas ??= 1;
  spec.strategy ??= {};
  spec.strategy.type ??= 'RollingUpdate';
  if (spec.strategy.type === 'RollingUpdate') {
    spec.strategy.rollingUpdate ??= {};
    spec.strategy.rollingUpdate.maxUnavailable ??= legacy ? 1 : QUARTER;
    spec.strategy.rollingUpdate.maxSurge ??= legacy ? 1 : QUARTER;
  }
  spec.revisionHistoryLimit ??= legacy ? 2_147_483_647 : 10;
  spec.progressDeadlineSeconds ??= legacy ? 2_147_483_647 : 600;
  defaultPodTemplate(spec.template);
}

function defaultReplicaSet(set: ReplicaSet): void {
  if (set.spec === undefined) return;
  set.spec.replicas ??= 1;
  defaultPodTemplate(set.spec.template);
}

function defaultReplicationController({ metadata, spec }: ReplicationController): void {
  if (spec === undefined) return;
  const labels = spec.template?.metadata?.labels;
  if (labels !== undefined) {
    if (Object.keys(spec.selector ?? {}).length === 0) spec.selector = { ...labels };
    if (metadata !== undefined && Object.keys(metadata.labels ?? {}).length === 0) {
      metadata.labels = { ...labels };
    }
  }
  spec.replicas ??= 1;
  defaultPodTemplate(spec.template);
}

function defaultDaemonSet(set: DaemonSet): void {
  const spec = set.spec;
  if (spec === undefined) return;
  spec.updateStrategy ??= {};
  spec.updateStrategy.type ??= 'RollingUpdate';
  if (spec.updateStrategy.type === 'RollingUpdate') {
    spec.updateStrategy.rollingUpdate ??= {};
    spec.updateStrategy.rollingUpdate.maxUnavailable ??= 1;
    spec.updateStrategy.rollingUpdate.maxSurge ??= 0;
  }
  spec.revisionHistoryLimit ??= 10;
  defaultPodTemplate(spec.template);
}

function defaultNamespace(namespace: Namespace): void {
  const name = namespace.metadata?.name;
  if (namespace.metadata !== undefined && name !== undefined && name !== '') {
    namespace.metadata.labels ??= {};
    namespace.metadata.labels['kubernetes.io/metadata.name'] ??= name;
  }
  namespace.spec ??= {};
  namespace.spec.finalizers ??= ['kubernetes'];
  namespace.status ??= {};
  namespace.status.phase ??= 'Active';
}

function defaultNode(node: { -readonly [F in keyof Node]: Node[F] }): void {
  const status = node.status;
  if (status?.capacity !== undefined) status.allocatable ??= { ...status.capacity };
  const { podCIDR } = node.spec ?? {};
  if (podCIDR !== undefined) node.spec!.podCIDRs ??= [podCIDR];
  node.status ??= {};
  node.status.daemonEndpoints ??= { kubeletEndpoint: { Port: 0 } };
  node.status.nodeInfo ??= {
    ...{ machineID: '', systemUUID: '', bootID: '', kernelVersion: '', osImage: '' },
    ...{ containerRuntimeVersion: '', kubeletVersion: '', kubeProxyVersion: '' },
    ...{ operatingSystem: '', architecture: '' },
  };
}

function defaultSecret(secret: Secret): void {
  // What stringData says is written into data and never read back.
  for (const [key, value] of Object.entries(secret.stringData ?? {})) {
    secret.data ??= {};
    secret.data[key] = Buffer.from(value).toString('base64');
  }
  delete secret.stringData;
  secret.type ??= 'Opaque';
}

function defaultEndpoints(endpoints: Endpoints): void {
  for (const subset of endpoints.subsets ?? []) {
    for (const port of subset.ports ?? []) port.protocol ??= 'TCP';
  }
}

function defaultEndpointSlice(slice: EndpointSlice): void {
  for (const endpoint of slice.endpoints ?? []) endpoint.conditions ??= {};
  for (const port of slice.ports ?? []) {
    port.name ??= '';
    port.protocol ??= 'TCP';
  }
}

/** Fields that an event always shows, also without a value. */
function defaultEvent(event: Event): void {
  const { firstTimestamp = null, lastTimestamp = null, eventTime = null } = event;
  Object.assign(event, { firstTimestamp, lastTimestamp, eventTime });
  event.source ??= {};
  event.reportingComponent ??= '';
  event.reportingInstance ??= '';
}

const RBAC = 'rbac.authorization.k8s.io';

function defaultBinding(binding: RoleBinding): void {
  if (binding.roleRef !== undefined) binding.roleRef.apiGroup ||= RBAC;
  for (const subject of binding.subjects ?? []) {
    subject.apiGroup ??= subject.kind === 'User' || subject.kind === 'Group' ? RBAC : undefined;
    if (subject.apiGroup === undefined) delete subject.apiGroup;
  }
}

function defaultDefinition(definition: { spec?: Partial<CustomDefinitionSpec> }): void {
  const { spec } = definition;
  if (spec === undefined) return;
  const names = spec.names as { -readonly [F in keyof CustomNames]: CustomNames[F] } | undefined;
  if (names !== undefined) {
    names.singular ||= names.kind?.toLowerCase();
    if (names.kind) names.listKind ||= `${names.kind}List`;
  }
  const open = spec as { conversion?: { strategy?: string } };
  open.conversion ??= {};
  open.conversion.strategy ??= 'None';
}

const DEFAULTERS: Readonly<Record<string, Defaulter>> = {
  Pod: defaultPod,
  Deployment: defaultDeployment,
  ReplicaSet: defaultReplicaSet,
  ReplicationController: defaultReplicationController,
  DaemonSet: defaultDaemonSet,
  Namespace: defaultNamespace,
  Node: defaultNode,
  Secret: defaultSecret,
  Service: defaultService,
  Endpoints: defaultEndpoints,
  Event: defaultEvent,
  EndpointSlice: defaultEndpointSlice,
  RoleBinding: defaultBinding,
  ClusterRoleBinding: defaultBinding,
  CustomResourceDefinition: defaultDefinition,
};

/**
 * Fills in what the object leaves open, as Kubernetes' defaulting of its kind does; nothing that is set is changed. Changes
 * `object`, whose types must be right (`typeErrors`). Applying it again changes nothing. What needs the cluster's state
 * (a Service's addresses, a Pod's service account) is admission's and not here.
 */
export function applyDefaults(info: KindInfo, object: KubeObject): void {
  if (isCustom(info)) {
    pruneNulls(object as unknown as Json, info.schema);
    applySchemaDefaults(object as unknown as Json, info.schema);
  } else DEFAULTERS[info.kind]?.(object as never, info);
}

/**
 * How patches and appliers merge a field. Published as `x-kubernetes-patch-strategy`, `-patch-merge-key`, `-list-type` and
 * `-list-map-keys`; the strategic merge patch of `src/kube/patch` follows the same table.
 */
export interface MergeRule {
  /** Strategic merge patch: lists are replaced unless `merge` is here; `retainKeys` clears what a patch does not name. */
  readonly strategy?: 'merge' | 'retainKeys' | 'merge,retainKeys';
  /** The field that distinguishes the items of a merged list; none for a list of scalars. */
  readonly mergeKey?: string;
  readonly listType: 'atomic' | 'set' | 'map' | undefined;
  readonly mapKeys?: readonly string[];
}

const atomic: MergeRule = { listType: 'atomic' };
const set: MergeRule = { listType: 'set' };

/** A list merged by one key by patches and by `mapKeys` (the same key unless given) by appliers. */
function merge(mergeKey: string, ...mapKeys: string[]): MergeRule {
  return {
    strategy: 'merge',
    mergeKey,
    listType: 'map',
    mapKeys: mapKeys.length === 0 ? [mergeKey] : mapKeys,
  };
}

function mergeRetaining(mergeKey: string): MergeRule {
  return { ...merge(mergeKey), strategy: 'merge,retainKeys' };
}

function containerRules(definition: string): Record<string, MergeRule> {
  return {
    [`${definition}.env`]: merge('name'),
    [`${definition}.envFrom`]: atomic,
    [`${definition}.ports`]: merge('containerPort', 'containerPort', 'protocol'),
    [`${definition}.resizePolicy`]: atomic,
    [`${definition}.restartPolicyRules`]: atomic,
    [`${definition}.volumeDevices`]: merge('devicePath'),
    [`${definition}.volumeMounts`]: merge('mountPath'),
  };
}

const affinityRules = Object.fromEntries(
  ['PodAffinity', 'PodAntiAffinity', 'NodeAffinity'].map((name) => [
    `core.v1.${name}.preferredDuringSchedulingIgnoredDuringExecution`,
    atomic,
  ]),
);

/**
 * Field (`definition.field`) -> rule. Holds every list of objects (a test checks that) and those lists of scalars that
 * patches merge; any other list of scalars is atomic. The values are part of the published API.
 */
export const MERGE_RULES: Readonly<Record<string, MergeRule>> = {
  ...containerRules('core.v1.Container'),
  ...containerRules('core.v1.EphemeralContainer'),
  ...affinityRules,
  'apiextensions.v1.CustomResourceDefinitionSpec.versions': atomic,
  'apiextensions.v1.CustomResourceDefinitionStatus.conditions': { listType: 'map', mapKeys: ['type'] },
  'apiextensions.v1.CustomResourceDefinitionVersion.additionalPrinterColumns': atomic,
  'apiextensions.v1.CustomResourceDefinitionVersion.selectableFields': atomic,
  'apiextensions.v1.JSONSchemaProps.allOf': atomic,
  'apiextensions.v1.JSONSchemaProps.anyOf': atomic,
  'apiextensions.v1.JSONSchemaProps.oneOf': atomic,
  'apiextensions.v1.JSONSchemaProps.x-kubernetes-validations': {
    strategy: 'merge',
    mergeKey: 'rule',
    listType: 'map',
    mapKeys: ['rule'],
  },
  'apps.v1.DaemonSetStatus.conditions': merge('type'),
  'apps.v1.DeploymentSpec.strategy': { strategy: 'retainKeys', listType: undefined },
  'apps.v1.DeploymentStatus.conditions': merge('type'),
  'apps.v1.ReplicaSetStatus.conditions': merge('type'),
  'authorization.v1.FieldSelectorAttributes.requirements': atomic,
  'authorization.v1.LabelSelectorAttributes.requirements': atomic,
  'authorization.v1.SubjectRulesReviewStatus.nonResourceRules': atomic,
  'authorization.v1.SubjectRulesReviewStatus.resourceRules': atomic,
  'core.v1.ConfigMapProjection.items': atomic,
  'core.v1.ConfigMapVolumeSource.items': atomic,
  'core.v1.ContainerRestartRuleOnExitCodes.values': set,
  'core.v1.ContainerStatus.allocatedResourcesStatus': merge('name'),
  'core.v1.ContainerStatus.volumeMounts': merge('mountPath'),
  'core.v1.DownwardAPIProjection.items': atomic,
  'core.v1.DownwardAPIVolumeSource.items': atomic,
  'core.v1.EndpointSubset.addresses': atomic,
  'core.v1.EndpointSubset.notReadyAddresses': atomic,
  'core.v1.EndpointSubset.ports': atomic,
  'core.v1.Endpoints.subsets': atomic,
  'core.v1.HTTPGetAction.httpHeaders': atomic,
  'core.v1.LoadBalancerIngress.ports': atomic,
  'core.v1.LoadBalancerStatus.ingress': atomic,
  'core.v1.NamespaceStatus.conditions': merge('type'),
  'core.v1.NodeAllocatableResourceClaimStatus.containers': set,
  'core.v1.NodeSelector.nodeSelectorTerms': atomic,
  'core.v1.NodeSelectorTerm.matchExpressions': atomic,
  'core.v1.NodeSelectorTerm.matchFields': atomic,
  'core.v1.NodeSpec.podCIDRs': { strategy: 'merge', listType: 'set' },
  'core.v1.NodeSpec.taints': atomic,
  'core.v1.NodeStatus.addresses': merge('type'),
  'core.v1.NodeStatus.conditions': merge('type'),
  'core.v1.NodeStatus.images': atomic,
  'core.v1.NodeStatus.runtimeHandlers': atomic,
  'core.v1.NodeStatus.volumesAttached': atomic,
  'core.v1.PodAffinityTerm.matchLabelKeys': atomic,
  'core.v1.PodAffinity.requiredDuringSchedulingIgnoredDuringExecution': atomic,
  'core.v1.PodAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution': atomic,
  'core.v1.PodDNSConfig.options': atomic,
  'core.v1.PodExtendedResourceClaimStatus.requestMappings': atomic,
  'core.v1.PodSecurityContext.sysctls': atomic,
  'core.v1.PodSpec.containers': merge('name'),
  'core.v1.PodSpec.ephemeralContainers': merge('name'),
  'core.v1.PodSpec.hostAliases': merge('ip'),
  'core.v1.PodSpec.imagePullSecrets': merge('name'),
  'core.v1.PodSpec.initContainers': merge('name'),
  'core.v1.PodSpec.readinessGates': atomic,
  'core.v1.PodSpec.resourceClaims': mergeRetaining('name'),
  'core.v1.PodSpec.schedulingGates': merge('name'),
  'core.v1.PodSpec.tolerations': atomic,
  'core.v1.PodSpec.topologySpreadConstraints': merge('topologyKey', 'topologyKey', 'whenUnsatisfiable'),
  'core.v1.PodSpec.volumes': mergeRetaining('name'),
  'core.v1.PodStatus.conditions': merge('type'),
  'core.v1.PodStatus.containerStatuses': atomic,
  'core.v1.PodStatus.ephemeralContainerStatuses': atomic,
  'core.v1.PodStatus.hostIPs': { strategy: 'merge', mergeKey: 'ip', listType: 'atomic' },
  'core.v1.PodStatus.initContainerStatuses': atomic,
  'core.v1.PodStatus.nodeAllocatableResourceClaimStatuses': atomic,
  'core.v1.PodStatus.podIPs': merge('ip'),
  'core.v1.PodStatus.resourceClaimStatuses': mergeRetaining('name'),
  'core.v1.ProjectedVolumeSource.sources': atomic,
  'core.v1.ReplicationControllerStatus.conditions': merge('type'),
  'core.v1.ResourceRequirements.claims': { listType: 'map', mapKeys: ['name'] },
  'core.v1.ResourceStatus.resources': { listType: 'map', mapKeys: ['resourceID'] },
  'core.v1.SecretProjection.items': atomic,
  'core.v1.SecretVolumeSource.items': atomic,
  'core.v1.ServiceAccount.imagePullSecrets': atomic,
  'core.v1.ServiceAccount.secrets': merge('name'),
  'core.v1.ServiceSpec.ports': merge('port', 'port', 'protocol'),
  'core.v1.ServiceStatus.conditions': merge('type'),
  'discovery.v1.Endpoint.addresses': set,
  'discovery.v1.EndpointHints.forNodes': atomic,
  'discovery.v1.EndpointHints.forZones': atomic,
  'discovery.v1.EndpointSlice.endpoints': atomic,
  'discovery.v1.EndpointSlice.ports': atomic,
  'meta.v1.LabelSelector.matchExpressions': atomic,
  'meta.v1.ObjectMeta.finalizers': { strategy: 'merge', listType: 'set' },
  'meta.v1.ObjectMeta.managedFields': atomic,
  'meta.v1.ObjectMeta.ownerReferences': merge('uid'),
  'meta.v1.StatusDetails.causes': atomic,
  'rbac.v1.AggregationRule.clusterRoleSelectors': atomic,
  'rbac.v1.ClusterRole.rules': atomic,
  'rbac.v1.ClusterRoleBinding.subjects': atomic,
  'rbac.v1.Role.rules': atomic,
  'rbac.v1.RoleBinding.subjects': atomic,
};

/** Definitions that appliers replace as a whole (`x-kubernetes-map-type: atomic`). */
export const ATOMIC_STRUCTS: ReadonlySet<string> = new Set([
  'core.v1.ConfigMapKeySelector',
  'core.v1.EndpointAddress',
  'core.v1.EndpointPort',
  'core.v1.FileKeySelector',
  'core.v1.LocalObjectReference',
  'core.v1.NodeSelector',
  'core.v1.NodeSelectorTerm',
  'core.v1.ObjectFieldSelector',
  'core.v1.ObjectReference',
  'core.v1.ResourceFieldSelector',
  'core.v1.SecretKeySelector',
  'core.v1.SecretReference',
  'core.v1.TypedLocalObjectReference',
  'discovery.v1.EndpointPort',
  'meta.v1.LabelSelector',
  'meta.v1.OwnerReference',
  'rbac.v1.RoleRef',
  'rbac.v1.Subject',
]);

/** Fields whose map appliers replace as a whole. */
export const ATOMIC_MAPS: ReadonlySet<string> = new Set([
  'core.v1.PodSpec.nodeSelector',
  'core.v1.ReplicationControllerSpec.selector',
  'core.v1.ServiceSpec.selector',
]);

/** The rule of a field of a definition; undefined where there is nothing but the default. */
export function mergeRuleOf(definition: string, field: string): MergeRule | undefined {
  // extensions/v1beta1 Deployments share the specification of apps/v1 but for a required mark.
  return MERGE_RULES[`${definition.replace(/^extensions\.v1beta1\./, 'apps.v1.')}.${field}`];
}

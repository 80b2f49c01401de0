/** Labels of Kubernetes' own that a kubelet may set. Source: k8s.io/kubelet/pkg/apis/well_known_labels.go. */
const KUBELET_LABELS: ReadonlySet<string> = new Set([
  'kubernetes.io/hostname',
  'topology.kubernetes.io/zone',
  'topology.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region',
  'beta.kubernetes.io/instance-type',
  'node.kubernetes.io/instance-type',
  'kubernetes.io/os',
  'kubernetes.io/arch',
  'beta.kubernetes.io/os',
  'beta.kubernetes.io/arch',
]);

/**
 * Whether a kubelet may set, change and remove a label of its own Node: any but those of `kubernetes.io` and `k8s.io`,
 * of which it has a few. With the others, `node-role.kubernetes.io/…` and `node-restriction.kubernetes.io/…` among them, the
 * cluster's administrator says what a node is for.
 * Source: kubernetes/plugin/pkg/admission/noderestriction, `getForbiddenLabels`.
 */
export function isNodeLabelOfKubelet(key: string): boolean {
  const slash = key.indexOf('/');
  const prefix = slash < 0 ? '' : key.slice(0, slash);
  const within = (domain: string) => prefix === domain || prefix.endsWith(`.${domain}`);
  if (within('node-restriction.kubernetes.io')) return false;
  if (!within('kubernetes.io') && !within('k8s.io')) return true;
  return KUBELET_LABELS.has(key) || within('kubelet.kubernetes.io') || within('node.kubernetes.io');
}

import { hasLabels, meets } from './selectors/requirement.ts';
import type { Node, Pod, Taint, Toleration } from './types.ts';

/**
 * Which nodes a pod may be on: the rules that the scheduler, the DaemonSet controller and taint eviction share.
 * Source: k8s.io/component-helpers/scheduling/corev1.
 */

/** Whether `toleration` tolerates `taint`: equal effect, key and value, each of which may be left open. */
export function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false;
  if (toleration.key && toleration.key !== taint.key) return false;
  const operator = toleration.operator || 'Equal';
  if (operator === 'Exists') return true;
  // An empty key with Equal would match by value alone; the API refuses it.
  return (
    operator === 'Equal' &&
    (toleration.key ?? '') === taint.key &&
    (toleration.value ?? '') === (taint.value ?? '')
  );
}

/** The first taint of these effects that no toleration tolerates. */
export function untoleratedTaint(
  taints: readonly Taint[] | undefined,
  tolerations: readonly Toleration[] | undefined,
  effects: readonly string[],
): Taint | undefined {
  return taints?.find(
    (taint) =>
      effects.includes(taint.effect) && !tolerations?.some((toleration) => tolerates(toleration, taint)),
  );
}

type NodeSelectorTerm = NonNullable<
  NonNullable<
    NonNullable<NonNullable<Pod['spec']>['affinity']>['nodeAffinity']
  >['requiredDuringSchedulingIgnoredDuringExecution']
>['nodeSelectorTerms'][number];

/** Whether a pod's nodeSelector and required node affinity accept a node. Terms are alternatives; an empty term matches nothing. */
export function selectsNode(spec: NonNullable<Pod['spec']>, node: Node): boolean {
  const labels = node.metadata?.labels ?? {};
  if (!hasLabels(spec.nodeSelector, labels)) return false;
  const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  if (!required) return true;
  return required.nodeSelectorTerms.some((term) => termMatches(term, labels, node.metadata?.name ?? ''));
}

function termMatches(term: NodeSelectorTerm, labels: Record<string, string>, name: string): boolean {
  const expressions = term.matchExpressions ?? [];
  const fields = term.matchFields ?? [];
  if (expressions.length === 0 && fields.length === 0) return false;
  return (
    expressions.every((requirement) => meets(requirement, labels)) &&
    fields.every((requirement) => meets(requirement, { 'metadata.name': name }))
  );
}

/** Whether a pod has ended and needs nothing of its node any more. */
export function isTerminal(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

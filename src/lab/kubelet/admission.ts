import { hostPortsConflict, PORT_TAKEN_REASON, takenHostPorts } from '../../kube/host-ports.ts';
import { isTerminal, selectsNode, untoleratedTaint } from '../../kube/placement.ts';
import type { Node, Pod } from '../../kube/types.ts';

/**
 * Whether this node may run a pod that was given to it; what is said goes into the status of a pod that it refuses. A
 * pod that names its node passed no scheduler, so the node itself keeps two pods off one host port.
 * https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#nodename
 */
export function refusal(
  pod: Pod,
  node: Node,
  others: readonly Pod[],
): { reason: string; message: string } | undefined {
  const refuse = (reason: string) => ({ reason, message: `Pod was rejected: Predicate ${reason} failed` });
  if (!selectsNode(pod.spec!, node)) return refuse('NodeAffinity');
  const taint = untoleratedTaint(node.spec?.taints, pod.spec?.tolerations, ['NoExecute']);
  if (taint !== undefined) return refuse('TaintToleration');
  const taken = others.filter((other) => !isTerminal(other)).flatMap(takenHostPorts);
  const conflict = takenHostPorts(pod).some((mine) =>
    taken.some((theirs) => hostPortsConflict(mine, theirs)),
  );
  return conflict ? refuse(PORT_TAKEN_REASON) : undefined;
}

/** Whether a refusal is for what the Node says of itself, and not for what runs on it. */
export function isOfNode({ reason }: { reason: string }): boolean {
  return reason === 'NodeAffinity' || reason === 'TaintToleration';
}

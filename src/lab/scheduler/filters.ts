import { type HostPort, hostPortsConflict } from '../../kube/host-ports.ts';
import { selectsNode, tolerates, untoleratedTaint } from '../../kube/placement.ts';
import { quantityMillis, quantityUnits } from '../../kube/quantity.ts';
import type { Pod } from '../../kube/types.ts';
import type { NodeState } from './cluster-state.ts';
import type { Amounts } from './requests.ts';

/** Why a node will not do. */
export interface Refusal {
  /** In kube-scheduler's words; a node that is short of two resources has two. */
  reasons: string[];
  /** Whether the node could do if other pods left it: what decides kube-scheduler's words about preemption. */
  resolvable: boolean;
}

/** What a pod asks of a node, computed once for all nodes. */
export interface Demand {
  pod: Pod;
  ports: HostPort[];
  requests: Amounts;
  /** Names that the pod's affinity restricts it to (as DaemonSet pods do), or undefined. */
  onlyNodes?: ReadonlySet<string>;
}

/**
 * The names of nodes that every term of the required node affinity demands by `metadata.name`, when all do: kube-scheduler
 * looks at no other node then.
 */
export function namedNodes(pod: Pod): Set<string> | undefined {
  const terms =
    pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  const names = new Set<string>();
  for (const term of terms) {
    const field = term.matchFields?.find(({ key, operator }) => key === 'metadata.name' && operator === 'In');
    if (field === undefined) return undefined;
    for (const name of field.values ?? []) names.add(name);
  }
  return terms.length === 0 ? undefined : names;
}

const UNSCHEDULABLE_TAINT = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };

/**
 * Why `state` cannot take the pod, or undefined when it can. The checks and their order are those of kube-scheduler's
 * default plugins (NodeUnschedulable, NodeName, TaintToleration, NodeAffinity, NodePorts, NodeResourcesFit); the first
 * that refuses speaks.
 */
export function refusal(demand: Demand, state: NodeState): Refusal | undefined {
  const { pod, ports, requests, onlyNodes } = demand;
  const { node } = state;
  const spec = pod.spec!;
  const never = (reason: string): Refusal => ({ reasons: [reason], resolvable: false });

  if (onlyNodes !== undefined && !onlyNodes.has(node.metadata!.name!)) {
    return never("node(s) didn't satisfy plugin(s) [NodeAffinity]");
  }
  if (node.spec?.unschedulable && !spec.tolerations?.some((t) => tolerates(t, UNSCHEDULABLE_TAINT))) {
    return never('node(s) were unschedulable');
  }
  if (spec.nodeName && spec.nodeName !== node.metadata!.name) {
    return never("node(s) didn't match the requested node name");
  }
  const taint = untoleratedTaint(node.spec?.taints, spec.tolerations, ['NoSchedule', 'NoExecute']);
  if (taint !== undefined) return never(`node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`);
  if (!selectsNode(spec, node)) return never("node(s) didn't match Pod's node affinity/selector");

  if (ports.length > 0) {
    for (const placed of state.pods.values()) {
      if (placed.ports.some((taken) => ports.some((wanted) => hostPortsConflict(taken, wanted)))) {
        return { reasons: ["node(s) didn't have free ports for the requested pod ports"], resolvable: true };
      }
    }
  }
  return insufficient(requests, state);
}

function insufficient(requests: Amounts, { node, pods, used }: NodeState): Refusal | undefined {
  // A node that has not said what it has, has nothing: its kubelet is still starting.
  const allocatable = node.status?.allocatable ?? {};
  const reasons: string[] = [];
  let resolvable = true;
  const check = (reason: string, wanted: number, taken: number, total: number) => {
    if (wanted <= total - taken) return;
    reasons.push(reason);
    // More than the whole node: no preemption would help.
    if (wanted > total) resolvable = false;
  };
  check('Too many pods', 1, pods.size, quantityUnits(allocatable.pods ?? '0'));
  if (requests.milliCpu > 0) {
    check('Insufficient cpu', requests.milliCpu, used.milliCpu, quantityMillis(allocatable.cpu ?? '0'));
  }
  if (requests.memory > 0) {
    check('Insufficient memory', requests.memory, used.memory, quantityUnits(allocatable.memory ?? '0'));
  }
  return reasons.length === 0 ? undefined : { reasons, resolvable };
}

/** The message of a FailedScheduling event and of the PodScheduled condition, as kube-scheduler 1.28 and later print it. */
export function unschedulableMessage(refusals: readonly Refusal[]): string {
  if (refusals.length === 0) return 'no nodes available to schedule pods';
  const head = `0/${refusals.length} nodes are available: `;
  const own = tally(refusals.flatMap((refusal) => refusal.reasons));
  const preemption = tally(
    refusals.map((refusal) =>
      refusal.resolvable
        ? 'No preemption victims found for incoming pod'
        : 'Preemption is not helpful for scheduling',
    ),
  );
  return `${head}${own}. preemption: ${head}${preemption}.`;
}

function tally(reasons: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts.entries()]
    .map(([reason, count]) => `${count} ${reason}`)
    .sort()
    .join(', ');
}

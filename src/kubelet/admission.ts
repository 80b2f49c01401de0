import { isTerminal, selectsNode, untoleratedTaint } from '../kube/placement.ts';
import type { Node, Pod } from '../kube/types.ts';
import { portMappings } from './sandbox-config.ts';

/**
 * Whether this node may run a pod that was given to it; what is said goes into the status of a pod that it refuses. A
 * pod that names its node passed no scheduler, so the node itself keeps two pods off one host port.
 * https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#nodename
 */
export function refusal(
  pod: Pod,
  node: Node | undefined,
  others: readonly Pod[],
): { reason: string; message: string } | undefined {
  const refuse = (reason: string) => ({ reason, message: `Pod was rejected: Predicate ${reason} failed` });
  if (node !== undefined && !selectsNode(pod.spec!, node)) return refuse('NodeAffinity');
  const taint = untoleratedTaint(node?.spec?.taints, pod.spec?.tolerations, ['NoExecute']);
  if (taint !== undefined) return refuse('TaintToleration');
  const taken = others.filter((other) => !isTerminal(other)).flatMap(hostPorts);
  const conflict = hostPorts(pod).some((mine) => taken.some((theirs) => conflicts(mine, theirs)));
  return conflict ? refuse('NodePorts') : undefined;
}

interface HostPort {
  ip: string;
  protocol: string;
  port: number;
}

function hostPorts(pod: Pod): HostPort[] {
  return portMappings(pod)
    .filter(({ hostPort = 0 }) => hostPort > 0)
    .map(({ hostIp = '', protocol = 'TCP', hostPort = 0 }) => ({
      ip: hostIp === '' ? '0.0.0.0' : hostIp,
      protocol,
      port: hostPort,
    }));
}

/** Same port and protocol on addresses that overlap: every address overlaps with none named. */
function conflicts(a: HostPort, b: HostPort): boolean {
  if (a.port !== b.port || a.protocol !== b.protocol) return false;
  return a.ip === b.ip || a.ip === '0.0.0.0' || b.ip === '0.0.0.0';
}

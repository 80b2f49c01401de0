import { isConditionTrue } from '../../../kube/conditions.ts';
import { isSidecar } from '../../../kube/pods.ts';
import type { ContainerState, ContainerStatus, Pod } from '../../../kube/types.ts';
import { AGE, ageOf, column, NAME, NONE, nameOf, type Printer, since, wide } from './column.ts';

/** Why a terminated container ended: its reason, its signal or its exit code. */
function terminationText(terminated: NonNullable<ContainerState['terminated']>): string {
  if (terminated.reason) return terminated.reason;
  return terminated.signal ? `Signal:${terminated.signal}` : `ExitCode:${terminated.exitCode}`;
}

/** Restarts of some containers and when the last of them ended before its restart. */
class Restarts {
  count = 0;
  last = 0;

  add(status: ContainerStatus): void {
    this.count += status.restartCount ?? 0;
    const finished = status.lastState?.terminated?.finishedAt;
    if (finished) this.last = Math.max(this.last, Date.parse(finished));
  }

  text(now: number): string {
    if (this.count === 0 || this.last === 0) return String(this.count);
    return `${this.count} (${since(new Date(this.last).toISOString(), now)} ago)`;
  }
}

interface Summary {
  ready: number;
  total: number;
  status: string;
  restarts: Restarts;
}

/** What kubectl shows of a pod, by the order of precedence of Kubernetes' printer. */
function summarize(pod: Pod): Summary {
  const { spec, status } = pod;
  const initContainers = spec?.initContainers ?? [];
  const sidecars = new Set(initContainers.filter(isSidecar).map(({ name }) => name));
  let restarts = new Restarts();
  const sidecarRestarts = new Restarts();
  const total = (spec?.containers ?? []).length + sidecars.size;
  let ready = 0;
  let reason = status?.reason || status?.phase || '';
  if ((status?.conditions ?? []).some((c) => c.type === 'PodScheduled' && c.reason === 'SchedulingGated')) {
    reason = 'SchedulingGated';
  }

  let initializing = false;
  for (const [index, container] of (status?.initContainerStatuses ?? []).entries()) {
    const sidecar = sidecars.has(container.name);
    restarts.add(container);
    if (sidecar) sidecarRestarts.add(container);
    const { terminated, waiting } = container.state ?? {};
    if (terminated?.exitCode === 0) continue;
    if (sidecar && container.started === true) {
      if (container.ready) ready++;
      continue;
    }
    if (terminated !== undefined) reason = `Init:${terminationText(terminated)}`;
    else if (waiting?.reason && waiting.reason !== 'PodInitializing') reason = `Init:${waiting.reason}`;
    else reason = `Init:${index}/${initContainers.length}`;
    initializing = true;
    break;
  }

  if (!initializing || isConditionTrue(pod.status, 'Initialized')) {
    restarts = sidecarRestarts;
    let running = false;
    // Backwards: the first container's reason is the one shown.
    for (const container of [...(status?.containerStatuses ?? [])].reverse()) {
      restarts.add(container);
      const state = container.state ?? {};
      if (state.waiting?.reason) reason = state.waiting.reason;
      else if (state.terminated !== undefined) reason = terminationText(state.terminated);
      else if (container.ready && state.running !== undefined) {
        running = true;
        ready++;
      }
    }
    if (reason === 'Completed' && running) {
      reason = isConditionTrue(pod.status, 'Ready') ? 'Running' : 'NotReady';
    }
  }

  if (pod.metadata?.deletionTimestamp) {
    if (status?.reason === 'NodeLost') reason = 'Unknown';
    else if (status?.phase !== 'Succeeded' && status?.phase !== 'Failed') reason = 'Terminating';
  }
  return { ready, total, status: reason, restarts };
}

function readinessGates(pod: Pod): string {
  const gates = pod.spec?.readinessGates ?? [];
  if (gates.length === 0) return NONE;
  const good = gates.filter(({ conditionType }) => isConditionTrue(pod.status, conditionType)).length;
  return `${good}/${gates.length}`;
}

export const podPrinter: Printer<Pod> = {
  columns: [
    NAME,
    column('Ready', 'The containers that are ready, of all the containers'),
    column('Status', 'The phase of the pod, or why it is not running'),
    column('Restarts', 'How often containers of the pod were restarted, and when last'),
    AGE,
    wide('IP', 'Address of the pod'),
    wide('Node', 'Name of the node the pod is bound to'),
    wide('Nominated Node', 'The node where room is being made for the pod'),
    wide('Readiness Gates', 'The readiness gates that hold, of all the gates'),
  ],
  row(pod, now) {
    const { ready, total, status, restarts } = summarize(pod);
    return [
      nameOf(pod),
      `${ready}/${total}`,
      status,
      restarts.text(now),
      ageOf(pod, now),
      pod.status?.podIPs?.[0]?.ip || pod.status?.podIP || NONE,
      pod.spec?.nodeName || NONE,
      pod.status?.nominatedNodeName || NONE,
      readinessGates(pod),
    ];
  },
};

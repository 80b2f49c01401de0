import { isConditionTrue } from '../../kube/conditions.ts';
import { isTerminal } from '../../kube/placement.ts';
import { isSidecar, qosClass } from '../../kube/pods.ts';
import { timestamp } from '../../kube/time.ts';
import type {
  Container,
  ContainerState,
  ContainerStatus,
  Pod,
  PodCondition,
  PodStatus,
} from '../../kube/types.ts';
import { isHostNetwork } from './names.ts';
import type { ObservedContainer, ObservedPod } from './observe.ts';
import { currentSandbox, isFinished, type ProbeVerdict, restarts } from './plan.ts';

/** Why a container does not run: what kubectl shows in the STATUS column. */
export interface WaitingReason {
  reason: string;
  message: string;
}

export interface StatusInput {
  pod: Pod;
  observed: ObservedPod;
  now: number;
  hostIp: string;
  /** What keeps containers from running, by container name. */
  waiting: ReadonlyMap<string, WaitingReason>;
  /** Containers that wait for their restart back-off: name to delay in milliseconds. */
  backingOff: ReadonlyMap<string, number>;
  verdict(containerId: string): ProbeVerdict & { ready: boolean };
  /** What the container wrote to its termination message path. */
  terminationMessage(container: ObservedContainer): string;
  /** The pod is to end whatever its containers do (deadline, admission). */
  failure?: { reason: string; message: string };
  /** The pod is being deleted. */
  terminating: boolean;
}

const TERMINAL = ['Succeeded', 'Failed'];

/** The status that the API should have for a pod. Conditions that others set (readiness gates) are kept. */
export function podStatus(input: StatusInput): PodStatus {
  const { pod, observed, now, hostIp } = input;
  const spec = pod.spec!;
  const initialized = isInitialized(input);
  // A pod that the node refused never had containers, not even ones that wait.
  const refused = observed.containers.length === 0 && (input.failure !== undefined || isTerminal(pod));
  const mains = refused && (pod.status?.containerStatuses ?? []).length === 0 ? [] : (spec.containers ?? []);
  const statuses = mains.map((container) =>
    containerStatus(input, container, initialized ? 'ContainerCreating' : 'PodInitializing', false),
  );
  const inits = mains.length === 0 ? [] : (spec.initContainers ?? []);
  const initStatuses = inits.map((container, index, all) => {
    const previous = all.slice(0, index).every((other) => initDone(input, other));
    return containerStatus(input, container, previous ? 'ContainerCreating' : 'PodInitializing', true);
  });
  const phase = phaseOf(input, statuses);
  const ready = phase === 'Running' && statuses.length > 0 && statuses.every((status) => status.ready);
  const ended = TERMINAL.includes(phase);
  const sandbox = currentSandbox(pod, observed);
  const ips = isHostNetwork(pod) ? (hostIp === '' ? [] : [hostIp]) : (sandbox?.ips ?? []);
  const known = pod.status?.podIPs?.map(({ ip }) => ip!) ?? [];
  // An address is kept in the status of a pod that has ended, but not in that of one which waits for another sandbox.
  const podIps = ips.length > 0 || !(ended || input.terminating) ? ips : known;

  const unready = statuses.filter((status) => !status.ready).map(({ name }) => name);
  const notReady: Partial<PodCondition> = ended
    ? { reason: phase === 'Succeeded' ? 'PodCompleted' : 'PodFailed' }
    : {
        reason: 'ContainersNotReady',
        message: `containers with unready status: [${unready.join(' ')}]`,
      };
  const gates = (spec.readinessGates ?? []).filter(
    ({ conditionType }) => !isConditionTrue(pod.status, conditionType),
  );
  const gated: Partial<PodCondition> =
    ready && gates.length > 0
      ? {
          reason: 'ReadinessGatesNotReady',
          message: gates
            .map(
              ({ conditionType }) =>
                `corresponding condition of pod readiness gate "${conditionType}" does not exist.`,
            )
            .join(' '),
        }
      : notReady;
  const incomplete = (spec.initContainers ?? []).filter((container) => !initDone(input, container));
  const uninitialized: Partial<PodCondition> = {
    reason: 'ContainersNotInitialized',
    message: `containers with incomplete status: [${incomplete.map(({ name }) => name).join(' ')}]`,
  };
  const observedGeneration = pod.metadata?.generation;
  const own = [
    condition('PodReadyToStartContainers', sandbox !== undefined, {}),
    condition(
      'Initialized',
      initialized || phase === 'Succeeded',
      uninitialized,
      phase === 'Succeeded' ? 'PodCompleted' : undefined,
    ),
    condition('Ready', ready && gates.length === 0, gated),
    condition('ContainersReady', ready, notReady),
    condition('PodScheduled', true, {}),
  ].map((one) => (observedGeneration === undefined ? one : { ...one, observedGeneration }));
  const conditions = mergeConditions(pod.status?.conditions ?? [], now, own);

  return {
    ...(observedGeneration === undefined ? {} : { observedGeneration }),
    phase,
    conditions,
    ...(input.failure ?? {}),
    ...(pod.status?.reason !== undefined && input.failure === undefined
      ? { reason: pod.status.reason, message: pod.status.message }
      : {}),
    ...(hostIp === '' ? {} : { hostIP: hostIp, hostIPs: [{ ip: hostIp }] }),
    ...(podIps.length === 0 ? {} : { podIP: podIps[0], podIPs: podIps.map((ip) => ({ ip })) }),
    startTime: pod.status?.startTime ?? timestamp(now),
    ...(initStatuses.length === 0 ? {} : { initContainerStatuses: initStatuses }),
    containerStatuses: statuses,
    qosClass: qosClass(pod),
  } as PodStatus;
}

/** A container's exit as the API shows it; `undefined` times are left out. */
function terminated(input: StatusInput, run: ObservedContainer): ContainerState {
  const message = input.terminationMessage(run) || run.message;
  return {
    terminated: {
      exitCode: run.exitCode,
      reason: run.reason === '' ? (run.exitCode === 0 ? 'Completed' : 'Error') : run.reason,
      ...(message === '' ? {} : { message }),
      startedAt: timestamp(run.startedAt),
      finishedAt: timestamp(run.finishedAt),
      containerID: containerId(run),
    },
  };
}

function containerStatus(
  input: StatusInput,
  container: Container,
  waitingByDefault: string,
  init: boolean,
): ContainerStatus {
  const { observed, pod } = input;
  const runs = observed.containers.filter(({ name }) => name === container.name);
  const [run, previous] = runs;
  const before = [
    ...(pod.status?.containerStatuses ?? []),
    ...(pod.status?.initContainerStatuses ?? []),
  ].find(({ name }) => name === container.name);
  // What is known of a pod that has ended does not change because the runtime has forgotten it.
  if (runs.length === 0 && before !== undefined && isTerminal(pod)) return before;
  const waits = input.waiting.get(container.name);
  const delay = input.backingOff.get(container.name);
  const stays =
    run?.state === 'exited' && (init ? !reruns(input, container, run) : !restarts(pod, run.exitCode));
  const base = {
    name: container.name,
    image: run?.image ?? container.image ?? '',
    imageID: run?.imageRef ?? '',
    ...(run === undefined ? {} : { containerID: containerId(run) }),
    restartCount: run?.restartCount ?? before?.restartCount ?? 0,
    lastState: {} as ContainerState,
    ready: false,
    started: false,
  };
  if (run?.state === 'running') {
    const verdict = input.verdict(run.id);
    return {
      ...base,
      lastState: previous?.state === 'exited' ? terminated(input, previous) : {},
      state: { running: { startedAt: timestamp(run.startedAt) } },
      started: verdict.started,
      ready: init && !isSidecar(container) ? false : verdict.started && verdict.ready,
    };
  }
  if (run?.state === 'exited') {
    const ended = terminated(input, run);
    const waiting = delay === undefined ? waits : crashLoop(pod, container.name, delay);
    if (stays || input.terminating || (waiting === undefined && isRecent(input, run))) {
      return {
        ...base,
        lastState: previous?.state === 'exited' ? terminated(input, previous) : {},
        state: ended,
        ready: init && run.exitCode === 0,
      };
    }
    return { ...base, lastState: ended, state: { waiting: waiting ?? { reason: waitingByDefault } } };
  }
  const last = run?.state === 'created' ? previous : run;
  return {
    ...base,
    lastState: last === undefined ? {} : terminated(input, last),
    state: { waiting: waits === undefined ? { reason: waitingByDefault } : { ...waits } },
  };
}

/** The run belongs to the pod's present sandbox: its end is the container's state until another run begins. */
function isRecent({ observed }: StatusInput, run: ObservedContainer): boolean {
  return run.sandboxId === observed.sandboxes[0]?.id;
}

function crashLoop(pod: Pod, name: string, delayMs: number): WaitingReason {
  const { name: podName, namespace, uid } = pod.metadata!;
  return {
    reason: 'CrashLoopBackOff',
    message: `back-off ${goDuration(delayMs)} restarting failed container=${name} pod=${podName}_${namespace}(${uid})`,
  };
}

function reruns({ pod }: StatusInput, container: Container, run: ObservedContainer): boolean {
  return isSidecar(container) || (run.exitCode !== 0 && pod.spec?.restartPolicy !== 'Never');
}

function initDone(input: StatusInput, container: Container): boolean {
  const run = input.observed.containers.find(({ name }) => name === container.name);
  if (isSidecar(container)) return run?.state === 'running' && input.verdict(run.id).started;
  if (run?.state === 'exited') return run.exitCode === 0;
  // Gone from the runtime after it had succeeded: the containers that came after it are the proof.
  return run === undefined && input.observed.containers.some((other) => isMain(input.pod, other));
}

function isInitialized(input: StatusInput): boolean {
  const inits = input.pod.spec?.initContainers ?? [];
  if (inits.every((container) => initDone(input, container))) return true;
  const sandbox = input.observed.sandboxes[0]?.id;
  return input.observed.containers.some((run) => run.sandboxId === sandbox && isMain(input.pod, run));
}

function isMain(pod: Pod, run: ObservedContainer): boolean {
  return pod.spec?.containers.some(({ name }) => name === run.name) === true;
}

function phaseOf(input: StatusInput, statuses: ContainerStatus[]): string {
  const { pod, observed } = input;
  // An ended pod stays ended: "never goes backwards".
  if (isTerminal(pod)) return pod.status!.phase!;
  if (input.failure !== undefined && !observed.containers.some(({ state }) => state === 'running'))
    return 'Failed';
  const exits = statuses.map(({ state }) => state?.terminated?.exitCode);
  const allEnded = exits.length > 0 && exits.every((code) => code !== undefined);
  if (isFinished(pod, observed) || (input.terminating && allEnded)) {
    return allEnded && exits.every((code) => code === 0) ? 'Succeeded' : 'Failed';
  }
  if (input.terminating) return pod.status?.phase ?? 'Pending';
  const begun = statuses.some(
    ({ state, lastState }) =>
      state?.running !== undefined || state?.terminated !== undefined || lastState?.terminated !== undefined,
  );
  return begun ? 'Running' : 'Pending';
}

function condition(
  type: string,
  holds: boolean,
  otherwise: Partial<PodCondition>,
  reason?: string,
): PodCondition {
  if (holds) return { type, status: 'True', ...(reason === undefined ? {} : { reason }) };
  return { type, status: 'False', ...otherwise };
}

/** Transition times stay as long as the status stays; conditions that are not the kubelet's are kept as they are. */
function mergeConditions(before: PodCondition[], now: number, own: PodCondition[]): PodCondition[] {
  const merged = own.map((one): PodCondition => {
    const old = before.find(({ type }) => type === one.type);
    const since = old?.status === one.status ? old.lastTransitionTime : undefined;
    return { ...one, lastProbeTime: undefined, lastTransitionTime: since ?? timestamp(now) };
  });
  const others = before.filter(({ type }) => !own.some((one) => one.type === type));
  return [...merged, ...others];
}

/** `containerd://ID`, as the API names containers. */
export function containerId(run: { id: string }): string {
  return `containerd://${run.id}`;
}

/** `10s`, `1m20s`, `5m0s`: durations as Go prints them, whole seconds. */
export function goDuration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}

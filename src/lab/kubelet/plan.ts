import { isSidecar } from '../../kube/pods.ts';
import type { Container, Pod } from '../../kube/types.ts';
import { containerHash, isHostNetwork } from './names.ts';
import type { ObservedContainer, ObservedPod, ObservedSandbox } from './observe.ts';

/** One step towards what a pod should be. The executor carries a plan's steps out in order. */
export type Action =
  | { kind: 'stop-sandbox'; id: string }
  | { kind: 'remove-sandbox'; id: string }
  | { kind: 'create-sandbox'; attempt: number }
  | { kind: 'start-container'; container: Container; attempt: number; restartCount: number; init: boolean }
  /** All kills of one plan go on at the same time. */
  | { kind: 'kill-container'; id: string; name: string; graceSeconds: number; message: string }
  | { kind: 'remove-container'; id: string };

/** What the probes of a running container have said so far. */
export interface ProbeVerdict {
  /** The startup probe has succeeded, or there is none. */
  started: boolean;
  /** The liveness or startup probe that has failed often enough to end the container. */
  failed: 'liveness' | 'startup' | undefined;
}

export interface PlanInput {
  pod: Pod;
  observed: ObservedPod;
  /** Milliseconds since the epoch. */
  now: number;
  /** The pod must end, within this many seconds a container. */
  stop: { graceSeconds: number } | undefined;
  /** The runtime says that it can make pod networks. */
  networkReady: boolean;
  verdict(containerId: string): ProbeVerdict;
  /** Milliseconds to wait after the end of a container of this name before it may run again. */
  restartDelayMs(name: string): number;
}

export interface Plan {
  actions: Action[];
  /** Containers that wait for their back-off, by name, with the time at which it ends. */
  backingOff: Map<string, number>;
  /** When to plan again although nothing happened; milliseconds since the epoch. */
  wakeAt: number | undefined;
  /** A sandbox is wanted but the runtime has no network for it. */
  waitsForNetwork: boolean;
  /** Nothing of the pod runs and nothing of it will: what remains may be removed. */
  ended: boolean;
}

/** How many ended runs of a container are kept beside the newest, for `kubectl logs --previous` and `lastState`. */
const KEPT_RUNS = 1;

/**
 * What to do next for one pod, from what is wanted and what is there. It is asked again after every change, so it
 * never looks further ahead than the observation allows; asking twice without a change gives the same answer.
 */
export function plan(input: PlanInput): Plan {
  const result: Plan = {
    actions: [],
    backingOff: new Map(),
    wakeAt: undefined,
    waitsForNetwork: false,
    ended: false,
  };
  if (input.stop !== undefined || isFinished(input.pod, input.observed)) planEnd(input, result);
  else planRun(input, result);
  for (const until of result.backingOff.values()) {
    result.wakeAt = Math.min(result.wakeAt ?? Number.POSITIVE_INFINITY, until);
  }
  return result;
}

/** The newest run of a container in any sandbox of the pod. */
export function newest(observed: ObservedPod, name: string): ObservedContainer | undefined {
  return observed.containers.find((container) => container.name === name);
}

/** The sandbox that the pod lives in now: the newest, when it is usable. */
export function currentSandbox(pod: Pod, observed: ObservedPod): ObservedSandbox | undefined {
  const sandbox = observed.sandboxes[0];
  if (sandbox === undefined || !sandbox.ready) return undefined;
  return isHostNetwork(pod) || sandbox.ips.length > 0 ? sandbox : undefined;
}

/** Whether a container that has ended with `exitCode` runs again. */
export function restarts(pod: Pod, exitCode: number): boolean {
  const policy = pod.spec?.restartPolicy ?? 'Always';
  return policy === 'Always' || (policy === 'OnFailure' && exitCode !== 0);
}

/** True when every container of the pod has ended for good, or an init container has failed for good. */
export function isFinished(pod: Pod, observed: ObservedPod): boolean {
  const ended = (name: string) => {
    const run = newest(observed, name);
    return run?.state === 'exited' ? run : undefined;
  };
  for (const { name } of (pod.spec?.initContainers ?? []).filter((container) => !isSidecar(container))) {
    const run = ended(name);
    // An init container runs again after any failure unless the policy is Never.
    if (run !== undefined && run.exitCode !== 0 && pod.spec?.restartPolicy === 'Never') return true;
  }
  // What must not run twice and has lost its sandbox is over, however far it had come.
  const begun = observed.sandboxes.length > 0 && observed.containers.length > 0;
  const lost = begun && currentSandbox(pod, observed) === undefined && !observed.containers.some(isAlive);
  if (lost && pod.spec?.restartPolicy === 'Never') return true;
  const containers = pod.spec?.containers ?? [];
  return (
    containers.length > 0 &&
    containers.every(({ name }) => {
      const run = ended(name);
      return run !== undefined && !restarts(pod, run.exitCode);
    })
  );
}

function planEnd({ pod, observed, stop }: PlanInput, result: Plan): void {
  const graceSeconds = stop?.graceSeconds ?? pod.spec?.terminationGracePeriodSeconds ?? 30;
  const alive = observed.containers.filter(isAlive);
  const sidecars = new Set((pod.spec?.initContainers ?? []).filter(isSidecar).map(({ name }) => name));
  // Sidecars serve the others to their end, so they go last.
  const first = alive.filter(({ name }) => !sidecars.has(name));
  for (const { id, name } of first.length > 0 ? first : alive) {
    const message = `Stopping container ${name}`;
    result.actions.push({ kind: 'kill-container', id, name, graceSeconds, message });
  }
  if (result.actions.length > 0) return;
  const ready = observed.sandboxes.filter((sandbox) => sandbox.ready);
  for (const { id } of ready) result.actions.push({ kind: 'stop-sandbox', id });
  if (result.actions.length === 0) result.ended = true;
}

function planRun(input: PlanInput, result: Plan): void {
  const { pod, observed } = input;
  const sandbox = currentSandbox(pod, observed);
  if (sandbox === undefined) {
    planSandbox(input, result);
    return;
  }
  const known = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])];
  const graceSeconds = pod.spec?.terminationGracePeriodSeconds ?? 30;
  for (const run of observed.containers) {
    const { id, name } = run;
    if (!known.some((container) => container.name === name)) {
      result.actions.push({ kind: 'remove-container', id });
    } else if (run.sandboxId !== sandbox.id && isAlive(run)) {
      const message = `Container ${name} runs in a sandbox that its pod has left`;
      result.actions.push({ kind: 'kill-container', id, name, graceSeconds, message });
    }
  }
  const here = observed.containers.filter((container) => container.sandboxId === sandbox.id);
  if (planInit(input, here, result)) {
    for (const container of pod.spec?.containers ?? []) planContainer(input, here, container, false, result);
  }
  planCleaning(observed, sandbox, result);
}

/** A sandbox is needed: what is left of earlier ones must be gone before, networks above all. */
function planSandbox({ pod, observed, networkReady }: PlanInput, result: Plan): void {
  for (const { id, name } of observed.containers.filter(isAlive)) {
    const message = 'Pod sandbox changed, it will be killed and re-created.';
    const graceSeconds = pod.spec?.terminationGracePeriodSeconds ?? 30;
    result.actions.push({ kind: 'kill-container', id, name, graceSeconds, message });
  }
  // Also one that is not ready may hold an address and ports: only the runtime knows, and stopping twice is no harm.
  for (const { id } of observed.sandboxes) {
    result.actions.push({ kind: 'stop-sandbox', id });
    const holds = observed.containers.some((container) => container.sandboxId === id);
    if (!holds) result.actions.push({ kind: 'remove-sandbox', id });
  }
  // A pod that must not run twice and has run does not get a second sandbox; when its containers have ended, it has.
  if (pod.spec?.restartPolicy === 'Never' && observed.containers.length > 0) return;
  if (!networkReady && !isHostNetwork(pod)) {
    result.waitsForNetwork = true;
    return;
  }
  const attempts = observed.sandboxes.map(({ attempt }) => attempt);
  result.actions.push({ kind: 'create-sandbox', attempt: Math.max(-1, ...attempts) + 1 });
}

/** Plans init containers, one after the other; true when the pod's own containers may run. */
function planInit(input: PlanInput, here: ObservedContainer[], result: Plan): boolean {
  const { pod } = input;
  const inits = pod.spec?.initContainers ?? [];
  // Ended init containers may have been removed since; that any other ran shows that they had succeeded.
  const initialized = (pod.spec?.containers ?? []).some(({ name }) => here.some((run) => run.name === name));
  for (const container of inits) {
    const run = here.find(({ name }) => name === container.name);
    if (isSidecar(container)) {
      planContainer(input, here, container, true, result);
      const up = run?.state === 'running' && input.verdict(run.id).started;
      if (!up && !initialized) return false;
      continue;
    }
    if (initialized || (run?.state === 'exited' && run.exitCode === 0)) continue;
    planContainer(input, here, container, true, result);
    return false;
  }
  return true;
}

function planContainer(
  input: PlanInput,
  here: ObservedContainer[],
  container: Container,
  init: boolean,
  result: Plan,
): void {
  const { pod, observed, now } = input;
  const { name } = container;
  const run = here.find((candidate) => candidate.name === name);
  const before = newest(observed, name);
  const start = (attempt: number, restartCount: number) =>
    result.actions.push({ kind: 'start-container', container, attempt, restartCount, init });

  if (run?.state === 'running') {
    const kill = whyKill(run, container, input.verdict(run.id));
    if (kill === undefined) return;
    const graceSeconds = graceFor(pod, container, input.verdict(run.id).failed);
    result.actions.push({ kind: 'kill-container', id: run.id, name, graceSeconds, message: kill });
    return;
  }
  if (run?.state === 'created') {
    // Created but never started: the kubelet or the runtime died in between. It is recreated under the same number.
    result.actions.push({ kind: 'remove-container', id: run.id });
    start(run.attempt, run.restartCount);
    return;
  }
  if (run === undefined) {
    // New sandbox: what had succeeded for good stays as it is, everything else starts at once.
    const done = before?.state === 'exited' && !init && !restarts(pod, before.exitCode);
    if (!done)
      start(
        before === undefined ? 0 : before.attempt + 1,
        before === undefined ? 0 : before.restartCount + 1,
      );
    return;
  }
  const again =
    isSidecar(container) || (init ? pod.spec?.restartPolicy !== 'Never' : restarts(pod, run.exitCode));
  if (!again) return;
  // It has ended before now: where its time says otherwise, the clock was set back, and waiting for that time could take hours.
  const until = run.finishedAt > now ? now : run.finishedAt + input.restartDelayMs(name);
  if (until > now) result.backingOff.set(name, until);
  else start(run.attempt + 1, run.restartCount + 1);
}

function whyKill(run: ObservedContainer, container: Container, verdict: ProbeVerdict): string | undefined {
  if (run.hash !== containerHash(container)) {
    return `Container ${run.name} definition changed, will be restarted`;
  }
  if (verdict.failed === undefined) return undefined;
  return `Container ${run.name} failed ${verdict.failed} probe, will be restarted`;
}

function graceFor(pod: Pod, container: Container, failed: ProbeVerdict['failed']): number {
  const probe = failed === undefined ? undefined : container[`${failed}Probe`];
  return probe?.terminationGracePeriodSeconds ?? pod.spec?.terminationGracePeriodSeconds ?? 30;
}

/** Removes ended runs that are not needed any more, and sandboxes that hold nothing any more. */
function planCleaning(observed: ObservedPod, current: ObservedSandbox, result: Plan): void {
  const seen = new Map<string, number>();
  const removed = new Set<string>();
  for (const { id, name, state } of observed.containers) {
    const newer = seen.get(name) ?? 0;
    seen.set(name, newer + 1);
    if (state !== 'running' && newer > KEPT_RUNS) {
      removed.add(id);
      if (!result.actions.some((action) => action.kind === 'remove-container' && action.id === id)) {
        result.actions.push({ kind: 'remove-container', id });
      }
    }
  }
  for (const { id } of observed.sandboxes) {
    if (id === current.id) continue;
    const holds = observed.containers.some((run) => run.sandboxId === id && !removed.has(run.id));
    if (holds) continue;
    result.actions.push({ kind: 'stop-sandbox', id }, { kind: 'remove-sandbox', id });
  }
}

function isAlive(container: ObservedContainer): boolean {
  return container.state === 'running' || container.state === 'unknown';
}

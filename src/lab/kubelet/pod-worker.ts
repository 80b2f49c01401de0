import { rm } from 'node:fs/promises';
import { hasReason } from '../../kube/client.ts';
import { isTerminal } from '../../kube/placement.ts';
import { pods } from '../../kube/resources.ts';
import type { Pod, PodStatus } from '../../kube/types.ts';
import { messageOf } from '../../util/errors.ts';
import { ContainerSteps, Interrupted, type StepInput } from './container-steps.ts';
import { describePod, isHostNetwork, podLogDirectory } from './names.ts';
import type { ObservedContainer, ObservedPod } from './observe.ts';
import { type Action, currentSandbox, newest, type Plan, plan } from './plan.ts';
import type { PodContext } from './pod-context.ts';
import { PodVolumes } from './pod-volumes.ts';
import { PodProbes } from './probes.ts';
import { restartDelayMs } from './restart-delay.ts';
import { Retries } from './retries.ts';
import { SandboxSteps } from './sandbox-steps.ts';
import { unlinkLog } from './start-container.ts';
import { podStatus } from './status.ts';
import { StatusPublisher } from './status-publisher.ts';
import { terminationMessages } from './termination-message.ts';
import { WakeTimer } from './wake-timer.ts';

/**
 * A sandbox or volume that failed is tried again after 0.2 s, 0.4 s and so on up to every 3 s: on a new node the plugins
 * come a moment after the configuration, and a fixed one is noticed soon.
 */
const POD_PACE = { initialMs: 200, maxMs: 3_000 };
/** A container that could not be created is tried again after 1 s, 2 s, 4 s, 8 s, then every 10 s. */
const START_PACE = { initialMs: 1_000, maxMs: 10_000 };
/** containerd publishes an exit a moment before its CRI status has it. */
const EXIT_SETTLES_MS = 20;

/** Where a pod is wanted from. */
export type PodState =
  | { kind: 'wanted'; pod: Pod }
  /** No longer in its source: ended without a word to the API. */
  | { kind: 'gone' };

/**
 * Brings one pod to what is wanted of it, one step after another: observe, plan, carry out, and again until the plan is
 * empty. Whatever happens (an update, an exit, a probe's verdict, a timer) only wakes it.
 */
export class PodWorker {
  readonly #context: PodContext;
  readonly #publisher: StatusPublisher;
  readonly #probes: PodProbes;
  readonly #onDone: () => void;
  readonly #timer: WakeTimer;
  /** Of the sandbox, of containers to end (by ID), of whole turns. */
  readonly #retries: Retries;
  readonly #volumes: PodVolumes;
  readonly #sandboxes: SandboxSteps;
  readonly #containers: ContainerSteps;
  /** Restart counts at which a container's back-off was reset. */
  readonly #steadySince = new Map<string, number>();
  /** Containers whose exit the runtime has reported but does not show yet. */
  readonly #exited = new Set<string>();
  #pod: Pod;
  /** What static pods stand for in the API. */
  #mirror: Pod | undefined;
  #gone = false;
  #failure: { reason: string; message: string } | undefined;
  #lastStatus: PodStatus | undefined;
  #interrupt = new AbortController();
  #awake = false;
  #working = false;
  #done = false;

  constructor(
    context: PodContext,
    pod: Pod,
    options: {
      /** Nothing of the pod is left on this node. */
      onDone: () => void;
      /** The node refused the pod. */
      failure?: { reason: string; message: string };
    },
  ) {
    this.#context = context;
    this.#pod = pod;
    this.#failure = options.failure;
    this.#onDone = options.onDone;
    this.#timer = new WakeTimer(context.clock, () => this.wake());
    this.#retries = new Retries(context.clock, this.#timer, POD_PACE);
    this.#volumes = new PodVolumes(context, this.#timer);
    this.#sandboxes = new SandboxSteps(context, this.#retries, this.#volumes);
    this.#containers = new ContainerSteps(context, {
      starts: new Retries(context.clock, this.#timer, START_PACE),
      ends: this.#retries,
      volumes: this.#volumes,
    });
    this.#publisher = new StatusPublisher(context.client, context.clock, (error) =>
      context.log(`pod ${describePod(pod)}: status not written: ${messageOf(error)}`),
    );
    this.#probes = new PodProbes({
      run: context.probe,
      clock: context.clock,
      onChange: () => this.wake(),
      onFailure: (container, kind, message) =>
        context.say(this.#pod, 'Warning', 'Unhealthy', `${kind} probe failed: ${message}`, container),
    });
  }

  get pod(): Pod {
    return this.#pod;
  }

  /** Whether it is no longer wanted at all, and only being ended. */
  get isGone(): boolean {
    return this.#gone;
  }

  /** The status last computed, newer than what the API has when the API is away. */
  get status(): PodStatus | undefined {
    return this.#lastStatus;
  }

  /** The pod's definition changed or went. */
  update(state: PodState): void {
    const before = this.#graceSeconds();
    if (state.kind === 'gone') this.#gone = true;
    else this.#pod = state.pod;
    const now = this.#graceSeconds();
    // What is under way (a pull, a long stop) is given up when the pod must end, or must end sooner.
    if (now !== undefined && (before === undefined || now < before)) {
      this.#interrupt.abort();
      this.#interrupt = new AbortController();
    }
    this.wake();
  }

  /** The mirror in the API of a static pod, which takes its status. */
  setMirror(mirror: Pod | undefined): void {
    this.#mirror = mirror;
    this.wake();
  }

  /** The runtime says that a container or sandbox of this pod has ended. */
  exited(id: string): void {
    this.#exited.add(id);
    this.wake();
  }

  /** Looks again, now or as soon as the step under way is done. */
  wake(): void {
    this.#awake = true;
    if (!this.#working && !this.#done) void this.#work();
  }

  /** Ends the worker and leaves the pod running, for the end of the kubelet. */
  stop(): void {
    this.#done = true;
    this.#timer.stop();
    this.#probes.stop();
    this.#publisher.stop();
  }

  async #work(): Promise<void> {
    this.#working = true;
    try {
      while (this.#awake && !this.#done) {
        this.#awake = false;
        try {
          await this.#sync();
        } catch (error) {
          if (this.#done) return;
          if (error instanceof Interrupted) {
            this.#awake = true;
            continue;
          }
          const delay = this.#retries.later('turn');
          this.#context.log(
            `pod ${describePod(this.#pod)}: ${messageOf(error)}; looking again in ${delay} ms`,
          );
        }
      }
    } finally {
      this.#working = false;
    }
  }

  async #sync(): Promise<void> {
    const { observer, clock } = this.#context;
    const uid = this.#pod.metadata!.uid!;
    const observed = await observer.pod(uid);
    this.#noticeExits(observed);
    const sandbox = currentSandbox(this.#pod, observed);
    const podIp = isHostNetwork(this.#pod) ? this.#context.nodeIp : (sandbox?.ips[0] ?? '');
    if (this.#graceSeconds() === undefined) this.#probes.watch(this.#pod, observed.containers, podIp);
    else this.#probes.stop();
    const now = clock.now();
    this.#checkDeadline(now);

    const graceSeconds = this.#graceSeconds();
    const planned = plan({
      pod: this.#pod,
      observed,
      now,
      stop: graceSeconds === undefined ? undefined : { graceSeconds },
      networkReady: this.#context.networkProblem() === undefined,
      verdict: (id) => this.#probes.verdict(id),
      restartDelayMs: (name) => this.#restartDelay(newest(observed, name)),
    });
    this.#sayWaits(planned);
    await this.#publish(observed, planned);
    if (planned.wakeAt !== undefined) this.#timer.at(clock.monotonic() + planned.wakeAt - now);
    if (planned.ended) {
      // One that ended by itself stays, with its logs, until somebody deletes it.
      if (this.#leaves()) await this.#finish(observed);
      return;
    }
    const changed = await this.#execute(planned.actions, observed);
    this.#retries.forget('turn');
    if (changed) this.#awake = true;
    else await this.#volumes.refresh(this.#pod, podIp);
  }

  /** Seconds within which the pod must end; undefined while it may run. */
  #graceSeconds(): number | undefined {
    const { metadata, spec } = this.#pod;
    const own = spec?.terminationGracePeriodSeconds ?? 30;
    if (this.#gone) return Math.max(1, metadata?.deletionGracePeriodSeconds ?? own);
    if (metadata?.deletionTimestamp !== undefined) {
      return Math.max(1, metadata.deletionGracePeriodSeconds ?? own);
    }
    if (this.#failure !== undefined || isTerminal(this.#pod) || this.#ownEnd()) return Math.max(1, own);
    return undefined;
  }

  /** Nobody wants the pod any more. */
  #leaves(): boolean {
    return this.#gone || this.#pod.metadata?.deletionTimestamp !== undefined;
  }

  /** The pod has ended by itself. */
  #ownEnd(): boolean {
    if (this.#leaves()) return false;
    return isTerminal(this.#pod) || isTerminal({ status: this.#lastStatus });
  }

  #noticeExits(observed: ObservedPod): void {
    for (const id of this.#exited) {
      const run = observed.containers.find((container) => container.id === id);
      const sandbox = observed.sandboxes.find((candidate) => candidate.id === id);
      if (run?.state === 'running' || sandbox?.ready === true) {
        this.#timer.at(this.#context.clock.monotonic() + EXIT_SETTLES_MS);
      } else this.#exited.delete(id);
    }
  }

  #checkDeadline(now: number): void {
    const limit = this.#pod.spec?.activeDeadlineSeconds;
    const begun = this.#lastStatus?.startTime ?? this.#pod.status?.startTime;
    if (limit === undefined || begun === undefined || this.#failure !== undefined || this.#ownEnd()) return;
    const until = Date.parse(begun) + limit * 1000;
    if (now < until) {
      this.#timer.at(this.#context.clock.monotonic() + until - now);
      return;
    }
    this.#failure = {
      reason: 'DeadlineExceeded',
      message: 'Pod was active on the node longer than the specified deadline',
    };
    this.#context.say(this.#pod, 'Normal', 'DeadlineExceeded', this.#failure.message);
  }

  #restartDelay(run: ObservedContainer | undefined): number {
    if (run === undefined) return 0;
    const delay = restartDelayMs(run, this.#steadySince.get(run.name) ?? 0);
    if (delay.steady) this.#steadySince.set(run.name, run.restartCount);
    return delay.ms;
  }

  #sayWaits(planned: Plan): void {
    for (const [name] of planned.backingOff) {
      if (this.#containers.waiting.get(name)?.reason === 'CrashLoopBackOff') continue;
      this.#containers.waiting.set(name, { reason: 'CrashLoopBackOff', message: '' });
      const message = `Back-off restarting failed container ${name} in pod ${describePod(this.#pod)}`;
      this.#context.say(this.#pod, 'Warning', 'BackOff', message, name);
    }
    if (planned.waitsForNetwork) {
      const message = `network is not ready: ${this.#context.networkProblem()}`;
      this.#context.say(this.#pod, 'Warning', 'NetworkNotReady', message);
    }
  }

  async #publish(observed: ObservedPod, planned: Plan): Promise<void> {
    if (this.#gone) return;
    const target = this.#mirror ?? this.#pod;
    const own = this.#lastStatus?.conditions ?? [];
    const others = (target.status?.conditions ?? []).filter(
      ({ type }) => !own.some((condition) => condition.type === type),
    );
    const before: PodStatus | undefined =
      this.#lastStatus === undefined
        ? target.status
        : { ...this.#lastStatus, conditions: [...own, ...others] };
    const now = this.#context.clock.now();
    const messages = await terminationMessages(this.#context, this.#pod, observed.containers);
    const status = podStatus({
      pod: { ...this.#pod, status: before },
      observed,
      now,
      hostIp: this.#context.nodeIp,
      waiting: this.#containers.waiting,
      backingOff: new Map(
        [...planned.backingOff.keys()].map((name) => [name, this.#restartDelay(newest(observed, name))]),
      ),
      verdict: (id) => this.#probes.verdict(id),
      terminationMessage: (run) => messages.get(run.id) ?? '',
      failure: this.#failure,
      terminating: this.#graceSeconds() !== undefined,
    });
    this.#lastStatus = status;
    // A static pod without its mirror has no object to report to.
    if (target.metadata?.annotations?.['kubernetes.io/config.source'] !== 'file') {
      this.#publisher.publish(target, status);
    } else if (this.#mirror !== undefined) this.#publisher.publish(this.#mirror, status);
  }

  /** Carries out a plan; false when there was nothing to do, or when it waits for a later try. */
  async #execute(actions: readonly Action[], observed: ObservedPod): Promise<boolean> {
    const kills = actions.filter((action) => action.kind === 'kill-container');
    if (kills.length > 0) {
      const input = this.#input(observed);
      const ended = await Promise.all(kills.map((kill) => this.#containers.kill(kill, input)));
      return ended.includes(true);
    }
    let changed = false;
    for (const action of actions) {
      const went = await this.#step(action, observed);
      if (went === 'stop') return changed;
      changed ||= went === 'changed';
      if (this.#awake && action.kind === 'start-container') return true;
    }
    return changed;
  }

  async #step(action: Action, observed: ObservedPod): Promise<'changed' | 'waits' | 'stop'> {
    const { runtime } = this.#context;
    switch (action.kind) {
      case 'stop-sandbox': {
        if (!(await this.#sandboxes.stop(this.#pod, action.id))) return 'stop';
        // Stopping what has stopped is done to be sure; it is no reason to look again.
        return observed.sandboxes.find(({ id }) => id === action.id)?.ready === true ? 'changed' : 'waits';
      }
      case 'remove-sandbox':
        await runtime.removeSandbox(action.id);
        return 'changed';
      case 'create-sandbox':
        return (await this.#sandboxes.create(this.#pod, action.attempt)) ? 'changed' : 'stop';
      case 'remove-container': {
        await runtime.removeContainer(action.id);
        const run = observed.containers.find(({ id }) => id === action.id);
        if (run !== undefined) await unlinkLog(this.#context, this.#pod.metadata!, run.name, run.id);
        return 'changed';
      }
      case 'start-container':
        return (await this.#containers.start(action, this.#input(observed))) ? 'changed' : 'waits';
      case 'kill-container':
        return (await this.#containers.kill(action, this.#input(observed))) ? 'changed' : 'stop';
    }
  }

  #input(observed: ObservedPod): StepInput {
    return { pod: this.#pod, observed, signal: this.#interrupt.signal };
  }

  /** Removes everything of a pod that has ended, then lets the API remove the pod. */
  async #finish(observed: ObservedPod): Promise<void> {
    const context = this.#context;
    const { uid, name, namespace, deletionTimestamp } = this.#pod.metadata!;
    for (const { id } of observed.sandboxes) {
      if (!(await this.#sandboxes.stop(this.#pod, id))) return;
    }
    await this.#publisher.settled();
    for (const run of observed.containers) {
      await context.runtime.removeContainer(run.id);
      await unlinkLog(context, this.#pod.metadata!, run.name, run.id);
    }
    for (const { id } of observed.sandboxes) await context.runtime.removeSandbox(id);
    await context.volumes.remove(uid!);
    await rm(podLogDirectory(context.directories, this.#pod), { recursive: true, force: true });
    if (!this.#gone && deletionTimestamp !== undefined && this.#mirror === undefined) {
      try {
        await context.client.delete(pods, name!, namespace, {
          gracePeriodSeconds: 0,
          preconditions: { uid },
        });
      } catch (error) {
        if (!hasReason(error, 'NotFound', 'Conflict')) throw error;
      }
    }
    context.images.forget(uid!);
    context.log(`pod ${describePod(this.#pod)}: gone`);
    this.stop();
    this.#onDone();
  }
}

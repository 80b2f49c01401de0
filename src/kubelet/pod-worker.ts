import { rm } from 'node:fs/promises';
import { hasReason } from '../kube/client.ts';
import { isTerminal } from '../kube/placement.ts';
import { pods } from '../kube/resources.ts';
import type { Container, Pod, PodStatus } from '../kube/types.ts';
import { readIfExists } from '../sys/files.ts';
import { Backoff } from '../util/backoff.ts';
import { messageOf } from '../util/errors.ts';
import { parseResolvConf, podDns, resolvConf } from './dns.ts';
import { ConfigError } from './env.ts';
import { runHook } from './hooks.ts';
import { ImageProblem } from './images.ts';
import { describePod, isHostNetwork, podLogDirectory } from './names.ts';
import type { ObservedContainer, ObservedPod } from './observe.ts';
import { type Action, currentSandbox, newest, type Plan, plan } from './plan.ts';
import type { PodContext } from './pod-context.ts';
import { PodProbes } from './probes.ts';
import { restartDelayMs } from './restart-delay.ts';
import { RuntimeError } from './runtime.ts';
import { sandboxConfig } from './sandbox-config.ts';
import { createContainer, ensureImage, linkLog, unlinkLog } from './start-container.ts';
import { podStatus, type WaitingReason } from './status.ts';
import { StatusPublisher } from './status-publisher.ts';
import { terminationMessages } from './termination-message.ts';
import { VolumeError } from './volumes/volume-error.ts';

/** A sandbox or volume that failed is tried again after 1 s, 2 s, then every 3 s: a node that was mended is seen soon. */
const RETRY_MS = { initial: 1_000, max: 3_000 };
/** A container that could not be created is tried again after 1 s, 2 s, 4 s, 8 s, then every 10 s. */
const CREATE_RETRY_MS = { initial: 1_000, max: 10_000 };
/** containerd publishes an exit a moment before its CRI status has it. */
const EXIT_SETTLES_MS = 20;
/** How often objects behind volumes (config maps, secrets, tokens) are looked at again. */
const VOLUME_REFRESH_MS = 60_000;

const MAX_TIMER_MS = 2 ** 31 - 1;

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
  readonly #waiting = new Map<string, WaitingReason>();
  readonly #retry = new Backoff(RETRY_MS.initial, RETRY_MS.max);
  readonly #createRetry = new Backoff(CREATE_RETRY_MS.initial, CREATE_RETRY_MS.max);
  /** Containers (by name) that are not to be tried again before a time. */
  readonly #notBefore = new Map<string, number>();
  /** Restart counts at which a container's back-off began anew. */
  readonly #steadySince = new Map<string, number>();
  /** Containers whose exit the runtime told of but does not show yet. */
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
  #timer: { at: number; handle: ReturnType<typeof setTimeout> } | undefined;
  #volumes: { at: number; paths: Map<string, string> } | undefined;

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
    clearTimeout(this.#timer?.handle);
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
          const delay = this.#retry.next('sync');
          this.#context.log(
            `pod ${describePod(this.#pod)}: ${messageOf(error)}; looking again in ${delay} ms`,
          );
          this.#wakeAt(this.#context.clock.now() + delay);
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
    this.#checkDeadline(clock.now());

    const graceSeconds = this.#graceSeconds();
    const planned = plan({
      pod: this.#pod,
      observed,
      now: clock.now(),
      stop: graceSeconds === undefined ? undefined : { graceSeconds },
      networkReady: this.#context.networkProblem() === undefined,
      verdict: (id) => this.#probes.verdict(id),
      restartDelayMs: (name) => this.#restartDelay(newest(observed, name)),
    });
    this.#sayWaits(planned);
    await this.#publish(observed, planned);
    if (planned.wakeAt !== undefined) this.#wakeAt(planned.wakeAt);
    if (planned.ended) {
      // One that ended by itself stays, with its logs, until somebody deletes it.
      if (this.#leaves()) await this.#finish(observed);
      return;
    }
    const changed = await this.#execute(planned.actions, observed);
    this.#retry.forget('sync');
    if (changed) this.#awake = true;
    else if (this.#volumes !== undefined) await this.#refreshVolumes(podIp);
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
        this.#wakeAt(this.#context.clock.now() + EXIT_SETTLES_MS);
      } else this.#exited.delete(id);
    }
  }

  #checkDeadline(now: number): void {
    const limit = this.#pod.spec?.activeDeadlineSeconds;
    const begun = this.#lastStatus?.startTime ?? this.#pod.status?.startTime;
    if (limit === undefined || begun === undefined || this.#failure !== undefined || this.#ownEnd()) return;
    const until = Date.parse(begun) + limit * 1000;
    if (now < until) {
      this.#wakeAt(until);
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
      if (this.#waiting.get(name)?.reason === 'CrashLoopBackOff') continue;
      this.#waiting.set(name, { reason: 'CrashLoopBackOff', message: '' });
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
      waiting: this.#waiting,
      backingOff: new Map(
        [...planned.backingOff.keys()].map((name) => [name, this.#restartDelay(newest(observed, name))]),
      ),
      verdict: (id) => this.#probes.verdict(id),
      terminationMessage: (run) => messages.get(run.id) ?? '',
      failure: this.#failure,
      terminating: this.#graceSeconds() !== undefined,
    });
    this.#lastStatus = status;
    // A static pod without its mirror has nobody to tell.
    if (target.metadata?.annotations?.['kubernetes.io/config.source'] !== 'file') {
      this.#publisher.publish(target, status);
    } else if (this.#mirror !== undefined) this.#publisher.publish(this.#mirror, status);
  }

  /** Carries out a plan; false when there was nothing to do, or when it waits for a later try. */
  async #execute(actions: readonly Action[], observed: ObservedPod): Promise<boolean> {
    const kills = actions.filter((action) => action.kind === 'kill-container');
    if (kills.length > 0) {
      const ended = await Promise.all(kills.map((kill) => this.#kill(kill, observed)));
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
        if (!(await this.#stopSandbox(action.id))) return 'stop';
        // Stopping what has stopped is done to be sure; it is no reason to look again.
        return observed.sandboxes.find(({ id }) => id === action.id)?.ready === true ? 'changed' : 'waits';
      }
      case 'remove-sandbox':
        await runtime.removeSandbox(action.id);
        return 'changed';
      case 'create-sandbox':
        return (await this.#createSandbox(action.attempt)) ? 'changed' : 'stop';
      case 'remove-container': {
        await runtime.removeContainer(action.id);
        const run = observed.containers.find(({ id }) => id === action.id);
        if (run !== undefined) await unlinkLog(this.#context, this.#pod.metadata!, run.name, run.id);
        return 'changed';
      }
      case 'start-container':
        return (await this.#start(action, observed)) ? 'changed' : 'waits';
      case 'kill-container':
        return (await this.#kill(action, observed)) ? 'changed' : 'stop';
    }
  }

  async #stopSandbox(id: string): Promise<boolean> {
    if (!this.#mayTry('')) return false;
    try {
      await this.#context.runtime.stopSandbox(id);
      return true;
    } catch (error) {
      const uid = this.#pod.metadata!.uid;
      const message = `error killing pod: failed to "KillPodSandbox" for "${uid}" with KillPodSandboxError: ${JSON.stringify(messageOf(error))}`;
      this.#context.say(this.#pod, 'Warning', 'FailedKillPod', message);
      this.#tryLater('', this.#retry);
      return false;
    }
  }

  async #createSandbox(attempt: number): Promise<boolean> {
    if (!this.#mayTry('')) return false;
    const { runtime, directories } = this.#context;
    if (attempt > 0) {
      const message = 'Pod sandbox changed, it will be killed and re-created.';
      this.#context.say(this.#pod, 'Normal', 'SandboxChanged', message);
    }
    // Volumes need no sandbox: both are made at once, and whoever starts containers waits for the volumes.
    const volumes = this.#ensureVolumes('').catch(() => undefined);
    try {
      const { dns } = await this.#dns();
      await runtime.runSandbox(sandboxConfig(this.#pod, attempt, dns, directories));
    } catch (error) {
      const message = `Failed to create pod sandbox: ${messageOf(error)}`;
      this.#context.say(this.#pod, 'Warning', 'FailedCreatePodSandBox', message);
      this.#tryLater('', this.#retry);
      return false;
    } finally {
      await volumes;
    }
    this.#retry.forget('');
    return true;
  }

  async #dns() {
    const node = parseResolvConf((await readIfExists('/etc/resolv.conf')) ?? '');
    const dns = podDns(this.#pod, this.#context.dns, node);
    return { dns, file: resolvConf(dns) };
  }

  async #ensureVolumes(podIp: string): Promise<Map<string, string>> {
    const { volumes, nodeIp, nodeName, allocatable, clock } = this.#context;
    const paths = await volumes.ensure(this.#pod, {
      podIps: podIp === '' ? [] : [podIp],
      hostIp: nodeIp,
      nodeName,
      allocatable,
    });
    this.#volumes = { at: clock.now(), paths };
    return paths;
  }

  /** Keeps the files of volumes as their objects are; a failure is told and tried again at the next turn. */
  async #refreshVolumes(podIp: string): Promise<void> {
    const fromObjects = (this.#pod.spec?.volumes ?? []).some(
      (volume) => volume.hostPath === undefined && volume.emptyDir === undefined,
    );
    if (!fromObjects) return;
    const now = this.#context.clock.now();
    if (now - this.#volumes!.at >= VOLUME_REFRESH_MS) {
      try {
        await this.#ensureVolumes(podIp);
      } catch (error) {
        this.#volumes!.at = now;
        this.#context.say(this.#pod, 'Warning', 'FailedMount', messageOf(error));
      }
    }
    this.#wakeAt(this.#volumes!.at + VOLUME_REFRESH_MS);
  }

  async #start(
    action: Extract<Action, { kind: 'start-container' }>,
    observed: ObservedPod,
  ): Promise<boolean> {
    const { container } = action;
    const { name } = container;
    if (!this.#mayTry(name)) return false;
    const context = this.#context;
    const sandbox = currentSandbox(this.#pod, observed)!;
    const podIps = isHostNetwork(this.#pod) ? [context.nodeIp] : sandbox.ips;
    const { signal } = this.#interrupt;
    try {
      const volumes = await this.#ensureVolumes(podIps[0] ?? '');
      const image = await ensureImage(context, this.#pod, container, signal);
      const { dns, file } = await this.#dns();
      const id = await createContainer(context, {
        ...action,
        pod: this.#pod,
        image,
        sandboxId: sandbox.id,
        sandboxConfig: sandboxConfig(this.#pod, sandbox.attempt, dns, context.directories),
        podIps,
        volumes,
        resolvConf: file,
      });
      context.say(this.#pod, 'Normal', 'Created', `Created container ${name}`, name);
      await this.#launch(id, container, action.attempt, podIps[0] ?? '', signal);
      this.#waiting.delete(name);
      this.#createRetry.forget(name);
      return true;
    } catch (error) {
      if (signal.aborted) throw new Interrupted();
      const before = this.#waiting.get(name);
      this.#cannotStart(name, error);
      const { reason, message } = this.#waiting.get(name)!;
      // The status has a reason that the API does not know yet; and what could not be started has ended.
      return reason === 'RunContainerError' || reason !== before?.reason || message !== before.message;
    }
  }

  async #launch(
    id: string,
    container: Container,
    attempt: number,
    podIp: string,
    signal: AbortSignal,
  ): Promise<void> {
    const context = this.#context;
    const { name } = container;
    try {
      await context.runtime.startContainer(id);
    } catch (error) {
      throw new StartError(messageOf(error));
    }
    context.say(this.#pod, 'Normal', 'Started', `Started container ${name}`, name);
    await linkLog(context, this.#pod, name, attempt, id);
    const hook = container.lifecycle?.postStart;
    if (hook === undefined) return;
    const target = { container, containerId: id, podIp };
    const problem = await runHook(hook, target, context.runtime, context.clock, signal);
    if (problem === undefined) return;
    context.say(this.#pod, 'Warning', 'FailedPostStartHook', `PostStartHook failed: ${problem}`, name);
    const message = `FailedPostStartHook: Container ${name} failed its postStart hook, will be restarted`;
    context.say(this.#pod, 'Normal', 'Killing', message, name);
    await context.runtime.stopContainer(id, this.#pod.spec?.terminationGracePeriodSeconds ?? 30, signal);
  }

  /** Notes why a container does not run, in Kubernetes' words, and when it is tried again. */
  #cannotStart(name: string, error: unknown): void {
    const message = messageOf(error);
    const say = (text: string) => this.#context.say(this.#pod, 'Warning', 'Failed', text, name);
    if (error instanceof ImageProblem) {
      this.#waiting.set(name, { reason: error.reason, message });
      if (error.reason !== 'InvalidImageName') say(`Error: ${error.reason}`);
      if (error.retryInMs === undefined) this.#tryLater(name, this.#createRetry);
      else this.#notBefore.set(name, this.#wakeAt(this.#context.clock.now() + error.retryInMs));
      return;
    }
    if (error instanceof VolumeError) {
      this.#waiting.set(name, { reason: 'ContainerCreating', message: '' });
      this.#context.say(this.#pod, 'Warning', 'FailedMount', message);
    } else {
      const reason =
        error instanceof ConfigError
          ? 'CreateContainerConfigError'
          : error instanceof StartError
            ? 'RunContainerError'
            : error instanceof RuntimeError
              ? 'CreateContainerError'
              : 'CreateContainerConfigError';
      this.#waiting.set(name, { reason, message });
      say(`Error: ${message}`);
    }
    this.#tryLater(name, this.#createRetry);
  }

  /** Ends one container; false when the runtime did not. */
  async #kill(action: Extract<Action, { kind: 'kill-container' }>, observed: ObservedPod): Promise<boolean> {
    if (!this.#mayTry(`kill ${action.id}`)) return false;
    const context = this.#context;
    const { id, name } = action;
    const { signal } = this.#interrupt;
    context.say(this.#pod, 'Normal', 'Killing', action.message, name);
    const containers = [...(this.#pod.spec?.containers ?? []), ...(this.#pod.spec?.initContainers ?? [])];
    const container = containers.find((candidate) => candidate.name === name);
    const run = observed.containers.find((candidate) => candidate.id === id);
    const begun = context.clock.now();
    // A pod that is only known from the runtime has no definition any more; its containers carry their grace.
    const grace = container === undefined ? (run?.graceSeconds ?? action.graceSeconds) : action.graceSeconds;
    const hook = container?.lifecycle?.preStop;
    if (hook !== undefined) {
      const podIp = currentSandbox(this.#pod, observed)?.ips[0] ?? context.nodeIp;
      const late = AbortSignal.any([signal, AbortSignal.timeout(grace * 1000)]);
      const aborted = Promise.withResolvers<string>();
      late.addEventListener('abort', () => aborted.resolve('grace period is over'), { once: true });
      const target = { container: container!, containerId: id, podIp };
      const problem = await Promise.race([
        runHook(hook, target, context.runtime, context.clock, late),
        aborted.promise,
      ]);
      if (signal.aborted) throw new Interrupted();
      if (problem !== undefined) {
        context.say(this.#pod, 'Warning', 'FailedPreStopHook', `PreStopHook failed: ${problem}`, name);
      }
    }
    const used = Math.floor((context.clock.now() - begun) / 1000);
    try {
      await context.runtime.stopContainer(id, Math.max(1, grace - used), signal);
      return true;
    } catch (error) {
      if (signal.aborted) throw new Interrupted();
      const message = `error killing pod: failed to "KillContainer" for "${name}" with KillContainerError: ${JSON.stringify(messageOf(error))}`;
      context.say(this.#pod, 'Warning', 'FailedKillPod', message);
      this.#tryLater(`kill ${id}`, this.#retry);
      return false;
    }
  }

  /** Takes away everything of a pod that has ended, then tells the API that it may forget it. */
  async #finish(observed: ObservedPod): Promise<void> {
    const context = this.#context;
    const { uid, name, namespace, deletionTimestamp } = this.#pod.metadata!;
    for (const { id } of observed.sandboxes) {
      if (!(await this.#stopSandbox(id))) return;
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

  #mayTry(what: string): boolean {
    const at = this.#notBefore.get(what);
    if (at === undefined || at <= this.#context.clock.now()) return true;
    this.#wakeAt(at);
    return false;
  }

  #tryLater(what: string, backoff: Backoff): void {
    this.#notBefore.set(what, this.#wakeAt(this.#context.clock.now() + backoff.next(what)));
  }

  /** Looks again at a time at the latest; an earlier appointment stays. */
  #wakeAt(at: number): number {
    if (this.#done || (this.#timer !== undefined && this.#timer.at <= at)) return at;
    clearTimeout(this.#timer?.handle);
    const handle = setTimeout(
      () => {
        this.#timer = undefined;
        this.wake();
      },
      // Timers take 31 bits of milliseconds; a longer wait is made of several.
      Math.min(Math.max(0, at - this.#context.clock.now()), MAX_TIMER_MS),
    );
    this.#timer = { at, handle };
    return at;
  }
}

/** What was under way was given up because the pod must end (sooner). */
class Interrupted extends Error {}

/** The runtime made a container and could not start it. */
class StartError extends Error {}

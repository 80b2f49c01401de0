import { RuntimeError } from '../../cri/runtime.ts';
import type { Container, Pod } from '../../kube/types.ts';
import { messageOf } from '../../util/errors.ts';
import { runHook } from './hooks.ts';
import { ImageProblem } from './images.ts';
import { isHostNetwork } from './names.ts';
import type { ObservedPod } from './observe.ts';
import { type Action, currentSandbox } from './plan.ts';
import type { PodContext } from './pod-context.ts';
import type { PodVolumes } from './pod-volumes.ts';
import type { Retries } from './retries.ts';
import { sandboxConfig } from './sandbox-config.ts';
import { podResolver } from './sandbox-steps.ts';
import { createContainer, ensureImage, linkLog } from './start-container.ts';
import type { WaitingReason } from './status.ts';
import { VolumeError } from './volumes/volume-error.ts';

/** What was under way was given up because the pod must end (sooner). */
export class Interrupted extends Error {}

/** The runtime made a container and could not start it. */
class StartError extends Error {}

/** What a step works on. */
export interface StepInput {
  pod: Pod;
  observed: ObservedPod;
  /** Aborts when the pod must end, or must end sooner: the step then throws {@link Interrupted}. */
  signal: AbortSignal;
}

/** Starts and ends the containers of one pod, with words for what fails and patience for the next try. */
export class ContainerSteps {
  /** Containers that wait, and for what, in Kubernetes' words. */
  readonly waiting = new Map<string, WaitingReason>();
  readonly #context: PodContext;
  /** Of starts, by the container's name. */
  readonly #starts: Retries;
  /** Of ends, by the container's ID. */
  readonly #ends: Retries;
  readonly #volumes: PodVolumes;

  constructor(
    context: PodContext,
    parts: {
      starts: Retries;
      ends: Retries;
      volumes: PodVolumes;
    },
  ) {
    this.#context = context;
    this.#starts = parts.starts;
    this.#ends = parts.ends;
    this.#volumes = parts.volumes;
  }

  /** Creates and starts one container. Whether the pod's status has anything new to say. @throws Interrupted */
  async start(
    action: Extract<Action, { kind: 'start-container' }>,
    { pod, observed, signal }: StepInput,
  ): Promise<boolean> {
    const { container } = action;
    const { name } = container;
    if (!this.#starts.may(name)) return false;
    const context = this.#context;
    const sandbox = currentSandbox(pod, observed)!;
    const podIps = isHostNetwork(pod) ? [context.nodeIp] : sandbox.ips;
    try {
      const volumes = await this.#volumes.ensure(pod, podIps[0] ?? '');
      const image = await ensureImage(context, pod, container, signal);
      const { dns, file } = await podResolver(context, pod);
      const id = await createContainer(context, {
        ...action,
        pod,
        image,
        sandboxId: sandbox.id,
        sandboxConfig: sandboxConfig(pod, sandbox.attempt, dns, context.directories),
        podIps,
        volumes,
        resolvConf: file,
      });
      context.say(pod, 'Normal', 'Created', `Created container ${name}`, name);
      await this.#launch(id, action, pod, podIps[0] ?? '', signal);
      this.waiting.delete(name);
      this.#starts.forget(name);
      return true;
    } catch (error) {
      if (signal.aborted) throw new Interrupted();
      const before = this.waiting.get(name);
      this.#cannotStart(pod, name, error);
      const { reason, message } = this.waiting.get(name)!;
      // The status has a reason that the API does not know yet; and what could not be started has ended.
      return reason === 'RunContainerError' || reason !== before?.reason || message !== before.message;
    }
  }

  async #launch(
    id: string,
    { container, attempt }: { container: Container; attempt: number },
    pod: Pod,
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
    context.say(pod, 'Normal', 'Started', `Started container ${name}`, name);
    await linkLog(context, pod, name, attempt, id);
    const hook = container.lifecycle?.postStart;
    if (hook === undefined) return;
    const target = { container, containerId: id, podIp };
    const problem = await runHook(hook, target, context.runtime, context.clock, signal);
    if (problem === undefined) return;
    context.say(pod, 'Warning', 'FailedPostStartHook', `PostStartHook failed: ${problem}`, name);
    const message = `FailedPostStartHook: Container ${name} failed its postStart hook, will be restarted`;
    context.say(pod, 'Normal', 'Killing', message, name);
    await context.runtime.stopContainer(id, pod.spec?.terminationGracePeriodSeconds ?? 30, signal);
  }

  /** Notes why a container does not run, in Kubernetes' words, and when it is tried again. */
  #cannotStart(pod: Pod, name: string, error: unknown): void {
    const message = messageOf(error);
    const say = (text: string) => this.#context.say(pod, 'Warning', 'Failed', text, name);
    if (error instanceof ImageProblem) {
      this.waiting.set(name, { reason: error.reason, message });
      if (error.reason !== 'InvalidImageName') say(`Error: ${error.reason}`);
      if (error.retryInMs === undefined) this.#starts.later(name);
      else this.#starts.after(name, error.retryInMs);
      return;
    }
    if (error instanceof VolumeError) {
      this.waiting.set(name, { reason: 'ContainerCreating', message: '' });
      this.#context.say(pod, 'Warning', 'FailedMount', message);
    } else {
      this.waiting.set(name, { reason: reasonOf(error), message });
      say(`Error: ${message}`);
    }
    this.#starts.later(name);
  }

  /** Ends one container; false when the runtime did not, or it is not to be tried yet. @throws Interrupted */
  async kill(action: Extract<Action, { kind: 'kill-container' }>, input: StepInput): Promise<boolean> {
    const { pod, observed, signal } = input;
    const { id, name } = action;
    if (!this.#ends.may(id)) return false;
    const context = this.#context;
    context.say(pod, 'Normal', 'Killing', action.message, name);
    const containers = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])];
    const container = containers.find((candidate) => candidate.name === name);
    const run = observed.containers.find((candidate) => candidate.id === id);
    const begun = context.clock.monotonic();
    // A pod that is only known from the runtime has no definition any more; its containers carry their grace.
    const grace = container === undefined ? (run?.graceSeconds ?? action.graceSeconds) : action.graceSeconds;
    if (container !== undefined) await this.#runPreStop(container, id, grace, input);
    const used = Math.floor((context.clock.monotonic() - begun) / 1000);
    try {
      await context.runtime.stopContainer(id, Math.max(1, grace - used), signal);
      return true;
    } catch (error) {
      if (signal.aborted) throw new Interrupted();
      const message = `error killing pod: failed to "KillContainer" for "${name}" with KillContainerError: ${JSON.stringify(messageOf(error))}`;
      context.say(pod, 'Warning', 'FailedKillPod', message);
      this.#ends.later(id);
      return false;
    }
  }

  /** Runs a container's preStop hook, if it has one, for as long as its grace period lasts. */
  async #runPreStop(
    container: Container,
    id: string,
    graceSeconds: number,
    { pod, observed, signal }: StepInput,
  ): Promise<void> {
    const hook = container.lifecycle?.preStop;
    if (hook === undefined) return;
    const context = this.#context;
    const podIp = currentSandbox(pod, observed)?.ips[0] ?? context.nodeIp;
    const late = AbortSignal.any([signal, AbortSignal.timeout(graceSeconds * 1000)]);
    const aborted = Promise.withResolvers<string>();
    late.addEventListener('abort', () => aborted.resolve('grace period is over'), { once: true });
    const target = { container, containerId: id, podIp };
    const problem = await Promise.race([
      runHook(hook, target, context.runtime, context.clock, late),
      aborted.promise,
    ]);
    if (signal.aborted) throw new Interrupted();
    if (problem === undefined) return;
    const message = `PreStopHook failed: ${problem}`;
    context.say(pod, 'Warning', 'FailedPreStopHook', message, container.name);
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof StartError) return 'RunContainerError';
  if (error instanceof RuntimeError) return 'CreateContainerError';
  // A ConfigError; whatever else there is before the runtime is asked is the configuration's, too.
  return 'CreateContainerConfigError';
}

import type { Pod } from '../../kube/types.ts';
import { readIfExists } from '../../sys/files.ts';
import { messageOf } from '../../util/errors.ts';
import { parseResolvConf, podDns, resolvConf } from './dns.ts';
import type { PodContext } from './pod-context.ts';
import type { PodVolumes } from './pod-volumes.ts';
import type { Retries } from './retries.ts';
import { sandboxConfig } from './sandbox-config.ts';

/** What a pod's sandbox is known by among its retries. */
const SANDBOX = 'sandbox';

/** Makes and stops the sandbox of one pod, with words for what fails and patience for the next try. */
export class SandboxSteps {
  readonly #context: PodContext;
  readonly #retries: Retries;
  readonly #volumes: PodVolumes;

  constructor(context: PodContext, retries: Retries, volumes: PodVolumes) {
    this.#context = context;
    this.#retries = retries;
    this.#volumes = volumes;
  }

  /** Runs a sandbox; false when it could not, or is not to be tried yet. */
  async create(pod: Pod, attempt: number): Promise<boolean> {
    if (!this.#retries.may(SANDBOX)) return false;
    const { runtime, directories } = this.#context;
    if (attempt > 0) {
      const message = 'Pod sandbox changed, it will be killed and re-created.';
      this.#context.say(pod, 'Normal', 'SandboxChanged', message);
    }
    // Volumes need no sandbox, so both are created in parallel. Starting a container ensures its volumes again, and reports what fails.
    const volumes = this.#volumes.ensure(pod, '').catch(() => undefined);
    try {
      const { dns } = await podResolver(this.#context, pod);
      await runtime.runSandbox(sandboxConfig(pod, attempt, dns, directories));
    } catch (error) {
      const message = `Failed to create pod sandbox: ${messageOf(error)}`;
      this.#context.say(pod, 'Warning', 'FailedCreatePodSandBox', message);
      this.#retries.later(SANDBOX);
      return false;
    } finally {
      await volumes;
    }
    this.#retries.forget(SANDBOX);
    return true;
  }

  /** Stops a sandbox; false when it could not, or is not to be tried yet. */
  async stop(pod: Pod, id: string): Promise<boolean> {
    if (!this.#retries.may(SANDBOX)) return false;
    try {
      await this.#context.runtime.stopSandbox(id);
      return true;
    } catch (error) {
      const { uid } = pod.metadata!;
      const message = `error killing pod: failed to "KillPodSandbox" for "${uid}" with KillPodSandboxError: ${JSON.stringify(messageOf(error))}`;
      this.#context.say(pod, 'Warning', 'FailedKillPod', message);
      this.#retries.later(SANDBOX);
      return false;
    }
  }
}

/** How a pod resolves names, for the runtime and as the file that its containers see. */
export async function podResolver(context: PodContext, pod: Pod) {
  const node = parseResolvConf((await readIfExists('/etc/resolv.conf')) ?? '');
  const dns = podDns(pod, context.dns, node);
  return { dns, file: resolvConf(dns) };
}

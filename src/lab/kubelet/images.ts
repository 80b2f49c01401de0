import type { CriImage } from '../../cri/messages.ts';
import { type RegistryAuth, type Runtime, RuntimeError } from '../../cri/runtime.ts';
import type { Clock } from '../../sys/clock.ts';
import { Backoff } from '../../util/backoff.ts';
import { messageOf } from '../../util/errors.ts';

/** An image cannot be had (yet): `reason` is what the container waits for, as kubectl shows it. */
export class ImageProblem extends Error {
  readonly reason:
    | 'ErrImagePull'
    | 'ImagePullBackOff'
    | 'ErrImageNeverPull'
    | 'InvalidImageName'
    | 'ImageInspectError';
  /** Milliseconds until another try makes sense; undefined when none does. */
  readonly retryInMs: number | undefined;

  constructor(reason: ImageProblem['reason'], message: string, retryInMs?: number) {
    super(message);
    this.name = 'ImageProblem';
    this.reason = reason;
    this.retryInMs = retryInMs;
  }
}

/** Says what happens to an image, with the reasons and words of a kubelet's events. */
export type ImageEvents = (type: 'Normal' | 'Warning', reason: string, message: string) => void;

const PULL_BACKOFF_MS = { initial: 10_000, max: 300_000 };

// https://github.com/distribution/reference: [host[:port]/]path[:tag][@digest]
const COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const HOST = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const REFERENCE = new RegExp(
  `^((?:(?:${HOST}(?:\\.${HOST})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?/)?${COMPONENT}(?:/${COMPONENT})*)(?::([\\w][\\w.-]{0,127}))?(?:@([A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?$`,
);

/** An image reference with the tag that it means; undefined when it is not a valid reference. */
export function fullReference(image: string): string | undefined {
  const match = REFERENCE.exec(image);
  if (match === null) return undefined;
  return match[2] === undefined && match[3] === undefined ? `${image}:latest` : image;
}

/** The policy of a container that does not say: Always for `:latest`, else IfNotPresent. */
export function defaultPullPolicy(reference: string): 'Always' | 'IfNotPresent' {
  return reference.endsWith(':latest') ? 'Always' : 'IfNotPresent';
}

/**
 * Brings images onto the node. The same image is pulled once at a time, however many containers ask for it; one that could
 * not be pulled is tried again for the same pod after 10 s, 20 s, … 5 min. Another pod tries at once, as on any kubelet: it
 * may have been created because the image is available now.
 */
export class Images {
  readonly #runtime: Runtime;
  readonly #clock: Clock;
  readonly #failed = new Map<string, FailedPulls>();
  readonly #pulls = new Map<string, Promise<string>>();

  constructor(runtime: Runtime, clock: Clock) {
    this.#runtime = runtime;
    this.#clock = clock;
  }

  /** The image of a container of pod `uid`, pulled if its policy says so. @throws ImageProblem */
  async ensure(
    uid: string,
    image: string,
    policy: string | undefined,
    auth: () => Promise<readonly RegistryAuth[]>,
    say: ImageEvents,
    signal?: AbortSignal,
  ): Promise<CriImage> {
    const reference = fullReference(image);
    if (reference === undefined) {
      const message = `Failed to apply default image tag "${image}": couldn't parse image name "${image}": invalid reference format`;
      say('Warning', 'InspectFailed', message);
      throw new ImageProblem('InvalidImageName', message);
    }
    const wanted = policy ?? defaultPullPolicy(reference);
    if (wanted !== 'Always') {
      const present = await this.#inspect(reference, image, say);
      if (present !== undefined) {
        say('Normal', 'Pulled', `Container image "${image}" already present on machine`);
        return present;
      }
      if (wanted === 'Never') {
        const message = `Container image "${image}" is not present with pull policy of Never`;
        say('Warning', 'ErrImageNeverPull', message);
        throw new ImageProblem('ErrImageNeverPull', message);
      }
    }
    const failed = this.#failed.get(uid);
    const blocked = failed?.notBefore.get(reference);
    const now = this.#clock.monotonic();
    if (blocked !== undefined && blocked.at > now) {
      const message = `Back-off pulling image "${image}"`;
      say('Normal', 'BackOff', message);
      throw new ImageProblem(
        'ImagePullBackOff',
        `${message}: ErrImagePull: ${blocked.message}`,
        blocked.at - now,
      );
    }
    say('Normal', 'Pulling', `Pulling image "${image}"`);
    try {
      await this.#pullOnce(reference, await auth(), signal);
    } catch (error) {
      if (signal?.aborted) throw error;
      const message = messageOf(error);
      say('Warning', 'Failed', `Failed to pull image "${image}": ${message}`);
      // A runtime that went away has said nothing about the image.
      if (isUnavailable(error)) throw new ImageProblem('ErrImagePull', message, 1_000);
      const delay = this.#failedOf(uid).note(reference, this.#clock.monotonic(), message);
      throw new ImageProblem('ErrImagePull', message, Math.min(delay, 2_000));
    }
    failed?.forget(reference);
    const took = ((this.#clock.monotonic() - now) / 1000).toFixed(3).replace(/\.?0+$/, '');
    const pulled = await this.#inspect(reference, image, say);
    if (pulled === undefined) {
      throw new ImageProblem('ImageInspectError', `image "${image}" was pulled and is not there`, 1_000);
    }
    say(
      'Normal',
      'Pulled',
      `Successfully pulled image "${image}" in ${took}s (${took}s including waiting). Image size: ${pulled.size} bytes.`,
    );
    return pulled;
  }

  /** Forgets which pulls failed for a pod that is gone. */
  forget(uid: string): void {
    this.#failed.delete(uid);
  }

  #failedOf(uid: string): FailedPulls {
    const failed = this.#failed.get(uid) ?? new FailedPulls();
    this.#failed.set(uid, failed);
    return failed;
  }

  async #inspect(reference: string, image: string, say: ImageEvents): Promise<CriImage | undefined> {
    try {
      return await this.#runtime.imageStatus(reference);
    } catch (error) {
      const message = `Failed to inspect image "${image}": ${messageOf(error)}`;
      say('Warning', 'InspectFailed', message);
      throw new ImageProblem('ImageInspectError', message, 1_000);
    }
  }

  async #pullOnce(
    reference: string,
    auths: readonly RegistryAuth[],
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const credentials = JSON.stringify([reference, auths]);
    let pull = this.#pulls.get(credentials);
    if (pull === undefined) {
      // Not cancelled with the pod that asked first: others may wait for it, and the next pod finds it there.
      pull = this.#pull(reference, auths).finally(() => this.#pulls.delete(credentials));
      this.#pulls.set(credentials, pull);
    }
    if (signal === undefined) return await pull;
    const aborted = Promise.withResolvers<never>();
    const onAbort = () => aborted.reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      return await Promise.race([pull, aborted.promise]);
    } finally {
      signal.removeEventListener('abort', onAbort);
      // When this caller leaves, only the other callers, if any, report a failure of the pull.
      pull.catch(() => {});
    }
  }

  async #pull(reference: string, auths: readonly RegistryAuth[]): Promise<string> {
    if (auths.length === 0) return await this.#runtime.pullImage(reference);
    const failures: unknown[] = [];
    for (const auth of auths) {
      try {
        return await this.#runtime.pullImage(reference, auth);
      } catch (error) {
        if (isUnavailable(error)) throw error;
        failures.push(error);
      }
    }
    throw new Error(failures.map(messageOf).join(', '), { cause: undefined });
  }
}

/** Which images a pod could not have, and when each may be tried again. */
class FailedPulls {
  readonly notBefore = new Map<string, { at: number; message: string }>();
  readonly #backoff = new Backoff(PULL_BACKOFF_MS.initial, PULL_BACKOFF_MS.max);

  /** Counts a failure at `now`; returns for how many milliseconds the image is not tried again. */
  note(reference: string, now: number, message: string): number {
    const delay = this.#backoff.next(reference);
    this.notBefore.set(reference, { at: now + delay, message });
    return delay;
  }

  forget(reference: string): void {
    this.notBefore.delete(reference);
    this.#backoff.forget(reference);
  }
}

/** gRPC's own answer when there is no connection to the runtime, or it broke. */
function isUnavailable(error: unknown): boolean {
  return error instanceof RuntimeError && error.code === 'Unavailable';
}

import { type ApiClient, ApiError, hasReason } from '../../kube/client.ts';
import { keyOf, pods, type Resource } from '../../kube/resources.ts';
import type { KubeObject, Pod, PodTemplateSpec } from '../../kube/types.ts';
import { messageOf } from '../../util/errors.ts';
import type { ControllerEvents } from './context.ts';
import type { Expectations } from './expectations.ts';
import { controllerReference } from './ownership.ts';

/** Batches double from one: when the first pod is refused (a quota, a webhook) a thousand others are not tried. */
const FIRST_BATCH = 1;

/**
 * Creates and deletes the pods of ReplicaSets and DaemonSets: with the owner's reference, expectations kept, and
 * Kubernetes' events.
 */
export class PodControl {
  readonly #client: ApiClient;
  readonly #events: ControllerEvents;
  readonly #expectations: Expectations;

  constructor(client: ApiClient, events: ControllerEvents, expectations: Expectations) {
    this.#client = client;
    this.#events = events;
    this.#expectations = expectations;
  }

  /**
   * Creates one pod for each of `variants` (what differs from the template), in batches of 1, 2, 4, …; the first batch
   * with a failure is the last, and its first error is thrown.
   */
  async create<O extends KubeObject>(
    resource: Resource<O>,
    owner: O,
    template: PodTemplateSpec,
    variants: readonly ((pod: Pod) => Pod)[],
  ): Promise<void> {
    const key = keyOf(owner);
    this.#expectations.expectCreations(key, variants.length);
    let done = 0;
    for (let size = FIRST_BATCH; done < variants.length; size *= 2) {
      const batch = variants.slice(done, done + size);
      const results = await Promise.allSettled(
        batch.map((vary) => this.#createOne(resource, owner, vary(podFrom(resource, owner, template)))),
      );
      done += batch.length;
      const failure = results.find((result) => result.status === 'rejected');
      if (failure !== undefined) {
        for (let skipped = done; skipped < variants.length; skipped++)
          this.#expectations.creationObserved(key);
        throw failure.reason;
      }
    }
  }

  async #createOne<O extends KubeObject>(resource: Resource<O>, owner: O, pod: Pod): Promise<void> {
    try {
      const created = await this.#client.create(pods, pod);
      this.#events.say(
        resource,
        owner,
        'Normal',
        'SuccessfulCreate',
        `Created pod: ${created.metadata!.name}`,
      );
    } catch (error) {
      const key = keyOf(owner);
      this.#expectations.creationObserved(key);
      if (!(error instanceof ApiError) || error.code >= 500) this.#expectations.markUncertain(key);
      this.#events.say(resource, owner, 'Warning', 'FailedCreate', `Error creating: ${messageOf(error)}`);
      throw error;
    }
  }

  /** Deletes pods gracefully, side by side; those that are gone already are what was wanted. */
  async delete<O extends KubeObject>(
    resource: Resource<O>,
    owner: O,
    victims: readonly Pod[],
  ): Promise<void> {
    const key = keyOf(owner);
    for (const pod of victims) this.#expectations.expectDeletion(key, pod.metadata!.uid!);
    const results = await Promise.allSettled(
      victims.map(async (pod) => {
        const { name, namespace, uid } = pod.metadata!;
        try {
          await this.#client.delete(pods, name!, namespace, { preconditions: { uid } });
          this.#events.say(resource, owner, 'Normal', 'SuccessfulDelete', `Deleted pod: ${name}`);
        } catch (error) {
          this.#expectations.deletionObserved(key, uid!);
          if (hasReason(error, 'NotFound', 'Conflict')) return;
          this.#events.say(resource, owner, 'Warning', 'FailedDelete', `Error deleting: ${messageOf(error)}`);
          throw error;
        }
      }),
    );
    const failure = results.find((result) => result.status === 'rejected');
    if (failure !== undefined) throw failure.reason;
  }
}

function podFrom<O extends KubeObject>(resource: Resource<O>, owner: O, template: PodTemplateSpec): Pod {
  return structuredClone({
    metadata: {
      generateName: `${owner.metadata!.name}-`,
      namespace: owner.metadata!.namespace,
      labels: template.metadata?.labels,
      annotations: template.metadata?.annotations,
      finalizers: template.metadata?.finalizers,
      ownerReferences: [controllerReference(resource, owner)],
    },
    spec: template.spec!,
  });
}

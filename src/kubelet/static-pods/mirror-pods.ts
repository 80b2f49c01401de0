import { type ApiClient, hasReason } from '../../kube/client.ts';
import { pods } from '../../kube/resources.ts';
import type { Pod } from '../../kube/types.ts';
import type { Clock } from '../../sys/clock.ts';
import { messageOf } from '../../util/errors.ts';
import { WorkQueue } from '../../util/work-queue.ts';
import { CONFIG_HASH, CONFIG_MIRROR } from '../names.ts';

/**
 * Keeps a mirror in the API of every static pod, so that people see it. It is only a picture: deleting it deletes nothing,
 * and it comes back. https://kubernetes.io/docs/tasks/configure-pod-container/static-pod/
 */
export class MirrorPods {
  readonly #client: ApiClient;
  readonly #wanted = new Map<string, Pod>();
  readonly #queue: WorkQueue;

  constructor(client: ApiClient, _clock: Clock, log: (line: string) => void) {
    this.#client = client;
    this.#queue = new WorkQueue({
      work: (key) => this.#sync(key),
      onError: (key, error) => log(`mirror of static pod ${key}: ${messageOf(error)}`),
      initialBackoffMs: 200,
      maxBackoffMs: 10_000,
    });
  }

  /** Wants a mirror of `pod`, unless `present` is it. */
  ensure(pod: Pod, present: Pod | undefined): void {
    const key = `${pod.metadata!.namespace}/${pod.metadata!.name}`;
    this.#wanted.set(key, pod);
    if (present?.metadata?.annotations?.[CONFIG_MIRROR] !== pod.metadata?.annotations?.[CONFIG_HASH]) {
      this.#queue.add(key);
    }
  }

  /** Takes a mirror away; when one is wanted in its place, that is made. */
  remove(pod: Pod): void {
    const key = `${pod.metadata!.namespace}/${pod.metadata!.name}`;
    const wanted = this.#wanted.get(key);
    if (wanted?.metadata?.uid === pod.metadata?.uid) this.#wanted.delete(key);
    this.#queue.add(key);
  }

  stop(): void {
    this.#queue.stop();
  }

  async #sync(key: string): Promise<void> {
    const [namespace, name] = key.split('/') as [string, string];
    const wanted = this.#wanted.get(key);
    let present: Pod | undefined;
    try {
      present = await this.#client.get(pods, name, namespace);
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error;
    }
    const hash = wanted?.metadata?.annotations?.[CONFIG_HASH];
    const mirrored = present?.metadata?.annotations?.[CONFIG_MIRROR];
    // A pod of that name which is no mirror is somebody's own: it stays, and the static pod has no picture.
    if (present !== undefined && mirrored === undefined) return;
    if (present !== undefined && (mirrored !== hash || present.metadata?.deletionTimestamp !== undefined)) {
      await this.#client.delete(pods, name, namespace, {
        gracePeriodSeconds: 0,
        preconditions: { uid: present.metadata!.uid },
      });
      present = undefined;
    }
    if (wanted === undefined || present !== undefined) return;
    const { uid: _uid, ...metadata } = wanted.metadata!;
    await this.#client.create(pods, {
      metadata: { ...metadata, annotations: { ...metadata.annotations, [CONFIG_MIRROR]: hash! } },
      spec: wanted.spec,
    });
  }
}

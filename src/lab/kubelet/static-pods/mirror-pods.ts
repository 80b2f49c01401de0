import { type ApiClient, hasReason } from '../../../kube/client.ts';
import { MIRROR_ANNOTATION } from '../../../kube/pods.ts';
import { pods } from '../../../kube/resources.ts';
import type { Node, OwnerReference, Pod } from '../../../kube/types.ts';
import { messageOf } from '../../../util/errors.ts';
import { WorkQueue } from '../../../util/work-queue.ts';
import { CONFIG_HASH } from '../names.ts';

/**
 * Keeps a mirror in the API of every static pod, so that people see it. It is only a picture: deleting it deletes nothing,
 * and it comes back. https://kubernetes.io/docs/tasks/configure-pod-container/static-pod/
 */
export class MirrorPods {
  readonly #client: ApiClient;
  readonly #node: () => Node | undefined;
  readonly #present: (name: string, namespace: string) => Pod | undefined;
  readonly #wanted = new Map<string, Pod>();
  readonly #queue: WorkQueue;

  constructor(options: {
    client: ApiClient;
    /** This kubelet's own Node, which owns its mirrors; undefined until it is registered. */
    node: () => Node | undefined;
    /** What is known of this node's pods in the API: a kubelet may not ask for a pod that may not be its own. */
    present: (name: string, namespace: string) => Pod | undefined;
    log: (line: string) => void;
  }) {
    this.#client = options.client;
    this.#node = options.node;
    this.#present = options.present;
    const { log } = options;
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
    if (present?.metadata?.annotations?.[MIRROR_ANNOTATION] !== pod.metadata?.annotations?.[CONFIG_HASH]) {
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
    let present = this.#present(name, namespace);
    const hash = wanted?.metadata?.annotations?.[CONFIG_HASH];
    const mirrored = present?.metadata?.annotations?.[MIRROR_ANNOTATION];
    // A pod of that name which is not a mirror is somebody's own: it stays, and the static pod has no picture.
    if (present !== undefined && mirrored === undefined) return;
    if (present !== undefined && (mirrored !== hash || present.metadata?.deletionTimestamp !== undefined)) {
      await this.#delete(present);
      present = undefined;
    }
    if (wanted === undefined || present !== undefined) return;
    const { uid: _uid, ...metadata } = wanted.metadata!;
    const annotations = { ...metadata.annotations, [MIRROR_ANNOTATION]: hash! };
    try {
      await this.#client.create(pods, {
        metadata: { ...metadata, annotations, ownerReferences: [this.#owner()] },
        spec: wanted.spec,
      });
    } catch (error) {
      // A mirror that is there and not yet known here is compared when it is; any other pod of the name stays.
      if (!hasReason(error, 'AlreadyExists')) throw error;
    }
  }

  /** The API takes a mirror only from the node that owns it: it goes with that Node. */
  #owner(): OwnerReference {
    const { name, uid } = this.#node()?.metadata ?? {};
    if (name === undefined || uid === undefined) throw new Error('the node is not registered yet');
    return { apiVersion: 'v1', kind: 'Node', name, uid, controller: true };
  }

  async #delete({ metadata }: Pod): Promise<void> {
    const { name, namespace, uid } = metadata!;
    try {
      await this.#client.delete(pods, name!, namespace, { gracePeriodSeconds: 0, preconditions: { uid } });
    } catch (error) {
      // Gone already, or another one is in its place.
      if (!hasReason(error, 'NotFound', 'Conflict')) throw error;
    }
  }
}

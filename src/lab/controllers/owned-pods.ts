import type { ApiClient } from '../../kube/client.ts';
import type { Informer } from '../../kube/informer.ts';
import { keyOf, pods } from '../../kube/resources.ts';
import { labelSelectorMatches } from '../../kube/selectors/label.ts';
import type { KubeObject, LabelSelector, Pod } from '../../kube/types.ts';
import type { ControllerQueue } from './context.ts';
import type { Expectations } from './expectations.ts';
import { controllerOf, isControlledBy } from './ownership.ts';

/** How long to give the cache to show what the API shows already. */
const CATCH_UP_MS = 50;

/** The pods of all owners of one kind: what happens to them wakes their owners and meets what was expected. */
export class OwnedPods<T extends KubeObject> {
  readonly #kind: string;
  readonly #selectorOf: (owner: T) => LabelSelector | undefined;
  readonly #client: ApiClient;
  readonly #pods: Informer<Pod>;
  readonly #owners: Informer<T>;
  readonly #queue: ControllerQueue;
  readonly #expectations: Expectations;

  constructor(
    kind: string,
    parts: {
      /** Which pods an owner says are its own. */
      selectorOf: (owner: T) => LabelSelector | undefined;
      client: ApiClient;
      pods: Informer<Pod>;
      owners: Informer<T>;
      queue: ControllerQueue;
      expectations: Expectations;
    },
  ) {
    this.#kind = kind;
    this.#selectorOf = parts.selectorOf;
    this.#client = parts.client;
    this.#pods = parts.pods;
    this.#owners = parts.owners;
    this.#queue = parts.queue;
    this.#expectations = parts.expectations;
    this.#pods.handle({
      onAdd: (pod) => this.#added(pod),
      onUpdate: (pod, old) => this.#updated(pod, old),
      onDelete: (pod) => {
        this.#deletionSeen(pod);
        this.#wakeOwners(pod);
      },
    });
  }

  /** The key of the object that controls `pod`, when it is the one that is there under that name. */
  ownerKey(pod: Pod): string | undefined {
    const reference = controllerOf(pod);
    if (reference?.kind !== this.#kind) return undefined;
    const owner = this.#owners.get(reference.name, pod.metadata?.namespace);
    return owner?.metadata?.uid === reference.uid ? keyOf(owner) : undefined;
  }

  /**
   * Whether the cache may still lack a pod of `owner` that was created although the request for it failed: its key is then
   * looked at again in a moment.
   */
  async lag(key: string, owner: T): Promise<boolean> {
    if (!this.#expectations.isUncertain(key)) return false;
    const { items } = await this.#client.list(pods, { namespace: owner.metadata!.namespace! });
    const isUnseen = (pod: Pod) => this.#pods.store.get(keyOf(pod))?.metadata?.uid !== pod.metadata?.uid;
    if (items.some((pod) => isControlledBy(pod, owner) && isUnseen(pod))) {
      this.#queue.addAfter(key, CATCH_UP_MS);
      return true;
    }
    this.#expectations.clearUncertain(key);
    return false;
  }

  #added(pod: Pod): void {
    const key = this.ownerKey(pod);
    if (key !== undefined) this.#expectations.creationObserved(key);
    if (pod.metadata?.deletionTimestamp !== undefined) this.#deletionSeen(pod);
    this.#wakeOwners(pod);
  }

  #updated(pod: Pod, old: Pod): void {
    if (pod.metadata?.uid !== old.metadata?.uid || pod.metadata?.deletionTimestamp !== undefined) {
      this.#deletionSeen(old);
    }
    if (controllerOf(old)?.uid !== controllerOf(pod)?.uid) this.#wakeOwners(old);
    this.#wakeOwners(pod);
  }

  #deletionSeen(pod: Pod): void {
    const key = this.ownerKey(pod);
    if (key !== undefined) this.#expectations.deletionObserved(key, pod.metadata!.uid!);
  }

  #wakeOwners(pod: Pod): void {
    if (controllerOf(pod) !== undefined) {
      const key = this.ownerKey(pod);
      if (key !== undefined) this.#queue.add(key);
      return;
    }
    // An orphan: any owner that selects it may adopt it.
    for (const owner of this.#owners.list()) {
      if (owner.metadata?.namespace !== pod.metadata?.namespace) continue;
      if (labelSelectorMatches(this.#selectorOf(owner), pod.metadata?.labels)) this.#queue.add(keyOf(owner));
    }
  }
}

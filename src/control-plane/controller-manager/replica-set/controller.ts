import { keyOf, pods, replicaSets } from '../../../kube/resources.ts';
import { labelSelectorMatches } from '../../../kube/selectors/label.ts';
import type { Pod, ReplicaSet } from '../../../kube/types.ts';
import { messageOf } from '../../../util/errors.ts';
import { type Controller, type ControllerContext, ControllerEvents, ControllerQueue } from '../context.ts';
import { Expectations } from '../expectations.ts';
import { claimObjects, controllerOf, isControlledBy } from '../ownership.ts';
import { PodControl } from '../pod-control.ts';
import { isActive, nextAvailability } from '../pod-state.ts';
import { writeStatus } from '../write-status.ts';
import { planReplicas, relatedPods, replicaSetStatus, sameStatus } from './plan.ts';

/** How long to give the cache to show what the API shows already. */
const CATCH_UP_MS = 50;

/** Keeps as many pods of every ReplicaSet as it asks for. */
export function replicaSetController(context: ControllerContext): Controller {
  const { client, informers, clock } = context;
  const events = new ControllerEvents(context, 'replicaset-controller');
  const expectations = new Expectations(clock);
  const control = new PodControl(client, events, expectations);
  const podInformer = informers.of(pods);
  const setInformer = informers.of(replicaSets);
  const queue = new ControllerQueue(context, 'replicaset', sync);

  /** The key of the ReplicaSet that controls `pod`, when it is the one that is there under that name. */
  const ownerKey = (pod: Pod): string | undefined => {
    const owner = controllerOf(pod);
    if (owner?.kind !== 'ReplicaSet') return undefined;
    const set = setInformer.get(owner.name, pod.metadata?.namespace);
    return set?.metadata?.uid === owner.uid ? keyOf(set) : undefined;
  };
  const enqueueOwnersOf = (pod: Pod): void => {
    if (controllerOf(pod) !== undefined) {
      const key = ownerKey(pod);
      if (key !== undefined) queue.add(key);
      return;
    }
    // An orphan: any ReplicaSet that selects it may adopt it.
    for (const set of setInformer.list()) {
      if (set.metadata?.namespace !== pod.metadata?.namespace) continue;
      if (labelSelectorMatches(set.spec?.selector, pod.metadata?.labels)) queue.add(keyOf(set));
    }
  };
  const deletionSeen = (pod: Pod): void => {
    const key = ownerKey(pod);
    if (key !== undefined) expectations.deletionObserved(key, pod.metadata!.uid!);
  };

  podInformer.handle({
    onAdd: (pod) => {
      const key = ownerKey(pod);
      if (key !== undefined) expectations.creationObserved(key);
      if (pod.metadata?.deletionTimestamp !== undefined) deletionSeen(pod);
      enqueueOwnersOf(pod);
    },
    onUpdate: (pod, old) => {
      if (pod.metadata?.uid !== old.metadata?.uid || pod.metadata?.deletionTimestamp !== undefined)
        deletionSeen(old);
      if (controllerOf(old)?.uid !== controllerOf(pod)?.uid) enqueueOwnersOf(old);
      enqueueOwnersOf(pod);
    },
    onDelete: (pod) => {
      deletionSeen(pod);
      enqueueOwnersOf(pod);
    },
  });
  setInformer.handle({
    onAdd: (set) => queue.add(keyOf(set)),
    onUpdate: (set, old) => {
      if (set.metadata?.uid !== old.metadata?.uid) expectations.forget(keyOf(set));
      queue.add(keyOf(set));
    },
    onDelete: (set) => {
      expectations.forget(keyOf(set));
      queue.add(keyOf(set));
    },
  });

  async function sync(key: string): Promise<void> {
    const set = setInformer.store.get(key);
    if (set === undefined || !expectations.satisfied(key)) return;
    const namespace = set.metadata!.namespace!;
    const all = podInformer.list().filter((pod) => pod.metadata?.namespace === namespace);
    if (expectations.isUncertain(key)) {
      const { items } = await client.list(pods, { namespace });
      const unseen = (pod: Pod) => podInformer.store.get(keyOf(pod))?.metadata?.uid !== pod.metadata?.uid;
      // Something that may not have been created was: wait until the cache shows it, too.
      if (items.some((pod) => isControlledBy(pod, set) && unseen(pod)))
        return queue.addAfter(key, CATCH_UP_MS);
      expectations.clearUncertain(key);
    }
    const candidates = all.filter((pod) => isActive(pod) || controllerOf(pod)?.uid === set.metadata?.uid);
    const matches = (labels: Record<string, string> | undefined) =>
      labelSelectorMatches(set.spec?.selector, labels);
    const claimed = await claimObjects(client, replicaSets, set, pods, matches, candidates);
    const own = claimed.filter(isActive);

    let failure: { reason: 'FailedCreate' | 'FailedDelete'; message: string } | undefined;
    let thrown: unknown;
    const related = relatedPods(set, setInformer.list(), all);
    const plan = planReplicas(set, own, related, clock.now());
    try {
      if (plan.create > 0) {
        const variants = Array.from({ length: plan.create }, () => (pod: Pod) => pod);
        await control.create(replicaSets, set, set.spec!.template!, variants);
      } else if (plan.delete.length > 0) {
        await control.delete(replicaSets, set, plan.delete);
      }
    } catch (error) {
      thrown = error;
      failure = { reason: plan.create > 0 ? 'FailedCreate' : 'FailedDelete', message: messageOf(error) };
    }
    await reportStatus(set, own, failure);
    if (thrown !== undefined) throw thrown;
    const wait = nextAvailability(own, set.spec?.minReadySeconds, clock.now());
    if (wait !== undefined) queue.addAfter(key, wait);
  }

  async function reportStatus(
    set: ReplicaSet,
    own: readonly Pod[],
    failure: Parameters<typeof replicaSetStatus>[2],
  ): Promise<void> {
    const status = replicaSetStatus(set, own, failure, clock.now());
    if (sameStatus(set.status, status)) return;
    // Read from the cache: an older copy is refused, and the queue looks again.
    await writeStatus(client, replicaSets, { ...set, status });
  }

  return { start: () => queue.start(), flush: () => events.flush() };
}

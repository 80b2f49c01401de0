import { keyOf, pods, replicaSets } from '../../../kube/resources.ts';
import { labelSelectorMatches } from '../../../kube/selectors/label.ts';
import type { Pod, ReplicaSet } from '../../../kube/types.ts';
import { messageOf } from '../../../util/errors.ts';
import { type Controller, type ControllerContext, ControllerEvents, ControllerQueue } from '../context.ts';
import { Expectations } from '../expectations.ts';
import { OwnedPods } from '../owned-pods.ts';
import { claimObjects, controllerOf } from '../ownership.ts';
import { PodControl } from '../pod-control.ts';
import { isActive, nextAvailability } from '../pod-state.ts';
import { writeStatus } from '../write-status.ts';
import { planReplicas, relatedPods, replicaSetStatus, sameStatus } from './plan.ts';

/** Keeps as many pods of every ReplicaSet as it asks for. */
export function replicaSetController(context: ControllerContext): Controller {
  const { client, informers, clock } = context;
  const events = new ControllerEvents(context, 'replicaset-controller');
  const expectations = new Expectations(clock);
  const control = new PodControl(client, events, expectations);
  const podInformer = informers.of(pods);
  const setInformer = informers.of(replicaSets);
  const queue = new ControllerQueue(context, 'replicaset', sync);

  const owned = new OwnedPods('ReplicaSet', {
    client,
    pods: podInformer,
    owners: setInformer,
    queue,
    expectations,
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
    // Something that may not have been created was: wait until the cache shows it, too.
    if (await owned.lag(key, set)) return;
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

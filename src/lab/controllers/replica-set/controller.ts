import { keyOf, pods, type Resource, replicaSets, replicationControllers } from '../../../kube/resources.ts';
import { labelSelectorMatches } from '../../../kube/selectors/label.ts';
import type { LabelSelector, Pod } from '../../../kube/types.ts';
import { messageOf } from '../../../util/errors.ts';
import { type Controller, type ControllerContext, ControllerEvents, ControllerQueue } from '../context.ts';
import { Expectations } from '../expectations.ts';
import { Newest } from '../newest.ts';
import { OwnedPods } from '../owned-pods.ts';
import { claimObjects, controllerOf } from '../ownership.ts';
import { PodControl } from '../pod-control.ts';
import { isActive, nextAvailability } from '../pod-state.ts';
import { planReplicas, type Replicated, relatedPods, replicaSetStatus, sameStatus } from './plan.ts';

/** Keeps as many pods of every ReplicaSet as it asks for. */
export function replicaSetController(context: ControllerContext): Controller {
  return replicaController(context, replicaSets, 'replicaset-controller', ({ spec }) => spec?.selector);
}

/** Keeps as many pods of every ReplicationController as it asks for. */
export function replicationControllerController(context: ControllerContext): Controller {
  return replicaController(context, replicationControllers, 'replication-controller', ({ spec }) => ({
    matchLabels: spec?.selector,
  }));
}

function replicaController<T extends Replicated>(
  context: ControllerContext,
  resource: Resource<T>,
  component: string,
  selectorOf: (set: T) => LabelSelector | undefined,
): Controller {
  const { client, informers, clock } = context;
  const events = new ControllerEvents(context, component);
  const expectations = new Expectations(clock);
  const control = new PodControl(client, events, expectations);
  const podInformer = informers.of(pods);
  const setInformer = informers.of(resource);
  const sets = new Newest(client, resource, setInformer);
  const queue = new ControllerQueue(context, resource.kind.toLowerCase(), sync);

  const owned = new OwnedPods(resource.kind, {
    selectorOf,
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
    const set = sets.get(key);
    if (set === undefined || !expectations.satisfied(key)) return;
    const namespace = set.metadata!.namespace!;
    const all = podInformer.list().filter((pod) => pod.metadata?.namespace === namespace);
    // Something that may not have been created was: wait until the cache shows it, too.
    if (await owned.lag(key, set)) return;
    const candidates = all.filter((pod) => isActive(pod) || controllerOf(pod)?.uid === set.metadata?.uid);
    const matches = (labels: Record<string, string> | undefined) =>
      labelSelectorMatches(selectorOf(set), labels);
    const claimed = await claimObjects(client, resource, set, pods, matches, candidates);
    const own = claimed.filter(isActive);

    let failure: { reason: 'FailedCreate' | 'FailedDelete'; message: string } | undefined;
    let thrown: unknown;
    const related = relatedPods(set, setInformer.list(), all);
    const plan = planReplicas(set, own, related, clock.now());
    try {
      if (plan.create > 0) {
        const variants = Array.from({ length: plan.create }, () => (pod: Pod) => pod);
        await control.create(resource, set, set.spec!.template!, variants);
      } else if (plan.delete.length > 0) {
        await control.delete(resource, set, plan.delete);
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
    set: T,
    own: readonly Pod[],
    failure: Parameters<typeof replicaSetStatus>[2],
  ): Promise<void> {
    const status = replicaSetStatus(set, own, failure, clock.now());
    if (sameStatus(set.status, status)) return;
    await sets.writeStatus({ ...set, status });
  }

  return { start: () => queue.start(), flush: () => events.flush() };
}

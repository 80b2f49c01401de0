import { daemonSets, keyOf, nodes, pods } from '../../../kube/resources.ts';
import { labelSelectorMatches } from '../../../kube/selectors/label.ts';
import type { DaemonSet, Node, Pod } from '../../../kube/types.ts';
import { Backoff } from '../../../util/backoff.ts';
import { type Controller, type ControllerContext, ControllerEvents, ControllerQueue } from '../context.ts';
import { Expectations } from '../expectations.ts';
import { Newest } from '../newest.ts';
import { OwnedPods } from '../owned-pods.ts';
import { claimObjects } from '../ownership.ts';
import { PodControl } from '../pod-control.ts';
import { isReady, nextAvailability } from '../pod-state.ts';
import { canonical, templateHash } from '../template-hash.ts';
import {
  type DaemonSetStatus,
  daemonSetStatus,
  nodeOf,
  planPlacement,
  planUpdate,
  podForNode,
} from './plan.ts';

/** Keeps one pod of every DaemonSet on every node that it is for. */
export function daemonSetController(context: ControllerContext): Controller {
  const { client, informers, clock } = context;
  const events = new ControllerEvents(context, 'daemonset-controller');
  const expectations = new Expectations(clock);
  const control = new PodControl(client, events, expectations);
  /** Pods that end are replaced after a while: 1 s to 15 min by DaemonSet and node, as Kubernetes does. */
  const endedBackoff = new Backoff(1_000, 900_000);
  /** Uid of an ended pod to when it may be replaced, milliseconds since the epoch. */
  const notBefore = new Map<string, number>();
  const podInformer = informers.of(pods);
  const nodeInformer = informers.of(nodes);
  const setInformer = informers.of(daemonSets);
  const sets = new Newest(client, daemonSets, setInformer);
  const queue = new ControllerQueue(context, 'daemonset', sync);
  const enqueueAll = () => {
    for (const set of setInformer.list()) queue.add(keyOf(set));
  };
  const owned = new OwnedPods('DaemonSet', {
    selectorOf: ({ spec }) => spec?.selector,
    client,
    pods: podInformer,
    owners: setInformer,
    queue,
    expectations,
  });
  podInformer.handle({
    onUpdate: (pod) => {
      const key = owned.ownerKey(pod);
      if (key !== undefined && isReady(pod)) endedBackoff.forget(`${key}/${nodeOf(pod)}`);
    },
    onDelete: (pod) => notBefore.delete(pod.metadata!.uid!),
  });
  nodeInformer.handle({
    onAdd: enqueueAll,
    onUpdate: (node, old) => {
      if (eligibilityInputs(node) !== eligibilityInputs(old)) enqueueAll();
    },
    onDelete: enqueueAll,
  });
  setInformer.handle({
    onAdd: (set) => queue.add(keyOf(set)),
    onUpdate: (set, old) => {
      if (set.metadata?.uid !== old.metadata?.uid) expectations.forget(keyOf(set));
      queue.add(keyOf(set));
    },
    onDelete: (set) => expectations.forget(keyOf(set)),
  });

  async function sync(key: string): Promise<void> {
    const set = sets.get(key);
    if (set === undefined || !expectations.satisfied(key)) return;
    const namespace = set.metadata!.namespace!;
    const everywhere = podInformer.list().filter((pod) => pod.metadata?.namespace === namespace);
    // Something that may not have been created was: wait until the cache shows it, too.
    if (await owned.lag(key, set)) return;
    const matches = (labels: Record<string, string> | undefined) =>
      labelSelectorMatches(set.spec?.selector, labels);
    const own = await claimObjects(client, daemonSets, set, pods, matches, everywhere);
    const all = nodeInformer.list();
    const hash = templateHash(set.spec!.template);
    let thrown: unknown;
    if (set.metadata?.deletionTimestamp === undefined) {
      try {
        await place(key, set, all, own, hash);
      } catch (error) {
        thrown = error;
      }
    }
    await reportStatus(set, daemonSetStatus(set, all, own, hash, clock.now()));
    if (thrown !== undefined) throw thrown;
    const wait = nextAvailability(own, set.spec?.minReadySeconds, clock.now());
    if (wait !== undefined) queue.addAfter(key, wait);
  }

  async function place(key: string, set: DaemonSet, all: Node[], own: Pod[], hash: string): Promise<void> {
    const placement = planPlacement(set, all, own, hash);
    const victims = placement.delete.filter(
      (pod) => !placement.ended.includes(pod) || mayReplace(key, set, pod),
    );
    let plan = { create: placement.create, delete: victims };
    // An update deletes pods only when every node has its pod.
    if (plan.create.length === 0 && plan.delete.length === 0)
      plan = planUpdate(set, all, own, hash, clock.now());
    const variants = plan.create.map((node) => (pod: Pod) => podForNode(pod, node, hash));
    if (variants.length > 0) await control.create(daemonSets, set, set.spec!.template, variants);
    if (plan.delete.length > 0) await control.delete(daemonSets, set, plan.delete);
  }

  /** Pods that ended wait to be replaced, longer each time; by node, so that one bad node holds up no other. */
  function mayReplace(key: string, set: DaemonSet, pod: Pod): boolean {
    const slot = `${key}/${nodeOf(pod)}`;
    const at = notBefore.get(pod.metadata!.uid!);
    if (at === undefined) {
      const wait = endedBackoff.next(slot);
      notBefore.set(pod.metadata!.uid!, clock.monotonic() + wait);
      queue.addAfter(key, wait);
      return false;
    }
    if (clock.monotonic() < at) {
      queue.addAfter(key, at - clock.monotonic());
      return false;
    }
    notBefore.delete(pod.metadata!.uid!);
    const failed = pod.status?.phase === 'Failed';
    const what = `daemon pod ${keyOf(pod)} on node ${nodeOf(pod)}, will try to ${failed ? 'kill' : 'delete'} it`;
    const reason = failed ? 'FailedDaemonPod' : 'SucceededDaemonPod';
    events.say(
      daemonSets,
      set,
      failed ? 'Warning' : 'Normal',
      reason,
      `Found ${failed ? 'failed' : 'succeeded'} ${what}`,
    );
    return true;
  }

  async function reportStatus(set: DaemonSet, status: DaemonSetStatus): Promise<void> {
    const before = set.status;
    const same = Object.entries(status).every(
      ([name, value]) => (before?.[name as keyof DaemonSetStatus] ?? 0) === (value ?? 0),
    );
    if (same && before !== undefined) return;
    await sets.writeStatus({ ...set, status: { ...before, ...status } });
  }

  return { start: () => queue.start(), flush: () => events.flush() };
}

/** What of a node decides whether a daemon pod goes there. */
function eligibilityInputs(node: Node): string {
  return canonical([node.metadata?.labels, node.spec?.taints, node.spec?.unschedulable]);
}

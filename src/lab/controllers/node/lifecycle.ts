import { hasReason } from '../../../kube/client.ts';
import { conditionOf } from '../../../kube/conditions.ts';
import { isTerminal } from '../../../kube/placement.ts';
import { keyOf, leases, nodes, pods } from '../../../kube/resources.ts';
import { timestamp } from '../../../kube/time.ts';
import type { Node, Pod } from '../../../kube/types.ts';
import { type Controller, type ControllerContext, ControllerEvents, ControllerQueue } from '../context.ts';
import { readyCondition } from '../pod-state.ts';
import { evictionTime, silentConditions, wantedTaints } from './plan.ts';

const LEASE_NAMESPACE = 'kube-node-lease';
/** A node that has not renewed its lease for this long is lost (--node-monitor-grace-period). */
const GRACE_MS = 40_000;

/**
 * Finds nodes that have fallen silent, taints nodes by their conditions, and evicts the pods that do not tolerate those
 * taints. Silence is measured from when a renewal was last seen, by a clock that nobody sets, and only while the API could be
 * reached: neither clocks that differ or jump nor an API server that was down make a node lost.
 * @param graceMs how long a silence is tolerated, in milliseconds.
 */
export function nodeLifecycleController(context: ControllerContext, graceMs = GRACE_MS): Controller {
  const { client, informers, clock } = context;
  const events = new ControllerEvents(context, 'node-controller');
  const nodeInformer = informers.of(nodes);
  const podInformer = informers.of(pods);
  /** Node name to when a sign of life was last seen. */
  const heard = new Map<string, number>();
  /** Node name to whether it was ready when its pods were last judged by that. */
  const judgedReady = new Map<string, boolean>();
  const started = clock.monotonic();
  const nodeQueue = new ControllerQueue(context, 'node-lifecycle', syncNode);
  /** Looks at a node when its grace is over. A queue of its own: a renewal must not put off a retry of the other. */
  const silenceQueue = new ControllerQueue(context, 'node-silence', async (name) => nodeQueue.add(name));
  const evictionQueue = new ControllerQueue(context, 'taint-eviction', syncPod);

  const sign = (name: string) => {
    heard.set(name, clock.monotonic());
    silenceQueue.addAfter(name, graceMs);
  };
  informers.of(leases).handle({
    onAdd: (lease) => {
      if (lease.metadata?.namespace === LEASE_NAMESPACE) sign(lease.metadata.name!);
    },
    onUpdate: (lease, old) => {
      if (lease.metadata?.namespace !== LEASE_NAMESPACE) return;
      if (lease.spec?.renewTime !== old.spec?.renewTime) sign(lease.metadata.name!);
    },
  });
  const podsOn = (name: string): Pod[] => podInformer.list().filter((pod) => pod.spec?.nodeName === name);
  nodeInformer.handle({
    onAdd: (node) => {
      const name = node.metadata!.name!;
      events.say(
        nodes,
        node,
        'Normal',
        'RegisteredNode',
        `Node ${name} event: Registered Node ${name} in Controller`,
      );
      sign(name);
      nodeQueue.add(name);
    },
    onUpdate: (node, old) => {
      const name = node.metadata!.name!;
      // A node's own status is a sign of life as well: what we write ourselves never makes it ready.
      const ready = conditionOf(node.status, 'Ready');
      if (ready?.lastHeartbeatTime !== conditionOf(old.status, 'Ready')?.lastHeartbeatTime) sign(name);
      nodeQueue.add(name);
      if (noExecute(node) !== noExecute(old)) for (const pod of podsOn(name)) evictionQueue.add(keyOf(pod));
    },
    onDelete: (node) => {
      const name = node.metadata!.name!;
      heard.delete(name);
      judgedReady.delete(name);
      events.say(
        nodes,
        node,
        'Normal',
        'RemovingNode',
        `Node ${name} event: Removing Node ${name} from Controller`,
      );
    },
  });
  podInformer.handle({
    onAdd: (pod) => evictionQueue.add(keyOf(pod)),
    onUpdate: (pod, old) => {
      const concerned = pod.spec?.nodeName !== old.spec?.nodeName || pod.metadata?.uid !== old.metadata?.uid;
      if (concerned || JSON.stringify(pod.spec?.tolerations) !== JSON.stringify(old.spec?.tolerations)) {
        evictionQueue.add(keyOf(pod));
      }
    },
  });

  async function syncNode(name: string): Promise<void> {
    let node = nodeInformer.get(name);
    if (node === undefined || node.metadata?.deletionTimestamp !== undefined) return;
    const lastSign = Math.max(heard.get(name) ?? started, started);
    // Silence counts only while the API could be reached.
    const deaf = informers.lastErrorAt;
    const silentFor = clock.monotonic() - Math.max(lastSign, deaf);
    if (silentFor >= graceMs) {
      const conditions = silentConditions(node, clock.now());
      if (conditions !== undefined) {
        const wasReady = conditionOf(node.status, 'Ready')?.status === 'True';
        node = await client.update(nodes, { ...node, status: { ...node.status, conditions } }, 'status');
        if (wasReady) {
          events.say(nodes, node, 'Normal', 'NodeNotReady', `Node ${name} status is now: NodeNotReady`);
        }
      }
    } else if (conditionOf(node.status, 'Ready')?.status !== 'Unknown') {
      silenceQueue.addAfter(name, graceMs - silentFor);
    }
    const ready = conditionOf(node.status, 'Ready')?.status === 'True';
    // Once, when it changes: a kubelet that lives reports by itself which of its pods are ready.
    if (!ready && judgedReady.get(name) !== false) await markPodsNotReady(node);
    judgedReady.set(name, ready);
    const taints = wantedTaints(node, clock.now());
    if (taints === undefined) return;
    // Replaced as a whole, on the node as it was seen: a taint set by somebody else in between is a Conflict.
    const { resourceVersion } = node.metadata!;
    await client.patch(nodes, name, undefined, 'merge', { metadata: { resourceVersion }, spec: { taints } });
  }

  /** A pod on a node that is not ready is assumed not to answer: Services leave it out. */
  async function markPodsNotReady(node: Node): Promise<void> {
    if (conditionOf(node.status, 'Ready') === undefined) return;
    for (const pod of podsOn(node.metadata!.name!)) {
      const ready = readyCondition(pod);
      if (ready?.status !== 'True' || isTerminal(pod)) continue;
      const conditions = pod.status!.conditions!.map((condition) =>
        condition === ready
          ? { ...condition, status: 'False', lastTransitionTime: timestamp(clock.now()) }
          : condition,
      );
      try {
        await client.update(pods, { ...pod, status: { ...pod.status, conditions } }, 'status');
        events.say(pods, pod, 'Warning', 'NodeNotReady', 'Node is not ready');
      } catch (error) {
        if (!hasReason(error, 'NotFound')) throw error;
      }
    }
  }

  /** Pods whose eviction is scheduled, to report it when it is cancelled. */
  const pending = new Set<string>();
  async function syncPod(key: string): Promise<void> {
    const pod = podInformer.store.get(key);
    const node = pod?.spec?.nodeName ? nodeInformer.get(pod.spec.nodeName) : undefined;
    if (
      pod === undefined ||
      node === undefined ||
      pod.metadata?.deletionTimestamp !== undefined ||
      isTerminal(pod)
    ) {
      pending.delete(key);
      return;
    }
    const now = clock.now();
    const at = evictionTime(pod, node.spec?.taints, now);
    if (at === undefined) {
      if (pending.delete(key)) {
        events.say(pods, pod, 'Normal', 'TaintManagerEviction', `Cancelling deletion of Pod ${key}`);
      }
      return;
    }
    if (at > now) {
      pending.add(key);
      return evictionQueue.addAfter(key, at - now);
    }
    pending.delete(key);
    events.say(pods, pod, 'Normal', 'TaintManagerEviction', `Marking for deletion Pod ${key}`);
    const { name, namespace, uid } = pod.metadata!;
    try {
      await client.delete(pods, name!, namespace, { preconditions: { uid } });
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error;
    }
  }

  return {
    start: () => {
      nodeQueue.start();
      silenceQueue.start();
      evictionQueue.start();
    },
    flush: () => events.flush(),
  };
}

function noExecute(node: Node): string {
  return JSON.stringify((node.spec?.taints ?? []).filter((taint) => taint.effect === 'NoExecute'));
}

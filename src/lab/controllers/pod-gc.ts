import { hasReason } from '../../kube/client.ts';
import { isTerminal } from '../../kube/placement.ts';
import { keyOf, nodes, pods } from '../../kube/resources.ts';
import type { Pod } from '../../kube/types.ts';
import { type Controller, type ControllerContext, ControllerQueue } from './context.ts';

/** How long a node must be gone before its pods are: it may be registering again. */
const QUARANTINE_MS = 40_000;
/** This many ended pods are kept (--terminated-pod-gc-threshold). */
const TERMINATED_LIMIT = 12_500;

/** Ended pods beyond `limit`, oldest first. */
export function surplusTerminated(all: readonly Pod[], limit: number): Pod[] {
  const ended = all.filter((pod) => isTerminal(pod) && pod.metadata?.deletionTimestamp === undefined);
  const age = (pod: Pod) => String(pod.metadata?.creationTimestamp ?? '');
  return ended.sort((a, b) => (age(a) < age(b) ? -1 : 1)).slice(0, Math.max(0, ended.length - limit));
}

/**
 * Removes pods that nothing else removes: of nodes that are gone (their kubelet will never report them ended), being deleted
 * without ever having had a node, and ended ones beyond 12 500.
 * @param quarantineMs how long a node must be gone, in milliseconds.
 */
export function podGarbageCollector(context: ControllerContext, quarantineMs = QUARANTINE_MS): Controller {
  const { client, informers } = context;
  const podInformer = informers.of(pods);
  const nodeInformer = informers.of(nodes);
  const queue = new ControllerQueue(context, 'pod-gc', sync);
  const look = (pod: Pod) => {
    const homeless = !pod.spec?.nodeName;
    if (homeless && pod.metadata?.deletionTimestamp !== undefined) queue.add(keyOf(pod));
    else if (!homeless && nodeInformer.get(pod.spec!.nodeName!) === undefined) {
      queue.addAfter(keyOf(pod), quarantineMs);
    }
    if (isTerminal(pod))
      for (const surplus of surplusTerminated(podInformer.list(), TERMINATED_LIMIT))
        queue.add(keyOf(surplus));
  };
  podInformer.handle({
    onAdd: look,
    onUpdate: (pod, old) => {
      const moved = pod.spec?.nodeName !== old.spec?.nodeName;
      const ending = pod.metadata?.deletionTimestamp !== old.metadata?.deletionTimestamp;
      if (moved || ending || isTerminal(pod) !== isTerminal(old)) look(pod);
    },
  });
  nodeInformer.handle({
    onDelete: (node) => {
      for (const pod of podInformer.list()) {
        if (pod.spec?.nodeName === node.metadata!.name) queue.addAfter(keyOf(pod), quarantineMs);
      }
    },
  });

  async function sync(key: string): Promise<void> {
    const pod = podInformer.store.get(key);
    if (pod === undefined || !(await isGarbage(pod))) return;
    const { name, namespace, uid } = pod.metadata!;
    context.log(`pod-gc: deleting ${key}`);
    try {
      await client.delete(pods, name!, namespace, { gracePeriodSeconds: 0, preconditions: { uid } });
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error;
    }
  }

  async function isGarbage(pod: Pod): Promise<boolean> {
    const nodeName = pod.spec?.nodeName;
    if (!nodeName) return pod.metadata?.deletionTimestamp !== undefined;
    if (surplusTerminated(podInformer.list(), TERMINATED_LIMIT).includes(pod)) return true;
    if (nodeInformer.get(nodeName) !== undefined) return false;
    try {
      // The cache may be behind; deleting a pod by force cannot be undone.
      await client.get(nodes, nodeName);
      return false;
    } catch (error) {
      if (hasReason(error, 'NotFound')) return true;
      throw error;
    }
  }

  return { start: () => queue.start() };
}

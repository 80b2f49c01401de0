import { type ApiClient, hasReason } from '../../kube/client.ts';
import { conditionOf } from '../../kube/conditions.ts';
import { type EventRecorder, referenceTo } from '../../kube/event-recorder.ts';
import { takenHostPorts } from '../../kube/host-ports.ts';
import { isTerminal } from '../../kube/placement.ts';
import { keyOf, nodes, pods } from '../../kube/resources.ts';
import { timestamp } from '../../kube/time.ts';
import type { Node, Pod } from '../../kube/types.ts';
import { type Clock, realClock } from '../../sys/clock.ts';
import type { Log } from '../../sys/daemon.ts';
import { Backoff } from '../../util/backoff.ts';
import { messageOf } from '../../util/errors.ts';
import type { Informers } from '../informers.ts';
import { ClusterState } from './cluster-state.ts';
import { type Demand, namedNodes, type Refusal, refusal, unschedulableMessage } from './filters.ts';
import { SchedulingQueue } from './queue.ts';
import { podRequests } from './requests.ts';
import { bestNode } from './scores.ts';

const SCHEDULER_NAME = 'default-scheduler';
/** Pods that wait are tried again after this long even if nothing seems to have changed (kube-scheduler's own figure). */
const FLUSH_MS = 300_000;

/** Where a pod goes, or why nowhere. */
export type Decision = { node: string } | { refusals: Refusal[] };

/** Decides on one pod, given the cluster as it is believed to be. */
export function decide(pod: Pod, state: ClusterState): Decision {
  const demand: Demand = {
    pod,
    ports: takenHostPorts(pod),
    requests: podRequests(pod),
    onlyNodes: namedNodes(pod),
  };
  const refusals: Refusal[] = [];
  const candidates = state.snapshot().filter((node) => {
    const refused = refusal(demand, node);
    if (refused !== undefined) refusals.push(refused);
    return refused === undefined;
  });
  const best = bestNode(pod, candidates);
  return best === undefined ? { refusals } : { node: best.node.metadata!.name! };
}

/**
 * Gives every pod that has none a node. One decision at a time, over the cluster with what was decided before; bindings
 * are sent side by side. A pod that fits nowhere waits until something changes that could make room for it.
 */
export class Scheduler {
  readonly #client: ApiClient;
  readonly #events: EventRecorder;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #state = new ClusterState();
  readonly #queue = new SchedulingQueue();
  readonly #backoff = new Backoff(1_000, 10_000);
  readonly #pods;
  /** Pods whose binding or condition is being written. */
  readonly #inFlight = new Set<Promise<void>>();
  #synced = false;
  #scheduled = false;
  #signal: AbortSignal | undefined;

  constructor(options: {
    client: ApiClient;
    informers: Informers;
    events: EventRecorder;
    log: Log;
    clock?: Clock;
  }) {
    const { client, informers, events, log, clock } = options;
    this.#client = client;
    this.#events = events;
    this.#log = log;
    this.#clock = clock ?? realClock;
    this.#pods = informers.of(pods).handle({
      onAdd: (pod) => this.#onPod(pod),
      onUpdate: (pod, old) => this.#onPod(pod, old),
      onDelete: (pod) => this.#onPodGone(pod),
    });
    informers.of(nodes).handle({
      onAdd: (node) => this.#onNode(node),
      onUpdate: (node, old) => this.#onNode(node, old),
      onDelete: (node) => {
        this.#state.removeNode(node.metadata!.name!);
        // Fewer nodes make no room, but the message that pods wait with is no longer true.
        this.#wake();
      },
    });
  }

  /** Schedules until the signal aborts. Call when the informers are synced; returns when nothing is being written. */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    this.#synced = true;
    this.#pump();
    while (!signal.aborted) {
      try {
        await this.#clock.sleep(FLUSH_MS, signal);
      } catch {
        break;
      }
      this.#wake();
    }
    await Promise.all(this.#inFlight);
  }

  #onPod(pod: Pod, old?: Pod): void {
    const key = keyOf(pod);
    const heldRoom = old !== undefined && Boolean(old.spec?.nodeName) && !isTerminal(old);
    this.#state.setPod(pod);
    if (wantsNode(pod)) {
      if (this.#state.isAssumed(pod)) return;
      // What we wrote ourselves (a condition) is no reason to try again.
      if (old !== undefined && this.#queue.waiting.has(key) && sameWishes(pod, old)) {
        this.#queue.park(key, pod);
        return;
      }
      this.#queue.add(key, pod);
      this.#pump();
      return;
    }
    this.#queue.remove(key);
    this.#backoff.forget(key);
    const replaced = old !== undefined && old.metadata?.uid !== pod.metadata?.uid;
    if (heldRoom && (isTerminal(pod) || replaced)) this.#wake();
  }

  #onPodGone(pod: Pod): void {
    const key = keyOf(pod);
    this.#queue.remove(key);
    this.#backoff.forget(key);
    const heldRoom = this.#state.isAssumed(pod) || Boolean(pod.spec?.nodeName);
    this.#state.removePod(pod);
    if (heldRoom) this.#wake();
  }

  #onNode(node: Node, old?: Node): void {
    this.#state.setNode(node);
    if (old === undefined || placementOf(node) !== placementOf(old)) this.#wake();
  }

  #wake(): void {
    this.#queue.wake();
    this.#pump();
  }

  /** Runs the queue down once, after all events that came in with this one have been taken in. */
  #pump(): void {
    if (!this.#synced || this.#scheduled || this.#signal?.aborted) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (this.#signal?.aborted) return;
      for (let next = this.#queue.pop(); next !== undefined; next = this.#queue.pop()) {
        this.#scheduleOne(next.key, next.pod);
      }
    });
  }

  #scheduleOne(key: string, pod: Pod): void {
    const decision = decide(pod, this.#state);
    if ('node' in decision) {
      this.#state.assume(pod, decision.node);
      this.#track(this.#bind(key, pod, decision.node));
      return;
    }
    this.#queue.park(key, pod);
    const message = unschedulableMessage(decision.refusals);
    this.#events.event(referenceTo(pods, pod), 'Warning', 'FailedScheduling', message);
    this.#track(this.#reportUnschedulable(key, pod, message));
  }

  async #bind(key: string, pod: Pod, node: string): Promise<void> {
    const { name, namespace, uid } = pod.metadata!;
    try {
      await this.#client.postSubresource(pods, name!, namespace, 'binding', {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata: { name, namespace, uid },
        target: { apiVersion: 'v1', kind: 'Node', name: node },
      });
      this.#backoff.forget(key);
      this.#log(`bound ${key} to ${node}`);
      const message = `Successfully assigned ${key} to ${node}`;
      this.#events.event(referenceTo(pods, pod), 'Normal', 'Scheduled', message);
    } catch (error) {
      if (!hasReason(error, 'NotFound')) this.#log(`binding ${key} to ${node}: ${messageOf(error)}`);
      await this.#recoverFromFailedBind(key, pod);
    }
  }

  /**
   * A binding that failed may still have been made (the connection broke after the write). The place stays counted until
   * the API has said what is the case, so that nobody else is given its ports in between.
   */
  async #recoverFromFailedBind(key: string, pod: Pod): Promise<void> {
    while (!this.#signal!.aborted) {
      try {
        await this.#clock.sleep(this.#backoff.next(key), this.#signal);
        const current = await this.#client.get(pods, pod.metadata!.name!, pod.metadata!.namespace);
        if (current.metadata?.uid === pod.metadata?.uid && current.spec?.nodeName) {
          // Bound after all; the informer shows it in a moment, if it has not already.
          if (this.#state.isAssumed(pod)) this.#state.setPod(current);
          return;
        }
        break;
      } catch (error) {
        if (this.#signal!.aborted) return;
        if (hasReason(error, 'NotFound')) break;
        this.#log(`looking up ${key} after a failed binding: ${messageOf(error)}`);
      }
    }
    this.#state.forgetAssumed(pod);
    const now = this.#pods.store.get(key);
    if (now !== undefined && wantsNode(now) && !this.#state.isAssumed(now)) this.#queue.add(key, now);
    this.#wake();
  }

  async #reportUnschedulable(key: string, pod: Pod, message: string): Promise<void> {
    const current = conditionOf(pod.status, 'PodScheduled');
    const wanted = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message };
    if (current?.status === 'False' && current.reason === wanted.reason && current.message === message)
      return;
    const lastTransitionTime =
      current?.status === 'False' && current.lastTransitionTime
        ? current.lastTransitionTime
        : timestamp(this.#clock.now());
    const patch = {
      metadata: { uid: pod.metadata!.uid },
      status: {
        conditions: [
          {
            ...wanted,
            observedGeneration: pod.metadata?.generation,
            lastProbeTime: null,
            lastTransitionTime,
          },
        ],
      },
    };
    try {
      await this.#client.patch(
        pods,
        pod.metadata!.name!,
        pod.metadata!.namespace,
        'strategic',
        patch,
        'status',
      );
    } catch (error) {
      if (hasReason(error, 'NotFound', 'Conflict')) return;
      this.#log(`condition of ${key}: ${messageOf(error)}`);
      // Said again at the next try: which is soon, because it has not been said.
      if (this.#signal?.aborted) return;
      await this.#clock.sleep(this.#backoff.next(key), this.#signal).catch(() => {});
      const now = this.#queue.waiting.get(key);
      if (now !== undefined) this.#queue.add(key, now);
      this.#pump();
    }
  }

  #track(work: Promise<void>): void {
    this.#inFlight.add(work);
    void work.finally(() => this.#inFlight.delete(work));
  }
}

/** Whether a pod is ours to place. */
function wantsNode(pod: Pod): boolean {
  const gates = (pod.spec as { schedulingGates?: unknown[] } | undefined)?.schedulingGates;
  return (
    !pod.spec?.nodeName &&
    pod.metadata?.deletionTimestamp === undefined &&
    !isTerminal(pod) &&
    (pod.spec?.schedulerName ?? SCHEDULER_NAME) === SCHEDULER_NAME &&
    !gates?.length
  );
}

/** What of a pod decides where it can go; its status does not. */
function sameWishes(pod: Pod, old: Pod): boolean {
  return (
    pod.metadata?.uid === old.metadata?.uid &&
    JSON.stringify([pod.spec, pod.metadata?.labels]) === JSON.stringify([old.spec, old.metadata?.labels])
  );
}

/** What of a node decides about pods; a heartbeat does not. */
function placementOf(node: Node): string {
  const { spec, metadata, status } = node;
  return JSON.stringify([spec?.unschedulable, spec?.taints, metadata?.labels, status?.allocatable]);
}

import { type HostPort, takenHostPorts } from '../../kube/host-ports.ts';
import { isTerminal } from '../../kube/placement.ts';
import { keyOf } from '../../kube/resources.ts';
import type { Node, Pod } from '../../kube/types.ts';
import { type Amounts, podRequests } from './requests.ts';

/** A node, and what the pods on it have taken of it. */
export interface NodeState {
  node: Node;
  pods: ReadonlyMap<string, PlacedPod>;
  used: Amounts;
}

export interface PlacedPod {
  pod: Pod;
  ports: HostPort[];
  requests: Amounts;
}

class Usage {
  readonly pods = new Map<string, PlacedPod>();
  readonly used: Amounts = { milliCpu: 0, memory: 0 };

  put(key: string, placed: PlacedPod): void {
    this.remove(key);
    this.pods.set(key, placed);
    this.used.milliCpu += placed.requests.milliCpu;
    this.used.memory += placed.requests.memory;
  }

  remove(key: string): void {
    const placed = this.pods.get(key);
    if (placed === undefined) return;
    this.pods.delete(key);
    this.used.milliCpu -= placed.requests.milliCpu;
    this.used.memory -= placed.requests.memory;
  }
}

/**
 * What the scheduler believes of the cluster: nodes, pods that are on them, and pods it has decided on whose binding the
 * API has not shown yet (assumed). An assumed pod counts like a bound one, so that of two pods decided in one burst the
 * second sees the first.
 */
export class ClusterState {
  readonly #nodes = new Map<string, Node>();
  readonly #usage = new Map<string, Usage>();
  /** Pod key to the node it is counted on. */
  readonly #placed = new Map<string, string>();
  /** Pod key to uid, of assumed pods. */
  readonly #assumed = new Map<string, string | undefined>();

  setNode(node: Node): void {
    this.#nodes.set(node.metadata!.name!, node);
  }

  removeNode(name: string): void {
    this.#nodes.delete(name);
  }

  get nodeCount(): number {
    return this.#nodes.size;
  }

  node(name: string): Node | undefined {
    return this.#nodes.get(name);
  }

  /** Takes in a pod as the API shows it. */
  setPod(pod: Pod): void {
    const key = keyOf(pod);
    const assumedUid = this.#assumed.get(key);
    if (!pod.spec?.nodeName) {
      // Not bound yet, as far as the API shows: an assumption about this very pod stands.
      if (this.#assumed.has(key) && assumedUid === pod.metadata?.uid) return;
      this.#forget(key);
      return;
    }
    this.#assumed.delete(key);
    if (isTerminal(pod)) this.#forget(key);
    else this.#place(key, pod, pod.spec.nodeName);
  }

  removePod(pod: Pod): void {
    this.#assumed.delete(keyOf(pod));
    this.#forget(keyOf(pod));
  }

  /** Counts `pod` on `nodeName` before the API says so. */
  assume(pod: Pod, nodeName: string): void {
    const key = keyOf(pod);
    this.#assumed.set(key, pod.metadata?.uid);
    this.#place(key, pod, nodeName);
  }

  /** Undoes {@link assume}; does nothing when the API has shown the pod as bound meanwhile. */
  forgetAssumed(pod: Pod): void {
    const key = keyOf(pod);
    if (this.#assumed.delete(key)) this.#forget(key);
  }

  isAssumed(pod: Pod): boolean {
    const key = keyOf(pod);
    return this.#assumed.has(key) && this.#assumed.get(key) === pod.metadata?.uid;
  }

  /** All nodes with what is on them, in the order of their names. */
  snapshot(): NodeState[] {
    return [...this.#nodes.entries()]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, node]) => {
        const usage = this.#usage.get(name) ?? new Usage();
        return { node, pods: usage.pods, used: usage.used };
      });
  }

  #place(key: string, pod: Pod, nodeName: string): void {
    this.#forget(key);
    const usage = this.#usage.get(nodeName) ?? new Usage();
    this.#usage.set(nodeName, usage);
    usage.put(key, { pod, ports: takenHostPorts(pod), requests: podRequests(pod) });
    this.#placed.set(key, nodeName);
  }

  #forget(key: string): void {
    const nodeName = this.#placed.get(key);
    if (nodeName === undefined) return;
    this.#placed.delete(key);
    const usage = this.#usage.get(nodeName);
    usage?.remove(key);
    if (usage?.pods.size === 0) this.#usage.delete(nodeName);
  }
}

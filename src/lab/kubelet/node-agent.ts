import { watch } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { Runtime } from '../../cri/runtime.ts';
import { type ApiClient, hasReason } from '../../kube/client.ts';
import { Informer } from '../../kube/informer.ts';
import { leases, nodes } from '../../kube/resources.ts';
import type { Node, NodeCondition } from '../../kube/types.ts';
import type { Clock } from '../../sys/clock.ts';
import { messageOf } from '../../util/errors.ts';
import { type Machine, type NodeIdentity, newNode, nodeLabels, nodeStatus } from './node-status.ts';

/** How often the runtime is asked while something is missing, and while nothing is. */
const IMPATIENT_MS = 150;
const PATIENT_MS = 5_000;
/** The status is written when it changed, and anyway after this long. */
const REPORT_MS = 300_000;
const LEASE_MS = 10_000;
const LEASE_SECONDS = 40;
const LEASE_NAMESPACE = 'kube-node-lease';
const RETRY_MS = 200;
const UNSEEN = 'container runtime status has not been seen yet';

/** Keeps the Node of this kubelet: registers it, watches it, renews its lease, and says whether pods can run on it. */
export class NodeAgent {
  readonly #client: ApiClient;
  readonly #runtime: Runtime;
  readonly #clock: Clock;
  readonly #identity: NodeIdentity;
  readonly #machine: Machine;
  readonly #options: {
    kubeletPort: number;
    cniDirectory: string;
    onNetworkReady: () => void;
    say: (type: 'Normal' | 'Warning', reason: string, message: string) => void;
    log: (line: string) => void;
  };
  readonly #watched: Informer<Node>;
  #problem: string | undefined;
  #networkProblem: string | undefined = UNSEEN;
  readonly #seen = Promise.withResolvers<void>();
  #hasSeen = false;
  #version: { name: string; version: string } | undefined;
  #nudge: () => void = () => {};
  #registered = false;
  #reported: { at: number; status: unknown } | undefined;
  /** The Node as the API had it last, by an answer or by the watch; undefined before it is registered and once it is deleted. */
  #node: Node | undefined;

  constructor(input: {
    client: ApiClient;
    runtime: Runtime;
    clock: Clock;
    identity: NodeIdentity;
    machine: Machine;
    options: {
      /** Where this kubelet serves. */
      kubeletPort: number;
      /** Watched, because the runtime says nothing when a network configuration appears. */
      cniDirectory: string;
      onNetworkReady: () => void;
      /** Writes an event about the node. */
      say: (type: 'Normal' | 'Warning', reason: string, message: string) => void;
      log: (line: string) => void;
    };
  }) {
    this.#client = input.client;
    this.#runtime = input.runtime;
    this.#clock = input.clock;
    this.#identity = input.identity;
    this.#machine = input.machine;
    this.#options = input.options;
    const { name } = input.identity;
    const look = () => this.#see(this.#watched.get(name));
    this.#watched = new Informer(input.client, nodes, {
      fieldSelector: `metadata.name=${name}`,
      onError: (error) => input.options.log(`node ${name} not watched: ${messageOf(error)}`),
      clock: input.clock,
    }).handle({ onAdd: look, onUpdate: look, onDelete: look });
  }

  /** Why the runtime has no network for pods; undefined when it has. */
  get networkProblem(): string | undefined {
    return this.#networkProblem;
  }

  /** Resolves when the runtime has been asked once, whatever it answered. */
  get seen(): Promise<void> {
    return this.#seen.promise;
  }

  /** Resolves when the API's Node has been read once, or the API has none yet. */
  get synced(): Promise<void> {
    return this.#watched.synced;
  }

  /** The Node as the watch has it; while the API has none, the one that this kubelet registers. */
  get node(): Node {
    return this.#watched.get(this.#identity.name) ?? newNode(this.#identity, this.#machine);
  }

  /** The Node as the API has it at this moment. The watch may be a little behind what a client was answered. */
  async readNode(): Promise<Node> {
    try {
      return await this.#client.get(nodes, this.#identity.name);
    } catch (error) {
      this.#options.log(`node ${this.#identity.name} not read: ${messageOf(error)}`);
      return this.node;
    }
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([
      this.#watched.run(signal),
      this.#watchRuntime(signal),
      this.#register(signal),
      this.#renewLease(signal),
    ]);
  }

  /** What the watch says of the Node; an answer to this kubelet may have said so before. */
  #see(node: Node | undefined): void {
    if (node === undefined) {
      if (this.#node !== undefined) this.#forget();
    } else if (this.#node === undefined || isNewer(node, this.#node)) {
      this.#node = node;
      this.#nudge();
    }
  }

  /** A kubelet whose Node was deleted is not wanted: as upstream's, it registers again when it is started again. */
  #forget(): void {
    this.#node = undefined;
    this.#reported = undefined;
    this.#options.log(`node ${this.#identity.name} was deleted: restart the kubelet to register it again`);
  }

  async #watchRuntime(signal: AbortSignal): Promise<void> {
    const watcher = this.#watchConfiguration();
    while (!signal.aborted) {
      // Whatever happens from here on is looked at in the next turn.
      const nudged = new AbortController();
      this.#nudge = () => nudged.abort();
      await this.#look();
      await this.#report();
      const wait =
        this.#problem === undefined && this.#networkProblem === undefined ? PATIENT_MS : IMPATIENT_MS;
      // Woken early or aborted, the loop looks again or ends; both are no errors.
      await this.#clock.sleep(wait, AbortSignal.any([signal, nudged.signal])).catch(() => {});
    }
    watcher?.close();
  }

  #watchConfiguration() {
    try {
      const watcher = watch(this.#options.cniDirectory, () => this.#nudge());
      watcher.on('error', () => watcher.close());
      return watcher;
    } catch (error) {
      // Without the watch a change is seen by asking, a moment later.
      this.#options.log(`${this.#options.cniDirectory} is not watched: ${messageOf(error)}`);
      return undefined;
    }
  }

  async #look(): Promise<void> {
    const before = this.#networkProblem;
    try {
      this.#version ??= await this.#runtime.version();
      const conditions = await this.#runtime.conditions();
      const wording = (type: string): string | undefined => {
        const found = conditions.find((condition) => condition.type === type);
        if (found?.status === true) return undefined;
        return `container runtime ${type === 'NetworkReady' ? 'network ' : ''}not ready: ${type}=false reason:${found?.reason ?? ''} message:${found?.message ?? ''}`;
      };
      this.#problem = wording('RuntimeReady');
      this.#networkProblem = wording('NetworkReady');
    } catch (error) {
      this.#problem = `container runtime is down: ${messageOf(error)}`;
      if (this.#networkProblem === UNSEEN) this.#networkProblem = this.#problem;
      this.#version = undefined;
    }
    this.#seen.resolve();
    this.#hasSeen = true;
    if (this.#networkProblem !== before) {
      this.#options.log(this.#networkProblem ?? 'container runtime network is ready');
      if (this.#networkProblem === undefined) this.#options.onNetworkReady();
    }
  }

  async #register(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !this.#registered) {
      try {
        this.#node = await this.#createOrAdopt();
        this.#registered = true;
        this.#options.log(`node ${this.#identity.name} registered`);
        this.#options.say('Normal', 'Starting', 'Starting kubelet.');
        await this.#report();
      } catch (error) {
        this.#options.log(`node ${this.#identity.name} not registered: ${messageOf(error)}`);
        await this.#clock.sleep(RETRY_MS, signal).catch(() => {});
      }
    }
  }

  async #createOrAdopt(): Promise<Node> {
    const { name } = this.#identity;
    const wanted = newNode(this.#identity, this.#machine);
    try {
      return await this.#client.create(nodes, wanted);
    } catch (error) {
      if (!hasReason(error, 'AlreadyExists')) throw error;
    }
    const labels = nodeLabels(this.#identity, this.#machine);
    return await this.#client.patch(nodes, name, undefined, 'merge', { metadata: { labels } });
  }

  async #report(): Promise<void> {
    // The first thing that a node says of itself is what it has seen.
    if (!this.#registered || !this.#hasSeen || this.#node === undefined) return;
    const now = this.#clock.now();
    const problems = [this.#problem, this.#networkProblem].filter((problem) => problem !== undefined);
    const before = this.#node.status?.conditions ?? [];
    const status = nodeStatus(this.#identity, this.#machine, {
      before,
      now,
      runtime: this.#version,
      problems,
      kubeletPort: this.#options.kubeletPort,
      images: [],
    });
    const { images: _images, conditions: wanted = [], ...own } = status;
    const said = wanted.map((condition) => worded(condition));
    const stable = { ...own, conditions: said };
    const there = wanted.map(({ type }) => worded(before.find((condition) => condition.type === type)));
    const due = this.#reported === undefined || this.#clock.monotonic() - this.#reported.at >= REPORT_MS;
    // Somebody else may have written over it: the node controller does when it has heard nothing for too long.
    if (!due && isDeepStrictEqual(there, said) && isDeepStrictEqual(this.#reported?.status, stable)) return;
    const others = before.filter(({ type }) => !wanted.some((condition) => condition.type === type));
    try {
      this.#node = await this.#client.patch(
        nodes,
        this.#identity.name,
        undefined,
        'merge',
        { status: { ...own, conditions: [...wanted, ...others] } },
        'status',
      );
    } catch (error) {
      this.#options.log(`status of node ${this.#identity.name} not written: ${messageOf(error)}`);
      if (hasReason(error, 'NotFound')) this.#forget();
      return;
    }
    this.#reported = { at: this.#clock.monotonic(), status: stable };
    this.#sayReadiness(readiness(before), readiness(wanted));
  }

  #sayReadiness(before: string | undefined, after: string | undefined): void {
    if (before === after) return;
    const reason = after === 'True' ? 'NodeReady' : 'NodeNotReady';
    // The first report is not a change: there was nothing before.
    if (before !== undefined) {
      this.#options.say('Normal', reason, `Node ${this.#identity.name} status is now: ${reason}`);
    }
    this.#options.log(`node ${this.#identity.name} is ${after === 'True' ? 'Ready' : 'not Ready'}`);
  }

  async #renewLease(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      let wait = LEASE_MS;
      try {
        await this.#putLease();
      } catch (error) {
        this.#options.log(`lease of node ${this.#identity.name} not renewed: ${messageOf(error)}`);
        wait = 1_000;
      }
      await this.#clock.sleep(wait, signal).catch(() => {});
    }
  }

  async #putLease(): Promise<void> {
    const { name } = this.#identity;
    const renewTime = new Date(this.#clock.now()).toISOString().replace('Z', '000Z');
    const spec = { holderIdentity: name, leaseDurationSeconds: LEASE_SECONDS, renewTime };
    try {
      await this.#client.patch(leases, name, LEASE_NAMESPACE, 'merge', { spec });
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error;
      await this.#client.create(leases, { metadata: { name, namespace: LEASE_NAMESPACE }, spec });
    }
  }
}

/** What a condition says, without when. */
function worded(condition: NodeCondition | undefined): Partial<NodeCondition> {
  const { type, status, reason, message } = condition ?? {};
  return { type, status, reason, message };
}

function readiness(conditions: readonly NodeCondition[]): string | undefined {
  return conditions.find(({ type }) => type === 'Ready')?.status;
}

/** Versions are compared as numbers: etcd's revisions. */
function isNewer(node: Node, other: Node): boolean {
  return Number(node.metadata?.resourceVersion) > Number(other.metadata?.resourceVersion);
}

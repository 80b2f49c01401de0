import type { Runtime } from '../../cri/runtime.ts';
import type { ApiClient } from '../../kube/client.ts';
import { EventRecorder, referenceTo } from '../../kube/event-recorder.ts';
import { Informer } from '../../kube/informer.ts';
import { isTerminal } from '../../kube/placement.ts';
import { isMirrorPod, MIRROR_ANNOTATION } from '../../kube/pods.ts';
import { keyOf, nodes, pods, services } from '../../kube/resources.ts';
import type { Node, Pod, Service } from '../../kube/types.ts';
import type { Clock } from '../../sys/clock.ts';
import { collectingWhenGrown } from '../../sys/garbage.ts';
import { messageOf } from '../../util/errors.ts';
import { EVENT_PATIENCE_MS } from '../daemon.ts';
import { isOfNode, refusal } from './admission.ts';
import type { ClusterDns } from './dns.ts';
import { ConfigError } from './env.ts';
import { Images } from './images.ts';
import { CONFIG_HASH, type Directories, describePod, isStatic } from './names.ts';
import { NodeAgent } from './node-agent.ts';
import type { Machine, NodeIdentity } from './node-status.ts';
import { apiObjects } from './object-source.ts';
import { type ObservedContainer, Observer, type RunningPod } from './observe.ts';
import { currentSandbox } from './plan.ts';
import type { PodContext } from './pod-context.ts';
import { PodWorker } from './pod-worker.ts';
import { probeRunner } from './probes.ts';
import { MirrorPods } from './static-pods/mirror-pods.ts';
import type { Mounts } from './volumes/mounts.ts';
import { Volumes } from './volumes/volumes.ts';

/** How often what runs is compared with what ran, although no event came: events are lost while the runtime restarts. */
const RELIST_MS = 5_000;
const EVENTS_RETRY_MS = 200;
const EXIT_LAGS_MS = 500;
/** How long a container waits for the first list of services. */
const SERVICES_MS = 5_000;

/** By how much the process may grow before it collects its garbage, in bytes. */
const GROWTH = 4 * 1024 * 1024;

export interface KubeletOptions {
  client: ApiClient;
  runtime: Runtime;
  clock: Clock;
  mounts: Mounts;
  identity: NodeIdentity;
  machine: Machine;
  directories: Directories;
  dns: ClusterDns;
  kubeletPort: number;
  /** `/etc/cni/net.d` */
  cniDirectory: string;
  log: (line: string) => void;
}

/** A node's kubelet: which pods there should be, a worker for each, and the node itself. */
export class Kubelet {
  readonly #options: KubeletOptions;
  readonly #workers = new Map<string, PodWorker>();
  /** Pods, newest definition, that are not admitted yet because the Node is being read for them. By UID. */
  readonly #judged = new Map<string, Pod>();
  /** Container or sandbox ID to pod UID, as far as seen. */
  readonly #owners = new Map<string, string>();
  readonly #context: PodContext;
  readonly #node: NodeAgent;
  readonly #events: EventRecorder;
  /** Each pod that comes and goes leaves garbage, which the engine would let lie. */
  readonly #rest = collectingWhenGrown(GROWTH);
  readonly #pods: Informer<Pod>;
  readonly #services: Informer<Service>;
  readonly #mirrors: MirrorPods;
  readonly #stop = new AbortController();
  #static = new Map<string, Pod>();
  /** What ran of each pod when it was last looked at. */
  #digests = new Map<string, string>();
  #haveServices = false;

  constructor(options: KubeletOptions) {
    this.#options = options;
    const { client, runtime, clock, identity, directories, log } = options;
    this.#events = new EventRecorder(
      client,
      { component: 'kubelet', host: identity.name },
      {
        onError: (error) => log(`event not written: ${messageOf(error)}`),
        clock,
        patienceMs: EVENT_PATIENCE_MS,
      },
    );
    const nodeReference = {
      ...referenceTo(nodes, { metadata: { name: identity.name } }),
      uid: identity.name,
    };
    this.#node = new NodeAgent({
      client,
      runtime,
      clock,
      identity,
      machine: options.machine,
      options: {
        kubeletPort: options.kubeletPort,
        cniDirectory: options.cniDirectory,
        onNetworkReady: () => this.#wakeAll(),
        say: (type, reason, message) => this.#events.event(nodeReference, type, reason, message),
        log,
      },
    });
    const onError = (what: string) => (error: unknown) => log(`${what} not watched: ${messageOf(error)}`);
    this.#pods = new Informer(client, pods, {
      fieldSelector: `spec.nodeName=${identity.name}`,
      onError: onError('pods'),
      clock,
    }).handle({
      onAdd: (pod) => this.#wanted(pod),
      onUpdate: (pod) => this.#wanted(pod),
      onDelete: (pod) => this.#unwanted(pod),
    });
    this.#services = new Informer(client, services, { onError: onError('services'), clock });
    const objects = apiObjects(client, clock);
    this.#context = {
      runtime,
      observer: new Observer(runtime),
      images: new Images(runtime, clock),
      volumes: new Volumes(directories, options.mounts, objects),
      objects,
      probe: probeRunner(runtime),
      client,
      clock,
      directories,
      nodeName: identity.name,
      nodeIp: identity.ip,
      dns: options.dns,
      allocatable: { cpu: options.machine.cpus, memory: options.machine.memoryBytes },
      services: (pod) => this.#servicesFor(pod),
      networkProblem: () => this.#node.networkProblem,
      say: (pod, type, reason, message, container) => this.#say(pod, type, reason, message, container),
      log,
    };
    this.#mirrors = new MirrorPods({
      client,
      node: () => this.#node.node,
      present: (name, namespace) => this.#pods.get(name, namespace),
      log,
    });
  }

  /** The Node that pods are judged by. */
  get node(): Node {
    return this.#node.node;
  }

  /** The pods of this node with the status that the kubelet last gave them. */
  pods(): Pod[] {
    return [...this.#workers.values()].map(({ pod, status }) => ({ ...pod, status: status ?? pod.status }));
  }

  get nodeName(): string {
    return this.#options.identity.name;
  }

  get runtime(): Runtime {
    return this.#options.runtime;
  }

  async containerRuns(pod: Pod, container: string): Promise<ObservedContainer[]> {
    const { containers } = await this.#context.observer.pod(pod.metadata!.uid!);
    return containers.filter(({ name }) => name === container);
  }

  async sandboxId(pod: Pod): Promise<string | undefined> {
    const observed = await this.#context.observer.pod(pod.metadata!.uid!);
    return currentSandbox(pod, observed)?.id;
  }

  /** Resolves after the API's pods are known. */
  get synced(): Promise<void> {
    return this.#pods.synced;
  }

  /** Runs until {@link Kubelet.stop}; pods go on running afterwards. */
  async run(): Promise<void> {
    const { signal } = this.#stop;
    // Until the runtime has been asked, nothing could be said to pods but that; by what the Node says they are judged.
    const mayStart = Promise.all([this.#node.seen, this.#node.synced]);
    await Promise.all([
      this.#node.run(signal),
      unlessStopped(mayStart, signal).then(() => this.#pods.run(signal)),
      this.#services.run(signal),
      this.#followEvents(signal),
      this.#relist(signal),
    ]);
  }

  /** Ends everything but the pods; events said so far are still written. */
  async stop(): Promise<void> {
    this.#stop.abort();
    for (const worker of this.#workers.values()) worker.stop();
    this.#mirrors.stop();
    await this.#events.flush(1_000);
  }

  /** The static pods that the manifests ask for; those that were there and are not any more are ended. */
  setStaticPods(wanted: readonly Pod[]): void {
    const before = this.#static;
    this.#static = new Map(wanted.map((pod) => [pod.metadata!.uid!, pod]));
    for (const [uid, pod] of before) {
      if (this.#static.has(uid)) continue;
      this.#mirrors.remove(pod);
      this.#end(uid);
    }
    for (const [uid, pod] of this.#static) {
      if (!before.has(uid)) this.#mirrors.ensure(pod, this.#mirrorOf(pod));
    }
    this.#startStatic();
  }

  /** A static pod whose definition changed is another pod: it begins when the one before it has given up its ports. */
  #startStatic(): void {
    for (const [uid, pod] of this.#static) {
      const names = [...this.#workers.values()].map((worker) => keyOf(worker.pod));
      if (!this.#workers.has(uid) && !names.includes(keyOf(pod))) this.#put(pod);
    }
  }

  async #servicesFor(pod: Pod): Promise<Service[]> {
    // A static pod may be what the API server needs to come up: it does not wait for it.
    if (!isStatic(pod) && !this.#haveServices) {
      const late = this.#options.clock.sleep(SERVICES_MS).then(() => {
        throw new ConfigError('services have not yet been read at least once, cannot construct envvars');
      });
      await Promise.race([this.#services.synced, late]);
      this.#haveServices = true;
    }
    return this.#services.list();
  }

  #mirrorOf(pod: Pod): Pod | undefined {
    return this.#pods.get(pod.metadata!.name!, pod.metadata!.namespace);
  }

  #wanted(pod: Pod): void {
    if (!isMirrorPod(pod)) {
      this.#put(pod);
      return;
    }
    const owner = this.#staticFor(pod);
    if (owner !== undefined) this.#workers.get(owner.metadata!.uid!)?.setMirror(pod);
    // A mirror is removed when its static pod is gone or has another definition, or when somebody deletes the mirror.
    if (owner === undefined || pod.metadata?.deletionTimestamp !== undefined) this.#mirrors.remove(pod);
  }

  #unwanted(pod: Pod): void {
    if (!isMirrorPod(pod)) {
      this.#end(pod.metadata!.uid!);
      return;
    }
    const { name, namespace } = pod.metadata!;
    for (const own of this.#static.values()) {
      if (own.metadata?.name !== name || own.metadata?.namespace !== namespace) continue;
      this.#workers.get(own.metadata!.uid!)?.setMirror(undefined);
      this.#mirrors.ensure(own, undefined);
    }
  }

  #staticFor(mirror: Pod): Pod | undefined {
    const hash = mirror.metadata?.annotations?.[MIRROR_ANNOTATION];
    return [...this.#static.values()].find(
      ({ metadata }) =>
        metadata?.annotations?.[CONFIG_HASH] === hash && metadata?.name === mirror.metadata?.name,
    );
  }

  #end(uid: string): void {
    this.#judged.delete(uid);
    this.#workers.get(uid)?.update({ kind: 'gone' });
  }

  #put(pod: Pod): void {
    const uid = pod.metadata!.uid!;
    const known = this.#workers.get(uid);
    if (known !== undefined) known.update({ kind: 'wanted', pod });
    else if (this.#judged.has(uid)) this.#judged.set(uid, pod);
    else {
      const failure = this.#judge(pod, this.node);
      if (failure === undefined || !isOfNode(failure)) this.#admit(pod, failure);
      else void this.#judgeAgain(pod);
    }
  }

  /** The watch may lag behind: before a pod is refused because of the Node, the Node is read from the API. */
  async #judgeAgain(pod: Pod): Promise<void> {
    const uid = pod.metadata!.uid!;
    this.#judged.set(uid, pod);
    const node = await this.#node.readNode();
    const newest = this.#judged.get(uid);
    // Deleted meanwhile.
    if (newest === undefined || this.#stop.signal.aborted) return;
    this.#judged.delete(uid);
    this.#admit(newest, this.#judge(newest, node));
  }

  /** Why this node does not run a pod; undefined when it does. */
  #judge(pod: Pod, node: Node): { reason: string; message: string } | undefined {
    // A pod that has begun was admitted before, by this kubelet or by the one before it.
    const fresh =
      !isTerminal(pod) &&
      pod.status?.startTime === undefined &&
      pod.metadata?.deletionTimestamp === undefined;
    if (!fresh) return undefined;
    // What is gone from the API has its port given to the next one by the scheduler, although its containers may still be ending.
    const others = [...this.#workers.values()]
      .filter((worker) => !worker.isGone)
      .map((worker) => ({ ...worker.pod, status: worker.status ?? worker.pod.status }));
    return refusal(pod, node, others);
  }

  #admit(pod: Pod, failure: { reason: string; message: string } | undefined): void {
    if (failure !== undefined) this.#say(pod, 'Warning', failure.reason, failure.message);
    this.#options.log(`pod ${describePod(pod)}: ${failure?.message ?? 'wanted'}`);
    this.#add(pod, failure).wake();
  }

  #add(pod: Pod, failure?: { reason: string; message: string }): PodWorker {
    const uid = pod.metadata!.uid!;
    const worker = new PodWorker(this.#context, pod, {
      failure,
      onDone: () => {
        this.#workers.delete(uid);
        this.#startStatic();
        this.#rest();
      },
    });
    this.#workers.set(uid, worker);
    const mirror = isStatic(pod) ? this.#mirrorOf(pod) : undefined;
    if (mirror !== undefined && this.#staticFor(mirror) === pod) worker.setMirror(mirror);
    return worker;
  }

  #say(pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string, container?: string): void {
    const init = pod.spec?.initContainers?.some(({ name }) => name === container) === true;
    const fieldPath =
      container === undefined ? undefined : `spec.${init ? 'initContainers' : 'containers'}{${container}}`;
    const object = { ...referenceTo(pods, pod), fieldPath };
    this.#events.event(object, type, reason, message);
    this.#options.log(`pod ${describePod(pod)}: ${reason}: ${message}`);
  }

  #wakeAll(): void {
    for (const worker of this.#workers.values()) worker.wake();
  }

  /** Exits reach their pod at once; when the stream breaks, everybody looks for themselves. */
  async #followEvents(signal: AbortSignal): Promise<void> {
    const { runtime, clock, log } = this.#options;
    while (!signal.aborted) {
      try {
        for await (const event of runtime.events(signal, () => this.#lookTwice(signal))) {
          if (event.kind !== 'exited') continue;
          const uid = this.#owners.get(event.containerId) ?? (await this.#ownerOf(event.containerId));
          if (uid !== undefined) this.#workers.get(uid)?.exited(event.containerId);
        }
      } catch (error) {
        log(`runtime events: ${messageOf(error)}`);
      }
      await clock.sleep(EVENTS_RETRY_MS, signal).catch(() => {});
    }
  }

  /** An exit before the stream was open is not reported, and the runtime's status shows it a moment later. */
  #lookTwice(signal: AbortSignal): void {
    this.#wakeAll();
    this.#options.clock.sleep(EXIT_LAGS_MS, signal).then(
      () => this.#wakeAll(),
      () => {},
    );
  }

  async #ownerOf(id: string): Promise<string | undefined> {
    const { runtime } = this.#options;
    const [sandboxes, containers] = await Promise.all([runtime.listSandboxes(), runtime.listContainers()]);
    this.#owners.clear();
    for (const { id: known, labels } of [...sandboxes, ...containers]) {
      const uid = labels['io.kubernetes.pod.uid'];
      if (uid !== undefined) this.#owners.set(known, uid);
    }
    return this.#owners.get(id);
  }

  /** Stops pods that the runtime runs but nothing asks for, and removes what is left of pods that are gone. */
  async #relist(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    await unlessStopped(this.#pods.synced, signal);
    while (!signal.aborted) {
      try {
        await this.#collect();
      } catch (error) {
        log(`runtime not compared: ${messageOf(error)}`);
        await clock.sleep(1_000, signal).catch(() => {});
        continue;
      }
      await clock.sleep(RELIST_MS, signal).catch(() => {});
    }
  }

  async #collect(): Promise<void> {
    const running = await this.#context.observer.all();
    for (const found of running) {
      const worker = this.#workers.get(found.uid);
      if (worker !== undefined) {
        if (this.#digests.get(found.uid) !== found.digest) worker.wake();
        continue;
      }
      this.#options.log(
        `pod ${found.name}_${found.namespace}(${found.uid}): runs, but is not wanted; stopping it`,
      );
      this.#add(remains(found)).update({ kind: 'gone' });
    }
    for (const uid of this.#context.volumes.leftovers()) {
      if (!this.#workers.has(uid)) await this.#context.volumes.remove(uid);
    }
    this.#digests = new Map(running.map(({ uid, digest }) => [uid, digest]));
  }
}

/** What can be said of a pod that only the runtime knows. */
function remains({ uid, name, namespace }: RunningPod): Pod {
  return { metadata: { uid, name, namespace }, spec: { containers: [] } };
}

/** Resolves when `work` does, or when the signal aborts: a server that never answers is waited for no longer than that. */
async function unlessStopped(work: Promise<unknown>, signal: AbortSignal): Promise<void> {
  const stopped = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await Promise.race([work, stopped]);
}

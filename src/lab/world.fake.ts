import { FakeApi } from '../kube/client.fake.ts';
import type { ApiClient } from '../kube/client.ts';
import { EventRecorder } from '../kube/event-recorder.ts';
import { events, leases, nodes, pods } from '../kube/resources.ts';
import type { Node, Pod } from '../kube/types.ts';
import { controllerContext } from './controllers/context.ts';
import { allControllers } from './controllers/main.ts';
import { Informers } from './informers.ts';
import { Scheduler } from './scheduler/scheduler.ts';

/** How often a kubelet renews its lease. */
const RENEWAL_MS = 10_000;

/** What tests do to a cluster and look at in it, with kubelets that run whatever is bound to any node. */
export class World<Api extends ApiClient = ApiClient> {
  readonly api: Api;
  #renewedAt = performance.now();

  constructor(api: Api) {
    this.api = api;
  }

  async addNode(name: string, spec: Node['spec'] = {}): Promise<Node> {
    const allocatable = { cpu: '2', memory: '4Gi', pods: '110' };
    const conditions = [{ type: 'Ready', status: 'True', lastHeartbeatTime: new Date().toISOString() }];
    await this.api.create(leases, {
      metadata: { name, namespace: 'kube-node-lease' },
      spec: { holderIdentity: name, renewTime: microTime() },
    });
    const node = await this.api.create(nodes, {
      metadata: { name, labels: { 'kubernetes.io/hostname': name } },
      spec,
    });
    const status = { allocatable, conditions } as unknown as Node['status'];
    return this.api.patch(nodes, node.metadata!.name!, undefined, 'merge', { status }, 'status');
  }

  async addPod(name: string, spec: Partial<NonNullable<Pod['spec']>> = {}): Promise<Pod> {
    const containers = spec.containers ?? [{ name: 'c', image: 'i' }];
    return this.api.create(pods, { metadata: { name, namespace: 'default' }, spec: { ...spec, containers } });
  }

  async pods(): Promise<Pod[]> {
    return (await this.api.list(pods)).items;
  }

  async pod(name: string): Promise<Pod> {
    return this.api.get(pods, name, 'default');
  }

  /** What a kubelet does: runs what is bound, ends what is deleted, and says now and then that it lives. */
  async kubelets(): Promise<void> {
    if (performance.now() - this.#renewedAt > RENEWAL_MS) await this.#renewLeases();
    for (const pod of await this.pods()) {
      if (!pod.spec?.nodeName) continue;
      const { name, namespace } = pod.metadata!;
      if (pod.metadata?.deletionTimestamp !== undefined) {
        await this.api.delete(pods, name!, namespace, { gracePeriodSeconds: 0 });
      } else if (pod.status?.phase !== 'Running') {
        const lastTransitionTime = new Date().toISOString();
        const conditions = [{ type: 'Ready', status: 'True', lastTransitionTime }];
        const status = { phase: 'Running', podIP: '192.168.0.9', conditions };
        await this.api.update(pods, { ...pod, status }, 'status');
      }
    }
  }

  async #renewLeases(): Promise<void> {
    for (const { metadata } of (await this.api.list(leases, { namespace: 'kube-node-lease' })).items) {
      const patch = { spec: { renewTime: microTime() } };
      await this.api.patch(leases, metadata!.name!, metadata!.namespace, 'merge', patch);
    }
    this.#renewedAt = performance.now();
  }

  async events(reason: string): Promise<string[]> {
    const { items } = await this.api.list(events);
    return items.filter((event) => event.reason === reason).map((event) => event.message!);
  }

  /** Waits until `check` holds, running the kubelets meanwhile when `live`; fails with what it last saw. */
  async until<T>(
    what: string,
    look: () => Promise<T>,
    check: (seen: T) => boolean,
    live = true,
    timeoutMs = 5_000,
  ): Promise<T> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      if (live) await this.kubelets();
      const seen = await look();
      if (check(seen)) return seen;
      if (performance.now() > deadline) {
        throw new Error(`${what}: not within ${timeoutMs} ms; last seen ${JSON.stringify(seen, null, 1)}`);
      }
      await Bun.sleep(5);
    }
  }
}

/** A cluster in memory: the fake API with the real controllers and scheduler. */
export class FakeWorld extends World<FakeApi> {
  readonly logged: string[] = [];
  readonly #abort = new AbortController();
  readonly #running: Promise<unknown>[] = [];

  constructor() {
    super(new FakeApi());
  }

  async startScheduler(): Promise<void> {
    const log = (message: string) => this.logged.push(message);
    const informers = new Informers(this.api, (error) => this.logged.push(String(error)));
    const recorder = new EventRecorder(
      this.api,
      { component: 'default-scheduler' },
      { onError: (error) => this.logged.push(String(error)) },
    );
    const scheduler = new Scheduler({ client: this.api, informers, events: recorder, log });
    await informers.start(this.#abort.signal);
    this.#running.push(scheduler.run(this.#abort.signal));
  }

  async startControllers(): Promise<void> {
    const log = (message: string) => this.logged.push(message);
    const informers = new Informers(this.api, (error) => this.logged.push(String(error)));
    const context = controllerContext({ client: this.api, informers, log, signal: this.#abort.signal });
    const clusterCidr = { network: 0xc0a80000, prefix: 16 };
    const controllers = allControllers(context, { clusterCidr, nodeMaskSize: 24, rootCa: 'CA' });
    await informers.start(this.#abort.signal);
    for (const controller of controllers) controller.start();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.api.disconnect();
    await Promise.all(this.#running);
  }
}

/** metav1.MicroTime, now. */
function microTime() {
  return new Date().toISOString().replace('Z', '000Z') as never;
}

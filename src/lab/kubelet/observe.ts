import type { CriContainer, CriContainerStatus } from '../../cri/messages.ts';
import type { Runtime } from '../../cri/runtime.ts';
import {
  CONTAINER_HASH,
  CONTAINER_NAME,
  GRACE_PERIOD,
  POD_NAME,
  POD_NAMESPACE,
  POD_UID,
  RESTART_COUNT,
} from './names.ts';

/** A sandbox of a pod as the runtime has it. */
export interface ObservedSandbox {
  id: string;
  attempt: number;
  ready: boolean;
  /** Addresses, the primary one first; empty for host network and for a sandbox that is not ready. */
  ips: string[];
}

/** One run of a container of a pod as the runtime has it. Times are milliseconds since the epoch, 0 when not yet. */
export interface ObservedContainer {
  id: string;
  name: string;
  attempt: number;
  sandboxId: string;
  state: 'created' | 'running' | 'exited' | 'unknown';
  createdAt: number;
  startedAt: number;
  finishedAt: number;
  exitCode: number;
  reason: string;
  message: string;
  image: string;
  imageRef: string;
  /** The container's definition when it was made, by {@link import('./names.ts').containerHash}. */
  hash: string;
  restartCount: number;
  logPath: string;
  /** Seconds that the pod gave it to end, as recorded when it was made. */
  graceSeconds: number;
}

/** What runs of a pod. Both lists have the newest first. */
export interface ObservedPod {
  sandboxes: ObservedSandbox[];
  containers: ObservedContainer[];
}

/** A pod that the runtime knows: enough to stop it when nothing else knows it any more. */
export interface RunningPod {
  uid: string;
  name: string;
  namespace: string;
  /** Changes whenever a sandbox or container of the pod comes, goes or changes its state. */
  digest: string;
}

/** Looks at pods in the runtime. Statuses of ended containers do not change and are asked for only once. */
export class Observer {
  readonly #runtime: Runtime;
  readonly #ended = new Map<string, ObservedContainer>();

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  async pod(uid: string): Promise<ObservedPod> {
    const labels = { [POD_UID]: uid };
    const [sandboxes, containers] = await Promise.all([
      this.#runtime.listSandboxes(labels),
      this.#runtime.listContainers(labels),
    ]);
    return {
      sandboxes: (
        await Promise.all(
          sandboxes.map(async ({ id, metadata, state }): Promise<ObservedSandbox> => {
            const status = state === 'ready' ? await this.#runtime.sandboxStatus(id) : undefined;
            const { ip = '', additionalIps = [] } = status?.network ?? {};
            return {
              id,
              attempt: metadata?.attempt ?? 0,
              ready: status?.state === 'ready',
              ips: [ip, ...additionalIps.map((other) => other.ip)].filter((address) => address !== ''),
            };
          }),
        )
      ).sort((a, b) => b.attempt - a.attempt),
      containers: (await Promise.all(containers.map((container) => this.#container(container))))
        .filter((container) => container !== undefined)
        .sort((a, b) => b.attempt - a.attempt || b.createdAt - a.createdAt),
    };
  }

  /** Every pod that has a sandbox or a container in the runtime. */
  async all(): Promise<RunningPod[]> {
    const found = new Map<string, RunningPod>();
    const [sandboxes, containers] = await Promise.all([
      this.#runtime.listSandboxes(),
      this.#runtime.listContainers(),
    ]);
    const parts = [...sandboxes, ...containers].sort((a, b) => (a.id < b.id ? -1 : 1));
    for (const { id, state, labels } of parts) {
      const uid = labels[POD_UID];
      if (uid === undefined) continue;
      const digest = `${found.get(uid)?.digest ?? ''}${id} ${state}\n`;
      found.set(uid, { uid, name: labels[POD_NAME] ?? '', namespace: labels[POD_NAMESPACE] ?? '', digest });
    }
    const alive = new Set(containers.map(({ id }) => id));
    for (const id of this.#ended.keys()) if (!alive.has(id)) this.#ended.delete(id);
    return [...found.values()];
  }

  async #container(listed: CriContainer): Promise<ObservedContainer | undefined> {
    const known = this.#ended.get(listed.id);
    if (known !== undefined) return known;
    const status = await this.#runtime.containerStatus(listed.id);
    if (status === undefined) return undefined;
    const observed = observedContainer(status, listed.podSandboxId);
    if (observed.state === 'exited') this.#ended.set(observed.id, observed);
    return observed;
  }
}

function observedContainer(status: CriContainerStatus, sandboxId: string): ObservedContainer {
  const { labels, annotations } = status;
  return {
    id: status.id,
    name: labels[CONTAINER_NAME] ?? status.metadata?.name ?? '',
    attempt: status.metadata?.attempt ?? 0,
    sandboxId,
    state: status.state,
    createdAt: milliseconds(status.createdAt),
    startedAt: milliseconds(status.startedAt),
    finishedAt: milliseconds(status.finishedAt),
    exitCode: status.exitCode,
    reason: reasonOf(status),
    message: status.message,
    image: status.image?.image ?? '',
    imageRef: status.imageRef,
    hash: annotations[CONTAINER_HASH] ?? '',
    restartCount: Number(annotations[RESTART_COUNT] ?? 0),
    logPath: status.logPath,
    graceSeconds: Number(annotations[GRACE_PERIOD] ?? 30),
  };
}

/** Exit status of a process that was killed (SIGKILL), by the kernel for want of memory or by anybody. */
const KILLED = 137;

/**
 * With cgroups of version 1 the kernel notifies containerd for every container below a cgroup that ran out of memory, here
 * the node's. Containers that kept running and ended by themselves later were not killed for it. Source: the kernel's cgroup-v1/memory.rst, "OOM Control".
 */
function reasonOf({ reason, exitCode }: CriContainerStatus): string {
  return reason === 'OOMKilled' && exitCode !== KILLED ? '' : reason;
}

/** Runtime times are nanoseconds; containerd's zero time is a large negative number. */
function milliseconds(nanoseconds: number): number {
  return nanoseconds <= 0 ? 0 : Math.floor(nanoseconds / 1e6);
}

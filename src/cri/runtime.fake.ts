import type {
  ContainerConfig,
  CriContainer,
  CriContainerStatus,
  CriImage,
  CriSandbox,
  CriSandboxStatus,
  RuntimeCondition,
  SandboxConfig,
} from './messages.ts';
import {
  type ExecSyncResult,
  type RegistryAuth,
  type Runtime,
  RuntimeError,
  type RuntimeEvent,
  type Streams,
} from './runtime.ts';

interface FakeSandbox {
  config: SandboxConfig;
  status: CriSandboxStatus;
  /** The network could not be taken down: the sandbox cannot be stopped. */
  stuck: boolean;
}

/**
 * A container runtime in memory. It keeps containerd's habits that a kubelet depends on: names are unique by attempt, a
 * sandbox whose network failed stays behind and is not ready, stops and removals of what is gone succeed. It admits its
 * differences: nothing runs (containers end when a test says so, or when they are stopped), and nothing is pulled but what
 * {@link FakeRuntime.registry} has.
 */
export class FakeRuntime implements Runtime {
  readonly registry = new Map<string, CriImage>();
  readonly images = new Map<string, CriImage>();
  networkReady = true;
  /** What is wrong with the CNI chain; sandboxes with a network of their own cannot be made or stopped. */
  brokenChain: string | undefined;
  /** Address of the streaming server that exec, attach and portForward answer with. */
  streamingServer = 'http://127.0.0.1:1';
  /** Answers {@link Runtime.execSync}. */
  onExec: (id: string, command: readonly string[]) => ExecSyncResult = () => ({
    stdout: '',
    stderr: '',
    exitCode: 0,
  });
  readonly #sandboxes = new Map<string, FakeSandbox>();
  readonly #containers = new Map<string, { status: CriContainerStatus; sandboxId: string }>();
  readonly #listeners = new Set<(event: RuntimeEvent) => void>();
  readonly #now: () => number;
  #ids = 0;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  async version() {
    return { name: 'fake', version: '1' };
  }

  async conditions(): Promise<RuntimeCondition[]> {
    const network = this.networkReady
      ? { status: true, reason: '', message: '' }
      : {
          status: false,
          reason: 'NetworkPluginNotReady',
          message: 'Network plugin returns error: cni plugin not initialized',
        };
    return [
      { type: 'RuntimeReady', status: true, reason: '', message: '' },
      { type: 'NetworkReady', ...network },
    ];
  }

  async runSandbox(config: SandboxConfig): Promise<string> {
    const { name = '', namespace = '', uid = '', attempt = 0 } = config.metadata ?? {};
    for (const { status } of this.#sandboxes.values()) {
      if (status.metadata?.uid === uid && status.metadata.attempt === attempt) {
        throw new RuntimeError(
          'Unknown',
          reserved('sandbox', `${name}_${namespace}_${uid}_${attempt}`, status.id),
        );
      }
    }
    const id = this.#id();
    const own = config.linux?.securityContext?.namespaceOptions?.network !== 'node';
    const broken = own ? this.brokenChain : undefined;
    const status: CriSandboxStatus = {
      id,
      metadata: { name, namespace, uid, attempt },
      state: broken === undefined ? 'ready' : 'not-ready',
      createdAt: this.#nanoseconds(),
      network: { ip: own ? `10.99.0.${this.#ids}` : '', additionalIps: [] },
      labels: { ...config.labels },
      annotations: { ...config.annotations },
    };
    this.#sandboxes.set(id, { config, status, stuck: broken !== undefined });
    if (broken !== undefined) {
      throw new RuntimeError('Unknown', `failed to setup network for sandbox "${id}": ${broken}`);
    }
    return id;
  }

  async stopSandbox(id: string): Promise<void> {
    const sandbox = this.#sandboxes.get(id);
    if (sandbox === undefined) return;
    for (const [containerId, { sandboxId }] of this.#containers) {
      if (sandboxId === id) this.end(containerId, 137);
    }
    if (this.brokenChain !== undefined && (sandbox.stuck || sandbox.status.state === 'ready')) {
      throw new RuntimeError('Unknown', `failed to destroy network for sandbox "${id}": ${this.brokenChain}`);
    }
    sandbox.stuck = false;
    sandbox.status.state = 'not-ready';
  }

  async removeSandbox(id: string): Promise<void> {
    await this.stopSandbox(id);
    for (const [containerId, { sandboxId }] of this.#containers) {
      if (sandboxId === id) this.#containers.delete(containerId);
    }
    this.#sandboxes.delete(id);
  }

  async listSandboxes(labels: Record<string, string> = {}): Promise<CriSandbox[]> {
    return [...this.#sandboxes.values()]
      .filter(({ status }) => carries(status.labels, labels))
      .map(({ status }) => structuredClone(status));
  }

  async sandboxStatus(id: string): Promise<CriSandboxStatus | undefined> {
    return structuredClone(this.#sandboxes.get(id)?.status);
  }

  /** The configuration that a sandbox was made of. */
  sandboxConfig(id: string): SandboxConfig | undefined {
    return this.#sandboxes.get(id)?.config;
  }

  async createContainer(sandboxId: string, config: ContainerConfig): Promise<string> {
    if (this.#sandboxes.get(sandboxId)?.status.state !== 'ready') {
      throw new RuntimeError(
        'Unknown',
        `failed to get sandbox container task: no running task found: ${sandboxId}`,
      );
    }
    const { name = '', attempt = 0 } = config.metadata ?? {};
    for (const { status, sandboxId: other } of this.#containers.values()) {
      if (other === sandboxId && status.metadata?.name === name && status.metadata.attempt === attempt) {
        throw new RuntimeError('Unknown', reserved('container', `${name}_${attempt}`, status.id));
      }
    }
    const id = this.#id();
    const image = config.image?.image ?? '';
    this.#containers.set(id, {
      sandboxId,
      status: {
        id,
        metadata: { name, attempt },
        state: 'created',
        createdAt: this.#nanoseconds(),
        startedAt: 0,
        finishedAt: 0,
        exitCode: 0,
        image: { image, annotations: {} },
        imageRef: image,
        reason: '',
        message: '',
        labels: { ...config.labels },
        annotations: { ...config.annotations },
        logPath: config.logPath ?? '',
      },
    });
    return id;
  }

  async startContainer(id: string): Promise<void> {
    const { status } = this.#get(id);
    status.state = 'running';
    status.startedAt = this.#nanoseconds();
    this.#tell({ containerId: id, kind: 'started' });
  }

  async stopContainer(id: string): Promise<void> {
    this.end(id, 143);
  }

  /** Ends a running container, as if its process had. */
  end(id: string, exitCode: number): void {
    const found = this.#containers.get(id);
    if (found?.status.state !== 'running') return;
    const { status } = found;
    status.state = 'exited';
    status.exitCode = exitCode;
    status.reason = exitCode === 0 ? 'Completed' : 'Error';
    status.finishedAt = this.#nanoseconds();
    this.#tell({ containerId: id, kind: 'exited' });
  }

  async removeContainer(id: string): Promise<void> {
    this.end(id, 137);
    this.#containers.delete(id);
  }

  async listContainers(labels: Record<string, string> = {}): Promise<CriContainer[]> {
    return [...this.#containers.values()]
      .filter(({ status }) => carries(status.labels, labels))
      .map(({ status, sandboxId }) => {
        const { id, metadata, image, imageRef, state, createdAt, annotations } = structuredClone(status);
        return {
          id,
          podSandboxId: sandboxId,
          metadata,
          image,
          imageRef,
          state,
          createdAt,
          labels: { ...status.labels },
          annotations,
        };
      });
  }

  async containerStatus(id: string): Promise<CriContainerStatus | undefined> {
    return structuredClone(this.#containers.get(id)?.status);
  }

  async reopenLog(id: string): Promise<void> {
    this.#get(id);
  }

  async execSync(id: string, command: readonly string[]): Promise<ExecSyncResult> {
    if (this.#get(id).status.state !== 'running') {
      throw new RuntimeError(
        'Unknown',
        `failed to exec in container: container is in CONTAINER_EXITED state`,
      );
    }
    return this.onExec(id, command);
  }

  async exec(id: string, command: readonly string[], streams: Streams): Promise<string> {
    return `${this.streamingServer}/exec/${id}/${command.join(',')}/${wanted(streams)}`;
  }

  async attach(id: string, streams: Streams): Promise<string> {
    return `${this.streamingServer}/attach/${id}/${wanted(streams)}`;
  }

  async portForward(sandboxId: string, ports: readonly number[]): Promise<string> {
    return `${this.streamingServer}/portforward/${sandboxId}/${ports.join(',')}`;
  }

  async listImages(): Promise<CriImage[]> {
    return [...this.images.values()];
  }

  async imageStatus(image: string): Promise<CriImage | undefined> {
    return this.images.get(image);
  }

  async pullImage(image: string, _auth?: RegistryAuth): Promise<string> {
    const found = this.registry.get(image);
    if (found === undefined) {
      throw new RuntimeError('NotFound', `failed to pull and unpack image "${image}": ${image}: not found`);
    }
    this.images.set(image, found);
    return found.id;
  }

  async removeImage(image: string): Promise<void> {
    this.images.delete(image);
  }

  async *events(signal: AbortSignal, onOpen?: () => void): AsyncGenerator<RuntimeEvent> {
    const queue: RuntimeEvent[] = [];
    let wake = Promise.withResolvers<void>();
    const listener = (event: RuntimeEvent) => {
      queue.push(event);
      wake.resolve();
    };
    const stop = () => wake.resolve();
    this.#listeners.add(listener);
    signal.addEventListener('abort', stop);
    onOpen?.();
    try {
      while (!signal.aborted) {
        for (let event = queue.shift(); event !== undefined; event = queue.shift()) yield event;
        await wake.promise;
        wake = Promise.withResolvers<void>();
      }
    } finally {
      this.#listeners.delete(listener);
      signal.removeEventListener('abort', stop);
    }
  }

  #get(id: string) {
    const found = this.#containers.get(id);
    if (found === undefined) {
      throw new RuntimeError('NotFound', `an error occurred when try to find container "${id}": not found`);
    }
    return found;
  }

  #tell(event: RuntimeEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  #id(): string {
    return (++this.#ids).toString(16).padStart(64, '0');
  }

  #nanoseconds(): number {
    return this.#now() * 1e6;
  }
}

function reserved(what: string, name: string, owner: string): string {
  return `failed to reserve ${what} name "${name}": name "${name}" is reserved for "${owner}"`;
}

function carries(labels: Record<string, string>, wantedLabels: Record<string, string>): boolean {
  return Object.entries(wantedLabels).every(([key, value]) => labels[key] === value);
}

function wanted(streams: Streams): string {
  return Object.entries(streams)
    .filter(([, on]) => on)
    .map(([name]) => name)
    .join(',');
}

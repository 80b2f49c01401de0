import { GrpcChannel, GrpcError } from '../sys/grpc.ts';
import type { Codec } from '../util/protobuf.ts';
import { type CriSandboxStatus, calls, type RuntimeCondition, subscribe, taskEvent } from './messages.ts';
import { type Runtime, RuntimeError, type RuntimeEvent } from './runtime.ts';

/** Two minutes: what a kubelet gives the runtime for an ordinary call (`--runtime-request-timeout`). */
const CALL_TIMEOUT_MS = 120_000;
/** Setting up a sandbox runs the whole CNI chain: four minutes, as the kubelet gives it. */
const SANDBOX_TIMEOUT_MS = 240_000;
/** containerd's namespace for everything that came over CRI. */
const CONTAINERD_NAMESPACE = 'k8s.io';

const KINDS: Record<string, RuntimeEvent['kind']> = { '/tasks/start': 'started', '/tasks/exit': 'exited' };

/**
 * What a runtime reports beyond what a kubelet asks for: the `info` of verbose answers, JSON whose keys and shape the runtime
 * chooses. For people and debugging tools; none of it is a stable interface.
 */
export interface RuntimeInspection {
  verboseStatus(): Promise<{ conditions: RuntimeCondition[]; info: Record<string, string> }>;
  /** Undefined when there is no such sandbox. */
  verboseSandboxStatus(
    id: string,
  ): Promise<{ status: CriSandboxStatus | undefined; info: Record<string, string> } | undefined>;
}

interface Call<Q, A> {
  path: string;
  request: Codec<Q, unknown>;
  response: Codec<never, A> | { decode(bytes: Uint8Array): A };
}

/**
 * CRI v1 over a unix socket. `endpoint` is a path or `unix://path`. The connection is made on first use and again after the
 * runtime was away; a call made meanwhile fails at once with code Unavailable, and its caller tries again.
 */
export function connectRuntime(endpoint: string): Runtime & RuntimeInspection & { close(): void } {
  const address = endpoint.startsWith('unix://') ? endpoint : `unix://${endpoint}`;
  const channel = new GrpcChannel([address]);

  async function call<Q, A>(
    { path, request, response }: Call<Q, A>,
    argument: Q,
    options: { timeoutMs?: number; signal?: AbortSignal } = {},
  ): Promise<A> {
    const { timeoutMs = CALL_TIMEOUT_MS, signal } = options;
    try {
      return response.decode(await channel.unary(path, request.encode(argument), { timeoutMs, signal }));
    } catch (error) {
      throw runtimeError(error);
    }
  }

  return {
    async version() {
      const answer = await call(calls.version, { version: '0.1.0' });
      return { name: answer.runtimeName, version: answer.runtimeVersion };
    },
    async conditions() {
      return (await call(calls.status, {})).status?.conditions ?? [];
    },
    async verboseStatus() {
      const { status, info } = await call(calls.status, { verbose: true });
      return { conditions: status?.conditions ?? [], info };
    },
    async verboseSandboxStatus(podSandboxId) {
      return ignoreNotFound(call(calls.podSandboxStatus, { podSandboxId, verbose: true }));
    },

    async runSandbox(config, signal) {
      const options = { timeoutMs: SANDBOX_TIMEOUT_MS, signal };
      return (await call(calls.runPodSandbox, { config }, options)).podSandboxId;
    },
    async stopSandbox(podSandboxId) {
      await ignoreNotFound(call(calls.stopPodSandbox, { podSandboxId }));
    },
    async removeSandbox(podSandboxId) {
      await ignoreNotFound(call(calls.removePodSandbox, { podSandboxId }));
    },
    async listSandboxes(labelSelector) {
      return (await call(calls.listPodSandbox, { filter: { labelSelector } })).items;
    },
    async sandboxStatus(podSandboxId) {
      return (await ignoreNotFound(call(calls.podSandboxStatus, { podSandboxId })))?.status;
    },

    async createContainer(podSandboxId, config, sandboxConfig, signal) {
      return (await call(calls.createContainer, { podSandboxId, config, sandboxConfig }, { signal }))
        .containerId;
    },
    async startContainer(containerId, signal) {
      await call(calls.startContainer, { containerId }, { signal });
    },
    async stopContainer(containerId, graceSeconds, signal) {
      const options = { timeoutMs: CALL_TIMEOUT_MS + graceSeconds * 1000, signal };
      await ignoreNotFound(call(calls.stopContainer, { containerId, timeout: graceSeconds }, options));
    },
    async removeContainer(containerId) {
      await ignoreNotFound(call(calls.removeContainer, { containerId }));
    },
    async listContainers(labelSelector) {
      return (await call(calls.listContainers, { filter: { labelSelector } })).containers;
    },
    async containerStatus(containerId) {
      return (await ignoreNotFound(call(calls.containerStatus, { containerId })))?.status;
    },
    async reopenLog(containerId) {
      await call(calls.reopenContainerLog, { containerId });
    },

    async execSync(containerId, cmd, timeoutSeconds) {
      const timeoutMs = timeoutSeconds === 0 ? 0 : CALL_TIMEOUT_MS + timeoutSeconds * 1000;
      const answer = await call(calls.execSync, { containerId, cmd, timeout: timeoutSeconds }, { timeoutMs });
      return {
        stdout: Buffer.from(answer.stdout).toString('utf8'),
        stderr: Buffer.from(answer.stderr).toString('utf8'),
        exitCode: answer.exitCode,
      };
    },
    async exec(containerId, cmd, streams) {
      return (await call(calls.exec, { containerId, cmd, ...streams })).url;
    },
    async attach(containerId, streams) {
      return (await call(calls.attach, { containerId, ...streams })).url;
    },
    async portForward(podSandboxId, port) {
      return (await call(calls.portForward, { podSandboxId, port })).url;
    },

    async listImages() {
      return (await call(calls.listImages, {})).images;
    },
    async imageStatus(image) {
      return (await call(calls.imageStatus, { image: { image } })).image;
    },
    async pullImage(image, auth, signal) {
      // A pull has no deadline; its caller may cancel it.
      return (await call(calls.pullImage, { image: { image }, auth }, { timeoutMs: 0, signal })).imageRef;
    },
    async removeImage(image) {
      await ignoreNotFound(call(calls.removeImage, { image: { image } }));
    },

    async *events(signal, onOpen) {
      const envelopes: ReturnType<typeof subscribe.response.decode>[] = [];
      let end: { error: GrpcError | undefined } | undefined;
      let wake = () => {};
      const stream = channel.stream(subscribe.path, {
        halfClose: subscribe.request.encode({
          filters: Object.keys(KINDS).map((topic) => `namespace==${CONTAINERD_NAMESPACE},topic=="${topic}"`),
        }),
        onMessage: (bytes) => {
          envelopes.push(subscribe.response.decode(bytes));
          wake();
        },
        onEnd: (error) => {
          end = { error };
          wake();
        },
      });
      const onAbort = () => wake();
      signal.addEventListener('abort', onAbort, { once: true });
      // Nothing says that a subscription is in force; an answered call that was sent after it comes as near as one gets.
      if (onOpen !== undefined) this.version().then(onOpen, () => {});
      try {
        while (!signal.aborted) {
          const envelope = envelopes.shift();
          if (envelope === undefined) {
            if (end?.error !== undefined) throw runtimeError(end.error);
            if (end !== undefined) return;
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
            continue;
          }
          const value = envelope.event?.value;
          if (value === undefined) continue;
          const { containerId, processId } = taskEvent.decode(value);
          const kind = KINDS[envelope.topic];
          // The end of an exec'd process (a probe, a hook) is not the end of its container.
          if (kind === undefined || (kind === 'exited' && processId !== containerId)) continue;
          yield { containerId, kind };
        }
      } finally {
        signal.removeEventListener('abort', onAbort);
        stream.close();
      }
    },

    close: () => channel.close(),
  };
}

function runtimeError(error: unknown): unknown {
  return error instanceof GrpcError ? new RuntimeError(error.code, error.details) : error;
}

async function ignoreNotFound<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof RuntimeError && error.code === 'NotFound') return undefined;
    throw error;
  }
}

import { connect } from 'node:net';
import { type Runtime, RuntimeError } from '../../cri/runtime.ts';
import type { Container, Pod, Probe } from '../../kube/types.ts';
import type { Clock } from '../../sys/clock.ts';
import { formatEndpoint } from '../../util/endpoint.ts';
import { messageOf } from '../../util/errors.ts';
import { RELEASE } from '../kubernetes/release.ts';
import type { ObservedContainer } from './observe.ts';
import type { ProbeVerdict } from './plan.ts';

/** What one try of a probe said. `unknown` (it could not be run) changes nothing. */
export interface ProbeResult {
  outcome: 'success' | 'failure' | 'unknown';
  message: string;
}

export interface ProbeTarget {
  container: Container;
  containerId: string;
  podIp: string;
}

/** Runs a probe once. */
export type ProbeRunner = (probe: Probe, target: ProbeTarget) => Promise<ProbeResult>;

/** How much of an answer a kubelet quotes. */
const MAX_QUOTE = 1024;

/**
 * The real {@link ProbeRunner}. HTTP and TCP probes are dialled from the network namespace that the kubelet is in: the
 * node's. https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#types-of-probe
 */
export function probeRunner(runtime: Runtime): ProbeRunner {
  return async (probe, target) => {
    const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000;
    try {
      if (probe.exec !== undefined) return await execProbe(runtime, probe, target);
      if (probe.httpGet !== undefined) return await httpProbe(probe.httpGet, target, timeoutMs);
      if (probe.tcpSocket !== undefined) {
        const { host, port } = probe.tcpSocket;
        return await tcpProbe(host ?? target.podIp, portNumber(port, target.container), timeoutMs);
      }
      return { outcome: 'unknown', message: 'no probe of a kind that this kubelet knows' };
    } catch (error) {
      return { outcome: 'unknown', message: messageOf(error) };
    }
  };
}

async function execProbe(runtime: Runtime, probe: Probe, target: ProbeTarget): Promise<ProbeResult> {
  try {
    const result = await runtime.execSync(
      target.containerId,
      probe.exec?.command ?? [],
      probe.timeoutSeconds ?? 1,
    );
    const message = (result.stdout + result.stderr).slice(0, MAX_QUOTE);
    return { outcome: result.exitCode === 0 ? 'success' : 'failure', message };
  } catch (error) {
    if (!(error instanceof RuntimeError) || error.code !== 'DeadlineExceeded') throw error;
    return { outcome: 'failure', message: `command timed out: ${error.message}` };
  }
}

async function httpProbe(
  action: NonNullable<Probe['httpGet']>,
  target: ProbeTarget,
  timeoutMs: number,
): Promise<ProbeResult> {
  const url = httpUrl(action, target);
  const headers: [string, string][] = [
    ['user-agent', `kube-probe/${RELEASE.major}.${RELEASE.minor}`],
    ['accept', '*/*'],
  ];
  for (const { name, value } of action.httpHeaders ?? []) headers.push([name, value]);
  try {
    const response = await fetch(url, {
      headers,
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
      // A probe asks whether something answers, not who it is.
      tls: { rejectUnauthorized: false },
      keepalive: false,
      // The kubelet asks pods directly, whatever its environment says.
      proxy: false,
    } as RequestInit);
    await response.body?.cancel();
    if (response.status >= 200 && response.status < 400) return { outcome: 'success', message: '' };
    return { outcome: 'failure', message: `HTTP probe failed with statuscode: ${response.status}` };
  } catch (error) {
    const timedOut = error instanceof Error && error.name === 'TimeoutError';
    const why = timedOut
      ? 'context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
      : messageOf(error);
    return { outcome: 'failure', message: `Get "${url}": ${why}` };
  }
}

/** Where an `httpGet` of a probe or a hook goes: the pod itself unless it names a host. */
export function httpUrl(
  { scheme = 'HTTP', host, port, path = '/' }: NonNullable<Probe['httpGet']>,
  { podIp, container }: Pick<ProbeTarget, 'podIp' | 'container'>,
): string {
  const endpoint = formatEndpoint({ address: host ?? podIp, port: portNumber(port, container) });
  return `${scheme.toLowerCase()}://${endpoint}${path.startsWith('/') ? '' : '/'}${path}`;
}

/** Dials once: whoever accepts is alive. */
export function tcpProbe(host: string, port: number, timeoutMs: number): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const at = formatEndpoint({ address: host, port });
    const socket = connect({ host, port });
    const done = (outcome: ProbeResult['outcome'], message: string) => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ outcome, message });
    };
    const timer = setTimeout(() => done('failure', `dial tcp ${at}: i/o timeout`), timeoutMs);
    socket.once('connect', () => done('success', ''));
    socket.once('error', (error) => {
      const refused = (error as NodeJS.ErrnoException).code === 'ECONNREFUSED';
      done('failure', `dial tcp ${at}: ${refused ? 'connect: connection refused' : error.message}`);
    });
  });
}

/** A port by number or by the name that the container gives it. */
export function portNumber(port: number | string, container: Container): number {
  const named =
    typeof port === 'number'
      ? port
      : (container.ports?.find(({ name }) => name === port)?.containerPort ?? Number(port));
  if (!Number.isInteger(named) || named < 1 || named > 65535) {
    throw new Error(`couldn't find port ${JSON.stringify(port)} in container ${container.name}`);
  }
  return named;
}

type Kind = 'startup' | 'liveness' | 'readiness';

interface Running {
  readonly container: Container;
  readonly stop: AbortController;
  started: boolean;
  ready: boolean;
  failed: ProbeVerdict['failed'];
}

/**
 * The probes of one pod's running containers. A container without a readiness probe is ready once it has started; liveness
 * and readiness wait for the startup probe.
 */
export class PodProbes {
  readonly #run: ProbeRunner;
  readonly #clock: Clock;
  readonly #onChange: () => void;
  readonly #onFailure: (container: string, kind: string, message: string) => void;
  readonly #running = new Map<string, Running>();

  constructor(options: {
    run: ProbeRunner;
    clock: Clock;
    /** A verdict changed. */
    onChange: () => void;
    /** A try failed: `kind` is `Liveness`, `Readiness` or `Startup`. */
    onFailure: (container: string, kind: string, message: string) => void;
  }) {
    this.#run = options.run;
    this.#clock = options.clock;
    this.#onChange = options.onChange;
    this.#onFailure = options.onFailure;
  }

  /** Starts probes for containers that run now, and ends those of containers that do not. */
  watch(pod: Pod, containers: readonly ObservedContainer[], podIp: string): void {
    const alive = new Set(containers.filter(({ state }) => state === 'running').map(({ id }) => id));
    for (const [id, { stop }] of this.#running) {
      if (alive.has(id)) continue;
      stop.abort();
      this.#running.delete(id);
    }
    const defined = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])];
    for (const { id, name, state } of containers) {
      if (state !== 'running' || this.#running.has(id)) continue;
      const container = defined.find((candidate) => candidate.name === name);
      if (container === undefined) continue;
      const running: Running = {
        container,
        stop: new AbortController(),
        started: container.startupProbe === undefined,
        ready: container.readinessProbe === undefined,
        failed: undefined,
      };
      this.#running.set(id, running);
      const target = { container, containerId: id, podIp };
      void this.#follow(running, target);
    }
  }

  /** What is known of a container; one that is not probed has started and is ready. */
  verdict(containerId: string): ProbeVerdict & { ready: boolean } {
    const running = this.#running.get(containerId);
    return running ?? { started: true, ready: true, failed: undefined };
  }

  stop(): void {
    for (const { stop } of this.#running.values()) stop.abort();
    this.#running.clear();
  }

  async #follow(running: Running, target: ProbeTarget): Promise<void> {
    const { startupProbe, livenessProbe, readinessProbe } = running.container;
    if (startupProbe !== undefined) {
      const ok = await this.#repeat('startup', startupProbe, running, target);
      if (!ok) return;
    }
    if (livenessProbe !== undefined) void this.#repeat('liveness', livenessProbe, running, target);
    if (readinessProbe !== undefined) void this.#repeat('readiness', readinessProbe, running, target);
  }

  /** Repeats one probe until its container ends; for a startup probe, until it succeeds (true) or fails for good. */
  async #repeat(kind: Kind, probe: Probe, running: Running, target: ProbeTarget): Promise<boolean> {
    const { signal } = running.stop;
    const period = (probe.periodSeconds ?? 10) * 1000;
    let successes = 0;
    let failures = 0;
    try {
      await this.#clock.sleep((probe.initialDelaySeconds ?? 0) * 1000, signal);
      for (;;) {
        const { outcome, message } = await this.#run(probe, target);
        if (signal.aborted) return false;
        if (outcome === 'success') {
          successes++;
          failures = 0;
          const enough = successes >= (kind === 'readiness' ? (probe.successThreshold ?? 1) : 1);
          if (enough && this.#succeed(kind, running)) return true;
        } else if (outcome === 'failure') {
          failures++;
          successes = 0;
          this.#onFailure(running.container.name, `${kind[0]!.toUpperCase()}${kind.slice(1)}`, message);
          if (failures >= (probe.failureThreshold ?? 3) && this.#fail(kind, running)) return false;
        }
        await this.#clock.sleep(period, signal);
      }
    } catch (error) {
      if (signal.aborted) return false;
      throw error;
    }
  }

  /** @returns true when this probe is done. */
  #succeed(kind: Kind, running: Running): boolean {
    const { started, ready } = running;
    if (kind === 'startup') running.started = true;
    if (kind === 'readiness') running.ready = true;
    if (running.started !== started || running.ready !== ready) this.#onChange();
    return kind === 'startup';
  }

  #fail(kind: Kind, running: Running): boolean {
    if (kind === 'readiness') {
      if (running.ready) {
        running.ready = false;
        this.#onChange();
      }
      return false;
    }
    running.failed = kind;
    this.#onChange();
    return true;
  }
}

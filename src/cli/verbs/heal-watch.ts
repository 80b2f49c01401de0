import { hostname } from 'node:os';
import { watchNode } from '../../agent/watch.ts';
import type { ApiClientOptions } from '../../kube/client.ts';
import { inClusterConfig, loadKubeconfig } from '../../kube/kubeconfig.ts';
import { unverifiedServer } from '../../kube/unverified-server.ts';
import { readRuntime } from '../../node/report/runtime.ts';
import type { HealScope } from '../../path/heal/plan.ts';
import { calledAs } from '../../sys/called-as.ts';
import { logger, terminationSignal } from '../../sys/daemon.ts';
import { realExec } from '../../sys/exec.ts';
import { tryFileLock } from '../../sys/file-lock.ts';
import { InputError, UserError } from '../../util/errors.ts';
import { safeText } from '../../util/safe-text.ts';

/** Held by the agent of a node: two of them would fix everything twice. */
const LOCK = '/var/lib/hostport/agent.lock';

export interface HealWatchOptions {
  node: readonly string[];
  kubeconfig?: string;
  /** Milliseconds. */
  resync: number;
}

/** `hostport heal --watch`: heals this node until SIGTERM or SIGINT. */
export async function healWatch(options: HealWatchOptions, scope: HealScope): Promise<void> {
  if (options.node.length > 1)
    throw new InputError(
      'cannot watch several nodes: heal --watch heals the node it runs on; give --node once',
    );
  const node = options.node[0] ?? process.env.NODE_NAME ?? hostname();
  const api = await access(options.kubeconfig);
  await watchingAlone(true, async (signal, log) => {
    const unverified = api && unverifiedServer(api);
    if (unverified !== undefined) log(`warning: ${unverified}`);
    const resyncMs = options.resync;
    await watchNode({ node, ...(api && { api }), scope, resyncMs, exec: realExec, log }, signal);
  });
}

/**
 * Watches this node until SIGTERM or SIGINT, by what is given: only where a runtime answers, and where it heals, only if nothing else on the
 * node does.
 */
export async function watchingAlone(
  heals: boolean,
  watch: (signal: AbortSignal, log: (line: string) => void) => Promise<void>,
): Promise<void> {
  const { runtime } = await readRuntime();
  if ('unknown' in runtime) {
    throw new UserError(
      `cannot watch this node: no container runtime answers on this machine: ${runtime.unknown}; run it on a node, in the lab with: ${calledAs()} exec NODE -- hostport heal --watch`,
      { exitCode: 2 },
    );
  }
  const lock = heals ? tryFileLock(LOCK, `process ${process.pid}`) : undefined;
  if (lock !== undefined && 'heldBy' in lock)
    throw new UserError(`cannot watch this node: it is already watched by ${lock.heldBy}`);
  const log = logger('hostport-agent');
  const { signal, dispose } = terminationSignal();
  try {
    await watch(signal, (line) => log(safeText(line)));
  } finally {
    dispose();
    lock?.release();
  }
}

/** Access to the API by the given kubeconfig, by the service account of the pod, or none. */
async function access(kubeconfig: string | undefined): Promise<ApiClientOptions | undefined> {
  if (kubeconfig !== undefined) return loadKubeconfig(kubeconfig);
  return process.env.KUBERNETES_SERVICE_HOST === undefined ? undefined : inClusterConfig();
}

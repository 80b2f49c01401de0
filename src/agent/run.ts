import { existsSync } from 'node:fs';
import { ApiClient, type ApiClientOptions } from '../kube/client.ts';
import { createAuthority, issueCertificate, type KeyedCertificate } from '../kube/pki.ts';
import type { HealScope } from '../path/heal/plan.ts';
import { bindMount } from '../sys/bind-mount.ts';
import { realClock } from '../sys/clock.ts';
import { logOnceAMinute } from '../sys/daemon.ts';
import type { Exec } from '../sys/exec.ts';
import { formatEndpoint } from '../util/endpoint.ts';
import { VERSION } from '../util/version.ts';
import { type AgentMode, NODE_SYSCTLS, STATE_DIRECTORY } from './manifests.ts';
import { AgentMetrics } from './metrics.ts';
import { MetricsAccess } from './metrics-access.ts';
import { serveMetrics } from './metrics-server.ts';
import { AgentRecord } from './record.ts';
import { checkDirectories } from './sees-directories.ts';
import { type AgentState, writeState } from './state.ts';
import { watchNode } from './watch.ts';

/** A certificate lasts longer than any pod, in days. */
const CERTIFICATE_DAYS = 3650;

export interface AgentRunOptions {
  /** Name of this node in the cluster. */
  node: string;
  mode: AgentMode;
  api: ApiClientOptions;
  scope: HealScope;
  /** Milliseconds between looks when nothing changes. */
  resyncMs: number;
  /** Where metrics and probes are served: an address of this node. */
  metrics: { address: string; port: number };
  exec: Exec;
  log(line: string): void;
}

/** Runs the agent in the pod of an installation until the signal aborts: watches its node, and serves metrics and probes. */
export async function runAgent(options: AgentRunOptions, signal: AbortSignal): Promise<void> {
  const { node, mode, api, resyncMs, log } = options;
  const onError = logOnceAMinute(log);
  if (mode === 'heal') showWritableSettings(onError);
  const about = { version: VERSION, mode, node };
  const metrics = new AgentMetrics(about);
  const record = new AgentRecord({
    about,
    metrics,
    resyncMs,
    clock: realClock,
    publish: publisher(onError),
  });
  const access = new MetricsAccess(new ApiClient({ ...api, userAgent: 'hostport-agent' }));
  const { address, port } = options.metrics;
  const server = serveMetrics({
    address,
    port,
    certificate: await ownCertificate(node, address),
    metrics: () => metrics.text(),
    ready: () => record.ready,
    alive: () => record.alive,
    access: (authorization) => access.of(authorization, '/metrics'),
    onError,
  });
  log(`serving metrics at ${formatEndpoint({ address, port: server.port })}`);
  try {
    const isObserver = mode === 'observe';
    await watchNode({ ...options, isObserver, check: checkDirectories, record }, signal);
  } finally {
    await server.stop();
  }
}

/**
 * A container that is not privileged sees the node's settings of the network read-only in `/proc/sys/net`, and writable where an installation
 * mounts them. Plugins know the former place only.
 */
function showWritableSettings(onError: (error: unknown) => void): void {
  if (!existsSync(NODE_SYSCTLS)) return;
  try {
    bindMount(NODE_SYSCTLS, '/proc/sys/net');
  } catch (error) {
    // Everything else can still be healed; what cannot says so when it is tried.
    onError(error);
  }
}

/** Writes states one after another, where there is a directory for them. */
function publisher(onError: (error: unknown) => void): (state: AgentState) => void {
  if (!existsSync(STATE_DIRECTORY)) return () => {};
  let writing = Promise.resolve();
  return (state) => {
    writing = writing.then(() => writeState(state)).catch(onError);
  };
}

/** Signed by nobody that anybody knows, as a kubelet's is unless it has another: who reads the metrics shows a token, not this. */
async function ownCertificate(node: string, address: string): Promise<KeyedCertificate> {
  return issueCertificate(await createAuthority('hostport-agent'), {
    commonName: node,
    ipAddresses: [address],
    usage: 'server',
    days: CERTIFICATE_DAYS,
  });
}

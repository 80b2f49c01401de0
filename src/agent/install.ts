import { AGENT, absent, agentNamespace } from '../collect/reader/agents.ts';
import { describeRights, missingRights, type Right } from '../collect/reader/preflight.ts';
import { type RetryOptions, retrying } from '../collect/reader/retry.ts';
import { type ApiClient, hasReason } from '../kube/client.ts';
import { daemonSets, namespaces } from '../kube/resources.ts';
import type { DaemonSet } from '../kube/types.ts';
import { calledAs } from '../sys/called-as.ts';
import { realClock } from '../sys/clock.ts';
import { DeadlineError, waitFor } from '../sys/wait.ts';
import { andMore } from '../util/and-more.ts';
import { InputError, UserError } from '../util/errors.ts';
import { type AgentObject, type AgentSettings, agentObjects } from './manifests.ts';
import { checkManager, nameOf, readObject, type Written, writeObject } from './objects.ts';
import { type AgentOfNode, agentStatus } from './status.ts';

const RBAC = 'rbac.authorization.k8s.io';
/** How often the API is asked how far the agents are, in milliseconds. */
const ROLLOUT_INTERVAL_MS = 500;
/** How many nodes an error names. */
const MAX_NODES = 5;

/** What installing the agent takes, beside the rights that its role has: nobody gives what they do not have. */
export function installRights(namespace: string): Right[] {
  const write = ['get', 'create', 'update'];
  const of = (resource: string, more: Partial<Right>, verbs = write): Right[] =>
    verbs.map((verb) => ({ verb, resource, ...more }));
  return [
    ...of('namespaces', {}, ['get']),
    ...of('serviceaccounts', { namespace }),
    ...of('clusterroles', { group: RBAC }),
    ...of('clusterrolebindings', { group: RBAC }),
    ...of('daemonsets', { group: 'apps', namespace }),
  ];
}

/** How far an installation is. */
export type InstallProgress =
  | { phase: 'written'; what: string; is: Written }
  | { phase: 'rollout'; ready: number; total: number };

export interface InstallOptions {
  /** How long the agents may take to be ready, in milliseconds. */
  timeoutMs: number;
  retry: RetryOptions;
  progress(progress: InstallProgress): void;
}

/**
 * Installs the agent, or makes an installation that is there the same, and waits until it is ready on every node.
 * @throws InputError before anything is written, for rights that are missing and a namespace that cannot hold it.
 * @throws UserError when it does not become ready in time, with the nodes and why.
 */
export async function installAgent(
  client: ApiClient,
  settings: AgentSettings,
  { timeoutMs, retry, progress }: InstallOptions,
): Promise<{ nodes: number }> {
  const { namespace } = settings;
  const missing = await missingRights(client, installRights(namespace), { ...retry, patienceMs: 0 });
  if (missing.length > 0) {
    throw new InputError(
      `cannot install the agent: you may not ${describeRights(missing)}; have somebody who may apply what "${calledAs()} agent install --dry-run=client" prints`,
    );
  }
  await checkNamespace(client, namespace, retry);
  const objects = agentObjects(settings);
  const found = await Promise.all(objects.map((each) => readObject(client, each, retry)));
  for (const [i, each] of objects.entries()) checkManager('install', each, found[i]);
  for (const each of objects) await write(client, each, retry, progress);
  return { nodes: await rollout(client, namespace, { timeoutMs, retry, progress }) };
}

async function write(
  client: ApiClient,
  each: AgentObject,
  retry: RetryOptions,
  progress: InstallOptions['progress'],
): Promise<void> {
  try {
    progress({ phase: 'written', what: nameOf(each), is: await writeObject(client, each, retry) });
  } catch (cause) {
    if (!hasReason(cause, 'Forbidden')) throw cause;
    // Of a role: who has not all of its rights may not give them.
    throw new UserError(`cannot install the agent: ${nameOf(each)}: ${cause.message}`, { cause });
  }
}

/** The Pod Security levels that refuse the agent's pods. */
const TOO_STRICT: readonly string[] = ['baseline', 'restricted'];

async function checkNamespace(client: ApiClient, namespace: string, retry: RetryOptions): Promise<void> {
  const installed = await agentNamespace(client, retry);
  if (installed !== undefined && installed !== namespace) {
    throw new InputError(
      `cannot install the agent in namespace ${namespace}: it is installed in ${installed}; give --namespace ${installed}, or uninstall it first`,
    );
  }
  const found = await retrying(() => client.get(namespaces, namespace), retry).catch(absent);
  if (found === undefined) {
    throw new InputError(
      `cannot install the agent: namespace ${namespace} does not exist; create it with the label pod-security.kubernetes.io/enforce=privileged`,
    );
  }
  const level = found.metadata?.labels?.['pod-security.kubernetes.io/enforce'];
  if (level !== undefined && TOO_STRICT.includes(level)) {
    throw new InputError(
      `cannot install the agent: namespace ${namespace} enforces the Pod Security level ${level}, which refuses its pods; label it pod-security.kubernetes.io/enforce=privileged, or choose another with --namespace`,
    );
  }
}

/** Waits until every node has an agent of this installation that is ready. Returns how many. */
async function rollout(
  client: ApiClient,
  namespace: string,
  { timeoutMs, retry, progress }: InstallOptions,
): Promise<number> {
  const { signal, clock = realClock } = retry;
  let total = 0;
  const isReady = async () => {
    const set = await retrying(() => client.get(daemonSets, AGENT.name, namespace), retry);
    const { ready, wanted } = countsOf(set);
    total = wanted;
    if (!isObserved(set)) return false;
    progress({ phase: 'rollout', ready, total });
    return ready >= wanted;
  };
  try {
    const wait = { timeoutMs, intervalMs: ROLLOUT_INTERVAL_MS, signal, clock };
    await waitFor('the agents to be ready', isReady, wait);
  } catch (cause) {
    if (!(cause instanceof DeadlineError)) throw cause;
    const seconds = Math.round(timeoutMs / 1000);
    throw new UserError(
      `cannot finish installing the agent: after ${seconds} s it is not ready on ${await notReady(client, retry, total)}; it stays installed, "hostport agent status" shows it, and a longer --timeout waits longer`,
      { cause },
    );
  }
  return total;
}

/** Whether the DaemonSet's controller has seen what was written. */
function isObserved({ metadata, status }: DaemonSet): boolean {
  return (status?.observedGeneration ?? 0) >= (metadata?.generation ?? 1);
}

/** On how many nodes an agent of this installation is ready. Source: `kubectl rollout status`. */
function countsOf({ status }: DaemonSet): { ready: number; wanted: number } {
  const { desiredNumberScheduled = 0, updatedNumberScheduled = 0, numberAvailable = 0 } = status ?? {};
  return { ready: Math.min(updatedNumberScheduled, numberAvailable), wanted: desiredNumberScheduled };
}

async function notReady(client: ApiClient, retry: RetryOptions, total: number): Promise<string> {
  const agents = (await agentStatus(client, retry))?.nodes ?? [];
  const late = agents.filter(({ is }) => is !== 'running');
  const names = late.map(({ node, why }: AgentOfNode) => `${node} (${why})`);
  return late.length === 0 ? 'some nodes' : `${late.length} of ${total} nodes: ${andMore(names, MAX_NODES)}`;
}

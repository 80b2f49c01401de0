import { AGENT, agentNamespace, isOfAgent } from '../collect/reader/agents.ts';
import { describeRights, missingRights, type Right } from '../collect/reader/preflight.ts';
import { type RetryOptions, retrying } from '../collect/reader/retry.ts';
import type { ApiClient } from '../kube/client.ts';
import { daemonSets, pods } from '../kube/resources.ts';
import type { DaemonSet, Pod } from '../kube/types.ts';
import { realClock } from '../sys/clock.ts';
import { DeadlineError, waitFor } from '../sys/wait.ts';
import { InputError } from '../util/errors.ts';
import { type AgentSettings, agentObjects } from './manifests.ts';
import { checkManager, deleteObject, nameOf, readObject } from './objects.ts';

const RBAC = 'rbac.authorization.k8s.io';
/** How often the API is asked whether pods are gone, in milliseconds. */
const INTERVAL_MS = 500;

/** What uninstalling the agent takes. */
export function uninstallRights(namespace: string): Right[] {
  const remove = ['get', 'delete'];
  const of = (resource: string, more: Partial<Right>, verbs = remove): Right[] =>
    verbs.map((verb) => ({ verb, resource, ...more }));
  return [
    ...of('serviceaccounts', { namespace }),
    ...of('clusterroles', { group: RBAC }),
    ...of('clusterrolebindings', { group: RBAC }),
    ...of('daemonsets', { group: 'apps', namespace }),
    ...of('pods', { namespace }, ['list']),
  ];
}

/** What uninstalling the agent has removed, and what is left of it in the API, in words. */
export interface Uninstalled {
  removed: string[];
  left: string[];
}

/** Removes an installation of the agent from the API, and waits until its pods have ended. What is not there is not an error. */
export async function uninstallAgent(
  client: ApiClient,
  settings: AgentSettings,
  { timeoutMs, retry }: { timeoutMs: number; retry: RetryOptions },
): Promise<Uninstalled> {
  // Where it is installed, whatever is given: there is one in a cluster.
  const namespace = (await agentNamespace(client, retry)) ?? settings.namespace;
  const missing = await missingRights(client, uninstallRights(namespace), { ...retry, patienceMs: 0 });
  if (missing.length > 0)
    throw new InputError(`cannot uninstall the agent: you may not ${describeRights(missing)}`);
  const objects = agentObjects({ ...settings, namespace });
  const found = await Promise.all(objects.map((each) => readObject(client, each, retry)));
  for (const [i, each] of objects.entries()) checkManager('uninstall', each, found[i]);
  const daemonSet = found.find((_, i) => objects[i]!.resource.plural === daemonSets.plural);
  const result: Uninstalled = { removed: [], left: [] };
  // The DaemonSet first, and what its pods need while they end last.
  for (const each of objects.toReversed()) {
    if (await deleteObject(client, each, retry)) result.removed.push(nameOf(each));
    if (each.resource.plural === daemonSets.plural && daemonSet !== undefined)
      result.left.push(...(await podsLeft(client, daemonSet as DaemonSet, timeoutMs, retry)));
  }
  return result;
}

/** Waits until the pods of the DaemonSet are gone. Returns those that are not, in words. */
async function podsLeft(
  client: ApiClient,
  daemonSet: DaemonSet,
  timeoutMs: number,
  retry: RetryOptions,
): Promise<string[]> {
  const { namespace = '' } = daemonSet.metadata ?? {};
  const asked = { namespace, labelSelector: `${AGENT.label}=${AGENT.name}` };
  let left: Pod[] = [];
  const areGone = async () => {
    const { items } = await retrying(() => client.list(pods, asked, retry.signal), retry);
    left = items.filter((pod) => isOfAgent(pod, daemonSet));
    return left.length === 0;
  };
  const { signal, clock = realClock } = retry;
  try {
    await waitFor('the pods to end', areGone, { timeoutMs, intervalMs: INTERVAL_MS, signal, clock });
  } catch (cause) {
    if (!(cause instanceof DeadlineError)) throw cause;
  }
  return left.map(
    ({ metadata, spec }) => `pod ${metadata?.name} on ${spec?.nodeName}: its kubelet has not ended it`,
  );
}

/** What stays on nodes after an installation that heals, and why. */
export const STAYS_ON_NODES: readonly (readonly [what: string, why: string])[] = [
  [
    'fixes: plugins and configuration lists that were installed, rules and settings that were put right',
    'hostPorts rely on them',
  ],
  [
    '/var/lib/hostport/backup: copies of what was replaced',
    'nothing else can restore it; remove it when you need it no more',
  ],
  [
    '/var/lib/hostport/agent.lock, /run/cilium and /run/netns, where they were not there before',
    'empty, and harmless',
  ],
];

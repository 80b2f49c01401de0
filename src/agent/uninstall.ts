import { AGENT, agentNamespace } from '../collect/reader/agents.ts';
import { describeRights, missingRights, type Right } from '../collect/reader/preflight.ts';
import { type RetryOptions, retrying } from '../collect/reader/retry.ts';
import type { ApiClient } from '../kube/client.ts';
import { clusterRoleBindings, daemonSets, pods } from '../kube/resources.ts';
import type { Pod } from '../kube/types.ts';
import { realClock } from '../sys/clock.ts';
import { DeadlineError, waitFor } from '../sys/wait.ts';
import { InputError } from '../util/errors.ts';
import { type AgentObject, type AgentSettings, agentObjects } from './manifests.ts';
import { checkManager, deleteObject, nameOf, readObject } from './objects.ts';

const RBAC = 'rbac.authorization.k8s.io';
/** How often the API is asked whether pods are gone, in milliseconds. */
const INTERVAL_MS = 500;

const rightsTo = (verbs: readonly string[], resource: string, more: Partial<Right>): Right[] =>
  verbs.map((verb) => ({ verb, resource, ...more }));
const REMOVE = ['get', 'delete'];

/** What uninstalling the agent takes, wherever it is installed: with these the binding is read, which says where. */
export const UNINSTALL_RIGHTS: readonly Right[] = [
  ...rightsTo(REMOVE, 'clusterroles', { group: RBAC }),
  ...rightsTo(REMOVE, 'clusterrolebindings', { group: RBAC }),
];

/** What it takes besides, in the namespace of the agent. */
export function uninstallRightsIn(namespace: string): Right[] {
  return [
    ...rightsTo(REMOVE, 'serviceaccounts', { namespace }),
    ...rightsTo(REMOVE, 'daemonsets', { group: 'apps', namespace }),
    ...rightsTo(['list'], 'pods', { namespace }),
  ];
}

/** What uninstalling the agent has removed, and what is left of it in the API, in words. */
export interface Uninstalled {
  removed: string[];
  left: string[];
}

/** How the agent is uninstalled. */
export interface UninstallOptions {
  /** How long its pods may take to end, in milliseconds. */
  timeoutMs: number;
  retry: RetryOptions;
  /** Where it must be installed, if anywhere; where it is found when absent. */
  namespace?: string;
}

/**
 * Removes an installation of the agent from the API, and waits until its pods have ended. What is not there is not an error: what an interrupted
 * call has left, the next removes.
 * @throws InputError before anything is removed, for rights that are missing and for an installation in another namespace than the given one.
 */
export async function uninstallAgent(
  client: ApiClient,
  settings: AgentSettings,
  { timeoutMs, retry, namespace: given }: UninstallOptions,
): Promise<Uninstalled> {
  await checkRights(client, UNINSTALL_RIGHTS, retry);
  const installed = await agentNamespace(client, retry);
  if (given !== undefined && installed !== undefined && installed !== given) {
    throw new InputError(
      `cannot uninstall the agent from namespace ${given}: it is installed in ${installed}; give --namespace ${installed}`,
    );
  }
  const namespace = installed ?? given ?? settings.namespace;
  await checkRights(client, uninstallRightsIn(namespace), retry);
  const objects = agentObjects({ ...settings, namespace });
  const found = await Promise.all(objects.map((each) => readObject(client, each, retry)));
  for (const [i, each] of objects.entries()) checkManager('uninstall', each, found[i]);
  const result: Uninstalled = { removed: [], left: [] };
  for (const each of objects.toSorted((a, b) => turnOf(a) - turnOf(b))) {
    if (await deleteObject(client, each, retry)) result.removed.push(nameOf(each));
    // Also where an earlier call has deleted the DaemonSet.
    if (each.resource.plural === daemonSets.plural)
      result.left.push(...(await podsLeft(client, namespace, timeoutMs, retry)));
  }
  return result;
}

/** The DaemonSet first, and what its pods need while they end later; last the binding, which says where the agent is installed. */
function turnOf({ resource }: AgentObject): number {
  if (resource.plural === daemonSets.plural) return 0;
  return resource.plural === clusterRoleBindings.plural ? 2 : 1;
}

async function checkRights(client: ApiClient, rights: readonly Right[], retry: RetryOptions): Promise<void> {
  const missing = await missingRights(client, rights, { ...retry, patienceMs: 0 });
  if (missing.length > 0)
    throw new InputError(`cannot uninstall the agent: you may not ${describeRights(missing)}`);
}

/** Waits until the pods of the agent's DaemonSet are gone, which may be gone itself. Returns those that are not, in words. */
async function podsLeft(
  client: ApiClient,
  namespace: string,
  timeoutMs: number,
  retry: RetryOptions,
): Promise<string[]> {
  const asked = { namespace, labelSelector: `${AGENT.label}=${AGENT.name}` };
  let left: Pod[] = [];
  const areGone = async () => {
    const { items } = await retrying(() => client.list(pods, asked, retry.signal), retry);
    left = items.filter(isOfDaemonSet);
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

function isOfDaemonSet({ metadata, spec }: Pod): boolean {
  return (
    spec?.serviceAccountName === AGENT.name &&
    metadata?.ownerReferences?.some(
      ({ kind, name, controller }) => controller === true && kind === 'DaemonSet' && name === AGENT.name,
    ) === true
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

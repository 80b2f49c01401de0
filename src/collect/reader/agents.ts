import { type ApiClient, hasReason } from '../../kube/client.ts';
import { clusterRoleBindings, daemonSets, pods } from '../../kube/resources.ts';
import type { ExecTarget } from '../../kube/streaming/pod-exec.ts';
import type { KubeObject, Pod } from '../../kube/types.ts';
import { execRights, missingRights, type Right } from './preflight.ts';
import { type RetryOptions, retrying } from './retry.ts';

/** The names of the agent in a cluster: of its DaemonSet, service account, role and binding, which is also the value of its label; and its container. */
export const AGENT = {
  name: 'hostport-agent',
  label: 'app.kubernetes.io/name',
  container: 'agent',
} as const;

/** What finding the agents takes, where a pod has their label. Without it they are not used. */
export const AGENT_RIGHTS: readonly Right[] = [
  { verb: 'get', group: 'rbac.authorization.k8s.io', resource: 'clusterrolebindings', name: AGENT.name },
  { verb: 'get', group: 'apps', resource: 'daemonsets', name: AGENT.name },
];

/** Where an agent runs. */
export type AgentContainer = Omit<ExecTarget, 'argv'>;

/**
 * The namespace in which the agent is installed: that of the service account that its cluster role is bound to. Anybody may label pods in a
 * namespace of their own, or name them so; only who administers the cluster binds that role. Undefined when it is not installed.
 */
export async function agentNamespace(client: ApiClient, retry: RetryOptions): Promise<string | undefined> {
  const binding = await retrying(() => client.get(clusterRoleBindings, AGENT.name), retry).catch(absent);
  return binding?.subjects?.find(({ kind, name }) => kind === 'ServiceAccount' && name === AGENT.name)
    ?.namespace;
}

/** Whether a pod is one that the agent's DaemonSet has created and that runs as the agent. */
export function isOfAgent({ metadata, spec }: Pod, daemonSet: KubeObject): boolean {
  return (
    metadata?.namespace === daemonSet.metadata?.namespace &&
    metadata?.ownerReferences?.some(
      ({ kind, uid, controller }) =>
        controller === true && kind === 'DaemonSet' && uid === daemonSet.metadata?.uid,
    ) === true &&
    spec?.serviceAccountName === AGENT.name
  );
}

/**
 * The agents that can be asked, by node: of the DaemonSet that is installed, running in the node's network, in a namespace where the user may
 * run programs in pods. With `probes`, those alone that may open sockets in the namespaces of pods.
 */
export async function usableAgents(
  client: ApiClient,
  present: readonly Pod[],
  probes: boolean,
  retry: RetryOptions,
): Promise<Map<string, AgentContainer>> {
  // Most clusters have no agent, which is seen without a further request.
  if (!present.some(({ metadata }) => metadata?.labels?.[AGENT.label] === AGENT.name)) return new Map();
  // Who may not look for the agent examines nodes by pods of their own.
  if ((await missingRights(client, AGENT_RIGHTS, retry)).length > 0) return new Map();
  const namespace = await agentNamespace(client, retry);
  if (namespace === undefined) return new Map();
  const daemonSet = await retrying(() => client.get(daemonSets, AGENT.name, namespace), retry).catch(absent);
  if (daemonSet === undefined) return new Map();
  if ((await missingRights(client, execRights(namespace), retry)).length > 0) return new Map();
  const labelSelector = `${AGENT.label}=${AGENT.name}`;
  const found = await retrying(() => client.list(pods, { namespace, labelSelector }, retry.signal), retry);
  return new Map(
    found.items
      .filter((pod) => isOfAgent(pod, daemonSet) && canBeAsked(pod, probes))
      .map(({ metadata, spec }) => [
        spec?.nodeName ?? '',
        { namespace, pod: metadata?.name ?? '', container: AGENT.container },
      ]),
  );
}

function canBeAsked({ metadata, spec, status }: Pod, probes: boolean): boolean {
  const security = spec?.containers.find(({ name }) => name === AGENT.container)?.securityContext;
  const opensSockets =
    security?.privileged === true || security?.capabilities?.add?.includes('SYS_ADMIN') === true;
  return (
    metadata?.deletionTimestamp === undefined &&
    spec?.hostNetwork === true &&
    spec.containers.some(({ name }) => name === AGENT.container) &&
    status?.phase === 'Running' &&
    (opensSockets || !probes)
  );
}

/** Nothing, for the error of what is not there; others are thrown. */
export function absent(cause: unknown): undefined {
  if (!hasReason(cause, 'NotFound')) throw cause;
  return undefined;
}

import { AGENT, absent, agentNamespace, isOfAgent } from '../collect/reader/agents.ts';
import { listAll } from '../collect/reader/list-all.ts';
import { OWN_PROGRAM } from '../collect/reader/manifests.ts';
import { stateOf } from '../collect/reader/pod-state.ts';
import { describeRights, execRights, missingRights } from '../collect/reader/preflight.ts';
import { type RetryOptions, retrying } from '../collect/reader/retry.ts';
import type { ApiClient } from '../kube/client.ts';
import { isConditionTrue } from '../kube/conditions.ts';
import { daemonSets, events, nodes, pods } from '../kube/resources.ts';
import { PodExec } from '../kube/streaming/pod-exec.ts';
import type { DaemonSet, Node, Pod } from '../kube/types.ts';
import { messageOf } from '../util/errors.ts';
import { fewAtATime } from '../util/settle.ts';
import { type InstalledSettings, installedSettings } from './installed.ts';
import { AGENT_MODES, type AgentMode, MODE_LABEL } from './manifests.ts';
import { type AgentState, parseState } from './state.ts';

/** How many agents are asked at a time, and how long each may take, in milliseconds. */
const PARALLEL = 32;
const ANSWER_MS = 10_000;
/** No state is longer, in bytes. */
const MAX_STATE = 16 * 1024;
/** A check that is older is late: an agent looks or glances every half minute. Milliseconds. */
const LATE_MS = 120_000;

/**
 * The agent of one node. `running`: it has checked its node lately, by a look or a glance. `outdated`: it runs, and is of an earlier installation. `failing`: it does not run, or has
 * not checked its node lately. `missing`: it has no pod. `unknown`: it runs, and nobody could ask it.
 */
export interface AgentOfNode {
  node: string;
  is: 'running' | 'outdated' | 'failing' | 'missing' | 'unknown';
  /** Why it is not `running`. */
  why?: string;
  pod?: string;
  /** What it said of itself. */
  state?: AgentState;
}

/** An installation of the agent, node by node. */
export interface AgentStatus {
  namespace: string;
  image: string;
  mode?: AgentMode;
  nodes: AgentOfNode[];
}

/** The DaemonSet of the agent; undefined when it is not installed. */
async function installedSet(client: ApiClient, retry: RetryOptions): Promise<DaemonSet | undefined> {
  const namespace = await agentNamespace(client, retry);
  if (namespace === undefined) return undefined;
  return retrying(() => client.get(daemonSets, AGENT.name, namespace), retry).catch(absent);
}

/** How the agent is installed; undefined when it is not. */
export async function installedAgent(
  client: ApiClient,
  retry: RetryOptions,
): Promise<InstalledSettings | undefined> {
  const set = await installedSet(client, retry);
  return set && installedSettings(set);
}

function about({ metadata, spec }: DaemonSet): Pick<AgentStatus, 'namespace' | 'image' | 'mode'> {
  const { template } = spec ?? {};
  const mode = AGENT_MODES.find((known) => known === template?.metadata?.labels?.[MODE_LABEL]);
  return {
    namespace: metadata?.namespace ?? '',
    image: template?.spec?.containers[0]?.image ?? '',
    ...(mode !== undefined && { mode }),
  };
}

/** What showing agents needs besides the API; tests have their own. */
export interface StatusDoors {
  /** Milliseconds since the epoch. */
  now(): number;
  /** What the agent in a pod says of itself. */
  ask(client: ApiClient, namespace: string, pod: string, signal: AbortSignal): Promise<AgentState>;
}

const realDoors: StatusDoors = { now: Date.now, ask: askState };

/** The agent of each Linux node; undefined when it is not installed. */
export async function agentStatus(
  client: ApiClient,
  retry: RetryOptions,
  doors: StatusDoors = realDoors,
): Promise<AgentStatus | undefined> {
  const set = await installedSet(client, retry);
  if (set === undefined) return undefined;
  const { namespace } = about(set);
  const [allNodes, labelled, missing] = await Promise.all([
    listAll(client, nodes, {}, retry),
    listAll(client, pods, { namespace, labelSelector: `${AGENT.label}=${AGENT.name}` }, retry),
    missingRights(client, execRights(namespace), retry),
  ]);
  const byNode = Map.groupBy(
    labelled.filter((pod) => isOfAgent(pod, set)),
    ({ spec }) => spec?.nodeName ?? '',
  );
  const mayNot = missing.length === 0 ? undefined : `you may not ${describeRights(missing)}`;
  const found = await fewAtATime(allNodes.filter(isLinux), PARALLEL, async (node): Promise<AgentOfNode> => {
    const name = node.metadata?.name ?? '';
    return { node: name, ...(await agentOf(client, node, byNode.get(name), set, mayNot, retry, doors)) };
  });
  found.sort((a, b) => (a.node < b.node ? -1 : 1));
  await explainMissing(client, set, found, retry);
  return { ...about(set), nodes: found };
}

function isLinux({ metadata, status }: Node): boolean {
  return (status?.nodeInfo?.operatingSystem ?? metadata?.labels?.['kubernetes.io/os'] ?? 'linux') === 'linux';
}

async function agentOf(
  client: ApiClient,
  node: Node,
  own: readonly Pod[] = [],
  set: DaemonSet,
  mayNot: string | undefined,
  retry: RetryOptions,
  { now, ask }: StatusDoors,
): Promise<Omit<AgentOfNode, 'node'>> {
  // During an update there may be one that ends.
  const pod = own.find(({ metadata }) => metadata?.deletionTimestamp === undefined) ?? own[0];
  if (pod === undefined) return { is: 'missing', why: whyNoPod(node) };
  const { name = '', namespace = '' } = pod.metadata ?? {};
  const ofPod = { pod: name };
  const state = stateOf(pod, AGENT.container);
  if (state.is !== 'running') return { ...ofPod, is: 'failing', why: state.why };
  if (mayNot !== undefined) return { ...ofPod, is: 'unknown', why: mayNot };
  let said: AgentState;
  try {
    said = await ask(client, namespace, name, retry.signal);
  } catch (cause) {
    retry.signal.throwIfAborted();
    const why = `cannot ask it: ${messageOf(cause)}`;
    // One that ends again and again runs for a moment each time: its last words say more.
    const last = lastWords(pod);
    return last === undefined
      ? { ...ofPod, is: 'unknown', why }
      : { ...ofPod, is: 'failing', why: `it was restarted, after it ended with: ${last}; ${why}` };
  }
  const answered = { ...ofPod, state: said };
  if (said.failure !== undefined)
    return { ...answered, is: 'failing', why: `its last look failed: ${said.failure}` };
  if (said.lookedAt === undefined)
    return {
      ...answered,
      is: 'failing',
      why: 'it has not looked yet: it waits for the API server; its log says more',
    };
  const age = now() - Date.parse(said.checkedAt ?? said.lookedAt);
  if (age > LATE_MS)
    return { ...answered, is: 'failing', why: `its last check is ${Math.round(age / 1000)} s old` };
  if (!isConditionTrue(pod.status, 'Ready'))
    return { ...answered, is: 'failing', why: 'its kubelet does not reach it to ask whether it is ready' };
  if (!isOfTemplate(pod, set))
    return { ...answered, is: 'outdated', why: 'it is of an earlier installation' };
  return { ...answered, is: 'running' };
}

/** What the agent of a pod said when it last ended; undefined when it has not. */
function lastWords({ status }: Pod): string | undefined {
  const container = status?.containerStatuses?.find(({ name }) => name === AGENT.container);
  return container?.lastState?.terminated?.message?.trim().slice(0, 500) || undefined;
}

/** Whether a pod is what the DaemonSet creates now, as far as an installation can differ from another. */
function isOfTemplate(pod: Pod, { spec }: DaemonSet): boolean {
  const wanted = spec?.template;
  const agent = (containers: Pod['spec']) =>
    containers?.containers.find(({ name }) => name === AGENT.container);
  return (
    pod.metadata?.labels?.[MODE_LABEL] === wanted?.metadata?.labels?.[MODE_LABEL] &&
    agent(pod.spec)?.image === agent(wanted?.spec)?.image
  );
}

function whyNoPod({ status }: Node): string {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  return ready?.status === 'Unknown' ? 'it has no pod, and its kubelet does not report' : 'it has no pod';
}

/** Why pods could not be created is in Events on the DaemonSet, which say it for all nodes. */
async function explainMissing(
  client: ApiClient,
  { metadata }: DaemonSet,
  found: AgentOfNode[],
  retry: RetryOptions,
): Promise<void> {
  const missing = found.filter(({ is }) => is === 'missing');
  if (missing.length === 0) return;
  const { name, namespace = '', uid } = metadata ?? {};
  const asked = { namespace, fieldSelector: `involvedObject.kind=DaemonSet,involvedObject.name=${name}` };
  // What the Events say is a help, and no more.
  const said = await listAll(client, events, asked, retry).catch((cause: unknown) => {
    retry.signal.throwIfAborted();
    return absent(cause) ?? [];
  });
  const failed = said.filter(
    ({ reason, involvedObject }) => reason === 'FailedCreate' && involvedObject.uid === uid,
  );
  const last = failed.toSorted((a, b) => timeOf(a.lastTimestamp) - timeOf(b.lastTimestamp)).at(-1);
  if (last?.message === undefined) return;
  for (const agent of missing) agent.why = `${agent.why}: ${last.message.slice(0, 500)}`;
}

function timeOf(text: unknown): number {
  return Date.parse(String(text)) || 0;
}

async function askState(
  client: ApiClient,
  namespace: string,
  pod: string,
  signal: AbortSignal,
): Promise<AgentState> {
  const target = { namespace, pod, container: AGENT.container, argv: [OWN_PROGRAM, 'agent', 'state'] };
  const stop = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]);
  const exec = await PodExec.start(client, target, stop);
  const abort = () => exec.destroy();
  stop.addEventListener('abort', abort, { once: true });
  try {
    const text = await exec.rest(MAX_STATE);
    stop.throwIfAborted();
    if (exec.end.code !== 0) throw new Error(exec.end.message);
    return parseState(text);
  } finally {
    stop.removeEventListener('abort', abort);
    exec.destroy();
  }
}

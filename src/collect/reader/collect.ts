import { randomBytes } from 'node:crypto';
import type { z } from 'zod';
import { type ApiClient, ApiError } from '../../kube/client.ts';
import { withCredentials } from '../../kube/refused-credentials.ts';
import type { KubeObject, Node } from '../../kube/types.ts';
import { type ActionNeeds, areMet } from '../../node/apply/needs.ts';
import { ownPluginDirectory } from '../../node/apply/own-plugins.ts';
import { askForProbes } from '../../node/probe/ask.ts';
import type { Stand } from '../../node/probe/plan.ts';
import type { ProbeDoor } from '../../node/probe/probing.ts';
import { probeWorld } from '../../node/probe/probing.ts';
import { identitySchema, type NodeRequest, resolvedSchema } from '../../node/serve/request.ts';
import { flowSchema, type NodeReport } from '../../path/model/node-report.ts';
import type { Observed } from '../../path/model/observed.ts';
import type { World } from '../../path/model/world.ts';
import type { Clock } from '../../sys/clock.ts';
import { collectAfter, collectParsed } from '../../sys/garbage.ts';
import { InputError, messageOf } from '../../util/errors.ts';
import { fewAtATime } from '../../util/settle.ts';
import { type ClusterObjects, readClusterObjects, readNodes } from '../cluster-objects.ts';
import { PackedReports } from '../packed-reports.ts';
import { ProbeInterning } from '../probe-interning.ts';
import { parseReportDocument } from '../report.ts';
import { type AgentContainer, usableAgents } from './agents.ts';
import { removeEndedRuns } from './cleanup.ts';
import {
  CONTAINER,
  HOST_ROOT,
  OWN_PROGRAM,
  type ReaderSettings,
  readerPod,
  temporaryNamespace,
  workNamespace,
} from './manifests.ts';
import { ExecSession, type NodeSession } from './node-session.ts';
import { describeRights, missingRights, NEEDED_RIGHTS, OBJECT_RIGHTS, readerRights } from './preflight.ts';
import { abortable, ReaderPods } from './reader-pods.ts';
import type { Removals } from './removals.ts';
import { patientLists, type RetryOptions, retrying } from './retry.ts';
import { programIn, SentProgram } from './send-program.ts';

/** How long a node may take for its report, in milliseconds: a report bounds its own parts. */
const REPORT_DEADLINE_MS = 30_000;
/** How long reading a node's connections may take, in milliseconds. */
const FLOWS_DEADLINE_MS = 35_000;
/** How long reading a node's counters may take, in milliseconds: all probes wait for it. */
const COUNTERS_DEADLINE_MS = 5_000;
/** Deadline of one probe in milliseconds. Between machines packets take longer than within one. */
const PROBE_TIMEOUT_MS = 2_000;
/** Pods live this much longer than nodes may take, in seconds: for probes, and for large clusters. */
const SPARE_LIFE_S = 300;

/** Why a node is unknown that {@link CollectOptions.nodes} leaves out. */
const NOT_ASKED = 'not examined: another node was asked for';

/** What is under way: how much of it is done, and on which nodes it is waiting. */
export interface CollectProgress {
  phase: 'preflight' | 'objects' | 'reports' | 'probes' | 'removal';
  done?: number;
  total?: number;
  /** Longest under way first. */
  waitingFor?: readonly string[];
}

export interface CollectOptions {
  /** How many nodes are examined at a time. */
  parallel: number;
  /** How long a node's pod may take to start, in milliseconds. */
  timeoutMs: number;
  probes: boolean;
  image: string;
  /** Why no node can have the image, and what to do: then no pod is created. Absent where nodes may have it. */
  imageProblem?: string;
  /** Path of the program that is sent into the image; undefined where it is the image's own. */
  program?: string;
  imagePullSecrets: readonly string[];
  /** An existing namespace, or one to be created and removed; undefined: a new one with a name of its own. */
  workNamespace?: string;
  /** Nodes to examine; all when absent. */
  nodes?: ReadonlySet<string>;
  /** Given when nodes are going to be changed: how long that may take once they are examined, in milliseconds. */
  changes?: { lastMs: number };
  /** The program's version: what answers on a node must be the same. */
  version: string;
  /** The nodes that are to be examined; all when absent or undefined. What it throws ends the collection before anything is created. */
  choose?: (objects: Pick<World, 'nodes' | 'pods'>) => ReadonlySet<string> | undefined;
  /** What the removal is handed over to, so that something else can begin meanwhile; it is waited for when absent. */
  removals?: Removals;
  signal: AbortSignal;
  clock?: Clock;
  /** A line about something that limits what can be said. */
  warn(line: string): void;
  progress(progress: CollectProgress): void;
}

/** The namespace of a run's pods: the user's, or one of its own. */
function namespaceOf({ workNamespace: given }: CollectOptions, run: string): string {
  return given ?? temporaryNamespace(run);
}

/**
 * The settings of a new run. Pods of its first nodes live until those of its last ones have answered, and until what is changed is done. Pods may be
 * created as long as the first live, and each lives as long.
 */
function newRun(
  options: CollectOptions,
  nodes: number,
  run = randomBytes(4).toString('hex'),
  now = Date.now(),
): ReaderSettings {
  const waves = Math.max(1, Math.ceil(nodes / options.parallel));
  const changing = Math.ceil((options.changes?.lastMs ?? 0) / 1000);
  const lifetimeSeconds = waves * Math.ceil(options.timeoutMs / 1000) + changing + SPARE_LIFE_S;
  return {
    run,
    namespace: namespaceOf(options, run),
    image: options.image,
    imagePullSecrets: options.imagePullSecrets,
    probes: options.probes,
    sendsProgram: options.program !== undefined,
    lifetimeSeconds,
    ends: new Date(now + 2 * lifetimeSeconds * 1000).toISOString(),
  };
}

/**
 * Observes a cluster that nobody prepared: its objects, a report of every node by a short-lived pod on it, and probes from node to node. A node that
 * cannot be looked at is unknown with the reason. What was created is removed before this returns or rejects, unless {@link CollectOptions.removals}
 * takes that over.
 */
export function collectCluster(
  client: ApiClient,
  options: CollectOptions,
  openSession: OpenSession = execSessions(client, options),
): Promise<World> {
  return withReaders(client, options, async (world) => world, openSession);
}

/** Pods on nodes, while they are there. */
export interface Readers {
  /** Observes the nodes again. */
  observe(): Promise<World>;
  /** Asks a node. */
  ask(node: string, request: NodeRequest, timeoutMs: number): Promise<unknown>;
  /**
   * Asks for a change of a node, in a pod that has what the change needs. Not repeated when the connection breaks: it may be under way. One that has
   * begun is waited for, also after an interruption.
   */
  change(node: string, needs: ActionNeeds, request: NodeRequest, timeoutMs: number): Promise<unknown>;
  /** Makes the pod of such a change ready. */
  prepare(node: string, needs: ActionNeeds): Promise<void>;
}

/**
 * As {@link collectCluster}, and lets `use` observe nodes again, and change them, before removal begins. `use` gets no readers where the nodes cannot
 * be examined: then what was observed is from the API alone.
 */
export async function withReaders<T>(
  client: ApiClient,
  options: CollectOptions,
  use: (first: World, readers: Readers | undefined) => Promise<T>,
  openSession: OpenSession = execSessions(client, options),
): Promise<T> {
  const { signal, progress, warn, removals } = options;
  const retry: RetryOptions = {
    signal,
    ...(options.clock && { clock: options.clock }),
    onRetry: (cause) => warn(`trying again: ${messageOf(cause)}`),
  };
  const run = randomBytes(4).toString('hex');
  progress({ phase: 'preflight' });
  const createsNamespace = options.workNamespace === undefined;
  const wanted = readerRights(namespaceOf(options, run), createsNamespace);
  const first: RetryOptions = { ...retry, mustBeReachable: true };
  const missing = await withCredentials(client, 'examine the cluster', () =>
    missingRights(client, [...OBJECT_RIGHTS, ...wanted], first),
  );
  const needed = missing.filter((right) => NEEDED_RIGHTS.includes(right));
  if (needed.length > 0) {
    throw new InputError(
      `cannot examine the cluster: you may not ${describeRights(needed)}; ask whoever administers it for these rights`,
    );
  }
  progress({ phase: 'objects' });
  const readObjects = () => readClusterObjects(patientLists(client, retry), signal);
  const objects = await readObjects();
  const askedOf = (seen: ClusterObjects) => {
    const chosen = options.choose?.(seen);
    return seen.nodes.filter(({ metadata }) => chosen?.has(metadata?.name ?? '') ?? true);
  };
  const asked = askedOf(objects);
  const fromApiAlone = (what: string) => {
    warn(
      `nodes are not examined: ${what}. What follows is from the API alone; where pods cannot be created, take a report on each node with "hostport node-report", and give them by --reports`,
    );
    const why = `not examined: ${what}`;
    const reports = new Map(nodeNames(asked).map((name) => [name, { unknown: why }]));
    return use(worldOf(objects, reports), undefined);
  };
  if (asked.length === 0) return use(worldOf(objects, new Map()), undefined);
  const lacking = missing.filter((right) => wanted.includes(right));
  if (lacking.length > 0) return fromApiAlone(`you may not ${describeRights(lacking)}`);
  await removeEndedRuns(client, objects.pods, retry).catch((cause: unknown) => {
    signal.throwIfAborted();
    warn(`what an earlier run left behind could not be removed: ${messageOf(cause)}`);
  });
  // An agent sees its node by the directories that it was given, and not where links lead that a change must follow.
  const agents = options.changes
    ? new Map()
    : await usableAgents(client, objects.pods, options.probes, retry);
  const isOfPods = agents.size === 0 && asked.some((node) => whyNotExamined(node) === undefined);
  if (options.imageProblem !== undefined && isOfPods)
    throw new InputError(`cannot examine the nodes: ${options.imageProblem}`);
  const settings = newRun(options, options.nodes?.size ?? asked.length, run);
  const pods = new ReaderPods(client, settings, {
    createsNamespace,
    ...(options.clock && { clock: options.clock }),
    ...(retry.onRetry && { onRetry: retry.onRetry }),
  });
  const collection = new Run(settings, pods, options, openSession, retry);
  if (removals?.hasPods) {
    progress({ phase: 'removal' });
    await removals.podsGone(signal);
  }
  try {
    try {
      await pods.prepare(signal);
    } catch (cause) {
      // Admission may refuse what roles allow.
      if (!(cause instanceof ApiError)) throw cause;
      return await fromApiAlone(cause.message);
    }
    const observe = async (seen: ClusterObjects) => {
      const world = worldOf(seen, await collection.reports(askedOf(seen), agents));
      return options.probes ? { ...world, probes: await collection.probes(world) } : world;
    };
    const first = await observe(objects);
    // A diagnosis is about to make as much again.
    collectParsed();
    return await use(first, {
      observe: async () => observe(await readObjects()),
      ask: (...asked) => collection.ask(...asked),
      change: (...asked) => collection.change(...asked),
      prepare: async (...asked) => {
        await collection.writer(...asked);
      },
    });
  } finally {
    if (removals === undefined) progress({ phase: 'removal' });
    await collection.close();
    const removal = pods.remove();
    const report = (left: string) =>
      warn(`not removed: ${left}; its pods end by themselves by ${settings.ends}`);
    const all = removal.left.then(
      (left) => left.forEach(report),
      (cause: unknown) => report(messageOf(cause)),
    );
    if (removals === undefined) await all;
    else removals.add({ pods: removal.pods, all });
  }
}

/** What {@link collectCluster} would create, at least: the namespace, and a pod of each node that can be examined. */
export async function plannedObjects(client: ApiClient, options: CollectOptions): Promise<KubeObject[]> {
  const { choose, signal } = options;
  const objects = await withCredentials(client, 'examine the cluster', () =>
    readNodes(client, { withPods: choose !== undefined, signal }),
  );
  const chosen = choose?.(objects);
  const nodes = objects.nodes.filter(({ metadata }) => chosen?.has(metadata?.name ?? '') ?? true);
  const settings = newRun(options, nodes.length);
  return [
    ...(options.workNamespace === undefined
      ? [{ apiVersion: 'v1', kind: 'Namespace', ...workNamespace(settings) }]
      : []),
    ...nodes
      .filter((node) => whyNotExamined(node) === undefined)
      .map(({ metadata }) => ({
        apiVersion: 'v1',
        kind: 'Pod',
        ...readerPod(metadata?.name ?? '', settings),
      })),
  ];
}

function worldOf(objects: ClusterObjects, reports: World['reports']): World {
  return { observedAt: new Date().toISOString(), ...objects, reports, probes: [] };
}

function nodeNames(nodes: readonly Node[]): string[] {
  return nodes.map(({ metadata }) => metadata?.name ?? '').filter((name) => name !== '');
}

/**
 * Why no pod is created on a node; undefined when one is. A node that is not ready for want of a working CNI starts pods that use its own network,
 * and is the one to be examined; one whose kubelet is silent starts none.
 */
function whyNotExamined({ metadata, status }: Node): string | undefined {
  const system = status?.nodeInfo?.operatingSystem ?? metadata?.labels?.['kubernetes.io/os'] ?? 'linux';
  if (system !== 'linux') return `not examined: it runs ${system}, and only Linux nodes are examined`;
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  if (ready === undefined) return 'not examined: no kubelet has reported whether the node is ready';
  if (ready.status !== 'Unknown') return undefined;
  const said = [ready.reason, ready.message].filter((text) => text !== undefined && text !== '');
  return `not examined: its kubelet does not report${said.length > 0 ? ` (${said.join(': ')})` : ''}, so that no pod can start on it`;
}

/** Opens a session with the program in a container. */
export type OpenSession = (
  container: AgentContainer,
  how: 'own-image' | 'sent' | 'sent-with-plugins' | 'agent',
  signal: AbortSignal,
) => Promise<NodeSession>;

/** Sessions over exec, as they are on a real cluster. */
function execSessions(client: ApiClient, options: CollectOptions): OpenSession {
  const { program: path, version } = options;
  const program = path === undefined ? undefined : new SentProgram(path, version, ownPluginDirectory(path));
  return async (container, how, signal) => {
    const argv =
      how === 'agent'
        ? [OWN_PROGRAM, 'node-serve']
        : how !== 'own-image' && program !== undefined
          ? await programIn(client, container, program, signal, how === 'sent-with-plugins')
          : [OWN_PROGRAM, 'node-serve', '--root', HOST_ROOT];
    return ExecSession.start(client, { ...container, argv }, signal);
  };
}

/** A node that is examined: where the program runs there, and how. */
interface Link {
  container: AgentContainer;
  how: Parameters<OpenSession>[1];
  session?: Promise<NodeSession>;
}

/** A node that can be changed: with what, and by which pod. */
interface Writer {
  needs: ActionNeeds;
  number: number;
  pod: string;
  session: NodeSession;
}

class Run {
  readonly #settings: ReaderSettings;
  readonly #pods: ReaderPods;
  readonly #options: CollectOptions;
  readonly #openSession: OpenSession;
  readonly #retry: RetryOptions;
  readonly #links = new Map<string, Link>();
  readonly #writers = new Map<string, Promise<Writer>>();
  /** Ends sessions also when nothing else does. */
  readonly #over = new AbortController();

  constructor(
    settings: ReaderSettings,
    pods: ReaderPods,
    options: CollectOptions,
    openSession: OpenSession,
    retry: RetryOptions,
  ) {
    this.#settings = settings;
    this.#pods = pods;
    this.#options = options;
    this.#openSession = openSession;
    this.#retry = retry;
  }

  /** The report of each node, some at a time. `agents`: where the agent is installed. */
  async reports(
    nodes: readonly Node[],
    agents: ReadonlyMap<string, AgentContainer>,
  ): Promise<World['reports']> {
    const { parallel, signal, progress } = this.#options;
    const reports = new PackedReports();
    const waiting: string[] = [];
    for (const node of nodes) {
      const name = node.metadata?.name ?? '';
      const why = this.#options.nodes?.has(name) === false ? NOT_ASKED : whyNotExamined(node);
      if (why !== undefined) reports.add(name, { unknown: why });
      else if (name !== '') waiting.push(name);
    }
    const total = waiting.length;
    const underWay = new Set<string>();
    let done = 0;
    const show = () => progress({ phase: 'reports', done, total, waitingFor: [...underWay] });
    await fewAtATime(waiting, parallel, async (name) => {
      signal.throwIfAborted();
      underWay.add(name);
      show();
      reports.add(name, await this.#report(name, agents.get(name)));
      underWay.delete(name);
      done++;
      collectAfter(done);
      show();
    });
    return reports.all();
  }

  /** Probes every mapping from the nodes that were examined. */
  async probes(world: World): Promise<World['probes']> {
    const { signal, progress, parallel } = this.#options;
    const from = new Set(this.#links.keys());
    progress({ phase: 'probes' });
    const { nodes } = this.#options;
    const pods = world.pods.filter(({ spec }) => nodes?.has(spec?.nodeName ?? '') ?? true);
    // Its nodes are machines of their own.
    return probeWorld({ ...world, pods }, this.#door(), signal, { senders: parallel, from });
  }

  /** Has a node changed, by a pod that has what it needs. */
  async change(node: string, needs: ActionNeeds, request: NodeRequest, timeoutMs: number): Promise<unknown> {
    const { session } = await this.writer(node, needs);
    this.#options.signal.throwIfAborted();
    return session.ask(request, { timeoutMs, signal: this.#over.signal });
  }

  /** The pod in which a node can be changed: the one that is there, if it has what is needed, or a new one. */
  async writer(node: string, needs: ActionNeeds): Promise<Writer> {
    const before = this.#writers.get(node);
    const starting = this.#startWriter(node, needs, before);
    this.#writers.set(node, starting);
    return starting;
  }

  async #startWriter(node: string, needs: ActionNeeds, before: Promise<Writer> | undefined): Promise<Writer> {
    const { signal, timeoutMs } = this.#options;
    const ends = AbortSignal.any([signal, this.#over.signal]);
    // Where a pod has not started, another one would not either, and each would be waited for.
    const earlier = await before;
    if (earlier !== undefined && !earlier.session.isOver && areMet(needs, earlier.needs)) return earlier;
    if (earlier !== undefined) {
      // One that is over already may say so.
      if (!earlier.session.isOver) await earlier.session.close();
      await this.#pods.stop(earlier.pod, signal);
    }
    const asked = needs.writes.map(({ path }) => path);
    const paths = resolvedSchema(asked.length).parse(
      await this.ask(node, { do: 'resolve', paths: asked }, REPORT_DEADLINE_MS),
    );
    const writes = needs.writes.map(({ is }, i) => ({ path: paths[i]!, is }));
    const number = (earlier?.number ?? 0) + 1;
    const pod = await this.#pods.startWriter(
      node,
      {
        number,
        capabilities: needs.capabilities,
        writes: [...new Map(writes.map((one) => [one.path, one])).values()],
      },
      timeoutMs,
      ends,
    );
    const how = this.#how === 'sent' && needs.plugins ? 'sent-with-plugins' : this.#how;
    // What is being changed is finished first, also after an interruption: only the end of the run ends the session.
    const opening = retrying(
      () => this.#openSession(this.#containerOf(pod), how, this.#over.signal),
      this.#retry,
    );
    const session = await abortable(opening, signal);
    return { needs, number, pod, session };
  }

  get #how(): Link['how'] {
    return this.#options.program === undefined ? 'own-image' : 'sent';
  }

  #containerOf(pod: string): Link['container'] {
    return { namespace: this.#settings.namespace, pod, container: CONTAINER };
  }

  async close(): Promise<void> {
    const sessions = [...this.#links.values()].flatMap(({ session }) => session ?? []);
    const closed = sessions.map(async (session) => (await session).close());
    this.#over.abort(new Error('the session is over'));
    await Promise.allSettled([...closed, ...this.#writers.values()]);
    this.#writers.clear();
    this.#links.clear();
  }

  async #report(node: string, agent: AgentContainer | undefined): Promise<Observed<NodeReport>> {
    const { signal, timeoutMs } = this.#options;
    try {
      if (agent !== undefined && (await this.#usesAgent(node, agent))) return await this.#ofNode(node);
      if (this.#links.has(node)) return await this.#ofNode(node);
      if (this.#options.imageProblem !== undefined) throw new Error(this.#options.imageProblem);
      const pod = await this.#pods.start(node, timeoutMs, signal);
      this.#links.set(node, { container: this.#containerOf(pod), how: this.#how });
      return await this.#ofNode(node);
    } catch (cause) {
      signal.throwIfAborted();
      this.#links.delete(node);
      return { unknown: messageOf(cause) };
    }
  }

  /** Whether the agent of a node can be used: it runs, may be asked, and is of the same version. */
  async #usesAgent(node: string, container: AgentContainer): Promise<boolean> {
    this.#links.set(node, { container, how: 'agent' });
    try {
      const { version } = await this.#identity(node);
      if (version === this.#options.version) return true;
    } catch {
      // A pod of our own says what is the matter with the node.
      this.#options.signal.throwIfAborted();
    }
    const unused = this.#links.get(node)?.session;
    this.#links.delete(node);
    await unused?.then((session) => session.close()).catch(() => {});
    return false;
  }

  /** The report of a node with which there is a link, checked to be that of a program like this one. */
  async #ofNode(node: string): Promise<Observed<NodeReport>> {
    const { version, inHostNetwork } = await this.#identity(node);
    if (version !== this.#options.version)
      throw new Error(
        `the image has version ${version} of this program, not ${this.#options.version}; name another with --image`,
      );
    if (!inHostNetwork) throw new Error("its pod does not run in the node's network");
    const document = await this.ask(node, { do: 'report', node }, REPORT_DEADLINE_MS);
    return parseReportDocument(document, `report of ${node}`);
  }

  async #identity(node: string): Promise<z.infer<typeof identitySchema>> {
    return identitySchema.parse(await this.ask(node, { do: 'identity' }, REPORT_DEADLINE_MS));
  }

  /** Asks a node; once more where the connection broke, which a restart of the API server does to all. */
  async ask(node: string, request: NodeRequest, timeoutMs: number): Promise<unknown> {
    const { signal } = this.#options;
    const session = await this.#session(node);
    try {
      return await session.ask(request, { timeoutMs, signal });
    } catch (cause) {
      signal.throwIfAborted();
      if (!session.isOver) throw cause;
      return (await this.#session(node)).ask(request, { timeoutMs, signal });
    }
  }

  /** The session with a node; a new one where the last is over. */
  async #session(node: string): Promise<NodeSession> {
    const link = this.#links.get(node);
    if (link === undefined) throw new Error(`nothing is asked of ${node}, which was not examined`);
    const open = await link.session?.catch(() => undefined);
    if (open !== undefined && !open.isOver) return open;
    const signal = AbortSignal.any([this.#options.signal, this.#over.signal]);
    link.session = retrying(() => this.#openSession(link.container, link.how, signal), this.#retry);
    return link.session;
  }

  #door(): ProbeDoor {
    const interning = new ProbeInterning();
    return {
      send: async (batches) => {
        const { stand } = batches[0]!;
        if (stand.at === 'outside') throw new Error('nothing is sent from outside of the nodes');
        // The namespace of the node's first process: where a pod says it uses the node's network and does not, nothing is sent.
        const placeOf = async (of: Stand) => ({ path: of.at === 'pod' ? of.netns : '/proc/1/ns/net' });
        const answers = await askForProbes(
          batches,
          { timeoutMs: PROBE_TIMEOUT_MS, placeOf },
          (request, deadlineMs) => this.ask(stand.node, request, deadlineMs),
        );
        for (const answer of answers)
          if ('value' in answer) for (const probe of answer.value) interning.probe(probe);
        return answers;
      },
      flows: async (node, sourcePorts) =>
        flowSchema.array().parse(await this.ask(node, { do: 'flows', sourcePorts }, FLOWS_DEADLINE_MS)),
      reversePathDrops: async (node) => {
        const drops = await this.ask(node, { do: 'reverse-path-drops' }, COUNTERS_DEADLINE_MS);
        return typeof drops === 'number' ? drops : undefined;
      },
    };
  }
}

import { randomBytes } from 'node:crypto';
import type { ApiClient } from '../../kube/client.ts';
import type { Node } from '../../kube/types.ts';
import type { ProbeJob } from '../../node/probe/order.ts';
import type { ProbeDoor } from '../../node/probe/probing.ts';
import { probeWorld } from '../../node/probe/probing.ts';
import { identitySchema } from '../../node/serve/request.ts';
import { flowSchema, type NodeReport } from '../../path/model/node-report.ts';
import type { Observed } from '../../path/model/observed.ts';
import { probeResultSchema } from '../../path/model/probe.ts';
import type { World } from '../../path/model/world.ts';
import { InputError, messageOf } from '../../util/errors.ts';
import { type ClusterObjects, readClusterObjects } from '../cluster-objects.ts';
import { parseReportDocument } from '../report.ts';
import { CONTAINER, HOST_ROOT, type ReaderSettings } from './manifests.ts';
import { ExecSession, type NodeSession } from './node-session.ts';
import { describeRights, missingRights, OBJECT_RIGHTS, readerRights } from './preflight.ts';
import { ReaderPods } from './reader-pods.ts';
import { patientLists, type RetryOptions } from './retry.ts';

/** How long a node may take for its report, in milliseconds: a report bounds its own parts. */
const REPORT_DEADLINE_MS = 30_000;
/** How long reading a node's connections may take, in milliseconds. */
const FLOWS_DEADLINE_MS = 35_000;
/** How long reading a node's counters may take, in milliseconds: all probes wait for it. */
const COUNTERS_DEADLINE_MS = 5_000;
/** Deadline of one probe in milliseconds. Between machines packets take longer than within one. */
const PROBE_TIMEOUT_MS = 2_000;
/** How many senders of probes run at a time in a cluster whose nodes are machines of their own. */
const SENDERS = 32;
/** Pods live this much longer than nodes may take, in seconds: for probes, and for large clusters. */
const SPARE_LIFE_S = 300;

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
  /** Whether the image is not this program's own, so that the program is sent into it. */
  isForeignImage: boolean;
  imagePullSecrets: readonly string[];
  /** An existing namespace, or one to be created and removed; undefined: a new one with a name of its own. */
  workNamespace?: string;
  /** The program's version: what answers on a node must be the same. */
  version: string;
  signal: AbortSignal;
  /** A line about something that limits what can be said. */
  warn(line: string): void;
  progress(progress: CollectProgress): void;
}

/** The settings of a new run. */
export function newRun(options: CollectOptions, now = Date.now()): ReaderSettings {
  const run = randomBytes(4).toString('hex');
  const lifetimeSeconds = Math.ceil(options.timeoutMs / 1000) + SPARE_LIFE_S;
  return {
    run,
    namespace: options.workNamespace ?? `hostport-doctor-${run}`,
    image: options.image,
    imagePullSecrets: options.imagePullSecrets,
    probes: options.probes,
    sendsProgram: options.isForeignImage,
    lifetimeSeconds,
    ends: new Date(now + lifetimeSeconds * 1000).toISOString(),
  };
}

/**
 * Observes a cluster that nobody prepared: its objects, a report of every node by a short-lived pod on it, and probes from node to node. A node that
 * cannot be looked at is unknown with the reason. What was created is removed before this returns or rejects.
 */
export async function collectCluster(client: ApiClient, options: CollectOptions): Promise<World> {
  const { signal, progress, warn } = options;
  const retry: RetryOptions = { signal, onRetry: (cause) => warn(`trying again: ${messageOf(cause)}`) };
  const settings = newRun(options);
  progress({ phase: 'preflight' });
  const createsNamespace = options.workNamespace === undefined;
  const wanted = readerRights(settings.namespace, createsNamespace);
  const missing = await missingRights(client, [...OBJECT_RIGHTS, ...wanted], { ...retry, patienceMs: 0 });
  const [nodesOrPods] = [missing.filter((right) => right === OBJECT_RIGHTS[0] || right === OBJECT_RIGHTS[1])];
  if (nodesOrPods.length > 0) {
    throw new InputError(
      `cannot examine the cluster: you may not ${describeRights(nodesOrPods)}; docs/any-cluster.md has the roles that are needed`,
    );
  }
  progress({ phase: 'objects' });
  const objects = await readClusterObjects(patientLists(client, retry), signal);
  const lacking = missing.filter((right) => wanted.includes(right));
  if (lacking.length > 0) {
    const what = `you may not ${describeRights(lacking)}`;
    warn(
      `nodes are not examined: ${what}. What follows is from the API alone; docs/any-cluster.md has the roles that are needed`,
    );
    const why = `not examined: ${what}`;
    return worldOf(objects, new Map(nodeNames(objects).map((name) => [name, { unknown: why }])));
  }
  const pods = new ReaderPods(client, settings, {
    createsNamespace,
    ...(retry.onRetry && { onRetry: retry.onRetry }),
  });
  const run = new Run(client, settings, pods, options);
  try {
    await pods.prepare(signal);
    const reports = await run.reports(objects);
    const world = worldOf(objects, reports);
    return options.probes ? { ...world, probes: await run.probes(world) } : world;
  } finally {
    progress({ phase: 'removal' });
    await run.close();
    for (const left of await pods.remove())
      warn(`not removed: ${left}; its pods end by themselves by ${settings.ends}`);
  }
}

function worldOf(objects: ClusterObjects, reports: World['reports']): World {
  return { observedAt: new Date().toISOString(), ...objects, reports, probes: [] };
}

function nodeNames({ nodes }: ClusterObjects): string[] {
  return nodes.map(({ metadata }) => metadata?.name ?? '').filter((name) => name !== '');
}

/** Why no pod is created on a node; undefined when one is. */
export function whyNotExamined({ metadata, status }: Node): string | undefined {
  const system = status?.nodeInfo?.operatingSystem ?? metadata?.labels?.['kubernetes.io/os'] ?? 'linux';
  if (system !== 'linux') return `not examined: it runs ${system}, and only Linux nodes are examined`;
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  if (ready === undefined || ready.status === 'True') return undefined;
  const said = [ready.reason, ready.message].filter((text) => text !== undefined && text !== '');
  return `not examined: the node is not ready${said.length > 0 ? ` (${said.join(': ')})` : ''}, so that no pod can start on it`;
}

class Run {
  readonly #client: ApiClient;
  readonly #settings: ReaderSettings;
  readonly #pods: ReaderPods;
  readonly #options: CollectOptions;
  readonly #sessions = new Map<string, NodeSession>();
  /** Ends sessions also when nothing else does. */
  readonly #over = new AbortController();

  constructor(client: ApiClient, settings: ReaderSettings, pods: ReaderPods, options: CollectOptions) {
    this.#client = client;
    this.#settings = settings;
    this.#pods = pods;
    this.#options = options;
  }

  /** The report of every node, some at a time. */
  async reports(objects: ClusterObjects): Promise<Map<string, Observed<NodeReport>>> {
    const { parallel, signal, progress } = this.#options;
    const reports = new Map<string, Observed<NodeReport>>();
    const waiting: string[] = [];
    for (const node of objects.nodes) {
      const name = node.metadata?.name ?? '';
      const why = whyNotExamined(node);
      if (why !== undefined) reports.set(name, { unknown: why });
      else if (name !== '') waiting.push(name);
    }
    const total = waiting.length;
    const underWay = new Set<string>();
    let done = 0;
    const show = () => progress({ phase: 'reports', done, total, waitingFor: [...underWay] });
    const worker = async () => {
      for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
        signal.throwIfAborted();
        underWay.add(name);
        show();
        reports.set(name, await this.#report(name));
        underWay.delete(name);
        done++;
        show();
      }
    };
    const workers = await Promise.allSettled(Array.from({ length: Math.min(parallel, total) }, worker));
    signal.throwIfAborted();
    for (const ended of workers) if (ended.status === 'rejected') throw ended.reason;
    return reports;
  }

  /** Probes every mapping from the nodes that were examined. */
  async probes(world: World): Promise<World['probes']> {
    const { signal, progress } = this.#options;
    progress({ phase: 'probes', done: 0, total: this.#sessions.size });
    return probeWorld(world, this.#door(), signal, {
      senders: SENDERS,
      from: new Set(this.#sessions.keys()),
    });
  }

  async close(): Promise<void> {
    const closed = [...this.#sessions.values()].map((session) => session.close());
    this.#over.abort(new Error('the session is over'));
    await Promise.allSettled(closed);
    this.#sessions.clear();
  }

  async #report(node: string): Promise<Observed<NodeReport>> {
    const { signal, timeoutMs } = this.#options;
    try {
      const pod = await this.#pods.start(node, timeoutMs, signal);
      const session = await this.#open(pod);
      const identity = identitySchema.parse(
        await session.ask({ do: 'identity' }, { timeoutMs: REPORT_DEADLINE_MS, signal }),
      );
      if (identity.version !== this.#options.version) {
        await session.close();
        return {
          unknown: `the image has version ${identity.version} of this program, not ${this.#options.version}; name another with --image`,
        };
      }
      this.#sessions.set(node, session);
      const document = await session.ask({ do: 'report', node }, { timeoutMs: REPORT_DEADLINE_MS, signal });
      return parseReportDocument(document, `report of ${node}`);
    } catch (cause) {
      signal.throwIfAborted();
      return { unknown: messageOf(cause) };
    }
  }

  #open(pod: string): Promise<NodeSession> {
    const { namespace } = this.#settings;
    const argv = ['/usr/local/bin/hostport', 'node-serve', '--root', HOST_ROOT];
    const signal = AbortSignal.any([this.#options.signal, this.#over.signal]);
    return ExecSession.start(this.#client, { namespace, pod, container: CONTAINER, argv }, signal);
  }

  #door(): ProbeDoor {
    const { signal } = this.#options;
    const ask = (node: string, request: Parameters<NodeSession['ask']>[0], timeoutMs: number) => {
      const session = this.#sessions.get(node);
      if (session === undefined) throw new Error(`nothing is sent from ${node}, which was not examined`);
      return session.ask(request, { timeoutMs, signal });
    };
    return {
      send: async (stand, orders) => {
        if (stand.at === 'outside') throw new Error('nothing is sent from outside of the nodes');
        // The namespace of the node's first process: where a pod says it uses the node's network and does not, nothing is sent.
        const path = stand.at === 'pod' ? stand.netns : '/proc/1/ns/net';
        const job: ProbeJob = { place: { path }, timeoutMs: PROBE_TIMEOUT_MS, orders: [...orders] };
        const deadline = PROBE_TIMEOUT_MS * (1 + orders.length / 16) + 10_000;
        return probeResultSchema.array().parse(await ask(stand.node, { do: 'probe', job }, deadline));
      },
      flows: async (node) => flowSchema.array().parse(await ask(node, { do: 'flows' }, FLOWS_DEADLINE_MS)),
      reversePathDrops: async (node) => {
        const drops = await ask(node, { do: 'reverse-path-drops' }, COUNTERS_DEADLINE_MS);
        return typeof drops === 'number' ? drops : undefined;
      },
    };
  }
}

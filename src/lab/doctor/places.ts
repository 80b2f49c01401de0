import { readFile } from 'node:fs/promises';
import { parseReportDocument } from '../../collect/report.ts';
import { type ApplyResult, applyResultSchema } from '../../node/apply/result.ts';
import { askForProbes } from '../../node/probe/ask.ts';
import type { ProbeJob } from '../../node/probe/order.ts';
import type { Stand } from '../../node/probe/plan.ts';
import type { ProbeDoor } from '../../node/probe/probing.ts';
import { type NodeRequest, ranSchema } from '../../node/serve/request.ts';
import type { TraceDoor } from '../../node/trace/trace-flow.ts';
import type { NodeAction } from '../../path/model/action.ts';
import { flowSchema, type NodeReport } from '../../path/model/node-report.ts';
import type { Observed } from '../../path/model/observed.ts';
import { distributionOf } from '../../sys/distribution.ts';
import { type ExecResult, realExec } from '../../sys/exec.ts';
import { namespaceIdentity } from '../../sys/netns.ts';
import { nodeArgv } from '../cluster/node-exec.ts';
import { clusterPaths, labNetns, netnsPath } from '../cluster/paths.ts';
import { type ClusterRecord, requireNodes } from '../cluster/record.ts';
import { NodeServer } from './node-server.ts';
import { whyUnanswered } from './unanswered.ts';

/** How long a node may take for its report, in milliseconds: a report bounds its own parts, five after one another. */
const REPORT_DEADLINE_MS = 60_000;
/** How long a node may take over a list of actions, in milliseconds: an `attach` runs plugins. */
const APPLY_DEADLINE_MS = 120_000;
/** How long a node may take to begin or end a trace, in milliseconds: its tools list all rules. */
const TRACE_DEADLINE_MS = 60_000;
/** How long a command may take on a node, in milliseconds. The node itself ends it after 30 s. */
const RUN_DEADLINE_MS = 35_000;
/** How long reading a node's connections may take, in milliseconds. */
const FLOWS_DEADLINE_MS = 35_000;
/** How long reading a node's counters may take, in milliseconds: all probes wait for it, and without it they say all that they saw. */
const COUNTERS_DEADLINE_MS = 5_000;

/**
 * The places of a lab: its nodes, and its network outside of them. In each that is asked for something, one process stays until this is closed.
 * Works from outside the lab's network as well as from inside; nothing is sent but from the namespaces of the lab.
 */
export class LabPlaces {
  readonly record: ClusterRecord;
  readonly #servers = new Map<string, NodeServer>();
  readonly #outside: NodeServer;

  /** @param program the program to run outside the nodes. Default: the one that is running. */
  constructor(record: ClusterRecord, program = distributionOf().program) {
    this.record = record;
    this.#outside = new NodeServer(async () => [
      'nsenter',
      `--net=${netnsPath(labNetns(record.name))}`,
      program,
      'node-serve',
    ]);
  }

  /** The report of a node. A node that does not answer is unknown. */
  async report(node: string, signal?: AbortSignal): Promise<Observed<NodeReport>> {
    try {
      const asked = { timeoutMs: REPORT_DEADLINE_MS, signal };
      const document = await this.#node(node).ask({ do: 'report', node }, asked);
      return parseReportDocument(document, `report of ${node}`);
    } catch (cause) {
      signal?.throwIfAborted();
      return { unknown: whyUnanswered(node, this.record.name, cause) };
    }
  }

  /**
   * Has a node do the actions, in their order; those after one that failed are skipped. Rejects only when the node could not be asked.
   * `heal`: when the heal began that they belong to.
   */
  async apply(node: string, actions: readonly NodeAction[], heal: string): Promise<ApplyResult[]> {
    const request: NodeRequest = { do: 'apply', actions: [...actions], heal };
    const results = await this.#node(node).ask(request, { timeoutMs: APPLY_DEADLINE_MS });
    return applyResultSchema.array().length(actions.length).parse(results);
  }

  /** The answer of a node. */
  ask(node: string, request: NodeRequest, timeoutMs: number): Promise<unknown> {
    return this.#node(node).ask(request, { timeoutMs });
  }

  /** Runs a command on a node, as root, in the node's namespaces. Rejects when it has no exit status: not started, or too slow. */
  async run(
    node: string,
    argv: readonly string[],
    { stdin, signal }: { stdin?: string | undefined; signal?: AbortSignal } = {},
  ): Promise<ExecResult> {
    const request: NodeRequest = { do: 'run', argv: [...argv], ...(stdin === undefined ? {} : { stdin }) };
    return ranSchema.parse(await this.#node(node).ask(request, { timeoutMs: RUN_DEADLINE_MS, signal }));
  }

  /** The door of probes: every sender knows which network namespace it must run in, and sends nothing from another. */
  probeDoor(timeoutMs = 1000): ProbeDoor {
    return {
      send: (batches, signal) => {
        const { stand } = batches[0]!;
        const server = stand.at === 'outside' ? this.#outside : this.#node(stand.node);
        const how = { timeoutMs, placeOf: (of: Stand) => this.#placeOf(of) };
        return askForProbes(batches, how, (request, deadlineMs) =>
          server.ask(request, { timeoutMs: deadlineMs, signal }),
        );
      },
      flows: async (node, sourcePorts, signal) => {
        const asked = { timeoutMs: FLOWS_DEADLINE_MS, signal };
        return flowSchema.array().parse(await this.#node(node).ask({ do: 'flows', sourcePorts }, asked));
      },
      reversePathDrops: async (node, signal) => {
        const asked = { timeoutMs: COUNTERS_DEADLINE_MS, signal };
        const drops = await this.#node(node).ask({ do: 'reverse-path-drops' }, asked);
        return typeof drops === 'number' ? drops : undefined;
      },
    };
  }

  /** The door of traces. Everything in a lab runs on one kernel. */
  traceDoor(timeoutMs: number): TraceDoor {
    return {
      send: this.probeDoor(timeoutMs).send,
      ask: (place, request, signal) => {
        const server = place === 'outside' ? this.#outside : this.#node(place.node);
        return server.ask(request, { timeoutMs: TRACE_DEADLINE_MS, signal });
      },
      isOneKernel: true,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#outside, ...this.#servers.values()].map((server) => server.close()));
    this.#servers.clear();
  }

  /** Nodes are looked up in the lab's record: a name that is not in it is refused. */
  #node(name: string): NodeServer {
    requireNodes('ask the node', this.record, [name]);
    let server = this.#servers.get(name);
    if (server === undefined) {
      server = new NodeServer(() => nodeArgv(realExec, name, ['hostport', 'node-serve']));
      this.#servers.set(name, server);
    }
    return server;
  }

  async #placeOf(stand: Stand): Promise<ProbeJob['place']> {
    if (stand.at === 'pod') return { path: stand.netns };
    const path =
      stand.at === 'outside' ? netnsPath(labNetns(this.record.name)) : await this.#namespaceOf(stand.node);
    const namespace = namespaceIdentity(path);
    if (namespace === undefined)
      throw new Error(
        `cannot use the network namespace ${path}: it is gone; check that cluster "${this.record.name}" runs`,
      );
    return { namespace };
  }

  async #namespaceOf(node: string): Promise<string> {
    const pid = await readFile(clusterPaths(this.record.name).node(node).pidFile, 'utf8');
    return `/proc/${Number(pid)}/ns/net`;
  }
}

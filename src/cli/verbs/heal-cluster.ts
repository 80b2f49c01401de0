import { InvalidArgumentError, Option } from 'commander';
import { APPLY_DEADLINE_MS, clusterPatient, clusterUndo } from '../../agent/cluster-patient.ts';
import { MAX_ROUNDS } from '../../agent/heal.ts';
import { HEAL_COMPONENT, recordHealed } from '../../agent/heal-events.ts';
import { healNodes, type OpenNodes } from '../../agent/heal-nodes.ts';
import { UNDO_DEADLINE_MS, type UndoDoor } from '../../agent/undo.ts';
import {
  type CollectOptions,
  collectCluster,
  type Readers,
  withReaders,
} from '../../collect/reader/collect.ts';
import { describeRights, missingRights, type Right } from '../../collect/reader/preflight.ts';
import { Removals } from '../../collect/reader/removals.ts';
import { ApiClient } from '../../kube/client.ts';
import { EventRecorder } from '../../kube/event-recorder.ts';
import { unverifiedServer } from '../../kube/unverified-server.ts';
import { diagnose } from '../../path/diagnose/diagnose.ts';
import { known } from '../../path/model/observed.ts';
import type { World } from '../../path/model/world.ts';
import { InputError, messageOf, UserError } from '../../util/errors.ts';
import { collectProgress } from '../printer/collect-progress.ts';
import {
  chooserOf,
  type ExaminedCluster,
  type ReaderPodOptions,
  withCollectOptions,
} from './doctor-cluster.ts';
import { type Healing, SETTLE_MS } from './healing.ts';

/** How many nodes are changed at once unless given. */
const MAX_UNAVAILABLE = 1;

export interface HealClusterOptions extends ReaderPodOptions {
  maxUnavailable?: number;
}

/** The option of a heal that changes nodes by pods. */
export function maxUnavailableOption(): Option {
  return new Option(
    '--max-unavailable <nodes>',
    `nodes changed before they are examined again; ${MAX_UNAVAILABLE} unless given`,
  ).argParser((text) => {
    if (/^[1-9]\d{0,3}$/.test(text)) return Number(text);
    throw new InvalidArgumentError('want a number from 1 to 9999.');
  });
}

/** What writing Events takes. */
const EVENT_RIGHTS: readonly Right[] = ['create', 'patch'].map((verb) => ({ verb, resource: 'events' }));

/** Any cluster, healed by short-lived pods on its nodes. */
export function clusterHealing(
  { access, title, lab }: ExaminedCluster,
  options: HealClusterOptions,
  warn: (line: string) => void,
): Healing {
  const unverified = unverifiedServer(access);
  if (unverified !== undefined) warn(unverified);
  // It is named once, however often it is looked at.
  let isNamed = false;
  const cluster = (): ExaminedCluster => {
    const named = { access, title: isNamed ? undefined : title, lab };
    isNamed = true;
    return named;
  };
  // A namespace takes seconds to go: batches do not wait for that.
  const removals = new Removals();
  const run = <T>(
    signal: AbortSignal,
    use: (client: ApiClient, settings: CollectOptions) => Promise<T>,
  ): Promise<T> =>
    withCollectOptions(cluster(), options, warn, signal, (client, settings) =>
      use(client, { ...settings, removals }),
    );
  const observe = (signal: AbortSignal) => run(signal, collectCluster);
  return {
    observe,
    client: async () => new ApiClient(access),

    async checkRights(plan, signal) {
      const spaces = plan.flatMap(({ steps }) =>
        steps.flatMap((step) => (step.on === 'cluster' ? step.action.namespace : [])),
      );
      const rights = [...new Set(spaces)].map((namespace) => ({
        verb: 'delete',
        resource: 'pods',
        namespace,
      }));
      const missing = await run(signal, (client) => missingRights(client, rights, { signal, patienceMs: 0 }));
      if (missing.length > 0)
        throw new InputError(`cannot recreate pods: you may not ${describeRights(missing)}`);
    },

    heal: async (first, scope) => {
      const { signal } = scope;
      const heal = new Date().toISOString();
      const report = await healNodes(openNodes(run, signal, heal, first.world), first, {
        ...scope,
        maxUnavailable: options.maxUnavailable ?? MAX_UNAVAILABLE,
      });
      const { stopped, healed, rounds } = report;
      // What was done is done, whether it is written down or not.
      await run(signal, (client) => writeEvents(client, healed, report.world, warn, signal)).catch(
        (cause: unknown) => warn(`no Events are written: ${messageOf(cause)}`),
      );
      if ('error' in report) return { healed, rounds, error: report.error, ...(stopped && { stopped }) };
      try {
        // What was fixed on one node is seen from all of them.
        return { healed, rounds, after: diagnose(await observe(signal)), ...(stopped && { stopped }) };
      } catch (error) {
        return { healed, rounds, error, stopped: stopped ?? { why: messageOf(error), undone: [] } };
      }
    },

    withUndo: (chosen, signal, use) =>
      run(signal, async (client, settings) => {
        // Before anything is created: an unknown name would read as a node on which nothing is to be undone.
        const choose = chooserOf({ codes: [], nodes: chosen });
        const nodes = chosen.length === 0 ? {} : { nodes: new Set(chosen), ...(choose && { choose }) };
        return withReaders(
          client,
          { ...settings, ...nodes, probes: false, changes: { lastMs: undoMs(settings, chosen.length) } },
          (world, readers) => {
            if (readers === undefined) throw new UserError('cannot undo: the nodes cannot be reached');
            return use(undoOf(world, readers), namesOf(world, chosen));
          },
        );
      }),

    async [Symbol.asyncDispose]() {
      if (!removals.isUnderWay) return;
      const progress = collectProgress(process.stderr, undefined);
      progress.show({ phase: 'removal' });
      await removals[Symbol.asyncDispose]();
      progress.end();
    },
  };
}

/** Nodes that could not be examined are asked all the same, and answer why not. */
function undoOf(world: World, readers: Readers): UndoDoor {
  const door = clusterUndo(readers);
  return {
    ...door,
    async lastHeal(node) {
      const report = world.reports.get(node);
      if (report !== undefined && 'unknown' in report) throw new Error(report.unknown);
      return door.lastHeal(node);
    },
  };
}

function namesOf({ nodes }: World, chosen: readonly string[]): string[] {
  // Only nodes of Linux are ever healed.
  const names = nodes.flatMap(({ metadata, status }) =>
    (status?.nodeInfo?.operatingSystem ?? 'linux') === 'linux' ? (metadata?.name ?? []) : [],
  );
  return chosen.length === 0 ? names : names.filter((name) => chosen.includes(name));
}

function openNodes(
  run: <T>(
    signal: AbortSignal,
    use: (client: ApiClient, settings: CollectOptions) => Promise<T>,
  ) => Promise<T>,
  signal: AbortSignal,
  heal: string,
  before: World,
): OpenNodes {
  return (nodes, use) =>
    run(signal, (client, settings) => {
      const witness = witnessOf(before, nodes);
      const some = new Set([...nodes, ...(witness === undefined ? [] : [witness])]);
      // While pods come up it looks many times.
      let isOpen = false;
      const progress: CollectOptions['progress'] = (seen) => {
        if (!isOpen) settings.progress(seen);
      };
      const changes = { lastMs: healMs(settings) };
      return withReaders(client, { ...settings, nodes: some, changes, progress }, (world, readers) => {
        isOpen = true;
        if (readers === undefined) throw new UserError('cannot heal: the nodes cannot be reached');
        return use(clusterPatient(readers, client, heal), world);
      });
    });
}

/** How long the rounds of one batch may take, in milliseconds: each starts a pod, does what takes longest, and waits for what that unblocks. */
function healMs({ timeoutMs }: CollectOptions): number {
  return MAX_ROUNDS * (timeoutMs + APPLY_DEADLINE_MS + SETTLE_MS);
}

/** How long undoing may take on some nodes, one after the other, in milliseconds. They are asked all at once first. */
function undoMs({ timeoutMs }: CollectOptions, nodes: number): number {
  return UNDO_DEADLINE_MS + nodes * (timeoutMs + UNDO_DEADLINE_MS);
}

/** Another node, which probes come from: what only other machines see would otherwise look fixed. */
function witnessOf({ reports }: World, nodes: readonly string[]): string | undefined {
  // Not of all at once: each report is read when it is asked for.
  for (const name of reports.keys()) {
    if (!nodes.includes(name) && known(reports.get(name)) !== undefined) return name;
  }
  return undefined;
}

async function writeEvents(
  client: ApiClient,
  healed: Parameters<typeof recordHealed>[1],
  world: World,
  warn: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const missing = await missingRights(client, EVENT_RIGHTS, { signal });
  if (missing.length > 0) return warn(`no Events are written: you may not ${describeRights(missing)}`);
  const onError = (cause: unknown) => warn(messageOf(cause));
  const events = new EventRecorder(client, { component: HEAL_COMPONENT }, { onError });
  recordHealed(events, healed, diagnose(world).scene);
  if (!(await events.flush())) warn('not all Events were written in time');
}

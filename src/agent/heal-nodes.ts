import { type Diagnosed, diagnose } from '../path/diagnose/diagnose.ts';
import { type HealScope, type PlannedHeal, planHeal } from '../path/heal/plan.ts';
import type { PathVerdict } from '../path/model/finding.ts';
import { known } from '../path/model/observed.ts';
import { stages } from '../path/model/stages.ts';
import type { World } from '../path/model/world.ts';
import { messageOf } from '../util/errors.ts';
import type { ExpectingPatient } from './cluster-patient.ts';
import { type Healed, type HealOptions, type HealReport, healAsFar } from './heal.ts';

/** Makes some nodes ready to be healed, lets `use` do it, and removes what was created. Of the others, the worlds that it sees have no reports. */
export type OpenNodes = <T>(
  nodes: readonly string[],
  use: (patient: ExpectingPatient, now: World) => Promise<T>,
) => Promise<T>;

export interface HealNodesOptions extends HealOptions {
  /** How many nodes, with others on which steps of their plans are, are changed before they are looked at again. */
  maxUnavailable: number;
  /** Called when the next nodes are about to be healed; how many come after them. */
  onNodes?(nodes: readonly string[], left: number): void;
}

/** The outcome for all nodes. */
export interface NodesHealed {
  healed: Healed[];
  /** What was seen last: of the objects all, of the nodes only the last ones. */
  world: World;
  /** Of all nodes together. */
  rounds: number;
  /** The node after which it was stopped, if it is one that got worse; why; and the nodes that were not begun. */
  stopped?: { node?: string; why: string; undone: string[] };
  /** What was thrown where that is why it was stopped. */
  error?: unknown;
}

/**
 * Heals the nodes of a cluster, a few at a time: after each few they are looked at again, and on the first node that got worse it stops. What is
 * about no node comes last. Nothing is thrown: what was done is reported also when something keeps it from going on.
 */
export async function healNodes(
  open: OpenNodes,
  first: { world: World; diagnosed: Diagnosed },
  options: HealNodesOptions,
): Promise<NodesHealed> {
  let { world } = first;
  const plan = planHeal(first.diagnosed, options);
  const waiting = batchesOf(plan, options.maxUnavailable);
  const begun = new Set(waiting.flatMap(({ nodes }) => nodes));
  const healed = leftOf(plan.filter(({ finding }) => !begun.has(finding.subject.node ?? '')));
  let rounds = 0;
  for (let batch = waiting.shift(); batch !== undefined; batch = waiting.shift()) {
    const { nodes, opened } = batch;
    const undone = [...new Set(waiting.flatMap(namesOf))];
    const scope: HealScope = nodes.length === 0 ? options : { ...options, nodes };
    const done: { before?: Diagnosed; report?: HealReport } = {};
    const stop = (error: unknown): NodesHealed => {
      const begun = done.before === undefined ? [] : nodes;
      const left = [...nodes.filter((node) => !begun.includes(node)), ...undone];
      return { healed, world, rounds, stopped: { why: messageOf(error), undone: left }, error };
    };
    const work = async (patient: ExpectingPatient, now: World) => {
      done.before = diagnose(now, options.failures);
      const report = await healAsFar(
        watching(patient, (seen) => {
          world = seen;
        }),
        done.before,
        {
          ...options,
          ...scope,
          onPlan: (round) => {
            patient.expect(round);
            options.onPlan?.(round);
          },
          mayTry: (planned, current) =>
            (nodes.length > 0 || isOfOpened(planned, opened)) && (options.mayTry?.(planned, current) ?? true),
        },
      );
      rounds += report.rounds;
      // What nothing is done about and is about no node has been listed.
      healed.push(...report.healed.filter(({ outcome }) => nodes.length > 0 || outcome !== 'left'));
      if ('error' in report) throw report.error;
      done.report = report;
    };
    try {
      options.signal.throwIfAborted();
      options.onNodes?.(namesOf(batch), undone.length);
      await open(opened, work);
    } catch (error) {
      return stop(error);
    }
    const { before, report } = done;
    if (before === undefined || report === undefined) continue;
    const [worse] = opened.flatMap((node) => gotWorse(node, before, report.after) ?? []);
    if (worse !== undefined) return { healed, world, rounds, stopped: { ...worse, undone } };
  }
  return { healed, world, rounds };
}

interface Batch {
  nodes: string[];
  /** These, and others on which steps of their plans are. */
  opened: string[];
}

/** The nodes of a batch, or those on which the steps are of what is about no node. */
function namesOf({ nodes, opened }: Batch): string[] {
  return nodes.length > 0 ? nodes : opened;
}

/** Whether a plan is about no node, with all its steps on nodes that are ready for it. */
function isOfOpened({ finding, steps }: PlannedHeal, opened: readonly string[]): boolean {
  return (
    finding.subject.node === undefined &&
    steps.every((step) => step.on !== 'node' || opened.includes(step.node))
  );
}

function batchesOf(plan: readonly PlannedHeal[], size: number): Batch[] {
  const actionable = plan.filter(({ steps }) => steps.length > 0);
  const of = Map.groupBy(actionable, ({ finding }) => finding.subject.node);
  const names = [...of.keys()].filter((name) => name !== undefined).sort();
  const ofNodes = names.map((name) => ({ nodes: [name], opened: openedFor([name], of.get(name)!) }));
  const ofNone = (of.get(undefined) ?? []).map((one) => ({ nodes: [], opened: openedFor([], [one]) }));
  return [...joined(ofNodes, size), ...joined(ofNone, size)];
}

/** As few batches as there can be in this order. Nodes on which only steps are count, too; one that alone is about more is a batch of its own. */
function joined(batches: readonly Batch[], size: number): Batch[] {
  const all: Batch[] = [];
  for (const batch of batches) {
    const last = all.at(-1);
    const opened = [...new Set([...(last?.opened ?? []), ...batch.opened])];
    if (last !== undefined && opened.length <= size) {
      all[all.length - 1] = { nodes: [...last.nodes, ...batch.nodes], opened };
    } else all.push(batch);
  }
  return all;
}

function openedFor(nodes: readonly string[], plans: readonly PlannedHeal[]): string[] {
  const steps = plans.flatMap(({ steps }) => steps.flatMap((step) => (step.on === 'node' ? step.node : [])));
  return [...new Set([...nodes, ...steps])];
}

/** What nothing is done about. */
function leftOf(plan: readonly PlannedHeal[]): Healed[] {
  return plan.flatMap(({ finding, left }): Healed[] =>
    left === undefined ? [] : [{ finding, outcome: 'left', steps: [], round: 0, reason: left.why }],
  );
}

/** The patient, with each world that is seen reported. */
function watching(patient: ExpectingPatient, seen: (world: World) => void): ExpectingPatient {
  return {
    ...patient,
    async observe(signal) {
      const world = await patient.observe(signal);
      seen(world);
      return world;
    },
  };
}

/** Why a node is worse off than it was: it cannot be looked at any more, or a mapping that was not broken is. */
function gotWorse(
  node: string,
  before: Diagnosed,
  after: Diagnosed,
): { node: string; why: string } | undefined {
  const report = after.scene.nodes.get(node)?.report;
  const wasSeen = known(before.scene.nodes.get(node)?.report) !== undefined;
  if (wasSeen && (report === undefined || 'unknown' in report)) {
    return { node, why: `it cannot be examined any more: ${report?.unknown ?? 'it is gone'}` };
  }
  const broken = new Set(before.diagnosis.paths.filter(isBroken).map(keyOf));
  const worse = after.diagnosis.paths.find(
    (path) => path.node === node && isBroken(path) && !broken.has(keyOf(path)),
  );
  if (worse === undefined) return undefined;
  const { pod, port } = worse;
  const codes = [...new Set(stages.flatMap((stage) => worse.stages[stage].codes))];
  return {
    node,
    why: `port ${port.hostPort} of pod ${pod.namespace}/${pod.name} was not broken before${codes.length > 0 ? ` (${codes.join(', ')})` : ''}`,
  };
}

function isBroken({ stages: verdicts }: PathVerdict): boolean {
  return stages.some((stage) => verdicts[stage].verdict === 'broken');
}

/** The same for a pod that was recreated under its name. */
function keyOf({ node, pod, port, family }: PathVerdict): string {
  return JSON.stringify([node, pod.namespace, pod.name, port, family]);
}

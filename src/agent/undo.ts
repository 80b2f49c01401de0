import { type ApplyResult, applyResultSchema } from '../node/apply/result.ts';
import { byPlace } from '../node/apply/runs.ts';
import { type LastHeal, lastHealSchema } from '../node/apply/undo.ts';
import type { NodeRequest } from '../node/serve/request.ts';
import { InputError, messageOf } from '../util/errors.ts';

/** How long a node may take over its files, in milliseconds: a plugin may have 100 MB. */
export const UNDO_DEADLINE_MS = 60_000;

/** Nodes on which the last heal can be undone. */
export interface UndoDoor {
  /** What the last heal changed on a node; undefined when there was none. */
  lastHeal(node: string): Promise<LastHeal | undefined>;
  /** Puts back its files: a result for each. */
  undo(node: string, heal: LastHeal): Promise<ApplyResult[]>;
}

/** How a node is asked for something. */
type AskNode = (node: string, request: NodeRequest, timeoutMs: number) => Promise<unknown>;

/** Nodes that are asked for both by `ask`, or for the undoing by `change`, which knows the files that it is about. */
export function undoDoor(
  ask: AskNode,
  change: (files: readonly string[], ...asked: Parameters<AskNode>) => Promise<unknown> = (_, ...asked) =>
    ask(...asked),
): UndoDoor {
  return {
    async lastHeal(node) {
      const answer = await ask(node, { do: 'last-heal' }, UNDO_DEADLINE_MS);
      return lastHealSchema.nullable().parse(answer) ?? undefined;
    },
    async undo(node, { heal, files }) {
      const paths = files.filter(({ state }) => state === 'back').map(({ path }) => path);
      const answer = await change(paths, node, { do: 'undo', heal }, UNDO_DEADLINE_MS);
      return applyResultSchema.array().parse(answer);
    },
  };
}

/** The last heal of some nodes, and what it changed on each of those it was about. */
export interface UndoPlan {
  /** When it began; undefined when no node has had one. */
  heal: string | undefined;
  /** In the order of names. */
  nodes: { node: string; last: LastHeal }[];
  /** Nodes that could not be asked, and why. */
  unknown: { node: string; why: string }[];
}

/** Asks nodes what their last heals changed. Of several heals the last one counts: nodes of earlier ones have no part in it. */
export async function planUndo(door: UndoDoor, nodes: readonly string[]): Promise<UndoPlan> {
  const unknown: UndoPlan['unknown'] = [];
  const found: UndoPlan['nodes'] = [];
  await Promise.all(
    nodes.map(async (node) => {
      try {
        const last = await door.lastHeal(node);
        if (last !== undefined) found.push({ node, last });
      } catch (cause) {
        unknown.push({ node, why: messageOf(cause) });
      }
    }),
  );
  const heal = found.toSorted((a, b) => byPlace(a.last.place, b.last.place)).at(-1)?.last.heal;
  const byName = (a: { node: string }, b: { node: string }) => (a.node < b.node ? -1 : 1);
  return {
    heal,
    nodes: found.filter(({ last }) => last.heal === heal).sort(byName),
    unknown: unknown.sort(byName),
  };
}

/** Why a plan must not be carried out: a node that could not be asked may have had a later heal. Undefined when it may. */
export function whyNotUndone({ unknown }: Pick<UndoPlan, 'unknown'>): string | undefined {
  if (unknown.length === 0) return undefined;
  const nodes = unknown.map(({ node }) => node).join(', ');
  return `cannot undo the last heal: ${nodes} could not be asked, and may have had a later one; choose the other nodes by --node`;
}

/** Whether a node has something to be put back, and nothing that forbids it. */
export function canUndo({ files }: LastHeal): boolean {
  return files.some(({ state }) => state === 'back') && !files.some(({ state }) => state === 'refused');
}

/** What was put back: of each node that was begun, a result for each file; and what kept it from going on with the others. */
export interface Undone {
  nodes: { node: string; results: ApplyResult[] }[];
  error?: unknown;
}

/**
 * Puts back, one node after the other, what a plan says. A node that fails does not keep others from it; after an interruption no further one is begun.
 * @throws InputError when a node could not be asked: which heal was the last is unknown then.
 */
export async function undo(
  door: UndoDoor,
  { nodes, unknown }: UndoPlan,
  signal: AbortSignal,
): Promise<Undone> {
  const why = whyNotUndone({ unknown });
  if (why !== undefined) throw new InputError(why);
  const done: Undone['nodes'] = [];
  for (const { node, last } of nodes.filter(({ last }) => canUndo(last))) {
    if (signal.aborted) return { nodes: done, error: signal.reason };
    const results = await door
      .undo(node, last)
      .catch((cause): ApplyResult[] => [{ action: 'undo', outcome: 'failed', detail: messageOf(cause) }]);
    done.push({ node, results });
  }
  return { nodes: done };
}

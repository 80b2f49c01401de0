import type { Readers } from '../collect/reader/collect.ts';
import type { ApiClient } from '../kube/client.ts';
import { hasReason } from '../kube/client.ts';
import { pods } from '../kube/resources.ts';
import { type ActionNeeds, needsOf, needsOfFiles } from '../node/apply/needs.ts';
import { applyResultSchema } from '../node/apply/result.ts';
import type { PlannedHeal } from '../path/heal/plan.ts';
import type { NodeAction } from '../path/model/action.ts';
import type { Patient } from './heal.ts';
import { type UndoDoor, undoDoor } from './undo.ts';

/** How long a node may take over its actions, in milliseconds: an `attach` runs plugins. */
export const APPLY_DEADLINE_MS = 120_000;

/** A patient that knows beforehand what it will be asked for. */
export interface ExpectingPatient extends Patient {
  /** Called before each round with what is about to be done. */
  expect(plan: readonly PlannedHeal[]): void;
}

/**
 * Nodes of any cluster as a patient. What is to be done on a node is done in a pod that has what the node's part of the plan needs; where a later
 * round needs more, another pod takes its place. `heal`: when that began, by which it can be undone, RFC 3339.
 */
export function clusterPatient(readers: Readers, client: ApiClient, heal: string): ExpectingPatient {
  let expected = new Map<string, NodeAction[]>();
  const needsOfNode = (node: string, actions: readonly NodeAction[]): ActionNeeds =>
    needsOf([...(expected.get(node) ?? []), ...actions]);
  return {
    expect(plan) {
      const steps = plan.flatMap((planned) => planned.steps.filter((step) => step.on === 'node'));
      expected = new Map(
        [...Map.groupBy(steps, ({ node }) => node)].map(([node, of]) => [
          node,
          of.map(({ action }) => action),
        ]),
      );
      // All at once; whether one fails, the first of its actions says.
      const prepare = async (node: string) => readers.prepare(node, needsOfNode(node, []));
      for (const node of expected.keys()) prepare(node).catch(() => {});
    },
    observe: () => readers.observe(),
    async apply(node, actions) {
      const request = { do: 'apply' as const, actions: [...actions], heal };
      const answer = await readers.change(node, needsOfNode(node, actions), request, APPLY_DEADLINE_MS);
      return applyResultSchema.array().length(actions.length).parse(answer);
    },
    async deletePod({ namespace, name, uid }) {
      try {
        await client.delete(pods, name, namespace, { preconditions: { uid } });
      } catch (error) {
        // Somebody else was faster: it is gone or recreated, as wanted.
        if (!hasReason(error, 'NotFound', 'Conflict')) throw error;
      }
    },
  };
}

/** The nodes of any cluster, on which the last heal can be undone. */
export function clusterUndo(readers: Readers): UndoDoor {
  return undoDoor(readers.ask, (files, node, request, timeoutMs) =>
    readers.change(node, needsOfFiles(files), request, timeoutMs),
  );
}

import { type Healed, type HealOptions, healAsFar } from '../../agent/heal.ts';
import type { NodesHealed } from '../../agent/heal-nodes.ts';
import type { UndoDoor } from '../../agent/undo.ts';
import type { ApiClient } from '../../kube/client.ts';
import type { ClusterRecord } from '../../lab/cluster/record.ts';
import { labPatient, labUndo } from '../../lab/doctor/patient.ts';
import { LabPlaces } from '../../lab/doctor/places.ts';
import { collectLabWorld, labClient } from '../../lab/doctor/source.ts';
import type { Diagnosed } from '../../path/diagnose/diagnose.ts';
import type { PlannedHeal } from '../../path/heal/plan.ts';
import type { World } from '../../path/model/world.ts';
import { messageOf } from '../../util/errors.ts';

/** How long to wait for pods that start once nothing blocks them any more, in milliseconds. */
export const SETTLE_MS = 30_000;

/** What became of a heal. */
export interface HealOutcome {
  healed: Healed[];
  rounds: number;
  /** The last observation, of all nodes; absent when something kept it from being made. */
  after?: Diagnosed;
  stopped?: NodesHealed['stopped'];
  /** What was thrown before all was done; `stopped` says what was left. */
  error?: unknown;
}

/** A cluster that is healed: how it is observed and changed. */
export interface Healing extends AsyncDisposable {
  observe(signal: AbortSignal): Promise<World>;
  /** Its API. */
  client(): Promise<ApiClient>;
  /** @throws InputError when the user lacks a right that the plan needs. */
  checkRights(plan: readonly PlannedHeal[], signal: AbortSignal): Promise<void>;
  heal(
    first: { world: World; diagnosed: Diagnosed },
    options: HealOptions & { onNodes?(nodes: readonly string[], left: number): void },
  ): Promise<HealOutcome>;
  /** `chosen`: names of nodes; all when empty. */
  withUndo<T>(
    chosen: readonly string[],
    signal: AbortSignal,
    use: (door: UndoDoor, nodes: readonly string[]) => Promise<T>,
  ): Promise<T>;
}

/** A cluster of the lab, which is reached from the lab. */
export function labHealing(record: ClusterRecord, probes: boolean): Healing {
  const places = new LabPlaces(record);
  return {
    observe: (signal) => collectLabWorld(places, { probes, signal }),
    client: () => labClient(record),
    // The lab's own access may do everything.
    checkRights: async () => {},
    async heal({ diagnosed }, options) {
      const patient = labPatient(places, probes, new Date().toISOString());
      const { after, ...done } = await healAsFar(patient, diagnosed, options);
      if (!('error' in done)) return { ...done, after };
      return { ...done, stopped: { why: messageOf(done.error), undone: [] } };
    },
    withUndo(chosen, _, use) {
      const names = record.nodes.map(({ name }) => name);
      return use(labUndo(places), chosen.length === 0 ? names : chosen);
    },
    [Symbol.asyncDispose]: () => places[Symbol.asyncDispose](),
  };
}

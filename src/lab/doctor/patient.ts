import type { Patient } from '../../agent/heal.ts';
import { type UndoDoor, undoDoor } from '../../agent/undo.ts';
import { hasReason } from '../../kube/client.ts';
import { pods } from '../../kube/resources.ts';
import type { LabPlaces } from './places.ts';
import { collectLabWorld, labClient } from './source.ts';

/** A cluster of the lab, to be healed. `heal`: when that began, by which it can be undone. */
export function labPatient(places: LabPlaces, probes: boolean, heal: string): Patient {
  return {
    observe: (signal) => collectLabWorld(places, { probes, signal }),
    apply: (node, actions) => places.apply(node, actions, heal),
    async deletePod({ namespace, name, uid }) {
      const client = await labClient(places.record);
      try {
        await client.delete(pods, name, namespace, { preconditions: { uid } });
      } catch (error) {
        // Somebody else was faster: it is gone or recreated, as wanted.
        if (!hasReason(error, 'NotFound', 'Conflict')) throw error;
      }
    },
  };
}

/** The nodes of a cluster of the lab, on which the last heal can be undone. */
export function labUndo(places: LabPlaces): UndoDoor {
  return undoDoor((node, request, timeoutMs) => places.ask(node, request, timeoutMs));
}

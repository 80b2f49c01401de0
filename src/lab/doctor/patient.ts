import type { Patient } from '../../agent/heal.ts';
import { hasReason } from '../../kube/client.ts';
import { pods } from '../../kube/resources.ts';
import type { LabPlaces } from './places.ts';
import { collectLabWorld, labClient } from './source.ts';

/** A cluster of the lab, to be healed. */
export function labPatient(places: LabPlaces, probes: boolean): Patient {
  return {
    observe: (signal) => collectLabWorld(places, { probes, signal }),
    apply: (node, actions) => places.apply(node, actions),
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

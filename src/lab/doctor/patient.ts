import type { Patient } from '../../agent/heal.ts';
import { hasReason } from '../../kube/client.ts';
import { pods } from '../../kube/resources.ts';
import type { Exec } from '../../sys/exec.ts';
import type { ClusterRecord } from '../cluster/record.ts';
import { applyOnNode } from './apply.ts';
import { collectLabWorld, labClient } from './source.ts';

/** A cluster of the lab, to be healed. */
export function labPatient(record: ClusterRecord, exec: Exec, probes: boolean): Patient {
  return {
    observe: (signal) => collectLabWorld(record, { probes, signal, exec }),
    apply: (node, actions) => applyOnNode(node, actions, exec),
    async deletePod({ namespace, name, uid }) {
      const client = await labClient(record);
      try {
        await client.delete(pods, name, namespace, { preconditions: { uid } });
      } catch (error) {
        // Somebody else was faster: it is gone or recreated, as wanted.
        if (!hasReason(error, 'NotFound', 'Conflict')) throw error;
      }
    },
  };
}

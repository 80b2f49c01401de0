import type { ClusterObjects } from '../collect/cluster-objects.ts';
import { localWorld } from '../collect/local.ts';
import type { ApiClient } from '../kube/client.ts';
import { hasReason } from '../kube/client.ts';
import { pods } from '../kube/resources.ts';
import { ownPluginDirectory } from '../node/apply/own-plugins.ts';
import { performActions } from '../node/apply/perform.ts';
import type { ApplyResult } from '../node/apply/result.ts';
import type { SandboxMemory } from '../node/report/runtime.ts';
import { takeNodeReport } from '../node/report/take.ts';
import type { World } from '../path/model/world.ts';
import type { Exec } from '../sys/exec.ts';
import { backupsOfRuns } from './backup-runs.ts';
import type { Patient } from './heal.ts';

/** What is known about a node from outside it. */
export interface NodeObjects {
  client: ApiClient;
  /** The objects that concern the node, as they are now. */
  read(): ClusterObjects;
}

/**
 * The node that this process runs on, as a patient: this process itself observes and changes it. With `objects` its pods are those of the
 * API; without, they are derived from the runtime's sandboxes. No probes are sent.
 */
export function nodePatient(node: string, exec: Exec, objects?: NodeObjects): Patient {
  const memory: SandboxMemory = new Map();
  const backups = backupsOfRuns();
  return {
    async observe(signal): Promise<World> {
      if (objects === undefined) return localWorld(exec, signal, { node });
      const report = await takeNodeReport(node, exec, undefined, undefined, undefined, memory);
      // Read last, so that a pod whose mapping is missing is already known to be terminating.
      return {
        observedAt: report.takenAt,
        ...objects.read(),
        reports: new Map([[node, { value: report }]]),
        probes: [],
      };
    },

    async apply(where, actions) {
      if (where !== node) throw new Error(`node ${where} is not this one, which is ${node}`);
      const context = { exec, backups: backups(), ownPlugins: ownPluginDirectory() };
      const results: ApplyResult[] = [];
      for await (const result of performActions(actions, context)) results.push(result);
      return results;
    },

    async deletePod({ namespace, name, uid }) {
      if (objects === undefined) {
        throw new Error(
          `cannot delete pod ${namespace}/${name}: without an API, nothing recreates it; give --kubeconfig`,
        );
      }
      try {
        await objects.client.delete(pods, name, namespace, { preconditions: { uid } });
      } catch (error) {
        // Somebody else was faster: the pod is deleted or recreated already.
        if (!hasReason(error, 'NotFound', 'Conflict')) throw error;
      }
    },
  };
}

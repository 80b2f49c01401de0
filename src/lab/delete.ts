import { rm } from 'node:fs/promises';
import { removeFromKubeconfig } from '../kube/kubeconfig-merge.ts';
import { type Exec, ExecError } from '../sys/exec.ts';
import { exists } from '../sys/files.ts';
import { deleteLabNetwork } from './network.ts';
import { clusterPaths } from './paths.ts';
import { readRecord } from './record.ts';
import { Runc } from './runc.ts';

/**
 * Removes everything of a cluster: gateway, node containers with all their processes and mounts, the lab's namespace, the
 * kubeconfig context and the cluster's directory. Works on whatever is there, so it also clears up after a creation that
 * was killed half way; twice in a row is fine. `kubeconfig` is where the context is looked for when there is no record.
 */
export async function deleteCluster(cluster: string, exec: Exec, kubeconfig: string): Promise<void> {
  const paths = clusterPaths(cluster);
  const record = await readRecord(cluster);
  const runc = new Runc(exec, paths.runc);
  const containers = (await exists(paths.runc)) ? await runc.list() : [];
  await Promise.all([
    stopGateway(exec, paths.gatewayService),
    ...containers.map((container) => runc.remove(container.id)),
  ]);
  await deleteLabNetwork(exec, cluster);
  await removeFromKubeconfig(record?.kubeconfig ?? kubeconfig, `kind-${cluster}`);
  await rm(paths.root, { recursive: true, force: true });
}

/** Ends the gateway and its supervisor; `sv` waits for both. */
async function stopGateway(exec: Exec, service: string): Promise<void> {
  if (!(await exists(`${service}/supervise/ok`))) return;
  const argv = ['sv', '-w', '5', 'force-shutdown', service];
  const result = await exec.run(argv);
  // runit answers "runsv not running" when the supervisor died before: nothing to end then.
  if (result.code !== 0 && !result.stdout.includes('not running')) throw new ExecError(argv, result);
}

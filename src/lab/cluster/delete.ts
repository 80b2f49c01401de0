import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { removeFromKubeconfig } from '../../kube/kubeconfig-merge.ts';
import type { Exec } from '../../sys/exec.ts';
import { exists } from '../../sys/files.ts';
import { findProcesses, killProcesses } from '../../sys/processes.ts';
import { waitFor } from '../../sys/wait.ts';
import { combinedError, InputError } from '../../util/errors.ts';
import { settleAll } from '../../util/settle.ts';
import { mountsExample, takeBackExample } from '../tour/example.ts';
import { lockCluster } from './cluster-lock.ts';
import { clusterNameProblem } from './config/names.ts';
import { deleteLabNetwork } from './network.ts';
import { removeNodeCgroups } from './node-cgroup.ts';
import { type ClusterPaths, clusterPaths } from './paths.ts';
import { type ClusterRecord, listClusters, readRecord } from './record.ts';
import { Runc } from './runc.ts';
import { removeUnfinished } from './unfinished.ts';

/**
 * Which kubeconfig file the cluster's context is taken out of: the chosen one, else the one it was merged into, else (there
 * is no record of the cluster) the fallback.
 */
export type ContextPlace = { chosen: string } | { fallback: string };

/**
 * Removes everything of a cluster: gateway, node containers with all their processes and mounts, the lab's namespace, the
 * kubeconfig context, the cluster's directory, what was being written into mounted directories, and what `make lab` made for
 * the how-to's configuration. Works on whatever is there, so it also clears up after a creation or a
 * deletion that was killed half way; twice in a row is fine. When a part fails the others are removed all the same, and the
 * record stays, so that a deletion can be tried again.
 * Returns whether there was anything of a cluster of that name.
 * @throws UserError while another process creates the cluster; a deletion by another process is waited for.
 */
export async function deleteCluster(
  cluster: string,
  exec: Exec,
  kubeconfig: ContextPlace,
  signal?: AbortSignal,
): Promise<boolean> {
  // The name becomes a directory that is removed with all that is in it.
  const problem = clusterNameProblem(cluster);
  if (problem !== undefined) throw new InputError(`cannot delete cluster: ${problem}`);
  const lock = await lockCluster(cluster, 'delete', signal);
  try {
    const wasThere = await exists(clusterPaths(cluster).root);
    await removeCluster(cluster, exec, kubeconfig);
    return wasThere;
  } finally {
    lock.release();
  }
}

/** {@link deleteCluster} for a caller that holds the cluster's lock. */
export async function removeCluster(cluster: string, exec: Exec, kubeconfig: ContextPlace): Promise<void> {
  const paths = clusterPaths(cluster);
  const record = await readRecord(cluster);
  const failures: unknown[] = [];
  const attempt = async (...parts: Promise<unknown>[]) => {
    for (const result of await Promise.allSettled(parts)) {
      if (result.status === 'rejected') failures.push(result.reason);
    }
  };
  await attempt(endGateway(paths), removeContainers(exec, paths));
  await attempt(removeNodeCgroups(cluster, record?.nodes.map(({ name }) => name) ?? []));
  await attempt(deleteLabNetwork(exec, cluster));
  const context = 'chosen' in kubeconfig ? kubeconfig.chosen : (record?.kubeconfig ?? kubeconfig.fallback);
  await attempt(removeFromKubeconfig(context, `kind-${cluster}`));
  if (record !== undefined) await attempt(tidyMounted(record));
  const [first, ...others] = failures;
  if (first !== undefined) throw combinedError([first, ...others]);
  await removeDirectory(paths);
}

/** Removes unfinished files from the machine's directories that nodes had mounted, and what was created for the how-to. */
async function tidyMounted({ name, config }: ClusterRecord): Promise<void> {
  const others = (await listClusters()).filter((other) => other !== name);
  const records = await Promise.all(others.map(readRecord));
  removeUnfinished(
    config,
    records.flatMap((other) => other?.config ?? []),
  );
  if (mountsExample(config)) await takeBackExample(name);
}

/** The record goes last: as long as anything is left, the cluster is listed and can be deleted. */
async function removeDirectory({ root, record }: ClusterPaths): Promise<void> {
  const names = (await exists(root)) ? await readdir(root) : [];
  const others = names.map((name) => join(root, name)).filter((path) => path !== record);
  await settleAll(others.map((path) => rm(path, { recursive: true, force: true })));
  await rm(root, { recursive: true, force: true });
}

async function removeContainers(exec: Exec, paths: ClusterPaths): Promise<void> {
  if (!(await exists(paths.runc))) return;
  // A runc that a killed creation had just started keeps running, and would conflict with the removal.
  await waitFor(
    'runc to finish creating containers',
    () => findProcesses(({ argv }) => argv[2] === paths.runc && argv[3] === 'create').length === 0,
    { timeoutMs: 10_000 },
  );
  const runc = new Runc(exec, paths.runc);
  const containers = await runc.list();
  await settleAll(containers.map((container) => runc.remove(container.id)));
}

/**
 * Ends the gateway and its supervisor. They are found by what they were started with: a supervisor whose starter was killed
 * may not accept commands yet.
 */
async function endGateway({ gatewayService: service }: ClusterPaths): Promise<void> {
  if (!(await exists(service))) return;
  await killProcesses('the gateway', () =>
    findProcesses(
      ({ argv, cwd }) =>
        (argv[0] === 'runsv' && argv[1] === service) ||
        // What runsv starts, first as the script `./run`, then as the gateway, stays in the service's directory.
        ((argv[1] === './run' || argv[1] === 'gateway') && cwd() === service),
    ).map(({ pid }) => pid),
  );
}

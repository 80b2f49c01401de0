import { existsSync, realpathSync } from 'node:fs';
import { ApiClient, type ApiClientOptions } from '../kube/client.ts';
import { kubectlAccess } from '../kube/kubeconfig.ts';
import type { Node } from '../kube/types.ts';
import { unverifiedServer } from '../kube/unverified-server.ts';
import type { World } from '../path/model/world.ts';
import { InputError, UserError } from '../util/errors.ts';
import { readReports } from './bundle.ts';
import { readClusterObjects } from './cluster-objects.ts';
import { nodeOf } from './local.ts';

/**
 * Observes any cluster: its objects by a kubeconfig's current context (without one: kubectl's, from KUBECONFIG or ~/.kube/config), and
 * node reports from files (`<node>.json`, what `hostport node-report` printed on each). A node without a file was not asked; a
 * node whose file is not a report is unknown. Sends no probes. `warn` gets a line when the server is not verified.
 */
export async function clusterWorld(
  kubeconfig: string | undefined,
  reportsDirectory: string,
  { signal, warn }: { signal?: AbortSignal; warn(line: string): void },
): Promise<World> {
  if (!existsSync(reportsDirectory))
    throw new InputError(
      `cannot read the node reports in ${reportsDirectory}: no such directory; write one report per node there with "hostport node-report"`,
    );
  const { reports, unread } = readReports(realpathSync(reportsDirectory), reportsDirectory);
  const access = await accessOf(kubeconfig);
  const unverified = unverifiedServer(access);
  if (unverified !== undefined) warn(unverified);
  const client = new ApiClient(access);
  const objects = await readClusterObjects(client, signal);
  const isWithoutNodes = objects.unread?.some(({ kind, what }) => kind === 'objects' && what === 'nodes');
  return {
    observedAt: new Date().toISOString(),
    ...objects,
    ...(isWithoutNodes && { nodes: nodesOfReports(reports) }),
    unread: [...(objects.unread ?? []), ...unread],
    reports,
    probes: [],
  };
}

/** Where the API does not list nodes, those that have a report, with the addresses that they have themselves. */
function nodesOfReports(reports: World['reports']): Node[] {
  return [...reports].flatMap(([name, report]) => ('value' in report ? [nodeOf(name, report.value)] : []));
}

/** How kubectl would reach the cluster; a kubeconfig that cannot be used is the user's to name. */
export async function accessOf(file: string | undefined): Promise<ApiClientOptions> {
  try {
    return await kubectlAccess(file);
  } catch (cause) {
    if (!(cause instanceof UserError)) throw cause;
    throw new InputError(`${cause.message}; name another with --kubeconfig`, { cause });
  }
}

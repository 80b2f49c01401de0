import { existsSync, realpathSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { ApiClient, type ApiClientOptions } from '../kube/client.ts';
import type { World } from '../path/model/world.ts';
import { fileProblem } from '../sys/file-problem.ts';
import { InputError, messageOf } from '../util/errors.ts';
import { yamlProblem } from '../util/yaml-problem.ts';
import { readReports } from './bundle.ts';
import { readClusterObjects } from './cluster-objects.ts';

/**
 * Observes any cluster: its objects by a kubeconfig's current context (without one: kubectl's, from KUBECONFIG or ~/.kube/config), and node reports from files (`<node>.json`, what `hostport
 * node-report` printed on each). A node without a file was not asked; a node whose file is not a report is unknown. Sends no probes.
 */
export async function clusterWorld(
  kubeconfig: string | undefined,
  reportsDirectory: string,
  signal?: AbortSignal,
): Promise<World> {
  if (!existsSync(reportsDirectory))
    throw new InputError(
      `cannot read the node reports in ${reportsDirectory}: no such directory; write one report per node there with "hostport node-report"`,
    );
  const { reports, unread } = readReports(realpathSync(reportsDirectory), reportsDirectory);
  const client = new ApiClient(await accessOf(kubeconfig));
  const objects = await readClusterObjects(client, signal);
  return {
    observedAt: new Date().toISOString(),
    ...objects,
    unread: [...(objects.unread ?? []), ...unread],
    reports,
    probes: [],
  };
}

/** Server and credentials of a kubeconfig, however it gets them: client-node supports every way (exec plugins, OIDC). */
async function accessOf(file: string | undefined): Promise<ApiClientOptions> {
  // Loaded only here: it would be a quarter of what every start of the program loads.
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  const kubeconfig = file ?? process.env.KUBECONFIG ?? join(homedir(), '.kube/config');
  try {
    if (file === undefined && process.env.KUBECONFIG) config.loadFromDefault();
    else config.loadFromFile(kubeconfig);
  } catch (cause) {
    // A document of another shape throws a TypeError of the reader, which would not help the user.
    const problem =
      fileProblem(cause) ??
      yamlProblem(cause) ??
      (cause instanceof TypeError ? 'it is not a kubeconfig' : messageOf(cause));
    throw new InputError(
      `cannot read the kubeconfig ${kubeconfig}: ${problem}; name another with --kubeconfig`,
    );
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null)
    throw new InputError(
      `cannot use the kubeconfig ${kubeconfig}: its current context names no cluster; select another context`,
    );
  if (cluster.skipTLSVerify) {
    throw new InputError(
      `cannot use the kubeconfig ${kubeconfig}: insecure-skip-tls-verify is refused; give certificate-authority-data`,
    );
  }
  const request: RequestOptions = { headers: {} };
  await config.applyToHTTPSOptions(request);
  const pem = (value: unknown) => (value === undefined || value === null ? undefined : String(value));
  const authorization = pem((request.headers as Record<string, unknown>).Authorization);
  return {
    server: cluster.server.replace(/\/+$/, ''),
    ca: pem(request.ca),
    cert: pem(request.cert),
    key: pem(request.key),
    token: authorization?.replace(/^Bearer /, ''),
    userAgent: 'hostport',
  };
}

import { readIfExists } from '../sys/files.ts';
import { formatEndpoint } from '../util/endpoint.ts';
import { UserError } from '../util/errors.ts';
import type { ApiClientOptions } from './client.ts';
import { impersonation } from './impersonation.ts';
import { accessTo } from './kubeconfig-access.ts';
import { selectContext, userFields } from './kubeconfig-context.ts';
import { kubeconfigPaths, readKubeconfig, readKubeconfigs } from './kubeconfig-files.ts';
import type { KubectlFlags } from './kubectl-flags.ts';
import { StanzaFields } from './stanza-fields.ts';
import { tokenReader } from './token-file.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * How to reach the cluster of a context of one kubeconfig file, and as whom: all that kubectl reads there.
 * @param context name of a context; default the file's current-context.
 * @throws UserError naming the file and the field when something is missing or wrong.
 */
export async function loadKubeconfig(path: string, context?: string): Promise<ApiClientOptions> {
  return accessTo(selectContext(await readKubeconfig(path), context === undefined ? {} : { context }));
}

/** The cluster that a command line means, as kubectl finds it. */
export interface KubectlTarget {
  /** Name of its context; empty for the cluster of the pod that this runs in, and where flags name a server or a cluster instead. */
  context: string;
  access: ApiClientOptions;
}

/**
 * The cluster that kubectl would ask with the same flags: that of the kubeconfig that they name, or of those of $KUBECONFIG, or of
 * ~/.kube/config; and where these set no current context, that of the pod this runs in.
 * @throws UserError as {@link loadKubeconfig}.
 */
export async function kubectlTarget(
  flags: KubectlFlags,
  env: Environment = process.env,
  serviceAccount: string = SERVICE_ACCOUNT_DIRECTORY,
): Promise<KubectlTarget> {
  const { kubeconfig, requestTimeout } = flags;
  const config =
    kubeconfig === undefined ? await readKubeconfigs(kubeconfigPaths(env)) : await readKubeconfig(kubeconfig);
  const timeout = requestTimeout === undefined ? {} : { timeoutMs: requestTimeout };
  const choosesCluster = [flags.context, flags.cluster, flags.user, flags.server].some(
    (flag) => flag !== undefined,
  );
  if (config.currentContext === '' && !choosesCluster && (await isInPod(env, serviceAccount))) {
    const user = { file: serviceAccount, fields: userFields(flags) };
    const headers = impersonation(new StanzaFields(user, 'service account'));
    const access = await inClusterConfig(env, serviceAccount);
    return { context: '', access: { ...access, ...(headers.length > 0 && { headers }), ...timeout } };
  }
  const selected = selectContext(config, flags);
  return { context: selected.name, access: { ...(await accessTo(selected)), ...timeout } };
}

const SERVICE_ACCOUNT_DIRECTORY = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Whether {@link inClusterConfig} would find what it needs. Source: client-go's inClusterClientConfig.Possible. */
async function isInPod(env: Environment, directory: string): Promise<boolean> {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env;
  return Boolean(host && port) && (await readIfExists(`${directory}/token`)) !== undefined;
}

/**
 * How a pod reaches the API: from the service variables and its mounted service account. The token is read again for every
 * request, because the kubelet rotates it. Source: client-go's rest.InClusterConfig.
 * @throws UserError when this does not run in a pod.
 */
export async function inClusterConfig(
  env: Environment = process.env,
  directory: string = SERVICE_ACCOUNT_DIRECTORY,
): Promise<ApiClientOptions> {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env;
  if (!host || !port) {
    throw new UserError(
      'cannot use the in-cluster configuration: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set; run this in a pod',
    );
  }
  const ca = await readIfExists(`${directory}/ca.crt`);
  if (ca === undefined)
    throw new UserError(`cannot use the in-cluster configuration: ${directory}/ca.crt does not exist`);
  const token = tokenReader(`${directory}/token`);
  await token();
  return {
    server: `https://${formatEndpoint({ address: host, port })}`,
    ca,
    token,
    origin: `service account of this pod, ${directory}`,
    userAgent: 'hostport',
  };
}

import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { fileProblem } from '../sys/file-problem.ts';
import { readIfExists } from '../sys/files.ts';
import { formatEndpoint } from '../util/endpoint.ts';
import { messageOf, UserError } from '../util/errors.ts';
import { yamlProblem } from '../util/yaml-problem.ts';
import type { ApiClientOptions } from './client.ts';

interface Named {
  name?: string;
}
interface KubeconfigFile {
  clusters?: (Named & { cluster?: Record<string, unknown> })[] | null;
  contexts?: (Named & { context?: Record<string, unknown> })[] | null;
  users?: (Named & { user?: Record<string, unknown> | null })[] | null;
  'current-context'?: string;
}

/** Credentials that only a program could make: what a daemon on a node has no use for. */
const UNSUPPORTED_USER_FIELDS = ['exec', 'auth-provider', 'username', 'password', 'as'];

/**
 * Reads how to reach a cluster, and as whom, from a kubeconfig file: the slim reading that daemons need (embedded data or
 * files beside the kubeconfig; token or client certificate). A `tokenFile` is read again for every request.
 * @param context name of a context; default the file's current-context.
 * @throws UserError naming the file and the field when something is missing or wrong.
 */
export async function loadKubeconfig(path: string, context?: string): Promise<ApiClientOptions> {
  const fail = (what: string, cause?: unknown): never => {
    throw new UserError(`cannot use kubeconfig ${path}: ${what}`, { cause });
  };
  const text =
    (await readIfExists(path).catch((cause) => fail(fileProblem(cause) ?? messageOf(cause)))) ??
    fail('no such file');
  const config = (await parseYaml(text).catch((error) =>
    fail(yamlProblem(error) ?? 'not valid YAML'),
  )) as KubeconfigFile | null;
  if (config === null || typeof config !== 'object' || Array.isArray(config))
    fail('it is not a YAML mapping');

  const find = <T extends Named>(list: unknown, what: string, name: string): T => {
    const found = Array.isArray(list) ? list.find((item) => item?.name === name) : undefined;
    return (found as T | undefined) ?? fail(`no ${what} named ${JSON.stringify(name)}`);
  };
  const textField = (object: Record<string, unknown>, field: string, where: string): string | undefined => {
    const value = object[field];
    if (value === undefined || value === null || value === '') return undefined;
    return typeof value === 'string' ? value : fail(`${where}: ${field} is not a string`);
  };

  const wanted = context ?? (config!['current-context'] || fail('no current-context is set'));
  const contextOf = find<{ name?: string; context?: Record<string, unknown> }>(
    config!.contexts,
    'context',
    wanted,
  );
  const { cluster: clusterName, user: userName } = contextOf.context ?? {};
  if (typeof clusterName !== 'string') fail(`context ${JSON.stringify(wanted)} does not name a cluster`);
  const cluster =
    find<{ name?: string; cluster?: Record<string, unknown> }>(
      config!.clusters,
      'cluster',
      clusterName as string,
    ).cluster ?? {};
  const user =
    typeof userName === 'string' && userName !== ''
      ? (find<{ name?: string; user?: Record<string, unknown> | null }>(config!.users, 'user', userName)
          .user ?? {})
      : {};
  const clusterWhere = `cluster ${JSON.stringify(clusterName)}`;
  const userWhere = `user ${JSON.stringify(userName)}`;

  const server = textField(cluster, 'server', clusterWhere) ?? fail(`${clusterWhere} has no server`);
  if (!URL.canParse(server) || !/^https?:$/.test(new URL(server).protocol)) {
    fail(`${clusterWhere}: server ${JSON.stringify(server)} is not an http or https URL`);
  }
  if (cluster['insecure-skip-tls-verify'] === true) {
    fail(`${clusterWhere}: insecure-skip-tls-verify is not supported; set certificate-authority-data`);
  }
  const unsupported = UNSUPPORTED_USER_FIELDS.find((field) => user[field] !== undefined);
  if (unsupported !== undefined) {
    fail(`${userWhere}: ${unsupported} is not supported; set a token or a client certificate`);
  }

  // Embedded data wins over a file, as in client-go.
  const material = async (from: Record<string, unknown>, field: string, where: string) => {
    const data = textField(from, `${field}-data`, where);
    if (data !== undefined) {
      if (!/^[A-Za-z0-9+/\s]+={0,2}\s*$/.test(data)) fail(`${where}: ${field}-data is not base64`);
      return Buffer.from(data, 'base64').toString('utf8');
    }
    const file = textField(from, field, where);
    if (file === undefined) return undefined;
    const full = resolve(dirname(path), file);
    return await readFile(full, 'utf8').catch((cause) => fail(`${where}: ${field} cannot be read`, cause));
  };

  const options: ApiClientOptions = { server: server.replace(/\/+$/, ''), userAgent: 'hostport' };
  options.ca = await material(cluster, 'certificate-authority', clusterWhere);
  options.cert = await material(user, 'client-certificate', userWhere);
  options.key = await material(user, 'client-key', userWhere);
  if ((options.cert === undefined) !== (options.key === undefined)) {
    fail(`${userWhere}: a client certificate needs both client-certificate and client-key`);
  }
  const tokenFile = textField(user, 'tokenFile', userWhere);
  if (tokenFile !== undefined) options.token = tokenReader(resolve(dirname(path), tokenFile));
  else options.token = textField(user, 'token', userWhere);
  return options;
}

const SERVICE_ACCOUNT_DIRECTORY = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * How a pod reaches the API: from the service variables and its mounted service account. The token is read again for every
 * request, because the kubelet rotates it. Source: client-go's rest.InClusterConfig.
 * @throws UserError when this does not run in a pod.
 */
export async function inClusterConfig(
  env: Record<string, string | undefined> = process.env,
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
  return { server: `https://${formatEndpoint({ address: host, port })}`, ca, token, userAgent: 'hostport' };
}

function tokenReader(path: string): () => Promise<string> {
  return async () => {
    const text = (await readIfExists(path))?.trim();
    if (!text)
      throw new UserError(
        `cannot read bearer token ${path}: ${text === '' ? 'the file is empty' : 'no such file'}`,
      );
    return text;
  };
}

/**
 * The runtime's own parser needs a tenth of a millisecond for a kubeconfig, the library six, most of them for its own
 * loading, and every daemon reads one when it starts. The library is asked when there is a mistake: it knows the line.
 */
async function parseYaml(text: string): Promise<unknown> {
  try {
    return Bun.YAML.parse(text);
  } catch {
    const { parse } = await import('yaml');
    return parse(text);
  }
}

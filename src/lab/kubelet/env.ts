import { quantityMillis, quantityUnits } from '../../kube/quantity.ts';
import type { ConfigMap, Container, EnvVar, Pod, Secret, Service } from '../../kube/types.ts';
import { formatEndpoint } from '../../util/endpoint.ts';

/** What a container's environment may be made of. A config map or secret that does not exist is undefined. */
export interface EnvSources {
  configMap(name: string): Promise<ConfigMap | undefined>;
  secret(name: string): Promise<Secret | undefined>;
  services: readonly Service[];
  podIps: readonly string[];
  hostIp: string;
  nodeName: string;
  /** The node's allocatable, for limits that a container does not set. */
  allocatable: { cpu: number; memory: number };
}

/** A container's definition asks for what is not there. Kubernetes' reason is CreateContainerConfigError. */
export class ConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ConfigError';
  }
}

const VALID_NAME = /^[-._a-zA-Z][-._a-zA-Z0-9]*$/;

/**
 * The environment of one container: envFrom, then env with `$(NAME)` expanded, then the service variables for names that
 * are not taken. Keys of envFrom that are not valid variable names are left out and reported to `onInvalid`.
 */
export async function containerEnv(
  pod: Pod,
  container: Container,
  sources: EnvSources,
  onInvalid: (message: string) => void = () => {},
): Promise<Map<string, string>> {
  const result = new Map<string, string>();
  const services = serviceEnv(
    sources.services,
    pod.metadata!.namespace!,
    pod.spec?.enableServiceLinks !== false,
  );
  for (const { configMapRef, secretRef, prefix = '' } of container.envFrom ?? []) {
    const reference = configMapRef ?? secretRef;
    if (reference?.name === undefined) continue;
    const data =
      configMapRef === undefined
        ? decoded((await sources.secret(reference.name))?.data, await sources.secret(reference.name))
        : present(await sources.configMap(reference.name))?.data;
    if (data === undefined) {
      if (reference.optional === true) continue;
      throw notFound(configMapRef === undefined ? 'secret' : 'configmap', reference.name);
    }
    const invalid: string[] = [];
    for (const [key, value] of Object.entries(data)) {
      if (VALID_NAME.test(prefix + key)) result.set(prefix + key, value);
      else invalid.push(prefix + key);
    }
    if (invalid.length > 0) {
      const kind = configMapRef === undefined ? 'secret' : 'configMap';
      onInvalid(
        `Keys [${invalid.sort().join(', ')}] from the EnvFrom ${kind} ${pod.metadata!.namespace}/${reference.name} were skipped since they are considered invalid environment variable names.`,
      );
    }
  }
  for (const variable of container.env ?? []) {
    const value = await variableValue(
      pod,
      container,
      variable,
      sources,
      (name) => result.get(name) ?? services.get(name),
    );
    if (value !== undefined) result.set(variable.name, value);
  }
  for (const [name, value] of services) if (!result.has(name)) result.set(name, value);
  return result;
}

async function variableValue(
  pod: Pod,
  container: Container,
  variable: EnvVar,
  sources: EnvSources,
  lookup: (name: string) => string | undefined,
): Promise<string | undefined> {
  const from = variable.valueFrom;
  if (from === undefined) return expand(variable.value ?? '', lookup);
  if (from.fieldRef !== undefined) return fieldValue(pod, from.fieldRef.fieldPath, sources);
  if (from.resourceFieldRef !== undefined) {
    return resourceValue(pod, container, from.resourceFieldRef, sources.allocatable);
  }
  const { configMapKeyRef, secretKeyRef } = from;
  const reference = configMapKeyRef ?? secretKeyRef;
  if (reference?.name === undefined)
    throw new ConfigError(`environment variable ${variable.name} has no source`);
  const { name, key, optional } = reference;
  const namespace = pod.metadata!.namespace!;
  if (configMapKeyRef !== undefined) {
    const map = await sources.configMap(name);
    const value = map?.data?.[key];
    if (value !== undefined || optional === true) return value;
    if (map === undefined) throw notFound('configmap', name);
    throw new ConfigError(`couldn't find key ${key} in ConfigMap ${namespace}/${name}`);
  }
  const secret = await sources.secret(name);
  const value = secret?.data?.[key];
  if (value !== undefined) return Buffer.from(value, 'base64').toString('utf8');
  if (optional === true) return undefined;
  if (secret === undefined) throw notFound('secret', name);
  throw new ConfigError(`couldn't find key ${key} in Secret ${namespace}/${name}`);
}

function present(map: ConfigMap | undefined): { data: Record<string, string> } | undefined {
  return map === undefined ? undefined : { data: map.data ?? {} };
}

function decoded(
  data: Record<string, string> | undefined,
  secret: Secret | undefined,
): Record<string, string> | undefined {
  if (secret === undefined) return undefined;
  return Object.fromEntries(
    Object.entries(data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64').toString('utf8')]),
  );
}

function notFound(kind: string, name: string): ConfigError {
  return new ConfigError(`${kind} "${name}" not found`);
}

/**
 * Replaces `$(NAME)` by the value that `lookup` knows; `$$` is a dollar sign and an unknown name stays as it is.
 * https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#environment-variables
 */
export function expand(text: string, lookup: (name: string) => string | undefined): string {
  return text.replace(/\$(\$|\(([^)]*)\))/g, (whole, sign: string, name: string | undefined) =>
    sign === '$' ? '$' : (lookup(name ?? '') ?? whole),
  );
}

/**
 * The variables that tell a pod of the services of its namespace and of `kubernetes`.
 * https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
 */
export function serviceEnv(
  services: readonly Service[],
  namespace: string,
  links: boolean,
): Map<string, string> {
  const result = new Map<string, string>();
  const chosen = new Map<string, Service>();
  for (const service of services) {
    const { name, namespace: of } = service.metadata!;
    const address = service.spec?.clusterIP;
    if (address === undefined || address === '' || address === 'None') continue;
    const isMaster = name === 'kubernetes' && of === 'default';
    if (links && of === namespace) chosen.set(name!, service);
    else if (isMaster && !chosen.has(name!)) chosen.set(name!, service);
  }
  for (const [name, service] of chosen) {
    const prefix = name.toUpperCase().replaceAll('-', '_');
    const address = service.spec!.clusterIP!;
    const ports = service.spec?.ports ?? [];
    if (ports.length === 0) continue;
    result.set(`${prefix}_SERVICE_HOST`, address);
    result.set(`${prefix}_SERVICE_PORT`, String(ports[0]!.port));
    for (const port of ports) {
      if (port.name !== undefined && port.name !== '') {
        result.set(
          `${prefix}_SERVICE_PORT_${port.name.toUpperCase().replaceAll('-', '_')}`,
          String(port.port),
        );
      }
    }
    for (const [index, { protocol = 'TCP', port }] of ports.entries()) {
      const scheme = protocol.toLowerCase();
      const url = `${scheme}://${formatEndpoint({ address, port })}`;
      if (index === 0) result.set(`${prefix}_PORT`, url);
      const each = `${prefix}_PORT_${port}_${protocol}`;
      result.set(each, url);
      result.set(`${each}_PROTO`, scheme);
      result.set(`${each}_PORT`, String(port));
      result.set(`${each}_ADDR`, address);
    }
  }
  return result;
}

/** A field of the pod as the downward API gives it. Maps are written `key="escaped value"`, one a line. */
export function fieldValue(
  pod: Pod,
  path: string,
  where: Pick<EnvSources, 'podIps' | 'hostIp' | 'nodeName'>,
): string {
  const meta = pod.metadata!;
  const subscript = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path);
  if (subscript !== null) return meta[subscript[1] as 'labels' | 'annotations']?.[subscript[2]!] ?? '';
  switch (path) {
    case 'metadata.name':
      return meta.name ?? '';
    case 'metadata.namespace':
      return meta.namespace ?? '';
    case 'metadata.uid':
      return meta.uid ?? '';
    case 'metadata.labels':
      return formatMap(meta.labels);
    case 'metadata.annotations':
      return formatMap(meta.annotations);
    case 'spec.nodeName':
      return where.nodeName;
    case 'spec.serviceAccountName':
      return pod.spec?.serviceAccountName ?? '';
    case 'status.hostIP':
    case 'status.hostIPs':
      return where.hostIp;
    case 'status.podIP':
      return where.podIps[0] ?? '';
    case 'status.podIPs':
      return where.podIps.join(',');
    default:
      throw new ConfigError(`unsupported fieldPath: ${path}`);
  }
}

function formatMap(map: Record<string, string> | undefined): string {
  return Object.entries(map ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join('\n');
}

/** A container's request or limit in units of the divisor, rounded up. A missing limit is what the node has. */
export function resourceValue(
  pod: Pod,
  container: Container,
  reference: { containerName?: string; resource: string; divisor?: string },
  allocatable: { cpu: number; memory: number },
): string {
  const named = reference.containerName ?? container.name;
  const target = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])].find(
    ({ name }) => name === named,
  );
  if (target === undefined) throw new ConfigError(`container ${named} not found`);
  const [kind, resource] = reference.resource.split('.') as ['limits' | 'requests', string];
  const quantity =
    target.resources?.[kind]?.[resource] ??
    (kind === 'requests' ? target.resources?.limits?.[resource] : undefined);
  const divisor = reference.divisor === undefined || reference.divisor === '0' ? '1' : reference.divisor;
  if (resource === 'cpu') {
    const value =
      quantity === undefined ? (kind === 'limits' ? allocatable.cpu * 1000 : 0) : quantityMillis(quantity);
    return String(Math.ceil(value / quantityMillis(divisor)));
  }
  const value =
    quantity === undefined
      ? kind === 'limits' && resource === 'memory'
        ? allocatable.memory
        : 0
      : quantityUnits(quantity);
  return String(Math.ceil(value / quantityUnits(divisor)));
}

import { type KindInfo, kindByName } from '../../kube/kinds.ts';
import { BOOTSTRAP_BINDINGS, BOOTSTRAP_ROLES } from './bootstrap-policy.ts';
import { type ApiObject, prefixOf, sameJson } from './objects.ts';
import type { ResourceStore } from './resource-store.ts';
import { StatusError } from './status-error.ts';
import type { Storage } from './storage.ts';

const namespaceKind = kindByName('v1', 'Namespace')!;
const serviceKind = kindByName('v1', 'Service')!;
const endpointsKind = kindByName('v1', 'Endpoints')!;
const sliceKind = kindByName('discovery.k8s.io/v1', 'EndpointSlice')!;
const roleKind = kindByName('rbac.authorization.k8s.io/v1', 'ClusterRole')!;
const bindingKind = kindByName('rbac.authorization.k8s.io/v1', 'ClusterRoleBinding')!;

const NAMESPACES = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];

export interface BootstrapOptions {
  store: ResourceStore;
  storage: Storage;
  /** Where pods reach this server: its own address and port, and the address of the `kubernetes` Service. */
  advertiseAddress: string;
  securePort: number;
  serviceAddress: string;
}

/** Makes what a cluster has from its first moment on, where it is missing: namespaces, roles, the `kubernetes` Service. */
export async function bootstrap(options: BootstrapOptions): Promise<void> {
  const { store, storage } = options;
  const existing = async (kind: KindInfo) => {
    const prefix = prefixOf(kind);
    const { items } = await storage.list(prefix);
    return new Set(items.map(({ key }) => key.slice(prefix.length)));
  };
  const [namespaces, roles, bindings] = await Promise.all(
    [namespaceKind, roleKind, bindingKind].map(existing),
  );
  const missing = <T extends { metadata?: { name?: string } }>(wanted: readonly T[], there?: Set<string>) =>
    wanted.filter(({ metadata }) => !there?.has(metadata?.name ?? ''));
  await Promise.all([
    ...missing(
      NAMESPACES.map((name) => ({ metadata: { name } })),
      namespaces,
    ).map((object) => add(store, namespaceKind, object as ApiObject)),
    ...missing(BOOTSTRAP_ROLES, roles).map((object) => add(store, roleKind, copy(object))),
    ...missing(BOOTSTRAP_BINDINGS, bindings).map((object) => add(store, bindingKind, copy(object))),
  ]);
  await reconcileKubernetesService(options);
}

/** Keeps the `kubernetes` Service and its endpoints at this server's address, also after that has changed. */
async function reconcileKubernetesService(options: BootstrapOptions): Promise<void> {
  const { store, advertiseAddress, securePort, serviceAddress } = options;
  const name = 'kubernetes';
  const namespace = 'default';
  const labels = { component: 'apiserver', provider: 'kubernetes' };
  const port = { name: 'https', port: securePort, protocol: 'TCP' };
  const service = {
    metadata: { name, labels },
    spec: {
      type: 'ClusterIP',
      clusterIP: serviceAddress,
      ports: [{ name: 'https', port: 443, protocol: 'TCP', targetPort: securePort }],
      sessionAffinity: 'None',
    },
  };
  const endpoints = {
    metadata: { name, labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } },
    subsets: [{ addresses: [{ ip: advertiseAddress }], ports: [port] }],
  };
  const slice = {
    metadata: { name, labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    endpoints: [{ addresses: [advertiseAddress], conditions: { ready: true } }],
    ports: [port],
  };
  await ensure(store, serviceKind, namespace, service as unknown as ApiObject);
  await Promise.all([
    ensure(store, endpointsKind, namespace, endpoints as unknown as ApiObject, ['subsets']),
    ensure(store, sliceKind, namespace, slice as unknown as ApiObject, ['endpoints', 'ports']),
  ]);
}

/** Creates an object of the cluster that was not there a moment ago. */
async function add(store: ResourceStore, kind: KindInfo, object: ApiObject): Promise<void> {
  try {
    await store.create(kind, '', object);
  } catch (error) {
    if (!(error instanceof StatusError) || error.reason !== 'AlreadyExists') throw error;
  }
}

/** Creates `object` when it is not there; otherwise brings `fields` to what they are in it. */
async function ensure(
  store: ResourceStore,
  kind: KindInfo,
  namespace: string,
  object: ApiObject,
  fields: readonly string[] = [],
): Promise<void> {
  try {
    await store.update(kind, namespace, object.metadata.name!, (current) => {
      for (const field of fields)
        if (!sameJson(current[field], object[field])) current[field] = object[field];
      return current;
    });
  } catch (error) {
    if (!(error instanceof StatusError) || error.reason !== 'NotFound') throw error;
    await store.create(kind, namespace, structuredClone(object));
  }
}

function copy(object: object): ApiObject {
  return structuredClone(object) as ApiObject;
}

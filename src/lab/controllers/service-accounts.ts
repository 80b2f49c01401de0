import { hasReason } from '../../kube/client.ts';
import { configMaps, namespaces, serviceAccounts } from '../../kube/resources.ts';
import type { Namespace } from '../../kube/types.ts';
import { type Controller, type ControllerContext, ControllerQueue } from './context.ts';

const ACCOUNT = 'default';
const ROOT_CA = 'kube-root-ca.crt';

/**
 * Gives every namespace what a pod in it needs to speak to the API: the ServiceAccount `default`, and the ConfigMap
 * `kube-root-ca.crt` with the cluster's CA. Both come back when they are deleted, the latter when it is changed.
 */
export function serviceAccountController(context: ControllerContext, rootCa: string): Controller {
  const { client, informers } = context;
  const namespaceInformer = informers.of(namespaces);
  const accountInformer = informers.of(serviceAccounts);
  const configMapInformer = informers.of(configMaps);
  const queue = new ControllerQueue(context, 'service-account', sync);
  const enqueue = (name: string) => (object: { metadata?: { name?: string; namespace?: string } }) => {
    if (object.metadata?.name === name) queue.add(object.metadata.namespace!);
  };
  namespaceInformer.handle({
    onAdd: (namespace) => queue.add(namespace.metadata!.name!),
    onUpdate: (namespace) => queue.add(namespace.metadata!.name!),
  });
  accountInformer.handle({ onDelete: enqueue(ACCOUNT) });
  configMapInformer.handle({ onUpdate: enqueue(ROOT_CA), onDelete: enqueue(ROOT_CA) });

  async function sync(namespace: string): Promise<void> {
    if (!isActive(namespaceInformer.get(namespace))) return;
    if (accountInformer.get(ACCOUNT, namespace) === undefined) {
      await ignoring(
        client.create(serviceAccounts, { metadata: { name: ACCOUNT, namespace } }),
        'AlreadyExists',
      );
    }
    const data = { 'ca.crt': rootCa };
    const configMap = configMapInformer.get(ROOT_CA, namespace);
    if (configMap === undefined) {
      const annotations = {
        'kubernetes.io/description':
          'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.',
      };
      await ignoring(
        client.create(configMaps, { metadata: { name: ROOT_CA, namespace, annotations }, data }),
        'AlreadyExists',
      );
    } else if (JSON.stringify(configMap.data) !== JSON.stringify(data)) {
      await client.update(configMaps, { ...configMap, data });
    }
  }

  return { start: () => queue.start() };
}

function isActive(namespace: Namespace | undefined): boolean {
  return namespace !== undefined && namespace.metadata?.deletionTimestamp === undefined;
}

/** Somebody was faster: what was wanted is there. */
async function ignoring(work: Promise<unknown>, reason: string): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!hasReason(error, reason)) throw error;
  }
}

import { type KindInfo, kindByName, ownKind } from '../../kube/kinds.ts';
import type { Service, ServiceAccount } from '../../kube/types.ts';
import { type Clock, realClock } from '../../sys/clock.ts';
import { DeadlineError, waitFor } from '../../sys/wait.ts';
import type { Subnet } from '../../util/cidr.ts';
import { type ApiObject, keyOf, prefixOf, targetOf } from './objects.ts';
import { admitPod, refuseMirrorReferences, tolerateNodeLoss } from './pod-admission.ts';
import type { Admission, WriteCheck } from './resource-store.ts';
import { allocate, takenBy } from './service-addresses.ts';
import { forbidden, notFound } from './status-error.ts';
import type { Storage } from './storage.ts';

const namespaceKind = kindByName('v1', 'Namespace')!;
const serviceAccountKind = kindByName('v1', 'ServiceAccount')!;
const serviceKind = kindByName('v1', 'Service')!;
/** Namespaces that cannot be deleted, as Kubernetes' NamespaceLifecycle has them. */
const IMMORTAL = new Set(['default', 'kube-system', 'kube-public']);

/** The account that the controller manager gives every namespace, soon after the namespace is there. */
const DEFAULT_ACCOUNT = 'default';
/**
 * How long a pod that is created with its namespace is held for that account: upstream's ServiceAccount admission asks ten
 * times, 100 to 200 ms apart (plugin/pkg/admission/serviceaccount, `getServiceAccount`).
 */
const DEFAULT_ACCOUNT_MS = 2000;
const ACCOUNT_INTERVAL_MS = 50;

/**
 * The admission of this cluster: namespaces' life cycle, pods' service accounts, Services' addresses.
 *
 * Addresses are handed out under a lock of this process, with what is taken read from storage each time: right for one
 * API server, which is what a cluster here has.
 */
export class ClusterAdmission implements Admission {
  readonly #storage: Storage;
  readonly #serviceRange: Subnet;
  readonly #clock: Clock;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: { storage: Storage; serviceRange: Subnet; clock?: Clock }) {
    this.#storage = options.storage;
    this.#serviceRange = options.serviceRange;
    this.#clock = options.clock ?? realClock;
  }

  async create(info: KindInfo, object: ApiObject, check?: WriteCheck): Promise<void> {
    if (info.namespaced) await this.#checkNamespace(info, object);
    if (ownKind(info) === 'Pod') {
      await admitPod(object, (name) => this.#serviceAccount(object.metadata.namespace ?? '', name));
    }
    await check?.(object);
    if (ownKind(info) === 'Pod') refuseMirrorReferences(object);
    if (ownKind(info) === 'Service') await this.#allocate(object, undefined);
  }

  beforeUpdate(info: KindInfo, object: ApiObject): void {
    if (info.kind === 'Pod' && object.spec !== undefined) tolerateNodeLoss(object.spec);
  }

  async update(info: KindInfo, object: ApiObject, old: ApiObject): Promise<void> {
    if (ownKind(info) === 'Service') await this.#allocate(object, old);
  }

  async delete(info: KindInfo, object: ApiObject): Promise<void> {
    const name = object.metadata.name ?? '';
    if (ownKind(info) === 'Namespace' && IMMORTAL.has(name)) {
      throw forbidden(targetOf(info), name, 'this namespace may not be deleted');
    }
  }

  exclusively<T>(info: KindInfo, write: () => Promise<T>): Promise<T> {
    if (ownKind(info) !== 'Service') return write();
    const run = this.#last.then(write);
    // The next writer waits for the end of this one, however it ends; its own caller hears of a failure.
    this.#last = run.catch(() => {});
    return run;
  }

  async #checkNamespace(info: KindInfo, object: ApiObject): Promise<void> {
    const namespace = object.metadata.namespace ?? '';
    const { item } = await this.#storage.get(keyOf(namespaceKind, '', namespace));
    if (item === undefined) throw notFound(targetOf(namespaceKind), namespace);
    const stored = JSON.parse(item.value) as ApiObject;
    if (stored.metadata.deletionTimestamp === undefined) return;
    throw forbidden(
      targetOf(info),
      object.metadata.name ?? '',
      `unable to create new content in namespace ${namespace} because it is being terminated`,
      [
        {
          reason: 'NamespaceTerminating',
          message: `namespace ${namespace} is being terminated`,
          field: 'metadata.namespace',
        },
      ],
    );
  }

  async #serviceAccount(namespace: string, name: string): Promise<ServiceAccount | undefined> {
    const look = async () => {
      const { item } = await this.#storage.get(keyOf(serviceAccountKind, namespace, name));
      return item === undefined ? undefined : (JSON.parse(item.value) as ServiceAccount);
    };
    if (name !== DEFAULT_ACCOUNT) return look();
    try {
      return await waitFor(`the default account of namespace ${namespace}`, look, {
        timeoutMs: DEFAULT_ACCOUNT_MS,
        intervalMs: ACCOUNT_INTERVAL_MS,
        clock: this.#clock,
      });
    } catch (error) {
      if (error instanceof DeadlineError) return undefined;
      throw error;
    }
  }

  async #allocate(object: ApiObject, old: ApiObject | undefined): Promise<void> {
    const { items } = await this.#storage.list(prefixOf(serviceKind));
    const services = items.map(({ value }) => JSON.parse(value) as Service);
    const self = `${object.metadata.namespace}/${object.metadata.name}`;
    allocate(object, old, this.#serviceRange, takenBy(services, self));
  }
}

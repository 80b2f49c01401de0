import { kindByName } from '../../kube/kinds.ts';
import { isNodeLabelOfKubelet } from '../../kube/node-labels.ts';
import { isMirrorPod, MIRROR_ANNOTATION } from '../../kube/pods.ts';
import type { Node, Pod, PodStatus } from '../../kube/types.ts';
import type { Authorizer } from './authorizer.ts';
import type { Attributes } from './identity.ts';
import { LEASE_NAMESPACE, nodeOf } from './node-authorizer.ts';
import { type ApiObject, keyOf, sameJson, targetOf } from './objects.ts';
import { apiReference } from './pod-references.ts';
import { forbidden, notFound } from './status-error.ts';
import type { Storage } from './storage.ts';

const nodeKind = kindByName('v1', 'Node')!;
const podKind = kindByName('v1', 'Pod')!;

type Operation = 'CREATE' | 'UPDATE' | 'DELETE';

const OPERATIONS: Readonly<Record<string, Operation>> = {
  create: 'CREATE',
  update: 'UPDATE',
  patch: 'UPDATE',
  delete: 'DELETE',
  deletecollection: 'DELETE',
};

/** A write by a node. */
interface Write {
  node: string;
  operation: Operation;
  namespace: string;
  /** '' for a collection. */
  name: string;
  /** What is sent; absent for a deletion. */
  object: ApiObject | undefined;
  /** What is stored; absent for what is created. */
  old: ApiObject | undefined;
}

interface TokenRequestSpec {
  audiences?: string[];
  boundObjectRef?: { apiVersion?: string; kind?: string; name?: string; uid?: string };
}

/**
 * Kubernetes' NodeRestriction admission: a kubelet writes its own Node and Lease, mirror pods and the status of its pods,
 * and requests tokens for its pods. It changes no taints and no labels that would attract other workloads to it.
 * Source: kubernetes/plugin/pkg/admission/noderestriction/admission.go.
 */
export class NodeRestriction {
  readonly #storage: Storage;
  readonly #authorizer: Authorizer;

  constructor(options: { storage: Storage; authorizer: Authorizer }) {
    this.#storage = options.storage;
    this.#authorizer = options.authorizer;
  }

  /** Before a write: `object` is what is sent, `old` what is stored. Throws Forbidden, or NotFound of what it is about. */
  async check(attributes: Attributes, object: ApiObject | undefined, old?: ApiObject): Promise<void> {
    const { user, verb, group, plural, subresource, namespace } = attributes;
    const node = nodeOf(user);
    const operation = OPERATIONS[verb];
    if (node === undefined || operation === undefined) return;
    const name = verb === 'deletecollection' ? '' : attributes.name || (object?.metadata.name ?? '');
    const write: Write = { node, operation, namespace, name, object, old };
    try {
      if (node === '') refuse(`could not determine node from user ${JSON.stringify(user.name)}`);
      switch (group === '' ? plural : `${plural}.${group}`) {
        case 'pods':
          return await this.#pod(write, subresource);
        case 'nodes':
          return admitNode(write);
        case 'serviceaccounts':
          if (operation === 'CREATE' && subresource === 'token') await this.#token(write, attributes);
          return;
        case 'leases.coordination.k8s.io':
          return admitLease(write);
      }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      throw forbidden({ group, plural }, name || (object?.metadata.generateName ?? 'Unknown'), error.message);
    }
  }

  async #pod(write: Write, subresource: string): Promise<void> {
    const { node, operation, object, old } = write;
    const self = JSON.stringify(node);
    switch (subresource) {
      case '':
        if (operation === 'CREATE') return await this.#mirrorPod(node, object!);
        if (operation === 'DELETE') {
          const { nodeName } = (await this.#podOf(write)).spec ?? {};
          if (nodeName !== node) refuse(`node ${self} can only delete pods with spec.nodeName set to itself`);
          return;
        }
        return refuse(
          `unexpected operation ${JSON.stringify(operation)}, node ${self} can only create and delete mirror pods`,
        );
      case 'status':
        return admitPodStatus(node, object!, old!);
      case 'eviction':
        if ((await this.#podOf(write)).spec?.nodeName !== node)
          refuse(`node ${node} can only evict pods with spec.nodeName set to itself`);
        return;
      default:
        return refuse(
          `unexpected pod subresource ${JSON.stringify(subresource)}, only 'status' and 'eviction' are allowed`,
        );
    }
  }

  async #mirrorPod(node: string, pod: ApiObject): Promise<void> {
    const self = JSON.stringify(node);
    if (!isMirrorPod(pod)) {
      refuse(
        `pod does not have ${JSON.stringify(MIRROR_ANNOTATION)} annotation, node ${self} can only create mirror pods`,
      );
    }
    if (pod.spec?.nodeName !== node)
      refuse(`node ${self} can only create pods with spec.nodeName set to itself`);
    const [owner, ...others] = pod.metadata.ownerReferences ?? [];
    if (others.length > 0)
      refuse(`node ${self} can only create pods with a single owner reference set to itself`);
    if (owner === undefined || owner.apiVersion !== 'v1' || owner.kind !== 'Node' || owner.name !== node)
      refuse(`node ${self} can only create pods with an owner reference set to itself`);
    if (owner.controller !== true)
      refuse(`node ${self} can only create pods with a controller owner reference set to itself`);
    if (owner.blockOwnerDeletion === true)
      refuse(`node ${self} must not set blockOwnerDeletion on an owner reference`);
    const { uid } = (await this.#get<Node>(nodeKind, '', node)).metadata!;
    if (owner.uid !== uid) refuse(`node ${node} UID mismatch: expected ${owner.uid} got ${uid}`);
    const reference = apiReference(pod as unknown as Pod);
    if (reference !== undefined) refuse(`node ${self} can not create pods that reference ${reference}`);
  }

  async #token(write: Write, { user, namespace, name }: Attributes): Promise<void> {
    const { boundObjectRef: bound, audiences = [] }: TokenRequestSpec = write.object?.spec ?? {};
    if (bound === undefined || bound.apiVersion !== 'v1' || bound.kind !== 'Pod' || !bound.name)
      refuse('node requested token not bound to a pod');
    if (!bound.uid) refuse('node requested token with a pod binding without a uid');
    const pod = await this.#get<Pod>(podKind, namespace, bound.name);
    if (bound.uid !== pod.metadata?.uid) {
      refuse(
        `the UID in the bound object reference (${bound.uid}) does not match the UID in record. The object might have been deleted and then recreated`,
      );
    }
    if (pod.spec?.nodeName !== write.node)
      refuse('node requested token bound to a pod scheduled on a different node');
    if (audiences.length > 1) refuse('node may only request 0 or 1 audiences');
    const [audience = ''] = audiences;
    const wanted = (pod.spec?.volumes ?? []).flatMap(({ projected }) =>
      (projected?.sources ?? []).flatMap(({ serviceAccountToken: token }) =>
        token === undefined ? [] : [token.audience ?? ''],
      ),
    );
    if (wanted.includes(audience)) return;
    const about = { group: '', plural: audience, subresource: '', namespace, name };
    const { allowed } = this.#authorizer.authorize({
      user,
      verb: 'request-serviceaccounts-token-audience',
      ...about,
    });
    if (!allowed) {
      refuse(
        `audience ${JSON.stringify(audience)} not found in pod spec volume, ${user.name} is not authorized to request tokens for this audience`,
      );
    }
  }

  async #podOf({ namespace, name, old }: Write): Promise<Pod> {
    return old === undefined ? await this.#get<Pod>(podKind, namespace, name) : (old as unknown as Pod);
  }

  async #get<T>(kind: typeof podKind, namespace: string, name: string): Promise<T> {
    const { item } = name === '' ? {} : await this.#storage.get(keyOf(kind, namespace, name));
    if (item === undefined) throw notFound(targetOf(kind), name);
    return JSON.parse(item.value) as T;
  }
}

/** Why a node may not do what it asks for; becomes Forbidden. */
class Refusal extends Error {}

function refuse(why: string): never {
  throw new Refusal(why);
}

function admitPodStatus(node: string, pod: ApiObject, old: ApiObject): void {
  const self = JSON.stringify(node);
  if (old.spec?.nodeName !== node)
    refuse(`node ${self} can only update pod status for pods with spec.nodeName set to itself`);
  if (!sameJson(pod.metadata.labels ?? {}, old.metadata.labels ?? {}))
    refuse(`node ${self} cannot update labels through pod status`);
  const claims = ({ status }: ApiObject) => {
    const { resourceClaimStatuses = [] }: { resourceClaimStatuses?: PodStatus['resourceClaimStatuses'] } =
      status ?? {};
    return resourceClaimStatuses;
  };
  if (!sameJson(claims(pod), claims(old))) refuse(`node ${self} cannot update resource claim statues`);
}

function admitNode({ node, operation, name, object, old }: Write): void {
  const self = JSON.stringify(node);
  if (name !== node) refuse(`node ${self} is not allowed to modify node ${JSON.stringify(name)}`);
  const labels = (own: ApiObject | undefined) => own?.metadata.labels ?? {};
  if (operation === 'CREATE') {
    if (object?.spec?.configSource !== undefined)
      refuse(`node ${self} is not allowed to create pods with a non-nil configSource`);
    const others = forbiddenLabels(labels(object), {});
    if (others.length > 0)
      refuse(`node ${self} is not allowed to set the following labels: ${others.join(', ')}`);
  }
  if (operation === 'UPDATE') {
    const source = object?.spec?.configSource;
    if (source !== undefined && !sameJson(source, old?.spec?.configSource))
      refuse(`node ${self} is not allowed to update configSource to a new non-nil configSource`);
    if (!sameJson(object?.spec?.taints ?? [], old?.spec?.taints ?? []))
      refuse(`node ${self} is not allowed to modify taints`);
    if (!sameJson(object?.metadata.ownerReferences ?? [], old?.metadata.ownerReferences ?? []))
      refuse(`node ${self} is not allowed to modify ownerReferences`);
    const others = forbiddenLabels(labels(object), labels(old));
    if (others.length > 0) refuse(`is not allowed to modify labels: ${others.join(', ')}`);
  }
}

/** Keys of labels that differ and that a node may not decide, sorted. */
function forbiddenLabels(now: Record<string, string>, before: Record<string, string>): string[] {
  const keys = new Set([...Object.keys(now), ...Object.keys(before)]);
  return [...keys].filter((key) => now[key] !== before[key] && !isNodeLabelOfKubelet(key)).sort();
}

function admitLease({ node, namespace, name }: Write): void {
  if (namespace !== LEASE_NAMESPACE)
    refuse(`can only access leases in the ${JSON.stringify(LEASE_NAMESPACE)} system namespace`);
  if (name !== node) refuse('can only access node lease with the same name as the requesting node');
}

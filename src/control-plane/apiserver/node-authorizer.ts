import { kindByName } from '../../kube/schema/kinds.ts';
import type { Pod } from '../../kube/types.ts';
import { type Attributes, type Decision, NODE_USER_PREFIX, NODES_GROUP, type User } from './identity.ts';
import { Mirror } from './mirror.ts';
import { type ApiObject, prefixOf } from './objects.ts';
import { forbidden, type StatusError } from './status-error.ts';
import type { Storage } from './storage.ts';
import type { WatchHub } from './watch-hub.ts';

const podKind = kindByName('v1', 'Pod')!;
const LEASE_NAMESPACE = 'kube-node-lease';
const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';
const READ = ['get', 'list', 'watch'];

/** What of a pod decides what its node may read. */
interface PodNeeds {
  namespace: string;
  name: string;
  uid: string;
  nodeName: string;
  serviceAccount: string;
  /** `secrets/NAME`, `configmaps/NAME`. */
  references: Set<string>;
}

/** The name of the node that a user is; undefined for anybody else. */
export function nodeOf(user: User): string | undefined {
  if (!user.groups.includes(NODES_GROUP) || !user.name.startsWith(NODE_USER_PREFIX)) return undefined;
  return user.name.slice(NODE_USER_PREFIX.length);
}

/**
 * Kubernetes' node authorizer and NodeRestriction admission: a kubelet reads what the pods of its own node need and writes
 * its own Node, Lease, those pods' status, and events. Source: Kubernetes' documentation, "Using Node Authorization".
 */
export class NodeAuthorizer {
  readonly #pods: Mirror<PodNeeds>;

  constructor(options: { storage: Storage; hub: WatchHub; onError: (error: unknown) => void }) {
    this.#pods = new Mirror({ ...options, prefix: prefixOf(podKind), project: needsOf });
  }

  start(): Promise<void> {
    return this.#pods.start();
  }

  stop(): void {
    this.#pods.stop();
  }

  /** `fieldSelector` is the request's: a node may list pods only as far as they are its own. */
  authorize(attributes: Attributes, fieldSelector: string): Decision {
    const node = nodeOf(attributes.user);
    if (node === undefined || attributes.path !== undefined) return { allowed: false, reason: '' };
    const { verb, group, plural, subresource, namespace, name } = attributes;
    const resource = `${group === '' ? '' : `${group}/`}${plural}${subresource === '' ? '' : `/${subresource}`}`;
    const own = { allowed: true, reason: '' };
    const unrelated = {
      allowed: false,
      reason: `no relationship found between node '${node}' and this object`,
    };
    switch (resource) {
      case 'nodes':
        if (READ.includes(verb) || verb === 'create') return own;
        return name === node
          ? own
          : { allowed: false, reason: `node '${node}' cannot change node '${name}'` };
      case 'nodes/status':
        return name === node
          ? own
          : { allowed: false, reason: `node '${node}' cannot change node '${name}'` };
      case 'services':
        return { allowed: READ.includes(verb), reason: '' };
      case 'events':
        return { allowed: ['create', 'update', 'patch'].includes(verb), reason: '' };
      case 'coordination.k8s.io/leases':
        if (namespace !== LEASE_NAMESPACE)
          return { allowed: false, reason: `a node's lease is in ${LEASE_NAMESPACE}` };
        return verb === 'create' || name === node ? own : unrelated;
      case 'authentication.k8s.io/tokenreviews':
      case 'authorization.k8s.io/subjectaccessreviews':
        return { allowed: verb === 'create', reason: '' };
      case 'pods':
        if (verb === 'create') return own;
        if (verb === 'list' || verb === 'watch') {
          if (fieldSelector.split(',').includes(`spec.nodeName=${node}`)) return own;
          if (name === '') {
            return {
              allowed: false,
              reason: `can only ${verb} pods with field selector spec.nodeName=${node}`,
            };
          }
        }
        return [...READ, 'delete'].includes(verb) && this.#has(node, namespace, name) ? own : unrelated;
      case 'pods/status':
      case 'pods/eviction':
        return this.#has(node, namespace, name) ? own : unrelated;
      case 'secrets':
      case 'configmaps':
        if (!READ.includes(verb)) return { allowed: false, reason: '' };
        return this.#needs(node, namespace, (pod) => pod.references.has(`${plural}/${name}`))
          ? own
          : unrelated;
      case 'serviceaccounts':
      case 'serviceaccounts/token':
        if (subresource === 'token' ? verb !== 'create' : verb !== 'get')
          return { allowed: false, reason: '' };
        return this.#needs(node, namespace, (pod) => pod.serviceAccount === name) ? own : unrelated;
      default:
        return { allowed: false, reason: '' };
    }
  }

  /** What a node may write is also a matter of the object written. Returns the refusal, if any. */
  refusal(attributes: Attributes, object: ApiObject): StatusError | undefined {
    const node = nodeOf(attributes.user);
    if (node === undefined) return undefined;
    const { group, plural, subresource, verb } = attributes;
    const name = object.metadata.name ?? '';
    const refuse = (why: string) => forbidden({ group, plural }, name, `node ${JSON.stringify(node)} ${why}`);
    if (verb === 'create' && (plural === 'nodes' || plural === 'leases') && name !== node) {
      return refuse(`is not allowed to create ${plural} of another name`);
    }
    if (verb === 'create' && plural === 'pods' && subresource === '') {
      if (object.metadata.annotations?.[MIRROR_ANNOTATION] === undefined) {
        return refuse(`can only create pods with ${JSON.stringify(MIRROR_ANNOTATION)} annotation`);
      }
      if (object.spec?.nodeName !== node)
        return refuse('can only create pods with spec.nodeName set to itself');
      const needs = needsOf(object as unknown as Pod);
      if (object.spec?.serviceAccountName || (needs?.references.size ?? 0) > 0) {
        return refuse('can not create pods that reference a service account, secrets or configmaps');
      }
    }
    if (plural === 'serviceaccounts' && subresource === 'token') {
      const bound = object.spec?.boundObjectRef as { kind?: string; name?: string; uid?: string } | undefined;
      const pod =
        bound?.kind === 'Pod'
          ? this.#find(node, attributes.namespace, (item) => item.name === bound.name)
          : undefined;
      if (pod === undefined || pod.uid !== bound?.uid || pod.serviceAccount !== attributes.name) {
        return refuse('requested a token that is not bound to one of its pods');
      }
    }
    return undefined;
  }

  #has(node: string, namespace: string, name: string): boolean {
    return this.#needs(node, namespace, (pod) => pod.name === name);
  }

  #needs(node: string, namespace: string, test: (pod: PodNeeds) => boolean): boolean {
    return this.#find(node, namespace, test) !== undefined;
  }

  #find(node: string, namespace: string, test: (pod: PodNeeds) => boolean): PodNeeds | undefined {
    for (const pod of this.#pods.entries.values()) {
      if (pod.nodeName === node && pod.namespace === namespace && test(pod)) return pod;
    }
    return undefined;
  }
}

/** What a pod refers to; undefined for one without a node. */
function needsOf(pod: Pod): PodNeeds | undefined {
  const spec = pod.spec;
  if (!spec?.nodeName) return undefined;
  const references = new Set<string>();
  const secret = (name: string | undefined) => name && references.add(`secrets/${name}`);
  const configMap = (name: string | undefined) => name && references.add(`configmaps/${name}`);
  for (const { name } of spec.imagePullSecrets ?? []) secret(name);
  for (const container of [...(spec.containers ?? []), ...(spec.initContainers ?? [])]) {
    for (const { secretRef, configMapRef } of container.envFrom ?? []) {
      secret(secretRef?.name);
      configMap(configMapRef?.name);
    }
    for (const { valueFrom } of container.env ?? []) {
      secret(valueFrom?.secretKeyRef?.name);
      configMap(valueFrom?.configMapKeyRef?.name);
    }
  }
  for (const volume of spec.volumes ?? []) {
    secret(volume.secret?.secretName);
    configMap(volume.configMap?.name);
    for (const source of volume.projected?.sources ?? []) {
      secret(source.secret?.name);
      configMap(source.configMap?.name);
    }
  }
  return {
    namespace: pod.metadata?.namespace ?? '',
    name: pod.metadata?.name ?? '',
    uid: pod.metadata?.uid ?? '',
    nodeName: spec.nodeName,
    serviceAccount: spec.serviceAccountName ?? '',
    references,
  };
}

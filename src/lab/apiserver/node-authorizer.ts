import { kindByName } from '../../kube/kinds.ts';
import { isMirrorPod } from '../../kube/pods.ts';
import type { Pod } from '../../kube/types.ts';
import { type Attributes, type Decision, NODE_USER_PREFIX, NODES_GROUP, type User } from './identity.ts';
import { Mirror } from './mirror.ts';
import { prefixOf } from './objects.ts';
import { type PodReferences, podReferences } from './pod-references.ts';
import type { Storage } from './storage.ts';
import type { WatchHub } from './watch-hub.ts';

const podKind = kindByName('v1', 'Pod')!;
export const LEASE_NAMESPACE = 'kube-node-lease';
const READ = ['get', 'list', 'watch'];

/** What of a pod decides what its node may read. */
interface PodNeeds extends PodReferences {
  namespace: string;
  name: string;
  nodeName: string;
  serviceAccount: string;
}

/** The name of the node that a user is, '' for one that is no particular node; undefined for anybody else. */
export function nodeOf(user: User): string | undefined {
  if (!user.groups.includes(NODES_GROUP) || !user.name.startsWith(NODE_USER_PREFIX)) return undefined;
  return user.name.slice(NODE_USER_PREFIX.length);
}

const ALLOWED: Decision = { allowed: true, reason: '' };

function refused(reason = ''): Decision {
  return { allowed: false, reason };
}

/**
 * Kubernetes' node authorizer: a kubelet reads its own Node and what the pods of that node need. What it may write depends
 * on the object: {@link NodeRestriction}.
 * Source: kubernetes/plugin/pkg/auth/authorizer/node/node_authorizer.go.
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
    const { user, verb, group, plural, subresource, namespace, name } = attributes;
    const node = nodeOf(user);
    if (node === undefined) return refused();
    if (node === '') return refused(`unknown node for user ${JSON.stringify(user.name)}`);
    if (attributes.path !== undefined) return refused();
    switch (group === '' ? plural : `${plural}.${group}`) {
      case 'nodes':
        return nodeDecision(node, attributes);
      case 'pods':
        return this.#podDecision(node, attributes, fieldSelector);
      case 'secrets':
      case 'configmaps':
        if (!READ.includes(verb)) return refused('can only read resources of this type');
        if (subresource !== '') return refused('cannot read subresource');
        if (namespace === '') return refused('can only read namespaced object of this type');
        return this.#related(node, attributes, (pod) => pod[plural as keyof PodReferences].has(name));
      case 'serviceaccounts':
        if (verb === 'get' && subresource === '') return this.#ofAccount(node, attributes);
        if (verb !== 'create' || name === '')
          return refused('can only create tokens for individual service accounts');
        if (subresource !== 'token') return refused('can only create token subresource of serviceaccount');
        return this.#ofAccount(node, attributes);
      case 'leases.coordination.k8s.io':
        return leaseDecision(node, attributes);
    }
    if (subresource !== '') return refused();
    switch (group === '' ? plural : `${plural}.${group}`) {
      case 'services':
        return READ.includes(verb) ? ALLOWED : refused();
      case 'events':
        return ['create', 'update', 'patch'].includes(verb) ? ALLOWED : refused();
      case 'tokenreviews.authentication.k8s.io':
      case 'subjectaccessreviews.authorization.k8s.io':
        return verb === 'create' ? ALLOWED : refused();
      default:
        return refused();
    }
  }

  #podDecision(node: string, attributes: Attributes, fieldSelector: string): Decision {
    const { verb, subresource, name } = attributes;
    switch (subresource) {
      case '':
        if (verb === 'list' || verb === 'watch') {
          const scoped = fieldSelector
            .split(',')
            .some((term) => /^spec\.nodeName==?(.*)$/.exec(term)?.[1] === node);
          if (scoped) return ALLOWED;
          if (name === '') return refused('can only list/watch pods with spec.nodeName field selector');
        } else if (verb === 'create' || verb === 'delete') return ALLOWED;
        else if (verb !== 'get') return refused();
        return this.#related(node, attributes, (pod) => pod.name === name);
      case 'status':
        return verb === 'update' || verb === 'patch' ? ALLOWED : refused();
      case 'eviction':
        return verb === 'create' ? ALLOWED : refused();
      default:
        return refused(verb === 'get' ? 'cannot get subresource' : '');
    }
  }

  #ofAccount(node: string, attributes: Attributes): Decision {
    return this.#related(node, attributes, (pod) => pod.serviceAccount === attributes.name);
  }

  #related(node: string, { namespace, name }: Attributes, test: (pod: PodNeeds) => boolean): Decision {
    if (name === '') return refused('No Object name found');
    for (const pod of this.#pods.entries.values()) {
      if (pod.nodeName === node && pod.namespace === namespace && test(pod)) return ALLOWED;
    }
    return refused(`no relationship found between node '${node}' and this object`);
  }
}

function nodeDecision(node: string, { verb, subresource, name }: Attributes): Decision {
  if (subresource === 'status') return verb === 'update' || verb === 'patch' ? ALLOWED : refused();
  if (subresource !== '') return refused();
  if (['create', 'update', 'patch'].includes(verb)) return ALLOWED;
  if (!READ.includes(verb)) return refused();
  if (name === node) return ALLOWED;
  return refused(
    name === ''
      ? `node '${node}' cannot read all nodes, only its own Node object`
      : `node '${node}' cannot read '${name}', only its own Node object`,
  );
}

function leaseDecision(node: string, { verb, namespace, name }: Attributes): Decision {
  if (!['get', 'create', 'update', 'patch', 'delete'].includes(verb))
    return refused('can only get, create, update, patch, or delete a node lease');
  if (namespace !== LEASE_NAMESPACE)
    return refused(`can only access leases in the ${JSON.stringify(LEASE_NAMESPACE)} system namespace`);
  // Who creates one gives its name in the object.
  if (verb !== 'create' && name !== node)
    return refused('can only access node lease with the same name as the requesting node');
  return ALLOWED;
}

/** What a pod refers to; undefined for one without a node. A node's own mirror pods give it access to nothing. */
function needsOf(pod: Pod): PodNeeds | undefined {
  const nodeName = pod.spec?.nodeName;
  if (!nodeName) return undefined;
  const { namespace = '', name = '' } = pod.metadata ?? {};
  const own = { namespace, name, nodeName };
  if (isMirrorPod(pod)) return { ...own, serviceAccount: '', secrets: new Set(), configmaps: new Set() };
  return { ...own, serviceAccount: pod.spec?.serviceAccountName ?? '', ...podReferences(pod) };
}

import { KINDS, type KindInfo } from '../../kube/kinds.ts';
import type {
  ClusterRole,
  ClusterRoleBinding,
  PolicyRule,
  Role,
  RoleBinding,
  Subject,
} from '../../kube/types.ts';
import { SERVICE_ACCOUNT_PREFIX, type User } from './identity.ts';
import { keyOf, prefixOf, targetOf } from './objects.ts';
import { badRequest, internalError, notFound } from './status-error.ts';

export const RBAC_GROUP = 'rbac.authorization.k8s.io';

/** The kinds that say who may do what. */
export type RbacKind = 'Role' | 'ClusterRole' | 'RoleBinding' | 'ClusterRoleBinding';

export function rbacKind(kind: RbacKind): KindInfo {
  return KINDS.find((info) => info.group === RBAC_GROUP && info.kind === kind)!;
}

export type RoleRef = RoleBinding['roleRef'];

/** Every role and binding there is, by storage key. */
export interface PolicyObjects {
  readonly Role: ReadonlyMap<string, Role>;
  readonly ClusterRole: ReadonlyMap<string, ClusterRole>;
  readonly RoleBinding: ReadonlyMap<string, RoleBinding>;
  readonly ClusterRoleBinding: ReadonlyMap<string, ClusterRoleBinding>;
}

/** Which permissions roles and bindings grant to each subject. */
export class Policy {
  readonly #objects: PolicyObjects;

  constructor(objects: PolicyObjects) {
    this.#objects = objects;
  }

  /** All rules a user has in a namespace ('' for the cluster's only). Adds roles that are bound but do not exist to `missing`. */
  *rulesFor(user: User, namespace: string, missing: RoleRef[]): Generator<PolicyRule> {
    const rulesOf = (roleRef: RoleRef, of: string): readonly PolicyRule[] => {
      const role = this.#role(roleRef, of);
      if (role === undefined) missing.push(roleRef);
      return role?.rules ?? [];
    };
    for (const { roleRef, subjects } of this.#objects.ClusterRoleBinding.values()) {
      if (subjects?.some((subject) => isSubject(subject, user, ''))) yield* rulesOf(roleRef, '');
    }
    if (namespace === '') return;
    const prefix = prefixOf(rbacKind('RoleBinding'), namespace);
    for (const [key, { roleRef, subjects }] of this.#objects.RoleBinding) {
      if (!key.startsWith(prefix)) continue;
      if (subjects?.some((subject) => isSubject(subject, user, namespace)))
        yield* rulesOf(roleRef, namespace);
    }
  }

  /**
   * The rules of a role that a binding in `namespace` ('' for a ClusterRoleBinding) refers to. Throws what Kubernetes
   * answers to a reference that leads nowhere.
   */
  rulesOf(roleRef: RoleRef, namespace: string): readonly PolicyRule[] {
    const { kind } = roleRef;
    if (!isRoleKind(kind)) throw internalError(`unsupported role reference kind: ${JSON.stringify(kind)}`);
    if (kind === 'Role' && namespace === '') throw badRequest('Namespace parameter required.');
    const role = this.#role(roleRef, namespace);
    if (role === undefined) throw notFound(targetOf(rbacKind(kind)), roleRef.name);
    return role.rules ?? [];
  }

  #role({ kind, name }: RoleRef, namespace: string): Role | ClusterRole | undefined {
    return isRoleKind(kind) ? this.#objects[kind].get(keyOf(rbacKind(kind), namespace, name)) : undefined;
  }
}

export function isRoleKind(kind: string): kind is 'Role' | 'ClusterRole' {
  return kind === 'Role' || kind === 'ClusterRole';
}

function isSubject(subject: Subject, user: User, bindingNamespace: string): boolean {
  switch (subject.kind) {
    case 'User':
      return subject.name === user.name;
    case 'Group':
      return user.groups.includes(subject.name);
    case 'ServiceAccount': {
      const namespace = subject.namespace || bindingNamespace;
      return namespace !== '' && user.name === `${SERVICE_ACCOUNT_PREFIX}${namespace}:${subject.name}`;
    }
    default:
      return false;
  }
}

import type { KindInfo } from '../../kube/kinds.ts';
import type { PolicyRule } from '../../kube/types.ts';
import type { Authorizer } from './authorizer.ts';
import { type Attributes, SYSTEM_MASTERS, type User } from './identity.ts';
import { type ApiObject, prefixOf, sameJson, targetOf } from './objects.ts';
import {
  isRoleKind,
  Policy,
  type PolicyObjects,
  RBAC_GROUP,
  type RbacKind,
  type RoleRef,
  rbacKind,
} from './policy.ts';
import { quotedList, rulesText, uncovered } from './policy-rules.ts';
import { forbidden, notFound } from './status-error.ts';
import type { Storage } from './storage.ts';

const EVERYTHING: readonly PolicyRule[] = [
  { apiGroups: ['*'], resources: ['*'], verbs: ['*'] },
  { nonResourceURLs: ['*'], verbs: ['*'] },
];

/**
 * Prevents users from granting rights, to others or to themselves, that they do not have: writing a role or a binding needs
 * the rights in it, or `escalate` on the role, or `bind` on the role that is bound. Roles are read from storage, so
 * that a role written a moment ago counts.
 * Source: kubernetes/pkg/registry/rbac/{role,clusterrole,rolebinding,clusterrolebinding}/policybased.
 */
export class EscalationCheck {
  readonly #storage: Storage;
  readonly #authorizer: Authorizer;

  constructor(options: { storage: Storage; authorizer: Authorizer }) {
    this.#storage = options.storage;
    this.#authorizer = options.authorizer;
  }

  /** Before `object` is written: `old` is what it was, absent for a new one. Throws Forbidden. */
  async check(attributes: Attributes, kind: KindInfo, object: ApiObject, old?: ApiObject): Promise<void> {
    if (kind.group !== RBAC_GROUP || attributes.user.groups.includes(SYSTEM_MASTERS)) return;
    if (old !== undefined && changesOnlyOwnership(object, old)) return;
    const { user, namespace, group, plural, name } = attributes;
    const target = targetOf(kind);
    const ask = (verb: string, about: Pick<Attributes, 'group' | 'plural' | 'name'>) =>
      this.#authorizer.authorize({ user, verb, namespace, subresource: '', ...about }).allowed;

    if (kind.kind === 'Role' || kind.kind === 'ClusterRole') {
      if (ask('escalate', { group, plural, name })) return;
      const policy = await this.#policy();
      const why = missingRights(policy, user, namespace, object.rules ?? []);
      if (why !== undefined) throw forbidden(target, object.metadata.name ?? '', why);
      // An aggregated role collects rules that this check never sees, also after somebody has removed them.
      const aggregates = [object, old].some(
        (role) => role?.aggregationRule?.clusterRoleSelectors?.length > 0,
      );
      if (aggregates && missingRights(policy, user, namespace, EVERYTHING) !== undefined) {
        const needs = 'must have cluster-admin privileges to use the aggregationRule';
        throw forbidden(target, object.metadata.name ?? '', needs);
      }
      return;
    }

    const roleRef: RoleRef = { apiGroup: RBAC_GROUP, kind: '', name: '', ...object.roleRef };
    if (isRoleKind(roleRef.kind)) {
      const { plural: roles } = rbacKind(roleRef.kind);
      if (ask('bind', { group: roleRef.apiGroup, plural: roles, name: roleRef.name })) return;
    }
    const policy = await this.#policy();
    const why = missingRights(policy, user, namespace, policy.rulesOf(roleRef, namespace));
    if (why !== undefined) throw forbidden(target, object.metadata.name ?? '', why);
  }

  async #policy(): Promise<Policy> {
    const read = async (kind: RbacKind) => {
      const { items } = await this.#storage.list(prefixOf(rbacKind(kind)));
      return new Map(items.map(({ key, value }) => [key, JSON.parse(value)]));
    };
    const kinds = ['Role', 'ClusterRole', 'RoleBinding', 'ClusterRoleBinding'] as const;
    const objects = await Promise.all(kinds.map(read));
    return new Policy(
      Object.fromEntries(kinds.map((kind, at) => [kind, objects[at]])) as unknown as PolicyObjects,
    );
  }
}

/** Which of the `wanted` rights a user does not have, as Kubernetes' error; undefined when none is missing. */
function missingRights(
  policy: Policy,
  user: User,
  namespace: string,
  wanted: readonly PolicyRule[],
): string | undefined {
  const unresolved: RoleRef[] = [];
  const missing = uncovered([...policy.rulesFor(user, namespace, unresolved)], wanted);
  if (missing.length === 0) return undefined;
  const who = `user ${JSON.stringify(user.name)} (groups=${quotedList(user.groups)})`;
  const text = `${who} is attempting to grant RBAC permissions not currently held:\n${rulesText(missing)}`;
  if (unresolved.length === 0) return text;
  const errors = unresolved.map(({ kind, name }) => {
    return notFound(targetOf(rbacKind(kind as 'Role' | 'ClusterRole')), name).message;
  });
  const list = errors.length === 1 ? errors[0] : `[${errors.join(', ')}]`;
  return `${text}; resolution errors: [${list}]`;
}

/** Whether an update changes owner references and finalizers only, as the garbage collector does. */
function changesOnlyOwnership(object: ApiObject, old: ApiObject): boolean {
  const { ownerReferences, finalizers, managedFields, selfLink } = old.metadata;
  const metadata = { ...object.metadata, ownerReferences, finalizers, managedFields, selfLink };
  return sameJson({ ...object, metadata }, old);
}

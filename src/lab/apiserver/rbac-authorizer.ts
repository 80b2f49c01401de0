import type { ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding } from '../../kube/types.ts';
import type { Attributes, Decision, User } from './identity.ts';
import { Mirror } from './mirror.ts';
import { prefixOf } from './objects.ts';
import { Policy, RBAC_GROUP, type RbacKind, type RoleRef, rbacKind } from './policy.ts';
import { ruleAllows } from './policy-rules.ts';
import type { Storage } from './storage.ts';
import type { WatchHub } from './watch-hub.ts';

/** Role-based access control, evaluated from the stored roles and bindings. */
export class RbacAuthorizer {
  readonly #mirrors: readonly Mirror<unknown>[];
  readonly #policy: Policy;

  constructor(options: { storage: Storage; hub: WatchHub; onError: (error: unknown) => void }) {
    const mirror = <T>(kind: RbacKind) =>
      new Mirror<T>({ ...options, prefix: prefixOf(rbacKind(kind)), project: (object: T) => object });
    const roles = mirror<Role>('Role');
    const clusterRoles = mirror<ClusterRole>('ClusterRole');
    const roleBindings = mirror<RoleBinding>('RoleBinding');
    const clusterRoleBindings = mirror<ClusterRoleBinding>('ClusterRoleBinding');
    this.#mirrors = [roles, clusterRoles, roleBindings, clusterRoleBindings];
    this.#policy = new Policy({
      Role: roles.entries,
      ClusterRole: clusterRoles.entries,
      RoleBinding: roleBindings.entries,
      ClusterRoleBinding: clusterRoleBindings.entries,
    });
  }

  async start(): Promise<void> {
    await Promise.all(this.#mirrors.map((mirror) => mirror.start()));
  }

  stop(): void {
    for (const mirror of this.#mirrors) mirror.stop();
  }

  authorize(attributes: Attributes): Decision {
    const missing: RoleRef[] = [];
    for (const rule of this.#policy.rulesFor(attributes.user, attributes.namespace, missing)) {
      if (ruleAllows(rule, attributes)) return { allowed: true, reason: '' };
    }
    const gone = missing.map(
      ({ kind, name }) => `${kind.toLowerCase()}.${RBAC_GROUP} ${JSON.stringify(name)} not found`,
    );
    const reason = gone.length === 0 ? '' : `RBAC: ${gone.join(', ')}`;
    return { allowed: false, reason };
  }

  /** All rules a user has in a namespace ('' for the cluster's only). */
  rules(user: User, namespace: string): PolicyRule[] {
    return [...this.#policy.rulesFor(user, namespace, [])];
  }
}

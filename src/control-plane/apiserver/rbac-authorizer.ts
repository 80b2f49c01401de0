import { KINDS, type KindInfo } from '../../kube/schema/kinds.ts';
import type {
  ClusterRole,
  ClusterRoleBinding,
  PolicyRule,
  Role,
  RoleBinding,
  Subject,
} from '../../kube/types.ts';
import { type Attributes, type Decision, SERVICE_ACCOUNT_PREFIX, type User } from './identity.ts';
import { Mirror } from './mirror.ts';
import { keyOf, prefixOf } from './objects.ts';
import type { Storage } from './storage.ts';
import type { WatchHub } from './watch-hub.ts';

function rbacKind(kind: string): KindInfo {
  return KINDS.find((info) => info.group === 'rbac.authorization.k8s.io' && info.kind === kind)!;
}

/** Role-based access control, evaluated from the stored roles and bindings. */
export class RbacAuthorizer {
  readonly #roles: Mirror<Role>;
  readonly #clusterRoles: Mirror<ClusterRole>;
  readonly #roleBindings: Mirror<RoleBinding>;
  readonly #clusterRoleBindings: Mirror<ClusterRoleBinding>;

  constructor(options: { storage: Storage; hub: WatchHub; onError: (error: unknown) => void }) {
    const mirror = <T>(kind: string) =>
      new Mirror<T>({ ...options, prefix: prefixOf(rbacKind(kind)), project: (object: T) => object });
    this.#roles = mirror('Role');
    this.#clusterRoles = mirror('ClusterRole');
    this.#roleBindings = mirror('RoleBinding');
    this.#clusterRoleBindings = mirror('ClusterRoleBinding');
  }

  async start(): Promise<void> {
    await Promise.all(this.#mirrors().map((mirror) => mirror.start()));
  }

  stop(): void {
    for (const mirror of this.#mirrors()) mirror.stop();
  }

  authorize(attributes: Attributes): Decision {
    const missing: string[] = [];
    for (const rule of this.#rulesFor(attributes.user, attributes.namespace, missing)) {
      if (ruleAllows(rule, attributes)) return { allowed: true, reason: '' };
    }
    const reason = missing.length === 0 ? '' : `RBAC: ${missing.join(', ')}`;
    return { allowed: false, reason };
  }

  /** All rules a user has in a namespace ('' for the cluster's only). */
  rules(user: User, namespace: string): PolicyRule[] {
    return [...this.#rulesFor(user, namespace, [])];
  }

  *#rulesFor(user: User, namespace: string, missing: string[]): Generator<PolicyRule> {
    for (const binding of this.#clusterRoleBindings.entries.values()) {
      if (!binding.subjects?.some((subject) => isSubject(subject, user, ''))) continue;
      yield* this.#clusterRole(binding.roleRef.name, missing);
    }
    if (namespace === '') return;
    const prefix = prefixOf(rbacKind('RoleBinding'), namespace);
    for (const [key, binding] of this.#roleBindings.entries) {
      if (!key.startsWith(prefix)) continue;
      if (!binding.subjects?.some((subject) => isSubject(subject, user, namespace))) continue;
      const { kind, name } = binding.roleRef;
      if (kind === 'ClusterRole') yield* this.#clusterRole(name, missing);
      else {
        const role = this.#roles.entries.get(keyOf(rbacKind('Role'), namespace, name));
        if (role === undefined)
          missing.push(`role.rbac.authorization.k8s.io ${JSON.stringify(name)} not found`);
        else yield* role.rules ?? [];
      }
    }
  }

  #clusterRole(name: string, missing: string[]): readonly PolicyRule[] {
    const role = this.#clusterRoles.entries.get(keyOf(rbacKind('ClusterRole'), '', name));
    if (role !== undefined) return role.rules ?? [];
    missing.push(`clusterrole.rbac.authorization.k8s.io ${JSON.stringify(name)} not found`);
    return [];
  }

  #mirrors(): Mirror<unknown>[] {
    return [this.#roles, this.#clusterRoles, this.#roleBindings, this.#clusterRoleBindings];
  }
}

function isSubject(subject: Subject, user: User, bindingNamespace: string): boolean {
  if (subject.kind === 'User') return subject.name === user.name;
  if (subject.kind === 'Group') return user.groups.includes(subject.name);
  const namespace = subject.namespace ?? bindingNamespace;
  return namespace !== '' && user.name === `${SERVICE_ACCOUNT_PREFIX}${namespace}:${subject.name}`;
}

const covers = (list: readonly string[] | undefined, item: string) =>
  list?.some((entry) => entry === '*' || entry === item) ?? false;

/** Whether one rule allows a request. Exported for its table of cases. */
export function ruleAllows(rule: PolicyRule, attributes: Attributes): boolean {
  if (!covers(rule.verbs, attributes.verb)) return false;
  if (attributes.path !== undefined)
    return rule.nonResourceURLs?.some((url) => urlMatches(url, attributes.path!)) ?? false;
  const { group, plural, subresource, name } = attributes;
  const resource = subresource === '' ? plural : `${plural}/${subresource}`;
  const resources = rule.resources ?? [];
  const isCovered =
    covers(resources, resource) || (subresource !== '' && resources.includes(`*/${subresource}`));
  return (
    covers(rule.apiGroups, group) &&
    isCovered &&
    ((rule.resourceNames ?? []).length === 0 || rule.resourceNames!.includes(name))
  );
}

function urlMatches(pattern: string, path: string): boolean {
  return (
    pattern === '*' || pattern === path || (pattern.endsWith('*') && path.startsWith(pattern.slice(0, -1)))
  );
}

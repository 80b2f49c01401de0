import { type Attributes, type Decision, SYSTEM_MASTERS } from './identity.ts';
import type { NodeAuthorizer } from './node-authorizer.ts';
import type { RbacAuthorizer } from './rbac-authorizer.ts';
import { qualified, StatusError } from './status-error.ts';

/** Decides whether a request may be made: superusers, then nodes, then roles. */
export class Authorizer {
  readonly #nodes: NodeAuthorizer;
  readonly #rbac: RbacAuthorizer;

  constructor(nodes: NodeAuthorizer, rbac: RbacAuthorizer) {
    this.#nodes = nodes;
    this.#rbac = rbac;
  }

  authorize(attributes: Attributes, fieldSelector = ''): Decision {
    if (attributes.user.groups.includes(SYSTEM_MASTERS)) return { allowed: true, reason: '' };
    const byNode = this.#nodes.authorize(attributes, fieldSelector);
    if (byNode.allowed) return byNode;
    const byRole = this.#rbac.authorize(attributes);
    if (byRole.allowed) return byRole;
    const reasons = [byNode.reason, byRole.reason].filter((reason) => reason !== '');
    return { allowed: false, reason: reasons.join(', ') };
  }
}

/** The answer to a request that is not allowed, in Kubernetes' words. */
export function refusalOf(attributes: Attributes, reason: string): StatusError {
  const { user, verb, path, group, plural, subresource, namespace, name } = attributes;
  const why = reason === '' ? '' : `: ${reason}`;
  const who = `User ${JSON.stringify(user.name)} cannot ${verb}`;
  if (path !== undefined) {
    return new StatusError(403, 'Forbidden', `forbidden: ${who} path ${JSON.stringify(path)}${why}`, {});
  }
  const subject = qualified({ group, plural }) + (name === '' ? '' : ` ${JSON.stringify(name)}`);
  const resource = subresource === '' ? plural : `${plural}/${subresource}`;
  const scope = namespace === '' ? 'at the cluster scope' : `in the namespace ${JSON.stringify(namespace)}`;
  return new StatusError(
    403,
    'Forbidden',
    `${subject} is forbidden: ${who} resource ${JSON.stringify(resource)} in API group ${JSON.stringify(group)} ${scope}${why}`,
    { ...(name === '' ? {} : { name }), ...(group === '' ? {} : { group }), kind: plural },
  );
}

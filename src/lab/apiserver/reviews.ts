import { timestamp } from '../../kube/time.ts';
import type { Authenticator } from './authenticator.ts';
import type { Authorizer } from './authorizer.ts';
import { answer, type Exchange, parseBody, readBody } from './exchange.ts';
import { invalidField } from './field-errors.ts';
import type { Attributes, User } from './identity.ts';
import type { RbacAuthorizer } from './rbac-authorizer.ts';
import { badRequest, invalid } from './status-error.ts';

interface ReviewSpec {
  token?: string;
  audiences?: string[];
  user?: string;
  uid?: string;
  groups?: string[];
  namespace?: string;
  resourceAttributes?: Partial<
    Record<'namespace' | 'verb' | 'group' | 'version' | 'resource' | 'subresource' | 'name', string>
  >;
  nonResourceAttributes?: { path?: string; verb?: string };
}

/** Answers kinds that are only posted: whose a token is, and what a user may do. */
export class ReviewHandler {
  readonly #authenticator: Authenticator;
  readonly #authorizer: Authorizer;
  readonly #rbac: RbacAuthorizer;

  constructor(authenticator: Authenticator, authorizer: Authorizer, rbac: RbacAuthorizer) {
    this.#authenticator = authenticator;
    this.#authorizer = authorizer;
    this.#rbac = rbac;
  }

  async handle(exchange: Exchange, kind: string): Promise<void> {
    const body = (await parseBody(exchange.request, await readBody(exchange.request))) as {
      apiVersion?: string;
      spec?: ReviewSpec;
    };
    if (typeof body !== 'object' || body === null)
      throw badRequest(`the body of the request is not a ${kind}`);
    const spec = body.spec ?? {};
    const status = await this.#status(exchange.user, kind, spec);
    // Who one is has no specification.
    const asked = body.spec === undefined ? {} : { spec: kind === 'SelfSubjectRulesReview' ? {} : spec };
    const metadata = kind === 'SelfSubjectReview' ? { creationTimestamp: timestamp(Date.now()) } : {};
    await answer(exchange, 201, {
      kind,
      apiVersion: body.apiVersion ?? `${exchange.info.resource?.group}/v1`,
      metadata,
      ...asked,
      status,
    });
  }

  async #status(user: User, kind: string, spec: ReviewSpec): Promise<object> {
    switch (kind) {
      case 'TokenReview': {
        const found = await this.#authenticator.reviewToken(spec.token ?? '', spec.audiences);
        if (found === undefined) return { user: {}, error: 'invalid bearer token' };
        return { authenticated: true, user: userInfo(found.user), audiences: found.audiences };
      }
      case 'SelfSubjectReview':
        return { userInfo: userInfo(user) };
      case 'SelfSubjectAccessReview':
        return this.#decide(user, spec);
      case 'SubjectAccessReview':
        if (!spec.user && (spec.groups ?? []).length === 0) {
          throw badRequest('spec.user: Invalid value: "": at least one of user or group must be specified');
        }
        return this.#decide({ name: spec.user ?? '', uid: spec.uid ?? '', groups: spec.groups ?? [] }, spec);
      default: {
        const rules = this.#rbac.rules(user, spec.namespace ?? 'default');
        const superuser = user.groups.includes('system:masters');
        const everything = { verbs: ['*'], apiGroups: ['*'], resources: ['*'] };
        return {
          resourceRules: [
            ...(superuser ? [everything] : []),
            ...rules.filter(({ resources }) => resources !== undefined),
          ],
          nonResourceRules: [
            ...(superuser ? [{ verbs: ['*'], nonResourceURLs: ['*'] }] : []),
            ...rules.filter(({ nonResourceURLs }) => nonResourceURLs !== undefined),
          ],
          incomplete: false,
        };
      }
    }
  }

  #decide(user: User, spec: ReviewSpec): object {
    const { resourceAttributes: resource, nonResourceAttributes: other } = spec;
    if ((resource === undefined) === (other === undefined)) {
      const why = 'exactly one of nonResourceAttributes or resourceAttributes must be specified';
      throw invalid({ group: 'authorization.k8s.io', kind: '' }, '', [
        invalidField('spec.resourceAttributes', null, why),
      ]);
    }
    const attributes: Attributes = {
      user,
      verb: resource?.verb ?? other?.verb ?? '',
      path: other === undefined ? undefined : (other.path ?? ''),
      group: resource?.group ?? '',
      plural: resource?.resource ?? '',
      subresource: resource?.subresource ?? '',
      namespace: resource?.namespace ?? '',
      name: resource?.name ?? '',
    };
    const { allowed, reason } = this.#authorizer.authorize(attributes);
    return { allowed, ...(reason === '' ? {} : { reason }) };
  }
}

/** The user as reviews show one. */
function userInfo({ name, uid, groups, extra }: User): object {
  return { username: name, uid, groups, extra };
}

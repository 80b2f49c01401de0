import type { IncomingHttpHeaders } from 'node:http';
import { type Attributes, AUTHENTICATED, SERVICE_ACCOUNT_PREFIX, type User } from './identity.ts';
import { badRequest } from './status-error.ts';

/** Somebody to be taken for: the user with all groups, and the groups that were asked for. */
export interface Impersonation {
  readonly user: User;
  readonly askedGroups: readonly string[];
}

/** Reads the `Impersonate-*` headers; undefined without them. Source: Kubernetes' documentation, "User impersonation". */
export function impersonationOf(headers: IncomingHttpHeaders): Impersonation | undefined {
  const name = textOf(headers['impersonate-user']);
  const uid = textOf(headers['impersonate-uid']);
  const groups = textOf(headers['impersonate-group']);
  const others = Object.keys(headers).filter((header) => header.startsWith('impersonate-extra-'));
  if (name === undefined) {
    if (uid === undefined && groups === undefined && others.length === 0) return undefined;
    throw badRequest('requested to impersonate groups or extra without impersonating a user');
  }
  if (others.length > 0) throw badRequest('impersonating extra fields of a user is not served');
  const askedGroups = groups === undefined ? [] : groups.split(',').map((group) => group.trim());
  const own = new Set([...(askedGroups.length > 0 ? askedGroups : accountGroups(name)), AUTHENTICATED]);
  return { user: { name, uid: uid ?? '', groups: [...own] }, askedGroups };
}

/** What `user` must be allowed to do: to impersonate the name, and every group that was asked for. */
export function impersonationAttributes(user: User, wanted: Impersonation): Attributes[] {
  const base = { user, verb: 'impersonate', group: '', subresource: '', namespace: '' };
  const account = accountOf(wanted.user.name);
  const who =
    account === undefined
      ? { ...base, plural: 'users', name: wanted.user.name }
      : { ...base, plural: 'serviceaccounts', ...account };
  return [who, ...wanted.askedGroups.map((name) => ({ ...base, plural: 'groups', name }))];
}

function accountOf(name: string): { namespace: string; name: string } | undefined {
  if (!name.startsWith(SERVICE_ACCOUNT_PREFIX)) return undefined;
  const [namespace, account] = name.slice(SERVICE_ACCOUNT_PREFIX.length).split(':');
  return namespace === undefined || account === undefined ? undefined : { namespace, name: account };
}

function accountGroups(name: string): string[] {
  const account = accountOf(name);
  return account === undefined
    ? []
    : ['system:serviceaccounts', `system:serviceaccounts:${account.namespace}`];
}

function textOf(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header.join(',') : header;
}

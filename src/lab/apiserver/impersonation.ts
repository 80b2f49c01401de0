import { dnsLabelErrors, dnsSubdomainErrors } from '../../kube/names.ts';
import {
  ANONYMOUS,
  type Attributes,
  AUTHENTICATED,
  SERVICE_ACCOUNT_PREFIX,
  UNAUTHENTICATED,
  type User,
} from './identity.ts';
import { badRequest } from './status-error.ts';

/** A user to impersonate, and what the requester must be allowed to impersonate for it, each part by itself. */
export interface Impersonation {
  readonly user: User;
  readonly needs: readonly Omit<Attributes, 'user'>[];
}

const AUTHENTICATION = 'authentication.k8s.io';
const EXTRA_PREFIX = 'impersonate-extra-';

/** One thing to impersonate, with the fields of the ObjectReference by which Kubernetes' errors print it. */
interface Part {
  kind: 'ServiceAccount' | 'User' | 'Group' | 'UserExtra' | 'UID';
  namespace?: string;
  name: string;
  /** Key of an extra. */
  key?: string;
}

/**
 * Reads the `Impersonate-*` headers; undefined without them. `rawHeaders` alternates names and values, as received: the name
 * of a group may contain a comma, so joined headers could not be separated again.
 * Source: k8s.io/apiserver/pkg/endpoints/filters/impersonation.
 */
export function impersonationOf(rawHeaders: readonly string[]): Impersonation | undefined {
  const parts: Part[] = [];
  const fields = new Map<string, string[]>();
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const field = rawHeaders[at]!.toLowerCase();
    if (!field.startsWith('impersonate-')) continue;
    fields.set(field, [...(fields.get(field) ?? []), rawHeaders[at + 1]!]);
  }
  const name = fields.get('impersonate-user')?.[0] ?? '';
  const account = accountOf(name);
  if (account !== undefined) parts.push({ kind: 'ServiceAccount', ...account });
  else if (name !== '') parts.push({ kind: 'User', name });
  const asked = fields.get('impersonate-group') ?? [];
  parts.push(...asked.map((group): Part => ({ kind: 'Group', name: group })));
  const extra = new Map<string, string[]>();
  for (const [field, values] of fields) {
    if (!field.startsWith(EXTRA_PREFIX)) continue;
    const key = unescaped(field.slice(EXTRA_PREFIX.length));
    extra.set(key, [...(extra.get(key) ?? []), ...values]);
    parts.push(...values.map((value): Part => ({ kind: 'UserExtra', name: value, key })));
  }
  const uid = fields.get('impersonate-uid')?.[0] ?? '';
  if (uid !== '') parts.push({ kind: 'UID', name: uid });

  if (parts.length === 0) return undefined;
  if (name === '') throw badRequest(`requested [${parts.map(text).join(' ')}] without impersonating a user`);
  const own = asked.length > 0 || account === undefined ? asked : accountGroups(account.namespace);
  const user = { name, uid, groups: withAuthentication(name, own), extra: Object.fromEntries(extra) };
  return { user, needs: parts.map(need) };
}

/** Adds the group that says whether the user is authenticated, unless one of the requested groups says it. */
function withAuthentication(name: string, groups: readonly string[]): string[] {
  if (name === ANONYMOUS)
    return groups.includes(UNAUTHENTICATED) ? [...groups] : [...groups, UNAUTHENTICATED];
  const said = groups.includes(AUTHENTICATED) || groups.includes(UNAUTHENTICATED);
  return said ? [...groups] : [...groups, AUTHENTICATED];
}

function need({ kind, namespace = '', name, key = '' }: Part): Omit<Attributes, 'user'> {
  const base = { verb: 'impersonate', group: '', subresource: '', namespace, name };
  switch (kind) {
    case 'ServiceAccount':
      return { ...base, plural: 'serviceaccounts' };
    case 'User':
      return { ...base, plural: 'users' };
    case 'Group':
      return { ...base, plural: 'groups' };
    case 'UserExtra':
      return { ...base, group: AUTHENTICATION, plural: 'userextras', subresource: key };
    case 'UID':
      return { ...base, group: AUTHENTICATION, plural: 'uids' };
  }
}

/** As Go prints an ObjectReference: its seven fields, most of them empty. */
function text({ kind, namespace = '', name, key = '' }: Part): string {
  const apiVersion = kind === 'UserExtra' || kind === 'UID' ? `${AUTHENTICATION}/v1` : '';
  return `{${[kind, namespace, name, '', apiVersion, '', key].join(' ')}}`;
}

/** The service account that a user name stands for; undefined for a name that no account can have. */
function accountOf(user: string): { namespace: string; name: string } | undefined {
  if (!user.startsWith(SERVICE_ACCOUNT_PREFIX)) return undefined;
  const [namespace, name, ...more] = user.slice(SERVICE_ACCOUNT_PREFIX.length).split(':');
  if (namespace === undefined || name === undefined || more.length > 0) return undefined;
  if (dnsLabelErrors(namespace).length > 0 || dnsSubdomainErrors(name).length > 0) return undefined;
  return { namespace, name };
}

function accountGroups(namespace: string): string[] {
  return ['system:serviceaccounts', `system:serviceaccounts:${namespace}`];
}

/** Keys are percent-encoded, because the name of a header cannot hold every character; an invalid encoding is taken literally. */
function unescaped(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}
